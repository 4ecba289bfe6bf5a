// A real gateway: the command, its processes, its ports, a data directory of its own.
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { assertNoSecrets, filesUnder, type Haystack, rememberSecret } from './secrets.ts';
import { until } from './until.ts';

export const main = fileURLToPath(new URL('../../src/main.ts', import.meta.url));

export interface GatewayOptions {
  readonly workers?: number;
  /** By name, as in the configuration. */
  readonly settings?: Readonly<Record<string, string>>;
  /** A data directory that is kept; by default a new one that goes with the gateway. */
  readonly prefix?: string;
  readonly env?: Readonly<Record<string, string>>;
}

export interface Gateway extends AsyncDisposable {
  readonly prefix: string;
  readonly pid: number;
  /** `http://127.0.0.1:…`, or `https` when it has TLS; no slash at the end. */
  readonly admin: string;
  readonly status: string;
  readonly plainPort: number;
  readonly tlsPort: number;
  readonly exited: Promise<{ readonly code: number | null; readonly signal: NodeJS.Signals | null }>;
  /** All that it has written to its standard output and error. */
  output(): string;
  kill(signal: NodeJS.Signals): void;
  /** Process ids of its workers that live. */
  workerPids(): readonly number[];
}

interface RunFile {
  readonly pid: number;
  readonly proxy: readonly { readonly port: number; readonly ssl: boolean }[];
  readonly admin: readonly { readonly port: number; readonly ssl: boolean }[];
  readonly status: readonly { readonly port: number }[];
}

/** Resolves when it serves. @throws with what it printed when it ends before. */
export async function startGateway(options: GatewayOptions = {}): Promise<Gateway> {
  const prefix = options.prefix ?? mkdtempSync(path.join(os.tmpdir(), 'portunus-test-'));
  const settings = {
    prefix,
    workers: String(options.workers ?? 1),
    proxy_listen: '127.0.0.1:0, 127.0.0.1:0 ssl',
    admin_listen: '127.0.0.1:0',
    status_listen: '127.0.0.1:0',
    proxy_access_log: 'stdout',
    // What is written is waited for, however busy the machine is.
    apply_timeout: '1m',
    cluster_wait_timeout: '1m',
    pg_timeout: '1m',
    ...options.settings,
  };
  mkdirSync(prefix, { recursive: true });
  const child = spawn(
    process.execPath,
    [main, 'start', ...Object.entries(settings).flatMap(([name, value]) => ['--set', `${name}=${value}`])],
    { stdio: ['ignore', 'pipe', 'pipe'], cwd: prefix, env: { ...process.env, ...options.env } },
  );
  const remove = (): void => {
    if (options.prefix === undefined) rmSync(prefix, { recursive: true, force: true });
  };
  let gateway: Gateway;
  try {
    gateway = await running(child, prefix);
  } catch (error) {
    child.kill('SIGKILL');
    if (options.prefix === undefined) await endProcessesIn(prefix);
    remove();
    throw error;
  }
  return {
    ...gateway,
    async [Symbol.asyncDispose]() {
      const answers = await askAll(gateway);
      gateway.kill('SIGKILL');
      await gateway.exited;
      await endProcessesIn(prefix);
      try {
        rememberKeyring(options.env?.['PORTUNUS_KEYRING_KEYS'] ?? '');
        const keyring = path.join(prefix, 'keyring');
        if (existsSync(keyring)) rememberKeyring(readFileSync(keyring, 'utf8'));
        assertNoSecrets([
          ...answers,
          { where: 'its output', bytes: Buffer.from(gateway.output()) },
          ...filesUnder(prefix, (name) => name === 'keyring' || name.includes('compile-cache')),
        ]);
      } finally {
        remove();
      }
    },
  };
}

const targets = {
  admin: [
    '/status',
    '/',
    '/apis',
    '/plugins',
    '/certificates',
    '/snis',
    '/ca_certificates',
    '/portunus/hosts',
    '/portunus/audit',
    '/portunus/nodes',
  ],
  status: ['/metrics', '/status', '/status/ready'],
};

/** What it says about everything, as far as it still answers. */
async function askAll(gateway: Pick<Gateway, 'admin' | 'status'>): Promise<readonly Haystack[]> {
  const answers: Haystack[] = [];
  try {
    for (const [listener, paths] of Object.entries(targets) as ['admin' | 'status', string[]][]) {
      for (const target of paths) {
        const response = await fetch(`${gateway[listener]}${target}`, { signal: AbortSignal.timeout(answerTimeoutMs) });
        const text = `${JSON.stringify([...response.headers])} ${await response.text()}`;
        answers.push({ where: `GET ${target} of ${listener}`, bytes: Buffer.from(text) });
      }
    }
  } catch {
    // It has ended, hangs, or has TLS: then the test has made it so.
  }
  return answers;
}

const answerTimeoutMs = 2000;

/** `id:base64`, each on a line or with commas between. */
function rememberKeyring(text: string): void {
  for (const [, base64 = ''] of text.matchAll(/^[^:#\n]+:([A-Za-z0-9+/]{43}=)$/gm))
    rememberSecret('a key of the keyring', Buffer.from(base64, 'base64'));
}

/** False for a process that has ended, whether or not its parent has asked how. */
export function isAlive(pid: number): boolean {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return stat[stat.lastIndexOf(')') + 2] !== 'Z';
  } catch {
    return false;
  }
}

async function running(child: ChildProcess, prefix: string): Promise<Gateway> {
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding('utf8').on('data', (chunk: string) => (output += chunk));
  }
  const ended = Promise.withResolvers<{ code: number | null; signal: NodeJS.Signals | null }>();
  child.on('exit', (code, signal) => void untilRead().then(() => ended.resolve({ code, signal })));
  let isSilent = false;
  child.on('close', () => (isSilent = true));
  const runFile = path.join(prefix, 'portunus.json');
  const run = await until('the gateway serves', (): RunFile | false => {
    // What it said last may come after its end.
    if (isSilent) throw new Error(`the gateway ended: ${output}`);
    // One that a killed gateway left goes at any moment.
    const text = textOf(runFile);
    const read = text !== undefined && (JSON.parse(text) as RunFile);
    return read && read.pid === child.pid && read;
  });
  await untilRead();
  const pid = run.pid;
  return {
    prefix,
    pid,
    admin: `${run.admin[0]?.ssl === true ? 'https' : 'http'}://127.0.0.1:${run.admin[0]?.port}`,
    status: `http://127.0.0.1:${run.status[0]?.port}`,
    plainPort: run.proxy.find((each) => !each.ssl)?.port ?? 0,
    tlsPort: run.proxy.find((each) => each.ssl)?.port ?? 0,
    exited: ended.promise,
    output: () => output,
    kill: (signal) => void child.kill(signal),
    workerPids: () => childrenOf(pid),
    async [Symbol.asyncDispose]() {
      child.kill('SIGKILL');
      await ended.promise;
    },
  };
}

/** What processes have written to their pipes until now is read by then. */
async function untilRead(): Promise<void> {
  for (let turn = 0; turn < 2; turn += 1) await new Promise(setImmediate);
}

function textOf(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

function childrenOf(pid: number): readonly number[] {
  return (textOf(`/proc/${pid}/task/${pid}/children`) ?? '').split(' ').filter(Boolean).map(Number);
}

/** Workers outlive their primary for as long as they drain, and write as they end: nothing of theirs is to come later. */
async function endProcessesIn(folder: string): Promise<void> {
  await until(`nothing runs in ${folder}`, () => {
    const left = processesIn(folder);
    for (const pid of left) killIfThere(pid);
    return left.length === 0;
  });
}

function processesIn(folder: string): readonly number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => {
      try {
        return readlinkSync(`/proc/${pid}/cwd`) === folder;
      } catch {
        // It has ended.
        return false;
      }
    })
    .map(Number);
}

function killIfThere(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // Already gone.
  }
}
