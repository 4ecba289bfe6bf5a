// What `portunus migrate` does, put together: the embedded store of the data directory, held so that no gateway writes to it
// meanwhile, into the PostgreSQL of the configuration.
import { existsSync } from 'node:fs';
import type { RunMigration } from './cli/migrate.ts';
import { keyringSource } from './keyring-source.ts';
import { PortunusError } from './lib/errors.ts';
import { migrateStore } from './move/migrate-store.ts';
import { embeddedStorePath, openReader, openStore } from './open-store.ts';
import { openRunDirectory } from './run-file.ts';
import { checkKeyring } from './store/check-keyring.ts';
import { loadKeyring } from './store/keyring.ts';
import { createSealer } from './store/sealing.ts';

export const runMigration: RunMigration = async ({ config, env, progress }) => {
  if (!existsSync(embeddedStorePath(config))) {
    throw new PortunusError('STORE_UNAVAILABLE', `There is no embedded store in ${config.prefix}.`);
  }
  using stack = new DisposableStack();
  stack.use(openRunDirectory(config.prefix));
  const sealer = createSealer(await loadKeyring(keyringSource(config, env)));
  await using from = await openReader({ ...config, postgres: undefined });
  if (from === undefined) throw new PortunusError('STORE_UNAVAILABLE', `There is no store in ${config.prefix}.`);
  await checkKeyring(from, sealer);
  await using to = await openStore(config, sealer);
  return await migrateStore(from, to, progress);
};
