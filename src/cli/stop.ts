// `portunus stop`: asks the running gateway to drain, and waits until it has gone.
import { setTimeout as pause } from 'node:timers/promises';
import type { ConfigInputs } from '../config/load-config.ts';
import { loadBasics } from './load-basics.ts';
import { findRunningGateway, isAlive } from './running-gateway.ts';
import { fail } from './terminal.ts';
import type { ExitCode, Terminal } from './terminal.ts';

const pollMs = 50;
/** Beyond the drain timeout: closing files and processes takes time of its own. */
const marginMs = 10_000;

export async function stop(terminal: Terminal, inputs: ConfigInputs): Promise<ExitCode> {
  const basics = loadBasics(terminal, inputs);
  if (basics === undefined) return 1;
  const { prefix, drainTimeoutMs } = basics;
  const gateway = findRunningGateway(prefix);
  if (gateway.kind === 'none') return fail(terminal, `Portunus is not running at ${prefix}`);
  const { pid } = gateway;
  try {
    process.kill(pid, 'SIGTERM');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EPERM') {
      return fail(
        terminal,
        `process ${pid} may not be stopped by this user`,
        'Run the command as the user who started it.',
      );
    }
  }
  if (await hasGone(pid, drainTimeoutMs + marginMs, terminal)) {
    terminal.out('Portunus stopped');
    return 0;
  }
  const seconds = Math.round((drainTimeoutMs + marginMs) / 1000);
  return fail(
    terminal,
    `Portunus (process ${pid}) is still stopping after ${seconds} s`,
    `Wait for it, or end it at once: kill -9 ${pid}`,
  );
}

async function hasGone(pid: number, timeoutMs: number, terminal: Terminal): Promise<boolean> {
  const startedAt = performance.now();
  while (isAlive(pid)) {
    const waitedMs = performance.now() - startedAt;
    if (waitedMs > timeoutMs) return false;
    terminal.progress?.(`Portunus is stopping: requests in flight finish (${Math.floor(waitedMs / 1000)} s)`);
    await pause(pollMs);
  }
  terminal.progress?.('');
  return true;
}
