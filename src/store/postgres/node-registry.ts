// The nodes of a cluster as rows of `nodes`; all times are by PostgreSQL's clock.
import { PortunusError } from '../../lib/errors.ts';
import type { NodeIdentity, NodeRecord, NodeRegistry, NodeReport } from '../node-registry.ts';
import { nodesChannel } from './channels.ts';
import type { PgClient, PgRow, PgValue } from './client.ts';
import type { PostgresStore } from './postgres-store.ts';
import { nodesKeptForMs } from './upkeep.ts';

export interface PostgresNodesOptions {
  readonly client: PgClient;
  readonly schema: string;
  /** It sees to it that the tables are there. */
  readonly store: Pick<PostgresStore, 'ready'>;
}

/** A node that has applied more than there is has not seen yet that the store was put back to an older state. */
const appliedHere = '(SELECT $6::bigint FROM revision WHERE revision >= $6::bigint)';

export function createNodeRegistry({ client, schema, store }: PostgresNodesOptions): NodeRegistry {
  const channel = nodesChannel(schema);
  return {
    async register(identity, report) {
      await ask(
        `INSERT INTO nodes (id, instance, name, address, version, applied, state, key_ids, started_at, seen_at)
         VALUES ($1, $2, $3, $4, $5, ${appliedHere}, $7, $8, clock_timestamp(), clock_timestamp())
         ON CONFLICT (id) DO UPDATE SET instance = excluded.instance, name = excluded.name,
           address = excluded.address, version = excluded.version, applied = excluded.applied, state = excluded.state,
           key_ids = excluded.key_ids, started_at = excluded.started_at, seen_at = excluded.seen_at`,
        ...valuesOf(identity, report),
      );
    },
    async report(identity, report) {
      // One statement, one round trip. Nobody waits for the disk; a row that was forgotten meanwhile is put in again.
      const rows = await ask(
        `WITH reported AS (
           INSERT INTO nodes AS n (id, instance, name, address, version, applied, state, key_ids, started_at, seen_at)
           VALUES ($1, $2, $3, $4, $5, ${appliedHere}, $7, $8, clock_timestamp(), clock_timestamp())
           ON CONFLICT (id) DO UPDATE SET applied = excluded.applied, state = excluded.state,
             key_ids = excluded.key_ids, seen_at = excluded.seen_at
             WHERE n.instance = excluded.instance
           RETURNING id)
         SELECT set_config('synchronous_commit', 'off', true), pg_notify($9, '') FROM reported`,
        ...valuesOf(identity, report),
        channel,
      );
      return rows.length > 0;
    },
    async leave({ id, instance }) {
      await ask('DELETE FROM nodes WHERE id = $1 AND instance = $2', id, instance);
    },
    async list() {
      const rows = await ask(
        `SELECT id, instance, name, address, version, applied, state, key_ids,
           floor(extract(epoch FROM started_at) * 1000)::bigint AS started_at,
           greatest(0, floor(extract(epoch FROM clock_timestamp() - seen_at) * 1000))::bigint AS silent_ms
         FROM nodes WHERE seen_at > clock_timestamp() - $1::bigint * interval '1 millisecond' ORDER BY name, id`,
        nodesKeptForMs,
      );
      return rows.map(toRecord);
    },
    // Anyone who may connect to the database may notify: nothing is taken from it.
    onReport: (heard) => client.listen(channel, () => heard(), heard),
  };

  async function ask(sql: string, ...values: readonly PgValue[]): Promise<readonly PgRow[]> {
    try {
      await store.ready();
    } catch (error) {
      throw new PortunusError('STORE_UNAVAILABLE', 'The nodes of the cluster cannot be asked for.', { cause: error });
    }
    return client.query(sql, ...values);
  }
}

function valuesOf(identity: NodeIdentity, report: NodeReport): readonly PgValue[] {
  const { id, instance, name, address, version } = identity;
  const { applied, state, keyIds } = report;
  return [id, instance, name, address, version, applied ?? null, state, JSON.stringify(keyIds)];
}

function toRecord(row: PgRow): NodeRecord {
  return {
    id: String(row['id']),
    instance: String(row['instance']),
    name: String(row['name']),
    address: String(row['address']),
    version: String(row['version']),
    applied: row['applied'] === null ? undefined : Number(row['applied']),
    state: String(row['state']) as NodeReport['state'],
    keyIds: JSON.parse(String(row['key_ids'])) as readonly string[],
    startedAt: Number(row['started_at']),
    silentMs: Number(row['silent_ms']),
  };
}
