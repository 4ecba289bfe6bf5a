// A gateway that is reloaded or stopped under load: what can be served is served, and the rest ends in time.
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import http from 'node:http';
import http2 from 'node:http2';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { describe, test } from 'node:test';
import { expectOk } from '../support/admin.ts';
import { type Gateway, isAlive, startGateway } from '../support/gateway.ts';
import { type Load, startLoad } from '../support/load.ts';
import { startUpstream, type Upstream } from '../support/upstream.ts';
import { until } from '../support/until.ts';

const host = 'drain.test';
const workers = 2;

/** Of new connections and of kept ones, plain and over TLS. */
function startLoads(gateway: Gateway): readonly Load[] {
  return [
    startLoad({ host, port: gateway.plainPort }),
    startLoad({ host, port: gateway.plainPort, kept: true }),
    startLoad({ host, port: gateway.tlsPort, tls: true, clients: 2 }),
    startLoad({ host, port: gateway.tlsPort, tls: true, kept: true, clients: 2 }),
  ];
}

async function someAnswered(loads: readonly Load[]): Promise<void> {
  const targets = loads.map(({ answered }) => answered + 20);
  await until('each load gets answers', () => loads.every(({ answered }, at) => answered >= (targets[at] ?? 0)));
}

/** `/held` waits for `release`; a download gives its first part before, an upload is counted. */
async function startHeldUpstream(): Promise<Upstream & { readonly release: () => void; readonly held: () => number }> {
  const released = Promise.withResolvers<void>();
  let held = 0;
  const upstream = await startUpstream((request, response) => {
    if (request.url !== '/held') {
      request.resume().on('end', () => response.end('ok'));
      return;
    }
    let bytes = 0;
    request.on('data', (chunk: Buffer) => (bytes += chunk.length));
    response.writeHead(200, { 'content-length': 100_000 + 10 });
    response.write(Buffer.alloc(100_000));
    held += 1;
    const uploaded = new Promise((resolve) => request.on('end', resolve));
    void Promise.all([released.promise, uploaded]).then(() => response.end(String(bytes).padStart(10)));
  });
  return Object.assign(upstream, { release: () => released.resolve(), held: () => held });
}

async function publish(gateway: Gateway, upstreamUrl: string, name = host): Promise<void> {
  await expectOk(gateway.admin, 'POST', '/apis', { name, request_host: name, upstream_url: upstreamUrl });
}

/** @returns what came behind the first 100,000 bytes, or why it ended before */
function heldRequest(gateway: Gateway, upload?: Promise<void>): Promise<string> {
  return new Promise((resolve) => {
    const request = http.request(
      { host: '127.0.0.1', port: gateway.plainPort, path: '/held', headers: { host }, method: 'POST', agent: false },
      (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.on('error', (error) => resolve(error.message));
        response.on('end', () => resolve(Buffer.concat(chunks).toString('latin1', 100_000).trim()));
      },
    );
    request.on('error', (error) => resolve(error.message));
    request.write(Buffer.alloc(50_000));
    void (upload ?? Promise.resolve()).then(() => request.end(Buffer.alloc(50_000)));
  });
}

/** The same on a stream of HTTP/2. */
function heldStream(gateway: Gateway, upload: Promise<void>): Promise<string> {
  return new Promise((resolve) => {
    const session = http2.connect(`http://127.0.0.1:${gateway.plainPort}`);
    session.on('error', () => undefined);
    const stream = session.request({ ':method': 'POST', ':path': '/held', ':authority': host });
    const chunks: Buffer[] = [];
    stream.on('data', (chunk: Buffer) => chunks.push(chunk));
    stream.on('error', (error) => resolve(error.message));
    stream.on('close', () => {
      resolve(Buffer.concat(chunks).toString('latin1', 100_000).trim());
      session.destroy();
    });
    stream.write(Buffer.alloc(50_000));
    void upload.then(() => stream.end(Buffer.alloc(50_000)));
  });
}

interface WebSocketClient extends Disposable {
  readonly socket: net.Socket;
  readonly heard: () => string;
}

async function openWebSocket(gateway: Gateway): Promise<WebSocketClient> {
  const socket = net.connect(gateway.plainPort, '127.0.0.1');
  socket.on('error', () => undefined);
  let heard = '';
  socket.setEncoding('latin1').on('data', (text: string) => (heard += text));
  socket.write(`GET / HTTP/1.1\r\nHost: socket.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n`);
  await until('it is open', () => heard.includes('\r\n\r\n'));
  return { socket, heard: () => heard, [Symbol.dispose]: () => socket.destroy() };
}

const withHttp2 = { proxy_listen: '127.0.0.1:0 http2, 127.0.0.1:0 ssl http2' };

describe('SIGHUP', () => {
  test('under load loses no request and resets no connection, however often', async () => {
    await using upstream = await startUpstream();
    await using gateway = await startGateway({ workers });
    await publish(gateway, upstream.url);
    const loads = startLoads(gateway);
    for (let reload = 1; reload <= 3; reload += 1) {
      await someAnswered(loads);
      gateway.kill('SIGHUP');
      await until('the workers are renewed', () => gateway.output().split('workers renewed').length > reload);
    }
    await someAnswered(loads);
    await Promise.all(loads.map((load) => load.stop()));
    for (const { cutNew, lost, refused } of loads)
      assert.deepEqual({ cutNew, lost, refused }, { cutNew: [], lost: [], refused: 0 });
    await until('the old workers are gone', () => gateway.workerPids().length === workers);
  });

  test('lets downloads, uploads, streams and WebSockets go on in the old workers while the new ones serve', async () => {
    await using upstream = await startHeldUpstream();
    await using echo = await startWebSocketUpstream();
    await using gateway = await startGateway({ workers: 1, settings: withHttp2 });
    await publish(gateway, upstream.url);
    await publish(gateway, `http://127.0.0.1:${echo.port}`, 'socket.test');
    const whole = Promise.withResolvers<void>();
    const transfers = [heldRequest(gateway), heldRequest(gateway, whole.promise), heldStream(gateway, whole.promise)];
    using webSocket = await openWebSocket(gateway);
    await until('all are under way', () => upstream.held() === 3);
    const [old] = gateway.workerPids();
    assert.ok(old !== undefined);
    for (let reload = 1; reload <= 2; reload += 1) {
      gateway.kill('SIGHUP');
      await until('the workers are renewed', () => gateway.output().split('workers renewed').length > reload);
    }
    const load = startLoad({ host, port: gateway.plainPort, clients: 1 });
    await someAnswered([load]);
    await load.stop();
    assert.ok(isAlive(old));
    webSocket.socket.write('still there');
    await until('an echo', () => webSocket.heard().endsWith('still there'));
    webSocket.socket.end();
    whole.resolve();
    upstream.release();
    assert.deepEqual(await Promise.all(transfers), ['100000', '100000', '100000']);
    await until('the old worker is gone', () => !isAlive(old));
  });
});

describe('SIGTERM', () => {
  test('under load loses no request on a kept connection, and serves what waits in the queue of a socket', async () => {
    await using upstream = await startUpstream();
    await using gateway = await startGateway({ workers });
    await publish(gateway, upstream.url);
    const loads = startLoads(gateway);
    await someAnswered(loads);
    gateway.kill('SIGTERM');
    assert.deepEqual(await gateway.exited, { code: 0, signal: null });
    await until('all are refused', () => loads.every(({ refused }) => refused > 0));
    await Promise.all(loads.map((load) => load.stop()));
    const cutNew = loads.flatMap((load) => load.cutNew);
    const lost = loads.flatMap((load) => load.lost);
    assert.deepEqual(lost, []);
    // Of each socket one may come between the last look into its queue and its end.
    assert.ok(cutNew.length <= workers * 2, cutNew.join());
  });

  test('lets downloads, uploads and streams finish', async () => {
    await using upstream = await startHeldUpstream();
    await using gateway = await startGateway({ workers, settings: withHttp2 });
    await publish(gateway, upstream.url);
    const whole = Promise.withResolvers<void>();
    const transfers = [heldRequest(gateway), heldRequest(gateway, whole.promise), heldStream(gateway, whole.promise)];
    await until('all are under way', () => upstream.held() === 3);
    gateway.kill('SIGTERM');
    await until('new connections are refused', () => isRefused(gateway.plainPort));
    whole.resolve();
    upstream.release();
    assert.deepEqual(await Promise.all(transfers), ['100000', '100000', '100000']);
    assert.deepEqual(await gateway.exited, { code: 0, signal: null });
  });

  test('lets transfers finish also where nothing can be written any more', async () => {
    await using upstream = await startHeldUpstream();
    await using gateway = await startGateway({ workers: 1 });
    await publish(gateway, upstream.url);
    const transfer = heldRequest(gateway);
    await until('it is under way', () => upstream.held() === 1);
    // As a full disk would refuse it.
    mkdirSync(path.join(gateway.prefix, 'portunus.leaving.new'));
    gateway.kill('SIGTERM');
    await until('new connections are refused', () => isRefused(gateway.plainPort));
    upstream.release();
    assert.equal(await transfer, '100000');
    assert.deepEqual(await gateway.exited, { code: 0, signal: null });
    assert.match(gateway.output(), /no successor can start beside/);
  });

  test('leaves a WebSocket open until it ends, and cuts it when drain_timeout is over', async () => {
    for (const ends of [true, false]) {
      await using echo = await startWebSocketUpstream();
      await using gateway = await startGateway({ workers: 1, settings: { drain_timeout: ends ? '30s' : '500ms' } });
      await publish(gateway, `http://127.0.0.1:${echo.port}`, 'socket.test');
      using webSocket = await openWebSocket(gateway);
      const { socket, heard } = webSocket;
      gateway.kill('SIGTERM');
      await until('new connections are refused', () => isRefused(gateway.plainPort));
      if (ends) {
        socket.write('still there');
        await until('an echo', () => heard().endsWith('still there'));
        socket.end();
      }
      await until('it is closed', () => socket.closed);
      assert.deepEqual(await gateway.exited, { code: 0, signal: null });
    }
  });
});

test('a reload of a gateway that stops says so, and faults nothing', async () => {
  await using gateway = await startGateway({ workers: 1, settings: { drain_delay: '60s' } });
  gateway.kill('SIGTERM');
  await until('it has let go of the store', () => !existsSync(path.join(gateway.prefix, 'portunus.pid')));
  gateway.kill('SIGHUP');
  await until('it says so', () => gateway.output().includes('the configuration is not read again'));
  assert.doesNotMatch(gateway.output(), /"level":"error"/);
});

test('a gateway that stops is not ready, and tells how it goes until its last connection has ended', async () => {
  await using upstream = await startHeldUpstream();
  await using gateway = await startGateway({ workers });
  await publish(gateway, upstream.url);
  const transfer = heldRequest(gateway);
  await until('it is under way', () => upstream.held() === 1);
  const revision = await statusOf(gateway).then((status) => status['revision']);
  gateway.kill('SIGTERM');
  await until('new connections are refused', () => isRefused(gateway.plainPort));
  const ready = await fetch(`${gateway.status}/status/ready`);
  const { message, stopping } = (await ready.json()) as Record<string, unknown>;
  assert.deepEqual([ready.status, message, stopping], [503, 'not ready', true]);
  const status = await until('the store is closed', async () => {
    const told = await statusOf(gateway);
    return !existsSync(path.join(gateway.prefix, 'portunus.pid')) && told;
  });
  assert.deepEqual([status['state'], status['ready'], status['revision']], ['stopping', false, revision]);
  const metrics = await until('one connection is left', async () => {
    const told = await (await fetch(`${gateway.status}/metrics`)).text();
    return /^portunus_connections\{listener="plain"\} 1$/m.test(told) && told;
  });
  assert.match(metrics, /^portunus_stopping 1$/m);
  assert.match(metrics, /^portunus_certificate_not_after_timestamp_seconds\{/m);
  upstream.release();
  assert.equal(await transfer, '100000');
  assert.deepEqual(await gateway.exited, { code: 0, signal: null });
  assert.ok(await isRefused(Number(new URL(gateway.status).port)));
});

describe('a successor on the same data directory and ports', () => {
  for (const count of [1, 2]) {
    test(`takes over from ${count} ${count === 1 ? 'worker' : 'workers'} with no connection refused and no request lost, while the old gateway finishes`, async (t) => {
      const prefix = mkdtempSync(path.join(os.tmpdir(), 'portunus-test-'));
      t.after(() => rmSync(prefix, { recursive: true, force: true }));
      await using upstream = await startHeldUpstream();
      const settings = { drain_delay: '60s' };
      await using before = await startGateway({ workers: count, prefix, settings });
      await publish(before, upstream.url);
      const transfer = heldRequest(before);
      await until('it is under way', () => upstream.held() === 1);
      const loads = startLoads(before);
      await someAnswered(loads);
      before.kill('SIGTERM');
      await using after = await startGateway({
        workers: count,
        prefix,
        settings: {
          ...settings,
          proxy_listen: `127.0.0.1:${before.plainPort}, 127.0.0.1:${before.tlsPort} ssl`,
          admin_listen: new URL(before.admin).host,
          status_listen: new URL(before.status).host,
        },
      });
      await until('the old one has logged that it drains', () => before.output().includes('stopping'));
      assert.equal((await fetch(`${after.status}/status/ready`)).status, 200);
      await someAnswered(loads);
      upstream.release();
      assert.equal(await transfer, '100000');
      assert.deepEqual(await before.exited, { code: 0, signal: null });
      await someAnswered(loads);
      await Promise.all(loads.map((load) => load.stop()));
      assert.deepEqual(
        loads.flatMap(({ lost }) => lost),
        [],
      );
      assert.ok(loads.every(({ refused }) => refused === 0));
      assert.ok(loads.flatMap(({ cutNew }) => cutNew).length <= count * 2);
      const apis = (await (await fetch(`${after.admin}/apis`)).json()) as { readonly total: number };
      assert.equal(apis.total, 1);
      assert.ok(!existsSync(path.join(prefix, 'portunus.leaving')));
    });
  }

  test('is not let onto ports that a stranger has, nor onto a data directory that nobody leaves', async () => {
    await using gateway = await startGateway({ workers: 1 });
    await assert.rejects(startGateway({ workers: 1, prefix: gateway.prefix }), /a gateway runs on/);
    await assert.rejects(
      startGateway({ workers: 1, settings: { proxy_listen: `127.0.0.1:${gateway.plainPort}` } }),
      /EADDRINUSE/,
    );
  });
});

async function statusOf(gateway: Gateway): Promise<Readonly<Record<string, unknown>>> {
  return (await (await fetch(`${gateway.status}/status`)).json()) as Readonly<Record<string, unknown>>;
}

async function startWebSocketUpstream(): Promise<AsyncDisposable & { readonly port: number }> {
  const sockets = new Set<net.Socket>();
  const server = net.createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    socket.once('data', () => {
      socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n');
      socket.pipe(socket);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    port: (server.address() as net.AddressInfo).port,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

function isRefused(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = net.connect(port, '127.0.0.1', () => resolve(false));
    socket.on('error', () => resolve(true));
    socket.on('connect', () => socket.destroy());
  });
}
