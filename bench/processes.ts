// Processes under measurement: pinned to a core, their CPU time read from the kernel, ended with everything they started.
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, existsSync, openSync, readFileSync, readdirSync } from 'node:fs';
import net from 'node:net';
import type { Readable } from 'node:stream';
import tls from 'node:tls';
import { setTimeout as wait } from 'node:timers/promises';

export interface Pinned extends AsyncDisposable {
  readonly pid: number;
  readonly output: Readable | null;
}

export interface PinnedOptions {
  readonly env?: NodeJS.ProcessEnv;
  /** A file that takes standard output and standard error, or `pipe` to read standard output. */
  readonly output?: string;
}

/** Ended with this process, however it ends. */
const alive = new Set<ChildProcess>();
process.on('exit', () => {
  for (const child of alive) child.kill('SIGTERM');
});
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1));

/** @param core the processor it and its children run on */
export function startPinned(
  core: number,
  command: string,
  args: readonly string[],
  { env = {}, output }: PinnedOptions = {},
): Pinned {
  const file = output === undefined || output === 'pipe' ? output : openSync(output, 'a');
  const child = spawn('taskset', ['-c', String(core), command, ...args], {
    stdio: ['ignore', file ?? 'ignore', typeof file === 'number' ? file : 'inherit'],
    env: { ...process.env, ...env },
  });
  if (typeof file === 'number') closeSync(file);
  alive.add(child);
  child.once('exit', () => alive.delete(child));
  return {
    pid: child.pid ?? 0,
    output: child.stdout,
    async [Symbol.asyncDispose]() {
      if (child.exitCode !== null || child.signalCode !== null) return;
      const gone = new Promise((resolve) => child.once('exit', resolve));
      child.kill('SIGTERM');
      const killer = setTimeoutKill(child);
      await gone;
      clearTimeout(killer);
    },
  };
}

/** Runs a command to its end on a core. @returns its standard output */
export async function runPinned(core: number, command: string, args: readonly string[]): Promise<string> {
  const child = spawn('taskset', ['-c', String(core), command, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  let problems = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (output += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (problems += text));
  const code = await new Promise<number | null>((resolve, reject) => child.on('error', reject).on('close', resolve));
  if (code !== 0) throw new Error(`${command} ended with ${code}: ${problems}`);
  return output;
}

/**
 * Nanoseconds on a processor, user and system, of all threads of a process and of its descendants that live; and those in
 * which a thread could have run and something else had the processor.
 */
export function cpuTimes(pid: number): { readonly ran: number; readonly waited: number } {
  let [ran, waited] = [0, 0];
  for (const each of descendants(pid))
    for (const task of readdirSync(`/proc/${each}/task`)) {
      const fields = readFileSync(`/proc/${each}/task/${task}/schedstat`, 'utf8').split(' ');
      ran += Number(fields[0]);
      waited += Number(fields[1]);
    }
  return { ran, waited };
}

/** Bytes of resident memory of a process and all its descendants. */
export function residentBytes(pid: number): number {
  return descendants(pid).reduce((sum, each) => {
    const kib = /^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${each}/status`, 'utf8'))?.[1] ?? '0';
    return sum + Number(kib) * 1024;
  }, 0);
}

/** Waits until something listens on a port of 127.0.0.1. */
export async function waitForPort(port: number): Promise<void> {
  for (let attempt = 0; attempt < 300; attempt += 1) {
    const open = await new Promise<boolean>((resolve) => {
      const socket = net.connect(port, '127.0.0.1', () => resolve(true)).on('error', () => resolve(false));
      socket.on('connect', () => socket.destroy());
    });
    if (open) return;
    await wait(50);
  }
  throw new Error(`nothing listens on port ${port}`);
}

/** Waits until a TLS handshake for a name ends with its certificate. */
export async function waitForHandshake(port: number, name = ''): Promise<void> {
  for (let attempt = 0; attempt < 300; attempt += 1) {
    const subject = await new Promise<string | undefined>((resolve) => {
      const options = { host: '127.0.0.1', port, servername: name, rejectUnauthorized: false };
      const socket = tls.connect(options, () => {
        const certificate = socket.getPeerX509Certificate();
        socket.destroy();
        resolve(certificate?.checkHost(name));
      });
      socket.on('error', () => resolve(undefined));
    });
    if (subject !== undefined) return;
    await wait(50);
  }
  throw new Error(`${name} is not served on port ${port}`);
}

export async function freePort(): Promise<number> {
  const server = net.createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as net.AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

function descendants(pid: number): readonly number[] {
  if (!existsSync(`/proc/${pid}`)) return [];
  const children = readdirSync(`/proc/${pid}/task`).flatMap((task) =>
    readFileSync(`/proc/${pid}/task/${task}/children`, 'utf8').split(' ').filter(Boolean).map(Number),
  );
  return [pid, ...children.flatMap(descendants)];
}

function setTimeoutKill(child: ChildProcess): NodeJS.Timeout {
  return setTimeout(() => child.kill('SIGKILL'), 15_000);
}
