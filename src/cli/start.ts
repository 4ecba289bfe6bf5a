// `portunus start`: runs the gateway in this process until it is asked to stop.
import type { Config } from '../config/config.ts';
import { loadConfig } from '../config/load-config.ts';
import type { ConfigInputs } from '../config/load-config.ts';
import { isPortunusError } from '../lib/errors.ts';
import { fail, failConfig, printWarnings } from './terminal.ts';
import type { ExitCode, Terminal } from './terminal.ts';
import { version } from './version.ts';

/** As much of the gateway as the command needs. Resolves when it has stopped. */
export type RunGateway = (options: {
  readonly config: Config;
  readonly version: string;
  readonly settings: Readonly<Record<string, unknown>>;
  readonly reload: () => Config | undefined;
  readonly env: NodeJS.ProcessEnv;
}) => Promise<void>;

export async function start(terminal: Terminal, inputs: ConfigInputs, runGateway: RunGateway): Promise<ExitCode> {
  const loaded = loadConfig(inputs);
  printWarnings(terminal, loaded);
  if (loaded.kind === 'refused') return failConfig(terminal, loaded);
  const { config, settings } = loaded;
  try {
    await runGateway({ config, settings, version: version(), env: inputs.env, reload });
    return 0;
  } catch (error) {
    return failStart(terminal, error);
  }

  function reload(): Config | undefined {
    const again = loadConfig(inputs);
    printWarnings(terminal, again);
    if (again.kind === 'loaded') return again.config;
    failConfig(terminal, again);
    return undefined;
  }
}

/** What is no PortunusError and no error of the system is a defect: its stack says where. */
function failStart(terminal: Terminal, error: unknown): ExitCode {
  if (isPortunusError(error)) return fail(terminal, error.message, error.hint);
  if (!(error instanceof Error)) return fail(terminal, String(error));
  return fail(terminal, 'code' in error ? error.message : (error.stack ?? error.message));
}
