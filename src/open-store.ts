// The store of a configuration, for whatever process: the gateway's, or a command's beside it.
import path from 'node:path';
import type { Config } from './config/config.ts';
import { PortunusError } from './lib/errors.ts';
import type { Store } from './store/contract.ts';
import type { Sealer } from './store/sealer.ts';
import { openSqliteStore } from './store/sqlite/sqlite-store.ts';

/** The embedded store's file; with PostgreSQL, that of this node's replica is another one. */
export function embeddedStorePath(config: Pick<Config, 'prefix'>): string {
  return path.join(config.prefix, 'portunus.db');
}

/**
 * Makes the embedded store when it is missing, in a data directory that is there.
 * @throws STORE_UNAVAILABLE, STORE_DAMAGED, STORE_NEWER, KEYRING_MISMATCH
 */
export async function openStore(config: Config, sealer: Sealer): Promise<Store> {
  if (config.postgres === undefined) return openSqliteStore({ path: embeddedStorePath(config), sealer });
  throw new PortunusError('STORE_UNAVAILABLE', 'PostgreSQL is not there yet.');
}
