import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { Config } from '../../src/config/config.ts';
import { loadConfig } from '../../src/config/load-config.ts';
import { createLog } from '../../src/observe/log.ts';
import { createAcknowledgements } from '../../src/replica/acknowledgements.ts';
import { bindListeningSockets } from '../../src/workers/listening-socket.ts';
import { startWorkerPool, type WorkerPool } from '../../src/workers/worker-pool.ts';
import { until } from '../support/until.ts';

/** Workers keep compiled code there. */
const prefix = mkdtempSync(path.join(tmpdir(), 'portunus-pool-'));
after(() => rmSync(prefix, { recursive: true, force: true }));

const module = fileURLToPath(new URL('processes/fake-worker.ts', import.meta.url));

test('workers are renewed one for one', async () => {
  await using pool = startPool(2);
  await pool.ready;
  await pool.renew({ config: configOf({ logLevel: 'warn' }), keyring: '' });
  await until('the old ones are gone', async () => (await levels(pool)).join() === 'warn,warn');
  assert.equal(pool.listening, 2);
});

test('a configuration with which no worker starts is not kept for those that replace the dead', async () => {
  await using pool = startPool(1);
  await pool.ready;
  await assert.rejects(pool.renew({ config: configOf({ logLevel: 'silent' }), keyring: '' }), /the old ones stay/);
  const [old] = await pool.reports();
  assert.ok(old !== undefined);
  process.kill(old.pid, 'SIGKILL');
  await until('another takes its place', async () => (await pool.reports()).some(({ pid }) => pid !== old.pid));
  assert.deepEqual(await levels(pool), ['info']);
});

test('a worker that dies while its successor starts is succeeded once', async () => {
  await using pool = startPool(1);
  await pool.ready;
  const [old] = await pool.reports();
  assert.ok(old !== undefined);
  const renewed = pool.renew({ config: configOf({ logLevel: 'warn' }), keyring: '' });
  process.kill(old.pid, 'SIGKILL');
  await renewed;
  await until('the old one is gone', async () => (await pool.reports()).every(({ pid }) => pid !== old.pid));
  // One that had been started to replace the dead would have come first.
  await pool.renew({ config: configOf({ logLevel: 'error' }), keyring: '' });
  await until('those are succeeded too', async () => !(await levels(pool)).includes('warn'));
  assert.deepEqual(await levels(pool), ['error']);
});

test('of the workers that reloads have replaced no more than the limit go on; the oldest is ended first', async () => {
  await using pool = startPool(1, { logLevel: 'error', drainingWorkersMax: 2 });
  await pool.ready;
  const pids: number[] = [];
  for (let reload = 0; reload < 4; reload += 1) {
    pids.push((await pool.reports()).at(-1)?.pid ?? 0);
    await pool.renew({ config: configOf({ logLevel: 'error', drainingWorkersMax: 2 }), keyring: '' });
  }
  await until('two of four drain', async () => (await pool.reports()).length === 3);
  assert.deepEqual((await pool.reports()).map(({ pid }) => pid).slice(0, 2), pids.slice(2));
});

test('a worker that stands still while it drains is ended when its time is over', async () => {
  const short = { logLevel: 'error', drainTimeoutMs: 10, workerTimeoutMs: 1000 } as const;
  await using pool = startPool(1, short);
  await pool.ready;
  const [old] = await pool.reports();
  assert.ok(old !== undefined);
  await pool.renew({ config: configOf(short), keyring: '' });
  await until('it is ended', async () => (await pool.reports()).every(({ pid }) => pid !== old.pid));
});

function startPool(workers: number, changed: Partial<Config> = {}): WorkerPool<string> {
  const sockets = bindListeningSockets(configOf(changed).proxyListen, workers);
  const pool = startWorkerPool<string>({
    module,
    sockets,
    start: { config: configOf(changed), keyring: '', store: '', ticketSecret: '' },
    fetchCertificate: () => Promise.resolve(),
    storeDamaged: () => undefined,
    acknowledgements: createAcknowledgements(),
    log: createLog({ level: 'silent', name: 'test' }),
  });
  return {
    ...pool,
    get listening() {
      return pool.listening;
    },
    async [Symbol.asyncDispose]() {
      await pool[Symbol.asyncDispose]();
      for (const socket of sockets.flat()) socket[Symbol.dispose]();
    },
  };
}

async function levels(pool: WorkerPool<string>): Promise<readonly string[]> {
  return (await pool.reports()).map(({ report }) => report);
}

function configOf(changed: Partial<Config>): Config {
  const loaded = loadConfig({ env: {}, flags: { proxy_listen: '127.0.0.1:0', prefix }, cwd: prefix });
  assert.ok(loaded.kind === 'loaded');
  return { ...loaded.config, ...changed };
}
