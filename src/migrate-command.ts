// What `portunus migrate` does, put together: the embedded store of the data directory, held so that no gateway writes to it
// meanwhile, into the PostgreSQL of the configuration, which no node may use yet.
import type { RunMigration } from './cli/migrate.ts';
import { keyringSource } from './keyring-source.ts';
import { PortunusError } from './lib/errors.ts';
import { migrateStore } from './move/migrate-store.ts';
import { embeddedStorePath, type OpenedStore, openReader, openStore, requireStore } from './open-store.ts';
import { openRunDirectory } from './run-file.ts';
import { checkKeyring } from './store/check-keyring.ts';
import { loadKeyring } from './store/keyring.ts';
import { createSealer } from './store/sealing.ts';
import { openDatabase } from './store/sqlite/open-database.ts';

export const runMigration: RunMigration = async ({ config, env, progress }) => {
  requireStore({ ...config, postgres: undefined });
  using stack = new DisposableStack();
  stack.use(openRunDirectory(config.prefix));
  // An older version may have left it: what is read below is this one's tables.
  (await openDatabase(embeddedStorePath(config))).close();
  const sealer = createSealer(await loadKeyring(keyringSource(config, env)));
  await using from = await openReader({ ...config, postgres: undefined });
  if (from === undefined) throw new PortunusError('STORE_UNAVAILABLE', `There is no store in ${config.prefix}.`);
  await checkKeyring(from, sealer);
  await using to = await openStore(config, sealer);
  await refuseLiveNodes(to, config.nodeTimeoutMs);
  return await migrateStore({ from, to, sealer, progress });
};

/** They would go on with a secret of session tickets and a default certificate that are replaced. */
async function refuseLiveNodes({ nodes }: OpenedStore, nodeTimeoutMs: number): Promise<void> {
  const live = ((await nodes?.list()) ?? []).filter(({ silentMs }) => silentMs <= nodeTimeoutMs);
  if (live.length === 0) return;
  throw new PortunusError(
    'MIGRATION_CONFLICT',
    `The database is in use by ${live.map(({ name }) => name).join(', ')}.`,
    { hint: `Stop these nodes first. One that died is forgotten after ${nodeTimeoutMs / 1000} s.` },
  );
}
