// The contract over SQLite.
import { randomBytes, createSecretKey } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createSealer } from '../../src/store/sealing.ts';
import { openSqliteStore } from '../../src/store/sqlite/sqlite-store.ts';
import { storeContract } from '../contracts/store.ts';

storeContract('sqlite', async (options = {}) => {
  const directory = await mkdtemp(path.join(tmpdir(), 'portunus-store-'));
  const sealer = createSealer({ keys: [{ id: 'k1', secret: createSecretKey(randomBytes(32)) }] });
  const open = () => openSqliteStore({ path: path.join(directory, 'store.db'), sealer, ...options });
  let store = await open();
  return {
    store,
    async reopen() {
      await store[Symbol.asyncDispose]();
      store = await open();
      return store;
    },
    async [Symbol.asyncDispose]() {
      await store[Symbol.asyncDispose]();
      await rm(directory, { recursive: true });
    },
  };
});
