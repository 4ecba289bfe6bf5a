// The settings that commands about a running gateway need. A configuration with other problems must not keep anyone from
// stopping what runs.
import { loadConfig } from '../config/load-config.ts';
import type { ConfigInputs, LoadedConfig } from '../config/load-config.ts';
import { failConfig } from './terminal.ts';
import type { Terminal } from './terminal.ts';

/** Undefined after telling why: the data directory is not known. */
export function loadBasics(terminal: Terminal, inputs: ConfigInputs): LoadedConfig['basics'] | undefined {
  const loaded = loadConfig(inputs);
  if (loaded.kind === 'loaded') return loaded.basics;
  const problems = loaded.problems.filter(({ name }) => name === 'prefix' || name === 'configuration file');
  if (problems.length === 0) return loaded.basics;
  failConfig(terminal, { ...loaded, problems });
  return undefined;
}
