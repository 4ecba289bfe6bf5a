// Workers die and are replaced, and the gateway stops: no connection is refused that should not be, no request is lost.
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { describe, test } from 'node:test';
import { expectOk } from '../support/admin.ts';
import { makeSelfSigned } from '../support/certificates.ts';
import { type Gateway, isAlive, startGateway } from '../support/gateway.ts';
import { servedCertificate } from '../support/served-certificate.ts';
import { startUpstream } from '../support/upstream.ts';
import { until } from '../support/until.ts';

describe('a worker that is killed', () => {
  for (const workers of [1, 2]) {
    test(`of ${workers}, is replaced, and no connection is refused meanwhile`, async () => {
      await using upstream = await startUpstream();
      await using gateway = await startGateway({ workers });
      await publish(gateway, upstream.url);
      let running = true;
      const statuses: number[] = [];
      const clients = Array.from({ length: 4 }, async () => {
        while (running) statuses.push(await freshRequest(gateway.plainPort, 'workers.test'));
      });
      for (let kill = 0; kill < 3; kill += 1) {
        const target = statuses.length + 20;
        await until('some requests are answered', () => statuses.length >= target);
        const [victim] = gateway.workerPids();
        assert.ok(victim !== undefined);
        process.kill(victim, 'SIGKILL');
        await until('another takes its place', () => {
          const pids = gateway.workerPids();
          return !pids.includes(victim) && pids.length === workers;
        });
      }
      const target = statuses.length + 20;
      await until('requests go on being answered', () => statuses.length >= target);
      running = false;
      await Promise.all(clients);
      // 0: the connection was on the worker that died. Refused ones throw.
      assert.ok(
        statuses.every((status) => status === 200 || status === 0),
        `statuses: ${[...new Set(statuses)].join()}`,
      );
      assert.ok(statuses.filter((status) => status === 0).length <= 3 * 4, 'only connections of the dead were lost');
    });
  }

  test('or stopped, is ended and replaced when it gives no sign of life', async () => {
    await using upstream = await startUpstream();
    await using gateway = await startGateway({ workers: 1, settings: { worker_timeout: '3s' } });
    await publish(gateway, upstream.url);
    const [victim] = gateway.workerPids();
    assert.ok(victim !== undefined);
    process.kill(victim, 'SIGSTOP');
    assert.equal(await freshRequest(gateway.plainPort, 'workers.test'), 200, 'it waits for the next worker');
    assert.ok(!isAlive(victim));
    await until('it was said', () => gateway.output().includes('gives no sign of life'));
  });

  test('is replaced by one that knows every certificate', async () => {
    await using gateway = await startGateway({ workers: 1 });
    const pair = makeSelfSigned({ names: ['known.test'] });
    await expectOk(gateway.admin, 'POST', '/certificates', { ...pair, snis: ['known.test'] });
    const [victim] = gateway.workerPids();
    assert.ok(victim !== undefined);
    process.kill(victim, 'SIGKILL');
    assert.match((await servedCertificate(gateway.tlsPort, 'known.test')).subject, /CN=known\.test/);
  });
});

describe('SIGTERM', () => {
  test('lets a request in flight finish, refuses new connections, ends with 0 and leaves nothing behind', async () => {
    const held = Promise.withResolvers<http.ServerResponse>();
    await using upstream = await startUpstream((_request, response) => held.resolve(response));
    await using gateway = await startGateway({ workers: 2 });
    await publish(gateway, upstream.url);
    const workers = gateway.workerPids();
    const answered = freshRequest(gateway.plainPort, 'workers.test');
    const response = await held.promise;

    gateway.kill('SIGTERM');
    await until('new connections are refused', () => isRefused(gateway.plainPort));
    response.end('late, but whole');
    assert.equal(await answered, 200);
    assert.deepEqual(await gateway.exited, { code: 0, signal: null });
    assert.ok(workers.every((pid) => !isAlive(pid)));
  });

  test('is not held up by an Admin API request that never ends', async () => {
    await using upstream = await startUpstream();
    await using gateway = await startGateway({ workers: 1, settings: { drain_timeout: '300ms' } });
    await publish(gateway, upstream.url);
    const hanging = net.connect(Number(new URL(gateway.admin).port), '127.0.0.1');
    hanging.on('error', () => undefined);
    hanging.write('POST /apis HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\nExpect: 100-continue\r\n\r\n');
    await new Promise((resolve) => hanging.once('data', resolve));
    gateway.kill('SIGTERM');
    await until('new connections are refused', () => isRefused(gateway.plainPort));
    assert.deepEqual(await gateway.exited, { code: 0, signal: null });
    hanging.destroy();
  });

  test('that comes several times at once, from a terminal and its launchers, is one', async () => {
    const held = Promise.withResolvers<http.ServerResponse>();
    await using upstream = await startUpstream((_request, response) => held.resolve(response));
    await using gateway = await startGateway({ workers: 1 });
    await publish(gateway, upstream.url);
    const answered = freshRequest(gateway.plainPort, 'workers.test');
    const response = await held.promise;
    for (const signal of ['SIGINT', 'SIGINT', 'SIGTERM'] as const) gateway.kill(signal);
    await until('new connections are refused', () => isRefused(gateway.plainPort));
    response.end();
    assert.equal(await answered, 200);
    assert.deepEqual(await gateway.exited, { code: 0, signal: null });
  });

  test('that is repeated later ends at once', async () => {
    const reached = Promise.withResolvers<void>();
    await using upstream = await startUpstream(() => reached.resolve());
    await using gateway = await startGateway({ workers: 1 });
    await publish(gateway, upstream.url);
    const answered = freshRequest(gateway.plainPort, 'workers.test');
    await reached.promise;
    const ended = gateway.exited.then(() => true);
    await until('it gives in', async () => {
      gateway.kill('SIGTERM');
      return Promise.race([ended, new Promise<false>((resolve) => setImmediate(resolve, false))]);
    });
    assert.notEqual(await answered, 200);
    assert.deepEqual(await gateway.exited, { code: 0, signal: null });
  });

  test('does not wait for idle connections', async () => {
    await using upstream = await startUpstream();
    await using gateway = await startGateway({ workers: 1 });
    await publish(gateway, upstream.url);
    const agent = new http.Agent({ keepAlive: true });
    assert.equal(await freshRequest(gateway.plainPort, 'workers.test', agent), 200);
    gateway.kill('SIGTERM');
    assert.deepEqual(await gateway.exited, { code: 0, signal: null });
    agent.destroy();
  });

  test('ends within its bound when a request never does', async () => {
    const reached = Promise.withResolvers<void>();
    await using upstream = await startUpstream(() => reached.resolve());
    await using gateway = await startGateway({ workers: 1, settings: { drain_timeout: '200ms' } });
    await publish(gateway, upstream.url);
    const answered = freshRequest(gateway.plainPort, 'workers.test');
    await reached.promise;
    gateway.kill('SIGTERM');
    await gateway.exited;
    assert.notEqual(await answered, 200);
  });
});

test('SIGHUP replaces the workers, keeps the store, and tells which settings wait for the next start', async () => {
  await using gateway = await startGateway({ workers: 1 });
  const pair = makeSelfSigned({ names: ['kept.test'] });
  await expectOk(gateway.admin, 'POST', '/certificates', { ...pair, snis: ['kept.test'] });
  const [old] = gateway.workerPids();
  // Read at a reload: the command line of the gateway says nothing of it.
  writeFileSync(path.join(gateway.prefix, 'portunus.conf'), 'node_timeout = 7s\n');
  gateway.kill('SIGHUP');
  await until('the workers are renewed', () => gateway.output().includes('workers renewed'));
  await until('the old worker is gone', () => old !== undefined && !isAlive(old));
  assert.match(gateway.output(), /"settings":\["node_timeout"\]/);
  assert.match((await servedCertificate(gateway.tlsPort, 'kept.test')).subject, /CN=kept\.test/);
});

test('SIGHUP changes how much all processes log', async () => {
  const prefix = mkdtempSync(path.join(os.tmpdir(), 'portunus-log-level-'));
  const file = path.join(prefix, 'portunus.conf');
  writeFileSync(file, 'log_level = warn\n');
  try {
    await using gateway = await startGateway({ prefix, workers: 1 });
    assert.doesNotMatch(gateway.output(), /portunus serves/);
    writeFileSync(file, 'log_level = info\n');
    gateway.kill('SIGHUP');
    await until('the workers are renewed', () => gateway.output().includes('workers renewed'));
  } finally {
    rmSync(prefix, { recursive: true, force: true });
  }
});

test('a keyring that SIGHUP refuses is not what a worker that is replaced gets', async () => {
  await using gateway = await startGateway({ workers: 1 });
  const pair = makeSelfSigned({ names: ['kept.test'] });
  await expectOk(gateway.admin, 'POST', '/certificates', { ...pair, snis: ['kept.test'] });
  const file = path.join(gateway.prefix, 'keyring');
  const [, id] = /^([\w-]+):/m.exec(readFileSync(file, 'utf8')) ?? [];
  const another = Buffer.alloc(32, 7).toString('base64');
  for (const [text, reason] of [
    [`${id}:${another}\n`, /with other bytes/],
    [`other:${another}\n`, /lacks the key/],
    ['nonsense\n', /line 1: expected/],
  ] as const) {
    writeFileSync(file, text);
    gateway.kill('SIGHUP');
    await until('it is refused', () => reason.test(gateway.output()));
    const [old] = gateway.workerPids();
    assert.ok(old !== undefined);
    process.kill(old, 'SIGKILL');
    await until('another takes its place', () => gateway.workerPids().some((pid) => pid !== old));
    assert.match((await servedCertificate(gateway.tlsPort, 'kept.test')).subject, /CN=kept\.test/);
  }
});

test('a gateway without a proxy listener starts, for its Admin API', async () => {
  await using gateway = await startGateway({ workers: 1, settings: { proxy_listen: 'off' } });
  assert.equal((await fetch(`${gateway.admin}/status`)).status, 200);
  assert.equal((await fetch(`${gateway.status}/status/ready`)).status, 200);
});

test('a second gateway on the same data directory does not start, and says why', async () => {
  await using gateway = await startGateway({ workers: 0 });
  await assert.rejects(startGateway({ workers: 0, prefix: gateway.prefix }), /a gateway runs on/);
  assert.equal((await fetch(`${gateway.status}/status/ready`)).status, 200);
});

test('a port that is taken is said at the start, with what to do', async () => {
  const taken = net.createServer();
  await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', resolve));
  const { port } = taken.address() as net.AddressInfo;
  await assert.rejects(
    startGateway({ workers: 2, settings: { proxy_listen: `127.0.0.1:${port}` } }),
    (error: Error) => error.message.includes(String(port)) && error.message.includes('EADDRINUSE'),
  );
  await new Promise((resolve) => taken.close(resolve));
});

async function publish(gateway: Gateway, upstreamUrl: string): Promise<void> {
  await expectOk(gateway.admin, 'POST', '/apis', {
    name: 'workers',
    request_host: 'workers.test',
    upstream_url: upstreamUrl,
  });
}

/** @returns the status, 0 when the connection was cut. @throws when it was refused */
function freshRequest(port: number, host: string, agent: http.Agent | false = false): Promise<number> {
  return new Promise((resolve, reject) => {
    const request = http.get({ host: '127.0.0.1', port, path: '/', headers: { host }, agent }, (response) => {
      response.on('error', () => resolve(0));
      response.on('end', () => resolve(response.complete ? (response.statusCode ?? 0) : 0)).resume();
    });
    request.on('error', (error: NodeJS.ErrnoException) => (error.code === 'ECONNREFUSED' ? reject(error) : resolve(0)));
  });
}

function isRefused(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = net.connect(port, '127.0.0.1', () => resolve(false));
    socket.on('error', () => resolve(true));
    socket.on('connect', () => socket.destroy());
  });
}
