// `portunus import <source>`: certificates, and what an export holds besides, straight into the store.
import type { ConfigInputs } from '../config/load-config.ts';
import { fail, printJson } from './terminal.ts';
import type { ExitCode, JsonOption, Terminal } from './terminal.ts';
import { type CommandContext, withConfig } from './with-config.ts';

export interface ImportFlags extends JsonOption {
  readonly keepGoing?: boolean;
  readonly dryRun?: boolean;
  readonly replace?: boolean;
  readonly force?: boolean;
  readonly passphraseFile?: string;
  readonly tags?: string;
}

export interface ImportCounts {
  readonly read: number;
  readonly written: number;
  readonly replaced: number;
  readonly unchanged: number;
  readonly refused: number;
}

/** As much of the import as the command needs. @throws PortunusError, and the system's error when the source cannot be read */
export type RunImport = (
  options: CommandContext & {
    readonly source: string;
    readonly keepGoing: boolean;
    readonly dryRun: boolean;
    readonly replace: boolean;
    readonly force: boolean;
    readonly passphraseFile: string | undefined;
    readonly tags: readonly string[];
    readonly recognised: (format: string) => void;
    /** There was neither a keyring nor a store. */
    readonly madeKeyring: (file: string) => void;
    readonly refused: (problem: { readonly where: string; readonly code: string; readonly message: string }) => void;
    readonly leftOut: (section: string, items: number) => void;
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
  const leftOut: Record<string, number> = {};
  let last: ImportCounts | undefined;
  const perSecond = (count: number): number =>
    Math.round(count / Math.max(0.001, (performance.now() - startedAt) / 1000));
  const isDryRun = flags.dryRun === true;
  return withConfig(terminal, inputs, async (context) => {
    try {
      const counts = await runImport({
        ...context,
        source,
        keepGoing: flags.keepGoing === true,
        dryRun: isDryRun,
        replace: flags.replace === true,
        force: flags.force === true,
        passphraseFile: flags.passphraseFile,
        tags: flags.tags === undefined ? [] : flags.tags.split(',').map((tag) => tag.trim()),
        recognised: (format) => terminal.err(`reading ${source} as ${format}`),
        madeKeyring: (file) =>
          terminal.err(`made a keyring, ${file}; keep a copy of it apart from copies of the store`),
        refused(problem) {
          if (flags.json === true) problems.push(problem);
          else terminal.err(`${problem.where}: ${problem.code}: ${problem.message}`);
        },
        leftOut(section, items) {
          leftOut[section] = items;
          if (flags.json !== true) terminal.err(`${section}: left out (${items}), Portunus has no place for them`);
        },
        progress(now) {
          last = { ...now };
          terminal.progress?.(`${describe(now, isDryRun)}, ${perSecond(now.read)} a second`);
        },
      });
      terminal.progress?.('');
      if (flags.json === true) {
        const facts = { dry_run: isDryRun, per_second: perSecond(counts.read), left_out: leftOut, problems };
        printJson(terminal, { ...counts, ...facts });
      } else terminal.out(`${describe(counts, isDryRun)} (${perSecond(counts.read)} a second)`);
      if (counts.refused > 0 && flags.keepGoing !== true && !isDryRun)
        terminal.err('Error: nothing was written, since something was refused; --keep-going writes the rest');
      return counts.refused > 0 ? 1 : 0;
    } catch (error) {
      if (flags.keepGoing === true && !isDryRun && last !== undefined) {
        terminal.progress?.('');
        terminal.err(`It ended early: ${describe(last, false)} before; import again to go on.`);
      }
      if (error instanceof Error && 'syscall' in error) return fail(terminal, whyUnreadable(error));
      throw error;
    }
  });
}

/** Of what the system says when a file cannot be read. */
function whyUnreadable(error: Error): string {
  return 'code' in error && error.code === 'ENOENT' && 'path' in error
    ? `there is no ${String(error.path)}`
    : error.message;
}

function describe({ read, written, replaced, unchanged, refused }: ImportCounts, dryRun: boolean): string {
  const would = dryRun ? 'would be ' : '';
  const inPlace = replaced === 0 ? '' : `, ${replaced} ${would}replaced`;
  return `${read} read, ${written} ${would}written${inPlace}, ${unchanged} unchanged, ${refused} refused`;
}
