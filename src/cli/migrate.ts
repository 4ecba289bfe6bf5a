// `portunus migrate --from sqlite --to postgres`: an embedded store into a cluster's.
import type { ConfigInputs } from '../config/load-config.ts';
import { fail, printJson } from './terminal.ts';
import type { ExitCode, JsonOption, Terminal } from './terminal.ts';
import { type CommandContext, withConfig } from './with-config.ts';

export interface MigrateFlags extends JsonOption {
  readonly from: string;
  readonly to: string;
}

export interface MigratedStep {
  readonly phase: 'comparing' | 'writing';
  readonly kind: string;
  readonly done: number;
  readonly total: number | undefined;
}

export interface Migrated {
  readonly counts: Readonly<Record<string, { readonly from: number; readonly to: number }>>;
  readonly fingerprints: number;
  readonly ticketSecret: 'moved' | 'replaced' | 'none';
}

/** As much of the migration as the command needs. @throws PortunusError */
export type RunMigration = (
  options: CommandContext & { readonly progress: (step: MigratedStep) => void },
) => Promise<Migrated>;

export async function migrate(
  terminal: Terminal,
  inputs: ConfigInputs,
  { from, to, json }: MigrateFlags,
  runMigration: RunMigration,
): Promise<ExitCode> {
  if (from !== 'sqlite' || to !== 'postgres')
    return fail(terminal, 'the one way there is: --from sqlite --to postgres');
  return withConfig(terminal, { ...inputs, flags: { ...inputs.flags, database: 'postgres' } }, async (context) => {
    const migrated = await runMigration({ ...context, progress: showProgress(terminal) });
    terminal.progress?.('');
    if (json === true) printReport(terminal, migrated);
    else describe(terminal, migrated);
    return 0;
  });
}

function printReport(terminal: Terminal, { counts, fingerprints, ticketSecret }: Migrated): void {
  printJson(terminal, { ...counts, fingerprints_compared: fingerprints, ticket_secret: ticketSecret });
}

function describe(terminal: Terminal, { counts, fingerprints, ticketSecret }: Migrated): void {
  for (const [kind, sides] of Object.entries(counts)) {
    const equal = sides.from === sides.to ? 'equal' : 'all there, and others';
    terminal.out(`${kind.padEnd(14)} ${sides.from} in sqlite, ${sides.to} in postgres: ${equal}`);
  }
  terminal.out(`fingerprints   ${fingerprints} compared: equal`);
  if (ticketSecret !== 'none') terminal.out('session tickets go on being accepted');
  if (ticketSecret === 'replaced') {
    terminal.err('Nodes that were started on this database before: remove replica.db from their data directories.');
  }
  terminal.err('Start the gateways with database = postgres and the same keyring from now on.');
}

/** With the rate of what is being done just now, from its second step on. */
function showProgress(terminal: Terminal): (step: MigratedStep) => void {
  let current = '';
  let began = { at: 0, done: 0 };
  return ({ phase, kind, done, total }) => {
    const at = performance.now();
    const isFirst = current !== `${phase} ${kind}`;
    if (isFirst) {
      current = `${phase} ${kind}`;
      began = { at, done };
    }
    const rate = isFirst
      ? ''
      : `, ${Math.round((done - began.done) / Math.max(0.001, (at - began.at) / 1000))} a second`;
    terminal.progress?.(`${current}: ${done}${total === undefined ? '' : ` of ${total}`}${rate}`);
  };
}
