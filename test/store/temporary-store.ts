// A SQLite store in a directory of its own, under a keyring of its own; both go when the test is over.
import { createSecretKey, randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { Store } from '../../src/store/contract.ts';
import type { Sealer } from '../../src/store/sealer.ts';
import { createSealer } from '../../src/store/sealing.ts';
import { openSqliteStore, type SqliteStoreOptions } from '../../src/store/sqlite/sqlite-store.ts';
import type { StoreUnderTest } from '../contracts/store.ts';

export interface TemporaryStore extends StoreUnderTest {
  readonly directory: string;
  readonly path: string;
  readonly sealer: Sealer;
}

export function freshSealer(): Sealer {
  return createSealer({ keys: [{ id: 'k1', secret: createSecretKey(randomBytes(32)) }] });
}

export async function temporaryDirectory(): Promise<AsyncDisposable & { readonly directory: string }> {
  const directory = await mkdtemp(path.join(tmpdir(), 'portunus-store-'));
  return {
    directory,
    [Symbol.asyncDispose]: () => rm(directory, { recursive: true }),
  };
}

export async function temporaryStore(options: Partial<SqliteStoreOptions> = {}): Promise<TemporaryStore> {
  const { directory, ...temporary } = await temporaryDirectory();
  const file = path.join(directory, 'store.db');
  const sealer = options.sealer ?? freshSealer();
  // On a busy machine many writes at once take their time.
  const open = (): Promise<Store> => openSqliteStore({ path: file, waitMaxMs: 60_000, ...options, sealer });
  let store = await open();
  return {
    directory,
    path: file,
    sealer,
    store,
    async reopen() {
      await store[Symbol.asyncDispose]();
      store = await open();
      return store;
    },
    async [Symbol.asyncDispose]() {
      await store[Symbol.asyncDispose]();
      await temporary[Symbol.asyncDispose]();
    },
  };
}
