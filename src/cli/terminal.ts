// What a command writes to. A command answers with an exit code and never ends the process itself.
import { formatProblem } from '../config/problem.ts';
import type { LoadedConfig } from '../config/load-config.ts';

export interface Terminal {
  /** A line on the standard output: what was asked for. */
  out(line: string): void;
  /** A line on the standard error. */
  err(line: string): void;
  /** Shown to a person who watches, and written over by the next; undefined when nobody does. */
  readonly progress: ((text: string) => void) | undefined;
}

export type ExitCode = 0 | 1;

export interface JsonOption {
  readonly json?: boolean;
}

/** `Error: …`, and what to do about it. */
export function fail(terminal: Terminal, message: string, hint?: string): ExitCode {
  terminal.err(`Error: ${message}`);
  if (hint !== undefined) terminal.err(`  ${hint}`);
  return 1;
}

export function printJson(terminal: Terminal, content: object): void {
  terminal.out(JSON.stringify(content, undefined, 2));
}

export function printWarnings(terminal: Terminal, { warnings }: Pick<LoadedConfig, 'warnings'>): void {
  for (const { name, message } of warnings) terminal.err(`Warning: ${name}: ${message}`);
}

/** All problems of a refused configuration. */
export function failConfig(
  terminal: Terminal,
  { problems, file }: Extract<LoadedConfig, { kind: 'refused' }>,
): ExitCode {
  const where = file === undefined ? '' : ` at ${file}`;
  terminal.err(
    `Error: the configuration${where} has ${problems.length === 1 ? 'a problem' : `${problems.length} problems`}`,
  );
  for (const problem of problems) terminal.err(`  ${formatProblem(problem)}`);
  return 1;
}
