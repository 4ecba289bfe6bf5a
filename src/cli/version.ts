// `portunus version`: what this is, and with -a what it is built on.
import { readFileSync } from 'node:fs';
import { printJson } from './terminal.ts';
import type { ExitCode, JsonOption, Terminal } from './terminal.ts';

export interface VersionOptions extends JsonOption {
  readonly all?: boolean;
}

/** From package.json, which lies as far from src/cli as from dist/cli. */
export function version(): string {
  const manifest = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
    version: string;
  };
  return manifest.version;
}

export function printVersion(terminal: Terminal, { all, json }: VersionOptions): ExitCode {
  const { node, openssl = 'unknown', sqlite = 'unknown' } = process.versions as Partial<Record<string, string>>;
  const versions = { portunus: version(), node, openssl, sqlite };
  if (json === true) printJson(terminal, versions);
  else if (all !== true) terminal.out(versions.portunus);
  else for (const [name, value] of Object.entries(versions)) terminal.out(`${name} ${value}`);
  return 0;
}
