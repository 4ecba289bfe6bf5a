// What commands share that work on the store: the configuration is loaded and checked, and what goes wrong is told.
import type { Config } from '../config/config.ts';
import { type ConfigInputs, loadConfig } from '../config/load-config.ts';
import { isPortunusError } from '../lib/errors.ts';
import { type ExitCode, fail, failConfig, printWarnings, type Terminal } from './terminal.ts';

export interface CommandContext {
  readonly config: Config;
  readonly env: NodeJS.ProcessEnv;
}

/** @throws what `act` throws that is no PortunusError */
export async function withConfig(
  terminal: Terminal,
  inputs: ConfigInputs,
  act: (context: CommandContext) => Promise<ExitCode>,
): Promise<ExitCode> {
  const loaded = loadConfig(inputs);
  printWarnings(terminal, loaded);
  if (loaded.kind === 'refused') return failConfig(terminal, loaded);
  try {
    return await act({ config: loaded.config, env: inputs.env });
  } catch (error) {
    if (!isPortunusError(error)) throw error;
    terminal.progress?.('');
    return fail(terminal, error.message, error.hint);
  }
}
