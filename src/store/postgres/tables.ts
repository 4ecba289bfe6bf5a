// Insert, update and delete of each entity, with the tables that its lists are looked up by. Rows travel as one JSON
// text, whose values PostgreSQL gives the types of the table: one row or a thousand, the statement is the same.
import type {
  Api,
  CaCertificate,
  Certificate,
  ClientCertificateRule,
  HostPolicy,
  Plugin,
  Sni,
  Token,
} from '../../model/entities.ts';
import type { Table } from '../rows.ts';
import type { PgStatements } from './client.ts';
import {
  fromApi,
  fromCaCertificate,
  fromCertificate,
  fromHostPolicy,
  fromPlugin,
  fromSni,
  fromToken,
  type NewRow,
} from './encoding.ts';
import { rulesKnownFrom } from './schema.ts';

/** In their order. All have the columns of the first. */
export async function insertRows(tx: PgStatements, table: string, rows: readonly NewRow[]): Promise<void> {
  const columns = Object.keys(rows[0] ?? {}).join(', ');
  if (columns === '') return;
  await tx.query(
    `INSERT INTO ${table} (${columns}) SELECT ${columns} FROM json_populate_recordset(NULL::${table}, $1::text::json)`,
    JSON.stringify(rows),
  );
}

export function apiTable(tx: PgStatements): Table<Api> {
  return {
    async insert(api, revision) {
      await Promise.all([insertRows(tx, 'apis', [{ ...fromApi(api), revision }]), addLookups(api)]);
    },
    async update(api, revision) {
      await Promise.all([updateRow(tx, 'apis', { ...fromApi(api), revision }), dropLookups(api.id), addLookups(api)]);
    },
    async delete(id) {
      await Promise.all([dropLookups(id), tx.query('DELETE FROM apis WHERE id = $1', id)]);
    },
  };

  async function addLookups(api: Api): Promise<void> {
    await Promise.all([
      insertRows(
        tx,
        'api_hosts',
        Array.from(new Set(api.hosts), (host) => ({ host, api_id: api.id })),
      ),
      insertRows(
        tx,
        'api_uris',
        Array.from(new Set(api.uris), (uri) => ({ uri, api_id: api.id })),
      ),
      addRule(tx, api.id, api.clientCertificate),
    ]);
  }

  async function dropLookups(id: string): Promise<void> {
    await Promise.all([
      tx.query('DELETE FROM api_hosts WHERE api_id = $1', id),
      tx.query('DELETE FROM api_uris WHERE api_id = $1', id),
      dropRule(tx, id),
    ]);
  }
}

export function caCertificateTable(tx: PgStatements): Table<CaCertificate> {
  return taggedTable(tx, 'ca_certificates', 'ca_certificate_tags', fromCaCertificate);
}

export function hostPolicyTable(tx: PgStatements): Table<HostPolicy> {
  return {
    async insert(policy, revision) {
      await Promise.all([
        insertRows(tx, 'host_policies', [{ ...fromHostPolicy(policy), revision }]),
        addRule(tx, policy.id, policy.clientCertificate),
        demandNewerReaders(tx),
      ]);
    },
    async update(policy, revision) {
      await Promise.all([
        updateRow(tx, 'host_policies', { ...fromHostPolicy(policy), revision }),
        dropRule(tx, policy.id),
        addRule(tx, policy.id, policy.clientCertificate),
      ]);
    },
    async delete(id) {
      await Promise.all([dropRule(tx, id), tx.query('DELETE FROM host_policies WHERE id = $1', id)]);
    },
  };
}

async function addRule(tx: PgStatements, holderId: string, rule: ClientCertificateRule | null): Promise<void> {
  if (rule === null) return;
  await Promise.all([
    insertRows(
      tx,
      'rule_authorities',
      Array.from(new Set(rule.authorities), (id) => ({ authority_id: id, holder_id: holderId })),
    ),
    demandNewerReaders(tx),
  ]);
}

async function dropRule(tx: PgStatements, holderId: string): Promise<void> {
  await tx.query('DELETE FROM rule_authorities WHERE holder_id = $1', holderId);
}

/** Older programs, which would serve without the rule and say that they serve what was written, stop following from here on. */
async function demandNewerReaders(tx: PgStatements): Promise<void> {
  await tx.query('UPDATE revision SET readable_from = $1 WHERE readable_from < $1', rulesKnownFrom);
}

export function pluginTable(tx: PgStatements): Table<Plugin> {
  return {
    insert: (plugin, revision) => insertRows(tx, 'plugins', [{ ...fromPlugin(plugin), revision }]),
    update: (plugin, revision) => updateRow(tx, 'plugins', { ...fromPlugin(plugin), revision }),
    async delete(id) {
      await tx.query('DELETE FROM plugins WHERE id = $1', id);
    },
  };
}

export function certificateTable(tx: PgStatements): Table<Certificate> {
  return taggedTable(tx, 'certificates', 'certificate_tags', fromCertificate);
}

export function sniTable(tx: PgStatements): Table<Sni> {
  return taggedTable(tx, 'snis', 'sni_tags', fromSni);
}

export function tokenTable(tx: PgStatements): Pick<Table<Token>, 'insert' | 'delete'> {
  return {
    insert: (token, revision) => insertRows(tx, 'tokens', [{ ...fromToken(token), revision }]),
    async delete(id) {
      await tx.query('DELETE FROM tokens WHERE id = $1', id);
    },
  };
}

type TaggedEntities = 'certificates' | 'snis' | 'ca_certificates';
type TagTable = 'certificate_tags' | 'sni_tags' | 'ca_certificate_tags';

/** Of many rows at once, which are there. */
export async function addTags(
  tx: PgStatements,
  entities: TaggedEntities,
  table: TagTable,
  tagged: readonly { readonly id: string; readonly tags: readonly string[] }[],
): Promise<void> {
  const pairs = tagged.flatMap(({ id, tags }) => Array.from(new Set(tags), (tag) => ({ id, tag })));
  if (pairs.length === 0) return;
  await tx.query(
    `INSERT INTO ${table} (tag, sequence) SELECT p.tag, e.sequence
     FROM unnest($1::text[], $2::text[]) p (id, tag) JOIN ${entities} e ON e.id = p.id`,
    pairs.map((pair) => pair.id),
    pairs.map((pair) => pair.tag),
  );
}

function taggedTable<E extends { readonly id: string; readonly tags: readonly string[] }>(
  tx: PgStatements,
  entities: TaggedEntities,
  table: TagTable,
  toRow: (entity: E) => NewRow,
): Table<E> {
  return {
    async insert(entity, revision) {
      await Promise.all([
        insertRows(tx, entities, [{ ...toRow(entity), revision }]),
        addTags(tx, entities, table, [entity]),
      ]);
    },
    async update(entity, revision) {
      await Promise.all([
        updateRow(tx, entities, { ...toRow(entity), revision }),
        dropTags(entity.id),
        addTags(tx, entities, table, [entity]),
      ]);
    },
    async delete(id) {
      await Promise.all([dropTags(id), tx.query(`DELETE FROM ${entities} WHERE id = $1`, id)]);
    },
  };

  async function dropTags(id: string): Promise<void> {
    await tx.query(`DELETE FROM ${table} WHERE sequence = (SELECT sequence FROM ${entities} WHERE id = $1)`, id);
  }
}

async function updateRow(tx: PgStatements, table: string, row: NewRow): Promise<void> {
  const columns = Object.keys(row).filter((column) => column !== 'id');
  await tx.query(
    `UPDATE ${table} e SET (${columns.join(', ')}) = (SELECT ${columns.map((column) => `n.${column}`).join(', ')}
       FROM json_populate_record(NULL::${table}, $1::text::json) n) WHERE e.id = $2`,
    JSON.stringify(row),
    String(row['id']),
  );
}
