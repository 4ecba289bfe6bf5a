// What a crash, a signal or a look at its processes may tell of a gateway's secrets: nothing.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { isAlive, startGateway } from '../support/gateway.ts';
import { until } from '../support/until.ts';

test(
  'core dumps hold no memory, workers have no secret in their environment, and no signal opens a debugger',
  { skip: process.platform !== 'linux' },
  async () => {
    const key = randomBytes(32).toString('base64');
    await using gateway = await startGateway({
      workers: 2,
      settings: { keyring: 'env' },
      env: { PORTUNUS_KEYRING_KEYS: `k1:${key}`, PORTUNUS_PG_PASSWORD: 'a password' },
    });
    const pids = await until('both workers run', () => gateway.workerPids().length === 2 && gateway.workerPids());
    for (const pid of [gateway.pid, ...pids]) {
      assert.equal(Number(readFileSync(`/proc/${pid}/coredump_filter`, 'utf8')), 0, 'nothing of memory is dumped');
      const command = readFileSync(`/proc/${pid}/cmdline`, 'utf8');
      assert.ok(!command.includes(key) && !command.includes('a password'));
    }
    for (const pid of pids) {
      const environment = readFileSync(`/proc/${pid}/environ`, 'utf8');
      assert.match(environment, /PATH=/);
      assert.doesNotMatch(environment, /PORTUNUS_/);
    }
    for (const pid of [gateway.pid, ...pids]) process.kill(pid, 'SIGUSR1');
    // What it does with the next signal shows that it is past the one before.
    gateway.kill('SIGHUP');
    await until('it has reloaded', () => gateway.output().includes('the workers renewed'));
    assert.doesNotMatch(gateway.output(), /Debugger listening/);
    assert.equal((await fetch(`${gateway.status}/status/ready`)).status, 200);
  },
);

const thrower = fileURLToPath(new URL('processes/throw-on-signal.cjs', import.meta.url));

for (const [what, signal] of [
  ['an exception that nobody caught', 'SIGWINCH'],
  ['a rejection that nobody handled', 'SIGURG'],
] as const) {
  test(`${what} ends a gateway, is logged without what it carries, and its workers end`, async () => {
    const secret = randomBytes(24).toString('hex');
    await using gateway = await startGateway({
      workers: 2,
      env: { NODE_OPTIONS: `--require=${thrower}`, FAILURE_SECRET: secret },
    });
    const pids = gateway.workerPids();
    gateway.kill(signal);
    assert.deepEqual(await gateway.exited, { code: 1, signal: null });
    const line = gateway
      .output()
      .split('\n')
      .find((text) => text.includes('the gateway fails'));
    const told = JSON.parse(line ?? '{}') as { readonly level: string; readonly reason: string };
    assert.equal(told.level, 'error');
    assert.match(told.reason, /^Error: nobody expected this\n +at /);
    assert.ok(!gateway.output().includes(secret));
    await until('its workers have ended', () => pids.every((pid) => !isAlive(pid)));
  });
}
