// What this process may leave behind when it crashes, and who may look into it while it runs: keys, and the environment
// that may hold them, are in neither.
import { writeFileSync } from 'node:fs';
import process from 'node:process';

/**
 * Of core dumps nothing remains but registers and stacks' places: no memory is written to them (core(5)), and processes that
 * this one starts inherit that. Node's diagnostic reports leave the environment out. SIGUSR1 does not open Node's debugger,
 * through which every user of this machine could read all there is.
 */
export function withholdMemory(): void {
  process.on('SIGUSR1', () => undefined);
  if (process.report !== undefined) process.report.excludeEnv = true;
  try {
    writeFileSync('/proc/self/coredump_filter', '0');
  } catch {
    // Linux alone has it. Elsewhere the operator's limit on core dumps is what there is.
  }
}
