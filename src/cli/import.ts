// `portunus import <source>`: many certificates straight into the store.
import type { ConfigInputs } from '../config/load-config.ts';
import { fail, printJson } from './terminal.ts';
import type { ExitCode, JsonOption, Terminal } from './terminal.ts';
import { type CommandContext, withConfig } from './with-config.ts';

export interface ImportFlags extends JsonOption {
  readonly keepGoing?: boolean;
  readonly dryRun?: boolean;
  readonly tags?: string;
}

export interface ImportCounts {
  readonly read: number;
  readonly written: number;
  readonly unchanged: number;
  readonly refused: number;
}

/** As much of the import as the command needs. @throws PortunusError, and the system's error when the source cannot be read */
export type RunImport = (
  options: CommandContext & {
    readonly source: string;
    readonly keepGoing: boolean;
    readonly dryRun: boolean;
    readonly tags: readonly string[];
    readonly recognised: (format: string) => void;
    readonly refused: (problem: { readonly where: string; readonly code: string; readonly message: string }) => void;
    readonly progress: (counts: ImportCounts) => void;
  },
) => Promise<ImportCounts>;

export async function importInto(
  terminal: Terminal,
  inputs: ConfigInputs,
  source: string,
  flags: ImportFlags,
  runImport: RunImport,
): Promise<ExitCode> {
  const startedAt = performance.now();
  const problems: object[] = [];
  const perSecond = (count: number): number =>
    Math.round(count / Math.max(0.001, (performance.now() - startedAt) / 1000));
  return withConfig(terminal, inputs, async (context) => {
    try {
      const counts = await runImport({
        ...context,
        source,
        keepGoing: flags.keepGoing === true,
        dryRun: flags.dryRun === true,
        tags: flags.tags === undefined ? [] : flags.tags.split(',').map((tag) => tag.trim()),
        recognised: (format) => terminal.err(`reading ${source} as ${format}`),
        refused(problem) {
          if (flags.json === true) problems.push(problem);
          else terminal.err(`${problem.where}: ${problem.code}: ${problem.message}`);
        },
        progress: ({ read, written, refused }) =>
          terminal.progress?.(`${read} read, ${written} written, ${refused} refused, ${perSecond(read)} a second`),
      });
      terminal.progress?.('');
      const nothing = counts.refused > 0 && flags.keepGoing !== true && flags.dryRun !== true;
      if (flags.json === true) printJson(terminal, { ...counts, dry_run: flags.dryRun === true, problems });
      else {
        const verb = flags.dryRun === true ? 'would be written' : 'written';
        terminal.out(
          `${counts.read} read, ${counts.written} ${verb}, ${counts.unchanged} unchanged, ${counts.refused} refused (${perSecond(counts.read)} a second)`,
        );
      }
      if (nothing)
        terminal.err('Error: nothing was written, since something was refused; --keep-going writes the rest');
      return counts.refused > 0 ? 1 : 0;
    } catch (error) {
      // The source cannot be read.
      if (error instanceof Error && 'syscall' in error) return fail(terminal, error.message);
      throw error;
    }
  });
}
