// The source of replicas: snapshots of PostgreSQL, as rows of the tables that a replica has too.
import type { Change } from '../../model/entities.ts';
import { PortunusError } from '../../lib/errors.ts';
import type { EntityTable, ReplicaRow, ReplicaSource, RowVersion, Snapshot } from '../replica-source.ts';
import type { PgClient, PgRow, PgStatements } from './client.ts';
import { refuseUnreadable } from './migrate.ts';
import type { PostgresStore } from './postgres-store.ts';

/** Named one by one: tables of a newer program may have more. */
const columns: Readonly<Record<EntityTable, string>> = {
  apis: 'sequence, id, name, doc, revision',
  plugins: 'sequence, id, name, api_id, certificate_id, enabled, doc, revision',
  certificates: `sequence, id, owner, plugin_id, chain, sealed_key, public_key_sha256, fingerprint,
    chain_alt, sealed_key_alt, public_key_sha256_alt, fingerprint_alt, not_after, facts, facts_alt, tags,
    created_at, updated_at, revision`,
  snis: 'sequence, id, name, certificate_id, tags, created_at, updated_at, revision',
  tokens: 'sequence, id, name, prefix, doc, revision',
  ca_certificates: 'sequence, id, fingerprint, subject, doc, not_after, tags, revision',
  host_policies: 'sequence, id, name, doc, revision',
};
const bindingColumns = 'name, certificate_id, holder, holder_id';

export interface PostgresSourceOptions {
  readonly client: PgClient;
  readonly store: Pick<PostgresStore, 'ready' | 'onCommit'>;
}

export function createReplicaSource({ client, store }: PostgresSourceOptions): ReplicaSource {
  return {
    async snapshot(work) {
      await store.ready();
      return client.transact('snapshot', async (tx) => {
        const [row] = await tx.query('SELECT revision, schema_version, readable_from FROM revision');
        if (row === undefined) throw new PortunusError('STORE_DAMAGED', 'The table of the revision is empty.');
        refuseUnreadable(row);
        return work(createSnapshot(tx, Number(row['revision'])));
      });
    },
    onCommit: (nudge) => store.onCommit(() => nudge()),
  };
}

function createSnapshot(tx: PgStatements, revision: number): Snapshot {
  return {
    revision,
    async changesSince(after, limit) {
      if (after === revision) return [];
      const rows = (await tx.query(
        `SELECT revision, entity, id, operation, actor, at FROM changes WHERE revision > $1
         ORDER BY revision, position LIMIT $2`,
        after,
        limit + 1,
      )) as unknown as readonly Change[];
      return rows[0]?.revision === after + 1 && rows.length <= limit ? rows : undefined;
    },
    async rows(table, ids) {
      if (ids.length === 0) return [];
      return replicaRows(await tx.query(`SELECT ${columns[table]} FROM ${table} WHERE id = ANY($1)`, ids));
    },
    async bindingsOf(holderIds) {
      if (holderIds.length === 0) return [];
      return replicaRows(await tx.query(`SELECT ${bindingColumns} FROM bindings WHERE holder_id = ANY($1)`, holderIds));
    },
    async page(table, after, limit) {
      return replicaRows(
        await tx.query(
          `SELECT ${columns[table]} FROM ${table} WHERE sequence > $1 ORDER BY sequence LIMIT $2`,
          after,
          limit,
        ),
      );
    },
    async versions(table, after, limit) {
      const rows = await tx.query(
        `SELECT sequence, id, revision FROM ${table} WHERE sequence > $1 ORDER BY sequence LIMIT $2`,
        after,
        limit,
      );
      return rows as unknown as readonly RowVersion[];
    },
    async bindings(after, limit) {
      const sql = `SELECT ${bindingColumns} FROM bindings`;
      return replicaRows(
        after === undefined
          ? await tx.query(`${sql} ORDER BY name LIMIT $1`, limit)
          : await tx.query(`${sql} WHERE name > $1 ORDER BY name LIMIT $2`, after, limit),
      );
    },
    async meta() {
      const rows = await tx.query('SELECT key, value FROM meta ORDER BY key');
      return rows.map((row) => ({ key: String(row['key']), value: String(row['value']) }));
    },
    async mark(of) {
      const [row] = await tx.query('SELECT id, at FROM changes WHERE revision = $1 ORDER BY position LIMIT 1', of);
      return row && `${Number(row['at'])} ${String(row['id'])}`;
    },
    async defaultCertificate() {
      const sql = `SELECT ${columns.certificates} FROM certificates WHERE owner = 'default' ORDER BY sequence LIMIT 1`;
      return replicaRows(await tx.query(sql));
    },
    async certificateCount() {
      const [row] = await tx.query('SELECT count(*) AS count FROM certificates');
      return Number(row?.['count']);
    },
  };
}

/** There is no column of type boolean. */
function replicaRows(rows: readonly PgRow[]): readonly ReplicaRow[] {
  return rows as readonly ReplicaRow[];
}
