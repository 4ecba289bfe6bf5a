// What commands share that work on the store: the configuration is loaded and checked, and what goes wrong is told.
import type { Config } from '../config/config.ts';
import { type ConfigInputs, loadConfig } from '../config/load-config.ts';
import { beginAs } from '../lib/become-user.ts';
import { isPortunusError } from '../lib/errors.ts';
import { type ExitCode, fail, failConfig, printWarnings, type Terminal } from './terminal.ts';

export interface CommandContext {
  readonly config: Config;
  readonly env: NodeJS.ProcessEnv;
}

/**
 * As the user of the configuration where root runs the command, so that what it makes is the gateway's.
 * @throws what `act` throws that is no PortunusError
 */
export async function withConfig(
  terminal: Terminal,
  inputs: ConfigInputs,
  act: (context: CommandContext) => Promise<ExitCode>,
): Promise<ExitCode> {
  const loaded = loadConfig(inputs);
  printWarnings(terminal, loaded);
  if (loaded.kind === 'refused') return failConfig(terminal, loaded);
  try {
    beginAs(loaded.config.user, loaded.config.prefix).forGood([]);
    return await act({ config: loaded.config, env: inputs.env });
  } catch (error) {
    if (!isPortunusError(error)) throw error;
    terminal.progress?.('');
    return fail(terminal, error.message, error.hint);
  }
}
