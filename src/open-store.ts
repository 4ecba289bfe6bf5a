// The store of a configuration, for whatever process: the gateway's, or a command's beside it.
import { existsSync } from 'node:fs';
import path from 'node:path';
import type { Config } from './config/config.ts';
import { PortunusError } from './lib/errors.ts';
import { checkKeyring } from './store/check-keyring.ts';
import type { AuditLimits, Store, StoreReader } from './store/contract.ts';
import type { NodeRegistry } from './store/node-registry.ts';
import { migrate } from './store/postgres/migrate.ts';
import { createNodeRegistry } from './store/postgres/node-registry.ts';
import type { PgClient } from './store/postgres/client.ts';
import { createPgClient } from './store/postgres/postgres-client.ts';
import { createPostgresStore, type PostgresStore } from './store/postgres/postgres-store.ts';
import { createReader as createPostgresReader } from './store/postgres/reader.ts';
import type { Sealer } from './store/sealer.ts';
import { openForReading } from './store/sqlite/open-database.ts';
import { createReader } from './store/sqlite/reader.ts';
import { openSqliteStore } from './store/sqlite/sqlite-store.ts';

export interface OpenedStore extends Store {
  /** The nodes that share the store; undefined for the embedded one. */
  readonly nodes: NodeRegistry | undefined;
}

/** The embedded store's file; a node of a cluster keeps its replica in another one. */
export function embeddedStorePath(config: Pick<Config, 'prefix'>): string {
  return path.join(config.prefix, 'portunus.db');
}

/**
 * For commands that do not make an embedded store where there is none.
 * @throws STORE_UNAVAILABLE
 */
export function requireStore(config: Pick<Config, 'prefix' | 'postgres'>): void {
  if (config.postgres !== undefined || existsSync(embeddedStorePath(config))) return;
  throw new PortunusError('STORE_UNAVAILABLE', `There is no store in ${config.prefix} yet.`);
}

/** How much of the audit trail the configuration keeps. */
export function auditLimitsOf({ auditKeptForMs, auditRowsMax }: Config): AuditLimits {
  return { keptForMs: auditKeptForMs, rowsMax: auditRowsMax };
}

/**
 * Open and ready. Makes the embedded store when it is missing, in a data directory that is there; makes PostgreSQL's tables.
 * @throws STORE_UNAVAILABLE, STORE_DAMAGED, STORE_NEWER, KEYRING_MISMATCH
 */
export async function openStore(config: Config, sealer: Sealer): Promise<OpenedStore> {
  if (config.postgres === undefined) {
    return {
      ...(await openSqliteStore({ path: embeddedStorePath(config), sealer, audit: auditLimitsOf(config) })),
      nodes: undefined,
    };
  }
  const { schema } = config.postgres;
  await using stack = new AsyncDisposableStack();
  const client = stack.use(createPgClient(config.postgres));
  const store = stack.use(createClusterStore(config, schema, client, sealer));
  await store.ready();
  await checkKeyring(store, sealer);
  const nodes = createNodeRegistry({ client, schema, store });
  const open = stack.move();
  return { ...store, nodes, [Symbol.asyncDispose]: () => open.disposeAsync() };
}

/** What can be read without any key. Undefined when there is no embedded store yet. @throws as `openStore` */
export async function openReader(config: Config): Promise<(StoreReader & AsyncDisposable) | undefined> {
  if (config.postgres === undefined) {
    const file = embeddedStorePath(config);
    if (!existsSync(file)) return undefined;
    const connection = openForReading(file);
    return { ...createReader(connection), [Symbol.asyncDispose]: async () => connection.close() };
  }
  await using stack = new AsyncDisposableStack();
  const client = stack.use(createPgClient(config.postgres));
  await migrate(client, config.postgres.schema);
  const open = stack.move();
  return { ...createPostgresReader(client), [Symbol.asyncDispose]: () => open.disposeAsync() };
}

/** A snapshot is read for as long as whoever takes it needs. */
const snapshotPauseMs = 600_000;

/**
 * All that `work` reads is of one revision; gateways go on writing. @throws as `openStore`, and STORE_UNAVAILABLE when there
 * is no embedded store
 */
export async function withSnapshot<T>(config: Config, work: (reader: StoreReader) => Promise<T>): Promise<T> {
  if (config.postgres === undefined) {
    requireStore(config);
    const connection = openForReading(embeddedStorePath(config));
    try {
      connection.run('BEGIN');
      return await work(createReader(connection));
    } finally {
      connection.close();
    }
  }
  // The first connection answers within the time of the configuration.
  await using client = createPgClient(config.postgres);
  await migrate(client, config.postgres.schema);
  await using patient = createPgClient({ ...config.postgres, timeoutMs: snapshotPauseMs });
  return await patient.transact('snapshot', (tx) => work(createPostgresReader(tx)));
}

export function createClusterStore(config: Config, schema: string, client: PgClient, sealer: Sealer): PostgresStore {
  return createPostgresStore({
    client,
    schema,
    sealer,
    changesKeptForMs: config.changesKeptForMs,
    audit: auditLimitsOf(config),
  });
}
