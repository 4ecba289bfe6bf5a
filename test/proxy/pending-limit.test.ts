// What all clients together may make a process hold. The clock is the test's: each client waits longer than the next.
import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { createPendingLimit, type Holder } from '../../src/proxy/pending-limit.ts';
import { connectFrames, frame, getFields, postFields } from '../support/http2-frames.ts';
import { until, untilStill } from '../support/until.ts';
import {
  answering,
  type Gateway,
  type RawClient,
  type RawUpstream,
  startGateway,
  startRawUpstream,
} from './http1-gateway.ts';

const much = Buffer.alloc(30_000_000);
const mib = 1024 * 1024;
const ok = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok';

test('what is too much is shed from those who have waited for longest, and no more than that', () => {
  const shed: number[] = [];
  const reached: string[] = [];
  const holder = (id: number, heldBytes: number, heldSince: number): Holder => ({
    deadline: Number.POSITIVE_INFINITY,
    onDeadline: () => undefined,
    connection: { remoteAddress: `192.0.2.${id}` },
    heldBytes,
    heldSince,
    shed: () => void shed.push(id),
  });
  const look = createPendingLimit(1000, (limit, address) => void reached.push(`${limit} ${address}`));
  const never = Number.POSITIVE_INFINITY;
  const other = { deadline: never, onDeadline: () => undefined };
  look([holder(1, 600, 5), holder(2, 400, 3), other]);
  assert.deepEqual(shed, []);
  look([
    holder(1, 500, never),
    holder(2, 0, 1),
    holder(3, 300, 7),
    holder(4, 200, 2),
    holder(5, 200, 4),
    holder(6, 100, never),
  ]);
  assert.deepEqual(shed, [4, 5]);
  assert.deepEqual(reached, ['client_pending_max_size 192.0.2.4', 'client_pending_max_size 192.0.2.5']);
  look([holder(7, 900, never), holder(8, 900, never)]);
  assert.deepEqual(shed, [4, 5, 7]);
});

interface Full extends AsyncDisposable {
  readonly gateway: Gateway;
  readonly upstream: RawUpstream;
  pass(): void;
  readonly shed: number;
}

async function start(options: Parameters<typeof startGateway>[0], behave?: (client: RawClient) => void): Promise<Full> {
  const upstream = await startRawUpstream(behave);
  let time = 0;
  const gateway = await startGateway({
    upstreamPort: upstream.port,
    now: () => time,
    ...options,
    settings: { clientPendingMaxBytes: mib, ...options?.settings },
  });
  return {
    gateway,
    upstream,
    pass() {
      time += 10;
    },
    get shed() {
      return gateway.counted.filter((each) => each === 'limit:client_pending_max_size').length;
    },
    async [Symbol.asyncDispose]() {
      await gateway[Symbol.asyncDispose]();
      await upstream[Symbol.asyncDispose]();
    },
  };
}

/** Answers `/large` with more than any buffer holds, and everything else at once. */
function large(client: RawClient): void {
  const { socket } = client;
  socket.on('data', () => {
    while (client.received.includes('\r\n\r\n')) {
      const end = client.received.indexOf('\r\n\r\n') + 4;
      const head = client.received.slice(0, end);
      client.received = client.received.slice(end);
      if (!head.startsWith('GET /large ')) client.send(ok);
      else {
        client.send(`HTTP/1.1 200 OK\r\nContent-Length: ${much.length}\r\n\r\n`);
        socket.write(much);
      }
    }
  });
}

suite('clients that do not read', () => {
  test('over HTTP/1.1 are cut, the first of them first, while another is served', async () => {
    await using full = await start({}, large);
    const { gateway, upstream } = full;
    using good = await gateway.connect();
    const slow: RawClient[] = [];
    while (full.shed === 0) {
      const client = await gateway.connect();
      slow.push(client);
      client.socket.pause();
      client.send('GET /large HTTP/1.1\r\nHost: a\r\n\r\n');
      await untilStill('its way is full', () =>
        upstream.connections.reduce((sum, { socket }) => sum + socket.bytesWritten - socket.writableLength, 1),
      );
      good.send('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
      assert.equal((await good.response()).status, 200);
      full.pass();
      assert.ok(slow.length < 100, 'none is cut');
    }
    await until('it is logged', () => gateway.entries.some(({ target }) => target === '/large'));
    const cut = gateway.entries.filter(({ target }) => target === '/large');
    assert.deepEqual(
      cut.map(({ errorCode, status }) => [errorCode, status]),
      [['HTTP_CLIENTS_HOLD_TOO_MUCH', 200]],
    );
    for (const { socket } of slow) socket.resume();
    await until('the first is gone', () => slow[0]?.closed === true || slow[0]?.ended === true);
    await until('the last goes on', () => (slow.at(-1)?.received.length ?? 0) > 20_000_000);
    for (const { socket } of slow) socket.destroy();
  });

  test('over HTTP/2 are reset, and the others of their connection go on', async () => {
    await using full = await start({ alpnProtocol: 'h2' }, large);
    using client = await connectFrames(full.gateway.port, [[4, 0]]);
    let stream = 1;
    for (; full.shed === 0; stream += 2) {
      client.request(stream, getFields([], '/large'));
      await client.status(stream);
      await untilStill('its way is full', () =>
        full.upstream.connections.reduce((sum, { socket }) => sum + socket.bytesWritten - socket.writableLength, 1),
      );
      full.pass();
      assert.ok(stream < 200, 'none is reset');
    }
    await client.resetOf(1);
    assert.equal(client.of(stream - 2, frame.rstStream).length, 0);
    client.request(stream, getFields());
    client.widen(stream, 1000);
    assert.equal(await client.outcome(stream), '200');
  });
});

test('bodies that no upstream takes are refused with 503, the first of them first', async () => {
  await using full = await start({
    alpnProtocol: 'h2',
    settings: { upstreamConnectionsMax: 10, clientPendingMaxBytes: 300_000 },
  });
  using client = await connectFrames(full.gateway.port);
  // Nothing is answered, so all that come behind these wait for a connection.
  for (let stream = 1; stream < 21; stream += 2) client.request(stream, getFields());
  await full.upstream.connection(9);
  for (let count = 0; count < 10; count += 1) {
    const stream = 21 + count * 2;
    client.request(stream, postFields(), false);
    client.data(stream, Buffer.alloc(16_000));
    client.data(stream, Buffer.alloc(16_000));
    client.send(frame.ping, 0, 0, Buffer.alloc(8));
    await until('it is read', () => client.frames.filter(({ type }) => type === frame.ping).length === count + 1);
    full.pass();
  }
  assert.equal(await client.outcome(21), '503 HTTP_CLIENTS_HOLD_TOO_MUCH');
  assert.equal(client.of(39).length, 0);
});

test('heads that drip are refused with 503, the first of them first, and a whole one is served beside', async () => {
  await using full = await start({}, answering(ok));
  const clients: RawClient[] = [];
  while (full.shed === 0) {
    const client = await full.gateway.connect();
    clients.push(client);
    client.send(`GET / HTTP/1.1\r\nHost: a\r\nX: ${'x'.repeat(20_000)}`);
    using good = await full.gateway.connect();
    good.send('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
    assert.equal((await good.response()).status, 200);
    full.pass();
    assert.ok(clients.length < 200, 'none is refused');
  }
  const { status, body } = await (clients[0] as RawClient).response();
  assert.equal(status, 503);
  assert.match(body, /"message":"The gateway holds too much for its clients","code":"HTTP_CLIENTS_HOLD_TOO_MUCH"/);
  const last = clients.at(-1) as RawClient;
  last.send('\r\n\r\n');
  assert.equal((await last.response()).status, 200);
  for (const { socket } of clients) socket.destroy();
});
