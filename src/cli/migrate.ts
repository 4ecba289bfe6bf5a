// `portunus migrate --from sqlite --to postgres`: an embedded store into a cluster's.
import type { Config } from '../config/config.ts';
import { type ConfigInputs, loadConfig } from '../config/load-config.ts';
import { isPortunusError } from '../lib/errors.ts';
import { fail, failConfig, printJson, printWarnings } from './terminal.ts';
import type { ExitCode, JsonOption, Terminal } from './terminal.ts';

export interface MigrateFlags extends JsonOption {
  readonly from: string;
  readonly to: string;
}

export interface MigratedCounts {
  readonly certificates: number;
  readonly snis: number;
  readonly apis: number;
  readonly plugins: number;
}

/** As much of the migration as the command needs. @throws PortunusError */
export type RunMigration = (options: {
  readonly config: Config;
  readonly env: NodeJS.ProcessEnv;
  readonly progress: (done: MigratedCounts) => void;
}) => Promise<MigratedCounts>;

export async function migrate(
  terminal: Terminal,
  inputs: ConfigInputs,
  { from, to, json }: MigrateFlags,
  runMigration: RunMigration,
): Promise<ExitCode> {
  if (from !== 'sqlite' || to !== 'postgres')
    return fail(terminal, 'the one way there is: --from sqlite --to postgres');
  const loaded = loadConfig({ ...inputs, flags: { ...inputs.flags, database: 'postgres' } });
  printWarnings(terminal, loaded);
  if (loaded.kind === 'refused') return failConfig(terminal, loaded);
  try {
    const counts = await runMigration({
      config: loaded.config,
      env: inputs.env,
      progress: ({ certificates, snis, apis, plugins }) =>
        terminal.progress?.(`${certificates} certificates, ${snis} SNIs, ${apis} APIs, ${plugins} plugins`),
    });
    terminal.progress?.('');
    if (json === true) printJson(terminal, counts);
    else {
      for (const [what, count] of Object.entries(counts)) terminal.out(`${what.padEnd(12)} ${count}, compared: equal`);
      terminal.err('Start the gateways with database = postgres and the same keyring from now on.');
    }
    return 0;
  } catch (error) {
    if (isPortunusError(error)) return fail(terminal, error.message, error.hint);
    throw error;
  }
}
