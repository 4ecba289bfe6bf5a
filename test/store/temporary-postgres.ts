// A PostgreSQL store in a schema of its own on a server that the test file shares, under a keyring of its own.
import { randomBytes } from 'node:crypto';
import type { PostgresConfig } from '../../src/config/config.ts';
import type { Sealer } from '../../src/store/sealer.ts';
import type { PgClient } from '../../src/store/postgres/client.ts';
import { createPgClient } from '../../src/store/postgres/postgres-client.ts';
import {
  createPostgresStore,
  type PostgresStore,
  type PostgresStoreOptions,
} from '../../src/store/postgres/postgres-store.ts';
import type { StoreUnderTest } from '../contracts/store.ts';
import { freshSealer } from './temporary-store.ts';

export interface TemporaryPostgres extends StoreUnderTest {
  readonly store: PostgresStore;
  readonly client: PgClient;
  readonly config: PostgresConfig;
  readonly sealer: Sealer;
  reopen(): Promise<PostgresStore>;
}

export interface TemporaryPostgresOptions extends Partial<Omit<PostgresStoreOptions, 'client' | 'schema'>> {
  readonly config?: Partial<PostgresConfig>;
}

export function postgresConfig(port: number, fields: Partial<PostgresConfig> = {}): PostgresConfig {
  return {
    host: '127.0.0.1',
    port,
    user: 'portunus',
    password: '',
    database: 'postgres',
    schema: `s${randomBytes(6).toString('hex')}`,
    tls: undefined,
    // On a busy machine many writes at once take their time.
    timeoutMs: 60_000,
    poolSize: 3,
    ...fields,
  };
}

export async function temporaryPostgres(
  port: number,
  { config: fields, ...options }: TemporaryPostgresOptions = {},
): Promise<TemporaryPostgres> {
  const config = postgresConfig(port, fields);
  const sealer = options.sealer ?? freshSealer();
  let opened = open();
  await opened.store.ready();
  return {
    config,
    sealer,
    get store() {
      return opened.store;
    },
    get client() {
      return opened.client;
    },
    async reopen() {
      await close();
      opened = open();
      return opened.store;
    },
    [Symbol.asyncDispose]: close,
  };

  function open(): { readonly store: PostgresStore; readonly client: PgClient } {
    const client = createPgClient(config);
    return { client, store: createPostgresStore({ ...options, client, schema: config.schema, sealer }) };
  }

  async function close(): Promise<void> {
    await opened.store[Symbol.asyncDispose]();
    await opened.client[Symbol.asyncDispose]();
  }
}
