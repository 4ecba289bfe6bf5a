// `portunus export [file]`: everything in the store as one file.
import type { ConfigInputs } from '../config/load-config.ts';
import { fail, printJson } from './terminal.ts';
import type { ExitCode, JsonOption, Terminal } from './terminal.ts';
import { type CommandContext, withConfig } from './with-config.ts';

export interface ExportFlags extends JsonOption {
  readonly withKeys?: boolean;
}

export interface ExportedCounts {
  readonly certificates: number;
  readonly snis: number;
  readonly ca_certificates: number;
  readonly apis: number;
  readonly plugins: number;
  readonly hosts: number;
}

/** As much of the export as the command needs. @throws PortunusError, and the system's error when it cannot be written */
export type RunExport = (
  options: CommandContext & {
    /** Undefined: the standard output. */
    readonly file: string | undefined;
    readonly withKeys: boolean;
    readonly progress: (counts: ExportedCounts) => void;
  },
) => Promise<ExportedCounts>;

export async function exportTo(
  terminal: Terminal,
  inputs: ConfigInputs,
  file: string | undefined,
  flags: ExportFlags,
  runExport: RunExport,
): Promise<ExitCode> {
  const withKeys = flags.withKeys === true;
  return withConfig(terminal, inputs, async (context) => {
    try {
      const counts = await runExport({
        ...context,
        file,
        withKeys,
        progress: (now) => terminal.progress?.(describe(now)),
      });
      terminal.progress?.('');
      // The standard output is the export's own then.
      if (file === undefined) terminal.err(describe(counts));
      else if (flags.json === true) printJson(terminal, { file, with_keys: withKeys, ...counts });
      else terminal.out(`${describe(counts)} in ${file}, ${withKeys ? 'with' : 'without'} private keys`);
      return 0;
    } catch (error) {
      if (error instanceof Error && 'syscall' in error) return fail(terminal, error.message);
      throw error;
    }
  });
}

function describe({ certificates, snis, ca_certificates, apis, plugins, hosts }: ExportedCounts): string {
  return `${certificates} certificates, ${snis} SNIs, ${ca_certificates} CA certificates, ${apis} APIs, ${plugins} plugins, ${hosts} hosts`;
}
