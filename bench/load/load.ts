// What a load is told and what it reports; loads that are processes of ours.
import path from 'node:path';
import { runPinned } from '../processes.ts';

export interface LoadOptions {
  readonly core: number;
  readonly seconds: number;
  /** For files of its own. */
  readonly folder: string;
}

/** Units done, each checked. `not served`: the product does not do this work. */
export type Load = { readonly kind: 'done'; readonly units: number } | { readonly kind: 'not served' };

/** Runs a script of `processes/` to its end. @returns what it printed */
export function loadProcess(core: number, name: string, args: readonly (string | number)[]): Promise<string> {
  return runPinned(core, process.execPath, [scriptOf(name), ...args.map(String)]);
}

export function scriptOf(name: string): string {
  return path.join(import.meta.dirname, 'processes', `${name}.ts`);
}
