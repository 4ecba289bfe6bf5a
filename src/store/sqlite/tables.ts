// Insert, update and delete of each entity, with the tables that its lists are looked up by.
import {
  expiryOf,
  type Api,
  type CaCertificate,
  type Certificate,
  type ClientCertificateRule,
  type HostPolicy,
  type Plugin,
  type Sni,
  type Token,
} from '../../model/entities.ts';
import type { Table } from '../rows.ts';
import type { Connection } from './connection.ts';
import { certificateColumns, fromCertificate } from './encoding.ts';

const certificateInsert = `INSERT INTO certificates (id, revision, ${certificateColumns.join(', ')})
  VALUES (?, ?, ${certificateColumns.map(() => '?').join(', ')})`;
const certificateUpdate = `UPDATE certificates SET revision = ?, ${certificateColumns.map((name) => `${name} = ?`).join(', ')}
  WHERE id = ?`;

export function apiTable(connection: Connection): Table<Api> {
  const lookups = apiLookups(connection);
  return {
    async insert(api, revision) {
      connection.run(
        'INSERT INTO apis (id, name, doc, revision) VALUES (?, ?, ?, ?)',
        api.id,
        api.name,
        JSON.stringify(api),
        revision,
      );
      lookups.add(api);
    },
    async update(api, revision) {
      connection.run(
        'UPDATE apis SET name = ?, doc = ?, revision = ? WHERE id = ?',
        api.name,
        JSON.stringify(api),
        revision,
        api.id,
      );
      lookups.drop(api.id);
      lookups.add(api);
    },
    async delete(id) {
      lookups.drop(id);
      connection.run('DELETE FROM apis WHERE id = ?', id);
    },
  };
}

/** The hosts, uris and authorities of APIs, once more in tables of their own. */
export function apiLookups(connection: Connection) {
  const authorities = ruleLookups(connection);
  return {
    add({ id, hosts, uris, clientCertificate }: Pick<Api, 'id' | 'hosts' | 'uris' | 'clientCertificate'>): void {
      authorities.add(id, clientCertificate);
      for (const host of hosts) connection.run('INSERT OR IGNORE INTO api_hosts VALUES (?, ?)', host, id);
      for (const uri of uris) connection.run('INSERT OR IGNORE INTO api_uris VALUES (?, ?)', uri, id);
    },
    drop(id: string): void {
      authorities.drop(id);
      connection.run('DELETE FROM api_hosts WHERE api_id = ?', id);
      connection.run('DELETE FROM api_uris WHERE api_id = ?', id);
    },
  };
}

/** The authorities that a rule names, once more in a table of their own. */
export function ruleLookups(connection: Connection) {
  return {
    add(holderId: string, rule: ClientCertificateRule | null): void {
      for (const id of rule?.authorities ?? []) {
        connection.run('INSERT OR IGNORE INTO rule_authorities VALUES (?, ?)', id, holderId);
      }
    },
    drop(holderId: string): void {
      connection.run('DELETE FROM rule_authorities WHERE holder_id = ?', holderId);
    },
  };
}

export function caCertificateTable(connection: Connection): Table<CaCertificate> {
  const tags = tagTable(connection, 'ca_certificates', 'ca_certificate_tags');
  return {
    async insert(authority, revision) {
      connection.run(
        'INSERT INTO ca_certificates (id, fingerprint, subject, doc, not_after, tags, revision) VALUES (?, ?, ?, ?, ?, ?, ?)',
        authority.id,
        authority.fingerprint,
        authority.subject,
        JSON.stringify(authority),
        expiryOf(authority),
        JSON.stringify(authority.tags),
        revision,
      );
      tags.add(authority.id);
    },
    async update(authority, revision) {
      tags.drop(authority.id);
      connection.run(
        'UPDATE ca_certificates SET fingerprint = ?, subject = ?, doc = ?, not_after = ?, tags = ?, revision = ? WHERE id = ?',
        authority.fingerprint,
        authority.subject,
        JSON.stringify(authority),
        expiryOf(authority),
        JSON.stringify(authority.tags),
        revision,
        authority.id,
      );
      tags.add(authority.id);
    },
    async delete(id) {
      tags.drop(id);
      connection.run('DELETE FROM ca_certificates WHERE id = ?', id);
    },
  };
}

export function hostPolicyTable(connection: Connection): Table<HostPolicy> {
  const authorities = ruleLookups(connection);
  return {
    async insert(policy, revision) {
      connection.run(
        'INSERT INTO host_policies (id, name, doc, revision) VALUES (?, ?, ?, ?)',
        policy.id,
        policy.name,
        JSON.stringify(policy),
        revision,
      );
      authorities.add(policy.id, policy.clientCertificate);
    },
    async update(policy, revision) {
      connection.run(
        'UPDATE host_policies SET name = ?, doc = ?, revision = ? WHERE id = ?',
        policy.name,
        JSON.stringify(policy),
        revision,
        policy.id,
      );
      authorities.drop(policy.id);
      authorities.add(policy.id, policy.clientCertificate);
    },
    async delete(id) {
      authorities.drop(id);
      connection.run('DELETE FROM host_policies WHERE id = ?', id);
    },
  };
}

export function pluginTable(connection: Connection): Table<Plugin> {
  return {
    async insert(plugin, revision) {
      connection.run(
        'INSERT INTO plugins (name, api_id, certificate_id, enabled, doc, revision, id) VALUES (?, ?, ?, ?, ?, ?, ?)',
        plugin.name,
        plugin.apiId,
        plugin.certificateId,
        Number(plugin.enabled),
        JSON.stringify(plugin),
        revision,
        plugin.id,
      );
    },
    async update(plugin, revision) {
      connection.run(
        'UPDATE plugins SET name = ?, api_id = ?, certificate_id = ?, enabled = ?, doc = ?, revision = ? WHERE id = ?',
        plugin.name,
        plugin.apiId,
        plugin.certificateId,
        Number(plugin.enabled),
        JSON.stringify(plugin),
        revision,
        plugin.id,
      );
    },
    async delete(id) {
      connection.run('DELETE FROM plugins WHERE id = ?', id);
    },
  };
}

export function certificateTable(connection: Connection): Table<Certificate> {
  const tags = tagTable(connection, 'certificates', 'certificate_tags');
  return {
    async insert(certificate, revision) {
      connection.run(certificateInsert, certificate.id, revision, ...fromCertificate(certificate));
      tags.add(certificate.id);
    },
    async update(certificate, revision) {
      tags.drop(certificate.id);
      connection.run(certificateUpdate, revision, ...fromCertificate(certificate), certificate.id);
      tags.add(certificate.id);
    },
    async delete(id) {
      tags.drop(id);
      connection.run('DELETE FROM certificates WHERE id = ?', id);
    },
  };
}

export function sniTable(connection: Connection): Table<Sni> {
  const tags = tagTable(connection, 'snis', 'sni_tags');
  return {
    async insert(sni, revision) {
      connection.run(
        `INSERT INTO snis (name, certificate_id, tags, created_at, updated_at, revision, id) VALUES (?, ?, ?, ?, ?, ?, ?)`,
        sni.name,
        sni.certificateId,
        JSON.stringify(sni.tags),
        sni.createdAt,
        sni.updatedAt,
        revision,
        sni.id,
      );
      tags.add(sni.id);
    },
    async update(sni, revision) {
      tags.drop(sni.id);
      connection.run(
        `UPDATE snis SET name = ?, certificate_id = ?, tags = ?, created_at = ?, updated_at = ?, revision = ? WHERE id = ?`,
        sni.name,
        sni.certificateId,
        JSON.stringify(sni.tags),
        sni.createdAt,
        sni.updatedAt,
        revision,
        sni.id,
      );
      tags.add(sni.id);
    },
    async delete(id) {
      tags.drop(id);
      connection.run('DELETE FROM snis WHERE id = ?', id);
    },
  };
}

export function tokenTable(connection: Connection): Pick<Table<Token>, 'insert' | 'delete'> {
  return {
    async insert(token, revision) {
      connection.run(
        'INSERT INTO tokens (id, name, prefix, doc, revision) VALUES (?, ?, ?, ?, ?)',
        token.id,
        token.name,
        token.prefix,
        JSON.stringify(token),
        revision,
      );
    },
    async delete(id) {
      connection.run('DELETE FROM tokens WHERE id = ?', id);
    },
  };
}

/** Of a row whose tags are no JSON: none. */
const tagsOfRow = `json_each(CASE WHEN json_valid(e.tags) THEN e.tags ELSE '[]' END)`;

/** The tags of a row, once more in a table of their own that is sorted by tag. */
export function tagTable(connection: Connection, entities: string, table: string) {
  return {
    add(id: string): void {
      connection.run(
        `INSERT OR IGNORE INTO ${table} (tag, sequence) SELECT j.value, e.sequence FROM ${entities} e, ${tagsOfRow} j WHERE e.id = ?`,
        id,
      );
    },
    drop(id: string): void {
      connection.run(
        `DELETE FROM ${table} WHERE (tag, sequence) IN
           (SELECT j.value, e.sequence FROM ${entities} e, ${tagsOfRow} j WHERE e.id = ?)`,
        id,
      );
    },
  };
}
