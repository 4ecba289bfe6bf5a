// The status listener over real sockets.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import http from 'node:http';
import { test } from 'node:test';
import type { Log } from '../../src/observe/contract.ts';
import { createStatusServer } from '../../src/observe/status-server.ts';
import type { StatusServerOptions } from '../../src/observe/status-server.ts';

const silent: Log = { debug() {}, info() {}, warn() {}, error() {} };

test('the metrics are text for Prometheus', async () => {
  await using server = await start({ metrics: () => Promise.resolve('a 1\n') });
  const response = await fetch(`${server.url}/metrics`);
  assert.equal(response.status, 200);
  assert.match(response.headers.get('content-type') ?? '', /^text\/plain; version=0\.0\.4/);
  assert.equal(await response.text(), 'a 1\n');
});

test('the status is JSON, whatever the query and a slash at the end', async () => {
  await using server = await start({ status: () => Promise.resolve({ workers: 2 }) });
  for (const path of ['/status', '/status/', '/status?x=1', '/status//']) {
    const response = await fetch(`${server.url}${path}`);
    assert.deepEqual([response.status, await response.json()], [200, { workers: 2 }], path);
  }
});

test('a long target costs no more than its length', async () => {
  await using server = await start({});
  const slashes = '/'.repeat(15_000);
  const before = process.cpuUsage();
  for (let count = 0; count < 20; count += 1) assert.equal((await fetch(`${server.url}${slashes}x`)).status, 404);
  const { user } = process.cpuUsage(before);
  // The square of the slashes, twenty times, is several seconds.
  assert.ok(user < 2_000_000, `${user} µs`);
});

test('a web page that made its own name resolve to loopback reads nothing', async () => {
  await using server = await start({ hosts: ['gateway.example.com'] });
  for (const [host, status] of [
    ['rebound.example.com', 403],
    ['rebound.example.com:8007', 403],
    ['gateway.example.com', 200],
    ['localhost:8007', 200],
    ['[::1]:8007', 200],
    ['10.0.0.1', 200],
  ] as const) {
    const request = http.request(`${server.url}/status/ready`, { headers: { host } }).end();
    const [response] = (await once(request, 'response')) as [http.IncomingMessage];
    response.resume();
    assert.equal(response.statusCode, status, host);
  }
});

test('readiness is 200 or 503', async () => {
  let ready = false;
  await using server = await start({ ready: () => Promise.resolve({ ready, details: { listening: 1 } }) });
  const before = await fetch(`${server.url}/status/ready`);
  assert.deepEqual([before.status, await before.json()], [503, { message: 'not ready', listening: 1 }]);
  ready = true;
  const after = await fetch(`${server.url}/status/ready`);
  assert.deepEqual([after.status, await after.json()], [200, { message: 'ready', listening: 1 }]);
});

test('HEAD answers as GET does, without the body', async () => {
  await using server = await start({ metrics: () => Promise.resolve('a 1\n') });
  const response = await fetch(`${server.url}/metrics`, { method: 'HEAD' });
  assert.deepEqual([response.status, response.headers.get('content-length'), await response.text()], [200, '4', '']);
});

test('other paths are 404 and other methods 405', async () => {
  await using server = await start({});
  for (const path of ['/', '/x', '/constructor', '//status', '/metrics/x', '/status/../etc']) {
    const response = await fetch(`${server.url}${path}`);
    assert.equal(response.status, 404, path);
    assert.match(response.headers.get('content-type') ?? '', /json/);
  }
  const response = await fetch(`${server.url}/status`, { method: 'POST', body: 'x' });
  assert.deepEqual([response.status, response.headers.get('allow')], [405, 'GET, HEAD']);
});

test('a provider that fails is a 500 that does not say why, and the log does', async () => {
  const messages: string[] = [];
  const log: Log = { ...silent, error: (_, message) => messages.push(message) };
  await using server = await start({ log, status: () => Promise.reject(new Error('secret reason')) });
  const response = await fetch(`${server.url}/status`);
  assert.equal(response.status, 500);
  assert.ok(!(await response.text()).includes('secret'));
  assert.deepEqual(messages, ['the status could not be read']);
});

test('several addresses serve the same, and none does after the end', async () => {
  const server = createStatusServer(options({}));
  const ports = [
    await server.listen({ host: '127.0.0.1', port: 0 }),
    await server.listen({ host: '127.0.0.1', port: 0 }),
  ];
  for (const port of ports) assert.equal((await fetch(`http://127.0.0.1:${port}/status`)).status, 200);
  await server[Symbol.asyncDispose]();
  for (const port of ports) await assert.rejects(fetch(`http://127.0.0.1:${port}/status`));
});

test('a port that is taken is an error', async () => {
  await using server = await start({});
  const other = createStatusServer(options({}));
  await assert.rejects(other.listen({ host: '127.0.0.1', port: server.port }), { code: 'EADDRINUSE' });
  await other[Symbol.asyncDispose]();
});

function options(given: Partial<StatusServerOptions>): StatusServerOptions {
  return {
    metrics: () => Promise.resolve(''),
    status: () => Promise.resolve({}),
    ready: () => Promise.resolve({ ready: true }),
    hosts: [],
    log: silent,
    ...given,
  };
}

async function start(given: Partial<StatusServerOptions>) {
  const server = createStatusServer(options(given));
  const port = await server.listen({ host: '127.0.0.1', port: 0 });
  return { port, url: `http://127.0.0.1:${port}`, [Symbol.asyncDispose]: () => server[Symbol.asyncDispose]() };
}
