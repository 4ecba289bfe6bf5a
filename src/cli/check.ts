// `portunus check`: whether `start` would take this configuration. All problems at once.
import { loadConfig } from '../config/load-config.ts';
import type { ConfigInputs } from '../config/load-config.ts';
import { failConfig, printJson, printWarnings } from './terminal.ts';
import type { ExitCode, JsonOption, Terminal } from './terminal.ts';

export function check(terminal: Terminal, inputs: ConfigInputs, { json }: JsonOption): ExitCode {
  const loaded = loadConfig(inputs);
  const { file, warnings, kind } = loaded;
  const valid = kind === 'loaded';
  if (json === true) {
    printJson(terminal, {
      valid,
      file: file ?? null,
      problems: valid ? [] : loaded.problems,
      warnings,
      settings: valid ? loaded.settings : undefined,
      sources: valid ? loaded.sources : undefined,
    });
    return valid ? 0 : 1;
  }
  printWarnings(terminal, loaded);
  if (!valid) return failConfig(terminal, loaded);
  terminal.out(file === undefined ? 'configuration is valid (there is no file)' : `configuration at ${file} is valid`);
  return 0;
}
