// The primitives of ../rows.ts in SQL, within the transaction that is open on the connection.
import { PortunusError } from '../../lib/errors.ts';
import type { Rows } from '../rows.ts';
import type { Connection } from './connection.ts';
import { toBinding, toPlugin } from './encoding.ts';
import { createReader } from './reader.ts';
import {
  apiTable,
  caCertificateTable,
  certificateTable,
  hostPolicyTable,
  pluginTable,
  sniTable,
  tokenTable,
} from './tables.ts';

export function createRows(connection: Connection): Rows {
  const rows: Rows = {
    read: createReader(connection),
    apis: apiTable(connection),
    plugins: pluginTable(connection),
    certificates: certificateTable(connection),
    snis: sniTable(connection),
    tokens: tokenTable(connection),
    caCertificates: caCertificateTable(connection),
    hostPolicies: hostPolicyTable(connection),

    async pluginsOfApi(apiId) {
      return connection.all('SELECT * FROM plugins WHERE api_id = ? ORDER BY sequence', apiId).map(toPlugin);
    },
    async findPlugin(name, apiId) {
      const row = connection.get(
        `SELECT * FROM plugins WHERE name = ? AND coalesce(api_id, '') = ?`,
        name,
        apiId ?? '',
      );
      return row && toPlugin(row);
    },
    async findPluginOfCertificate(certificateId) {
      const row = connection.get('SELECT * FROM plugins WHERE certificate_id = ?', certificateId);
      return row && toPlugin(row);
    },

    async knownAuthorities(ids) {
      return found('SELECT id AS found FROM ca_certificates WHERE id IN', ids);
    },
    async holderOfAuthority(authorityId) {
      const row = connection.get('SELECT holder_id FROM rule_authorities WHERE authority_id = ? LIMIT 1', authorityId);
      return row && String(row['holder_id']);
    },

    async bindingsOf(holderId) {
      return connection.all('SELECT * FROM bindings WHERE holder_id = ?', holderId).map(toBinding);
    },
    async bind({ name, certificateId, holder }) {
      connection.run(
        'INSERT OR REPLACE INTO bindings VALUES (?, ?, ?, ?)',
        name,
        certificateId,
        holder.kind,
        holder.id,
      );
    },
    async unbind(name) {
      connection.run('DELETE FROM bindings WHERE name = ?', name);
    },

    async known({ certificateIds, sniIds, names }) {
      return {
        certificateIds: found('SELECT id AS found FROM certificates WHERE id IN', certificateIds),
        sniIds: found('SELECT id AS found FROM snis WHERE id IN', sniIds),
        names: new Set([
          ...found('SELECT name AS found FROM bindings WHERE name IN', names),
          ...found('SELECT name AS found FROM snis WHERE name IN', names),
        ]),
      };
    },
    async insertMany({ certificates, snis, bindings, changes, audit, position }) {
      const [first] = changes;
      if (first === undefined) return;
      for (const certificate of certificates) await rows.certificates.insert(certificate, first.revision);
      for (const sni of snis) await rows.snis.insert(sni, first.revision);
      for (const binding of bindings) await rows.bind(binding);
      for (const [index, change] of changes.entries()) await rows.appendChange(change, position + index);
      await rows.appendAudit(audit);
    },

    async takeRevision() {
      const row = connection.get('UPDATE revision SET revision = revision + 1 RETURNING revision');
      if (row === undefined) throw new Error('the table of the revision is empty');
      return Number(row['revision']);
    },
    async appendChange({ revision, entity, id, operation, actor, at }, position) {
      connection.run(
        'INSERT INTO changes VALUES (?, ?, ?, ?, ?, ?, ?)',
        revision,
        position,
        entity,
        id,
        operation,
        actor,
        at,
      );
    },
    async appendAudit(entries) {
      for (const { revision, entity, id, operation, actor, at, before, after } of entries) {
        connection.run(
          `INSERT INTO audit (revision, entity, id, operation, actor, at, before, after) VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
          revision,
          entity,
          id,
          operation,
          actor,
          at,
          before,
          after,
        );
      }
    },
    async rememberIntermediate(subjectKey, sha256, pem, room) {
      connection.run(
        `INSERT OR IGNORE INTO intermediates SELECT ?, ?, ? WHERE ? OR
         ((SELECT count(*) FROM intermediates WHERE subject_key = ?) < ? AND (SELECT count(*) FROM intermediates) < ?)`,
        subjectKey,
        sha256,
        pem,
        room === undefined ? 1 : 0,
        subjectKey,
        room?.ofSubject ?? 0,
        room?.all ?? 0,
      );
    },

    async atomically(work) {
      // SQLite ends the whole transaction by itself when the disk is full, say. A savepoint would then begin another one.
      if (!connection.inTransaction) throw new PortunusError('STORE_UNAVAILABLE', 'The store gave the transaction up.');
      connection.run('SAVEPOINT write');
      try {
        const value = await work();
        connection.run('RELEASE write');
        return value;
      } catch (error) {
        if (connection.inTransaction) {
          connection.run('ROLLBACK TO write');
          connection.run('RELEASE write');
        }
        throw error;
      }
    },
  };
  return rows;

  function found(selection: string, wanted: readonly string[]): ReadonlySet<string> {
    const list = connection.all(`${selection} (SELECT value FROM json_each(?))`, JSON.stringify(wanted));
    return new Set(list.map((row) => String(row['found'])));
  }
}
