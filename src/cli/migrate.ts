// `portunus migrate --from sqlite --to postgres`: an embedded store into a cluster's.
import type { ConfigInputs } from '../config/load-config.ts';
import { fail, printJson } from './terminal.ts';
import type { ExitCode, JsonOption, Terminal } from './terminal.ts';
import { type CommandContext, withConfig } from './with-config.ts';

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
export type RunMigration = (
  options: CommandContext & { readonly progress: (done: MigratedCounts) => void },
) => Promise<MigratedCounts>;

export async function migrate(
  terminal: Terminal,
  inputs: ConfigInputs,
  { from, to, json }: MigrateFlags,
  runMigration: RunMigration,
): Promise<ExitCode> {
  if (from !== 'sqlite' || to !== 'postgres')
    return fail(terminal, 'the one way there is: --from sqlite --to postgres');
  return withConfig(terminal, { ...inputs, flags: { ...inputs.flags, database: 'postgres' } }, async (context) => {
    const counts = await runMigration({
      ...context,
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
  });
}
