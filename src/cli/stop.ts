// `portunus stop`: asks the running gateway to drain, and waits until it has gone.
import { setTimeout as pause } from 'node:timers/promises';
import type { ConfigInputs } from '../config/load-config.ts';
import { loadBasics } from './load-basics.ts';
import { findLeavingGateways, findRunningGateway, isAlive } from './running-gateway.ts';
import { fail } from './terminal.ts';
import type { ExitCode, Terminal } from './terminal.ts';

const pollMs = 50;
/** Beyond what draining may take: closing files and processes takes time of its own. */
const marginMs = 10_000;

export async function stop(terminal: Terminal, inputs: ConfigInputs): Promise<ExitCode> {
  const basics = loadBasics(terminal, inputs);
  if (basics === undefined) return 1;
  const { prefix, drainDelayMs, drainTimeoutMs } = basics;
  const gateway = findRunningGateway(prefix);
  // One that stops already is waited for: asked again it would cut what is in flight.
  const pid = gateway.kind === 'none' ? findLeavingGateways(prefix).at(-1) : gateway.pid;
  if (pid === undefined) return fail(terminal, `Portunus is not running at ${prefix}`);
  try {
    if (gateway.kind !== 'none') process.kill(pid, 'SIGTERM');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EPERM') {
      return fail(
        terminal,
        `process ${pid} may not be stopped by this user`,
        'Run the command as the user who started it.',
      );
    }
  }
  const timeoutMs = drainDelayMs + drainTimeoutMs + marginMs;
  if (await hasGone(pid, timeoutMs, terminal)) {
    terminal.out('Portunus stopped');
    return 0;
  }
  const seconds = Math.round(timeoutMs / 1000);
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
