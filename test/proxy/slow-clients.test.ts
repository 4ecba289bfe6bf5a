// Clients that keep within every gap, a byte at a time. The clock is the test's, so nothing here is a matter of speed.
import assert from 'node:assert/strict';
import http2 from 'node:http2';
import { suite, test } from 'node:test';
import { bytesTaken } from '../../src/proxy/stream-binding.ts';
import { connectFrames, errorCode, frame, getFields, postFields } from '../support/http2-frames.ts';
import { until, untilStill } from '../support/until.ts';
import {
  type Gateway,
  listen,
  type RawClient,
  type RawUpstream,
  startGateway,
  startRawUpstream,
} from './http1-gateway.ts';

const minute = 60_000;
const settings = { clientRateMin: 100, clientBodyTimeoutMs: minute, clientSendTimeoutMs: minute };

interface Slow extends AsyncDisposable {
  readonly gateway: Gateway;
  readonly upstream: RawUpstream;
  /** Waits until so many requests have been routed: each has an upstream then, or waits for one. */
  came(requests: number): Promise<unknown>;
  /** Lets time pass, and the gateway notice. */
  pass(ms: number): Promise<void>;
}

async function start(options: Parameters<typeof startGateway>[0] = {}): Promise<Slow> {
  const upstream = await startRawUpstream();
  let time = 0;
  let looks = 0;
  let requests = 0;
  const gateway = await startGateway({
    upstreamPort: upstream.port,
    now: () => {
      looks += 1;
      return time;
    },
    match: (_method, _host, _path, route) => {
      requests += 1;
      return { route, prefix: '' };
    },
    ...options,
    settings: { ...settings, ...options.settings },
  });
  return {
    gateway,
    upstream,
    came: (count) => until(`request ${count} has come`, () => requests >= count),
    async pass(ms) {
      time += ms;
      // A sweep looks at the clock once.
      const before = looks;
      await until('the gateway has looked at the clock', () => looks > before + 1);
    },
    async [Symbol.asyncDispose]() {
      await gateway[Symbol.asyncDispose]();
      await upstream[Symbol.asyncDispose]();
    },
  };
}

suite('a body over HTTP/1.1', () => {
  const post = 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 93000\r\n\r\n';

  test('that drips within every gap is answered with 408 once its minute is over', async () => {
    await using slow = await start();
    using client = await slow.gateway.connect();
    client.send(post);
    const connection = await slow.upstream.connection(0);
    await connection.take('\r\n\r\n');
    for (let count = 0; count < 3; count += 1) {
      client.send('x');
      await connection.take('x');
      await slow.pass(20_000);
    }
    client.send('x');
    const { status, body, field } = await client.response();
    assert.equal(status, 408);
    assert.match(body, /"code":"HTTP_BODY_TOO_SLOW"/);
    assert.equal(field('Connection'), 'close');
    await until('it is over', () => slow.gateway.entries.length === 1);
    assert.ok(slow.gateway.counted.includes('limit:client_rate_min'));
    await until('the upstream hears of it', () => connection.ended || connection.closed);
  });

  test('that drips in chunks, or in extensions of chunks, is none the faster', async () => {
    for (const drip of ['1\r\nx\r\n', `1;${'e'.repeat(50)}\r\nx\r\n`]) {
      await using slow = await start();
      using client = await slow.gateway.connect();
      client.send('POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n');
      const connection = await slow.upstream.connection(0);
      await connection.take('\r\n\r\n');
      for (let count = 0; count < 4; count += 1) {
        client.send(drip);
        if (count < 3) await connection.take('x\r\n');
        if (count < 3) await slow.pass(20_000);
      }
      assert.match((await client.response()).body, /"code":"HTTP_BODY_TOO_SLOW"/);
    }
  });

  test('that comes at the rate is waited for, minute after minute, also in bursts', async () => {
    await using slow = await start();
    using client = await slow.gateway.connect();
    client.send(post);
    const connection = await slow.upstream.connection(0);
    await connection.take('\r\n\r\n');
    for (const [burst, pauses] of [
      [12_000, 4],
      [2000, 20],
    ] as const) {
      for (let count = 0; count < pauses; count += 1) {
        client.send(`${'x'.repeat(burst - 1)}!`);
        await connection.take('!');
        await slow.pass(burst === 12_000 ? 59_000 : 19_900);
      }
    }
    client.send('x'.repeat(5000));
    await until('it is whole', () => connection.received.length === 5000);
    connection.send('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok');
    assert.equal((await client.response()).status, 200);
  });

  test('is not judged for the time that the upstream does not take it', async () => {
    await using slow = await start();
    using client = await slow.gateway.connect();
    const size = 50_000_000;
    client.send(`POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ${size}\r\n\r\n`);
    const connection = await slow.upstream.connection(0);
    await connection.take('\r\n\r\n');
    connection.socket.pause();
    client.send('x'.repeat(size));
    await untilStill('the way is full', () => client.socket.writableLength);
    await slow.pass(minute - 1);
    connection.socket.resume();
    await until('it is whole', () => connection.received.length === size);
    connection.send('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok');
    assert.equal((await client.response()).status, 200);
  });

  test('may drip for ever behind a change of protocol', async () => {
    await using slow = await start({ route: { readTimeoutMs: 10 * minute } });
    using client = await slow.gateway.connect();
    client.send('GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n');
    const connection = await slow.upstream.connection(0);
    await connection.take('\r\n\r\n');
    connection.send('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n');
    await client.take('\r\n\r\n');
    for (let count = 0; count < 10; count += 1) {
      client.send('x');
      await connection.take('x');
      connection.send('y');
      await client.take('y');
      await slow.pass(minute);
    }
    assert.equal(client.ended, false);
  });

  test('may drip where nobody set a rate', async () => {
    await using slow = await start({ settings: { clientRateMin: 0 } });
    using client = await slow.gateway.connect();
    client.send(post);
    const connection = await slow.upstream.connection(0);
    await connection.take('\r\n\r\n');
    for (let count = 0; count < 10; count += 1) {
      client.send('x');
      await connection.take('x');
      await slow.pass(minute - 1);
    }
    assert.equal(client.ended, false);
  });
});

suite('a body over HTTP/2', () => {
  test('that drips within every gap is answered with 408 once its minute is over, and others go on', async () => {
    await using slow = await start({ alpnProtocol: 'h2' });
    using client = await connectFrames(slow.gateway.port);
    client.request(1, postFields(), false);
    const connection = await slow.upstream.connection(0);
    for (let count = 0; count < 3; count += 1) {
      client.data(1, 'x');
      await connection.take('1\r\nx\r\n');
      await slow.pass(20_000);
    }
    client.data(1, 'x');
    assert.equal(await client.outcome(1), '408 HTTP_BODY_TOO_SLOW');
    client.request(3, getFields());
    const second = await slow.upstream.connection(1);
    await second.take('\r\n\r\n');
    second.send('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok');
    assert.equal(await client.outcome(3), '200');
  });

  test('may drip to an upstream that speaks HTTP/2, as gRPC does', async () => {
    const seen: string[] = [];
    const server = http2.createServer((request) => request.on('data', (bytes: Buffer) => seen.push(bytes.toString())));
    server.on('session', (session) => session.on('error', () => undefined));
    const port = await listen(server);
    {
      await using slow = await start({
        alpnProtocol: 'h2',
        upstream: { http2: true, port },
        route: { readTimeoutMs: 60 * minute },
      });
      using client = await connectFrames(slow.gateway.port);
      client.request(1, postFields(), false);
      for (let count = 0; count < 8; count += 1) {
        client.data(1, 'x');
        await until('it is there', () => seen.join('').length === count + 1);
        await slow.pass(50_000);
      }
      assert.equal(client.of(1).length, 0);
    }
    server.close();
  });
});

suite('a response', () => {
  test('over HTTP/2 goes on while the connection reads at the rate for each stream, and is reset when it does not', async () => {
    await using slow = await start({ alpnProtocol: 'h2', route: { readTimeoutMs: 60 * minute } });
    using client = await connectFrames(slow.gateway.port, [[4, 0]]);
    for (const stream of [1, 3]) client.request(stream, getFields());
    for (const index of [0, 1]) {
      const connection = await slow.upstream.connection(index);
      await connection.take('\r\n\r\n');
      connection.send(`HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n${'x'.repeat(1_000_000)}`);
      await client.status(index * 2 + 1);
    }
    await untilStill('what the gateway has taken', () =>
      slow.upstream.connections.reduce((sum, { socket }) => sum + socket.bytesWritten, 0),
    );
    const read = async (bytes: number): Promise<void> => {
      const before = client.dataOf(1).length;
      client.widen(1, bytes);
      await until('it is read', () => client.dataOf(1).length === before + bytes);
      await slow.pass(minute + 1);
    };
    for (let count = 0; count < 3; count += 1) await read(13_000);
    for (const stream of [1, 3]) assert.equal(client.of(stream, frame.rstStream).length, 0);
    await read(1000);
    for (const stream of [1, 3]) assert.equal(await client.resetOf(stream), errorCode.cancel);
    await until('both are logged', () => slow.gateway.entries.length === 2);
    for (const { errorCode: code } of slow.gateway.entries) assert.equal(code, 'HTTP_RESPONSE_TOO_SLOW');
    assert.equal(slow.gateway.counted.filter((each) => each === 'limit:client_rate_min').length, 2);
  });

  test('may be read however slowly behind a change of protocol, and is reset when nothing of it is', async () => {
    await using slow = await start({ alpnProtocol: 'h2', route: { readTimeoutMs: 60 * minute } });
    using client = await connectFrames(slow.gateway.port, [[4, 0]]);
    const fields = getFields([['sec-websocket-version', '13']]).slice(1);
    client.request(1, [[':method', 'CONNECT'], [':protocol', 'websocket'], ...fields], false);
    const connection = await slow.upstream.connection(0);
    await connection.take('\r\n\r\n');
    connection.send(
      'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: x\r\n\r\n',
    );
    await client.status(1);
    connection.send('x'.repeat(1_000_000));
    await untilStill('what the gateway has taken', () => connection.socket.bytesWritten);
    for (let count = 1; count <= 5; count += 1) {
      client.widen(1, 10);
      await until('it is read', () => client.dataOf(1).length === count * 10);
      await slow.pass(minute + 1);
    }
    assert.equal(client.of(1, frame.rstStream).length, 0);
    await slow.pass(minute + 1);
    assert.equal(await client.resetOf(1), errorCode.cancel);
    assert.deepEqual(
      slow.gateway.counted.filter((each) => each.startsWith('limit:')),
      ['limit:client_send_timeout'],
    );
  });

  test('over HTTP/1.1 of which nothing is read is cut, and the log says why', async () => {
    await using slow = await start();
    using client = await slow.gateway.connect();
    client.socket.pause();
    client.send('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
    const connection = await slow.upstream.connection(0);
    await connection.take('\r\n\r\n');
    connection.send(`HTTP/1.1 200 OK\r\nContent-Length: 50000000\r\n\r\n${'x'.repeat(50_000_000)}`);
    await untilStill('the way is full', () => connection.socket.writableLength);
    await slow.pass(minute - 1);
    assert.equal(slow.gateway.entries.length, 0);
    await slow.pass(2);
    const cut = await until('it is cut', () => slow.gateway.entries[0]);
    assert.equal(cut.status, 200);
    assert.equal(cut.errorCode, 'HTTP_RESPONSE_TOO_SLOW');
    assert.ok(slow.gateway.counted.includes('limit:client_send_timeout'));
  });
});

suite('bodies that drip at more than the rate on all connections of an upstream', () => {
  const get = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n';
  const post = 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 93000\r\n\r\n';
  const ok = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok';
  const limit = 'limit:upstream_connections_max';
  const more = { settings: { upstreamConnectionsMax: 3 } };

  test('let a good client in: the slowest of them gives way, answered with 408, and the others go on', async () => {
    await using slow = await start(more);
    using stack = new DisposableStack();
    const clients = [];
    for (const [index, bytes] of [900, 500, 700].entries()) {
      const client = stack.use(await slow.gateway.connect());
      client.send(post);
      const connection = await slow.upstream.connection(index);
      await connection.take('\r\n\r\n');
      client.send(`${'x'.repeat(bytes)}!`);
      await connection.take('!');
      clients.push(client);
    }
    await slow.pass(2000);
    using good = await slow.gateway.connect();
    good.send(get);
    await slow.came(4);
    await slow.pass(199);
    assert.ok(!slow.gateway.counted.includes(limit));
    await slow.pass(1);
    const { status, body } = await (clients[1] as RawClient).response();
    assert.equal(status, 408);
    assert.match(body, /"code":"HTTP_BODY_TOO_SLOW"/);
    const connection = await slow.upstream.connection(3);
    assert.match(await connection.take('\r\n\r\n'), /^GET /);
    connection.send(ok);
    assert.equal((await good.response()).status, 200);
    await slow.pass(10_000);
    assert.equal(slow.gateway.counted.filter((each) => each === limit).length, 1);
    for (const client of [clients[0], clients[2]]) assert.equal(client?.received, '');
  });

  test('let it in again and again, also when they come back at once and wait for connections too', async () => {
    await using slow = await start({ settings: { upstreamConnectionsMax: 2 } });
    using stack = new DisposableStack();
    let requests = 0;
    const ask = async (text: string): Promise<RawClient> => {
      const client = stack.use(await slow.gateway.connect());
      client.send(text);
      requests += 1;
      await slow.came(requests);
      return client;
    };
    for (let count = 0; count < 4; count += 1) await ask(post);
    for (let count = 0; count < 5; count += 1) {
      const good = await ask(get);
      await slow.pass(1000);
      const at = (): number => slow.upstream.connections.findIndex(({ received }) => received.startsWith('GET '));
      await until('it has come to the upstream', () => at() >= 0);
      const connection = await slow.upstream.connection(at());
      await connection.take('\r\n\r\n');
      connection.send(ok);
      assert.equal((await good.response()).status, 200);
      for (let back = 0; back < 2; back += 1) await ask(post);
    }
  });

  test('do not fill the queue: a request that is all there takes the place of one that is not', async () => {
    await using slow = await start({ settings: { upstreamConnectionsMax: 1 } });
    using holder = await slow.gateway.connect();
    holder.send(post);
    await slow.came(1);
    using waiter = await slow.gateway.connect();
    waiter.send(post);
    await slow.came(2);
    using another = await slow.gateway.connect();
    another.send(post);
    assert.match((await another.response()).body, /"code":"UPSTREAM_EXHAUSTED"/);
    using good = await slow.gateway.connect();
    good.send('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody');
    assert.match((await waiter.response()).body, /"code":"UPSTREAM_EXHAUSTED"/);
    using late = await slow.gateway.connect();
    late.send(get);
    assert.match((await late.response()).body, /"code":"UPSTREAM_EXHAUSTED"/);
    await slow.pass(1000);
    const connection = await slow.upstream.connection(1);
    await connection.take('\r\n\r\nbody');
    connection.send(ok);
    assert.equal((await good.response()).status, 200);
  });

  test('give way over HTTP/2 as well, and a small body that has come with its request has its turn before them', async () => {
    await using slow = await start({ alpnProtocol: 'h2', ...more });
    using attacker = await connectFrames(slow.gateway.port);
    attacker.request(1, postFields(), false);
    await slow.came(1);
    await slow.pass(1000);
    for (const stream of [3, 5, 7, 9]) attacker.request(stream, postFields(), false);
    await slow.came(5);
    using good = await connectFrames(slow.gateway.port);
    good.request(1, postFields([['content-length', '4']]), false);
    good.data(1, 'body', true);
    await slow.came(6);
    good.send(frame.ping, 0, 0, Buffer.alloc(8));
    await until('all of it is there', () => good.of(0, frame.ping).length === 1);
    await slow.pass(200);
    assert.equal(await attacker.outcome(1), '408 HTTP_BODY_TOO_SLOW');
    const connection = await slow.upstream.connection(3);
    await connection.take('\r\n\r\nbody');
    connection.send(ok);
    assert.equal(await good.outcome(1), '200');
    assert.equal(slow.gateway.counted.filter((each) => each === limit).length, 1);
  });

  test('are cut where the upstream has begun to answer', async () => {
    await using slow = await start({ settings: { upstreamConnectionsMax: 1 } });
    using holder = await slow.gateway.connect();
    holder.send(post);
    const first = await slow.upstream.connection(0);
    await first.take('\r\n\r\n');
    first.send('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello');
    await holder.take('hello');
    await slow.pass(1000);
    using good = await slow.gateway.connect();
    good.send(get);
    await slow.came(2);
    await slow.pass(200);
    await holder.rest();
    await (await slow.upstream.connection(1)).take('\r\n\r\n');
    const cut = await until('it is logged', () => slow.gateway.entries[0]);
    assert.deepEqual([cut.status, cut.errorCode], [200, 'HTTP_BODY_TOO_SLOW']);
  });

  /** Those on the first three connections are not read. */
  const letsIn = async (slow: Slow, ask: () => Promise<() => Promise<unknown>>): Promise<void> => {
    for (const index of [0, 1, 2]) {
      const connection = await slow.upstream.connection(index);
      await connection.take('\r\n\r\n');
      connection.send(`HTTP/1.1 200 OK\r\nContent-Length: 20000000\r\n\r\n${'x'.repeat(20_000_000)}`);
    }
    await untilStill('what the gateway has taken', () =>
      slow.upstream.connections.reduce((sum, { socket }) => sum + bytesTaken(socket), 0),
    );
    await slow.pass(1000);
    const answered = await ask();
    await slow.came(4);
    await slow.pass(200);
    const connection = await slow.upstream.connection(3);
    await connection.take('\r\n\r\n');
    connection.send(ok);
    await answered();
    const [cut] = slow.gateway.entries;
    assert.deepEqual([cut?.status, cut?.errorCode], [200, 'HTTP_RESPONSE_TOO_SLOW']);
    assert.equal(slow.gateway.counted.filter((each) => each === limit).length, 1);
  };

  test('are not alone: a response over HTTP/1.1 that is not read gives way too', async () => {
    await using slow = await start(more);
    using stack = new DisposableStack();
    for (let count = 0; count < 3; count += 1) {
      const reader = stack.use(await slow.gateway.connect());
      reader.socket.pause();
      reader.send(get);
    }
    await letsIn(slow, async () => {
      const good = stack.use(await slow.gateway.connect());
      good.send(get);
      return async () => assert.equal((await good.response()).status, 200);
    });
  });

  test('nor is one over HTTP/2', async () => {
    await using slow = await start({ alpnProtocol: 'h2', ...more });
    using reader = await connectFrames(slow.gateway.port, [[4, 0]]);
    for (const stream of [1, 3, 5]) reader.request(stream, getFields());
    using good = await connectFrames(slow.gateway.port);
    await letsIn(slow, async () => {
      good.request(1, getFields());
      return async () => assert.equal(await good.outcome(1), '200');
    });
    assert.equal(reader.of(0, frame.goaway).length, 0);
  });

  test('go on while nobody waits', async () => {
    await using slow = await start({ settings: { upstreamConnectionsMax: 2 } });
    using client = await slow.gateway.connect();
    client.send(post);
    const connection = await slow.upstream.connection(0);
    await connection.take('\r\n\r\n');
    using good = await slow.gateway.connect();
    for (let count = 0; count < 31; count += 1) {
      client.send(`${'x'.repeat(2999)}${count === 30 ? '.' : '!'}`);
      await connection.take(count === 30 ? '.' : '!');
      await slow.pass(20_000);
      good.send(get);
      const second = await slow.upstream.connection(1);
      await second.take('\r\n\r\n');
      second.send(ok);
      assert.equal((await good.response()).status, 200);
    }
    connection.send(ok);
    assert.equal((await client.response()).status, 200);
    assert.ok(!slow.gateway.counted.includes(limit));
  });

  test('are not those that the upstream does not take, nor what a changed protocol sends', async () => {
    await using slow = await start({ settings: { upstreamConnectionsMax: 2 } });
    const size = 50_000_000;
    using client = await slow.gateway.connect();
    client.send(`POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ${size}\r\n\r\n`);
    const connection = await slow.upstream.connection(0);
    await connection.take('\r\n\r\n');
    connection.socket.pause();
    client.send('x'.repeat(size));
    await untilStill('the way is full', () => client.socket.writableLength);
    using changed = await slow.gateway.connect();
    changed.send('GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n');
    const second = await slow.upstream.connection(1);
    await second.take('\r\n\r\n');
    second.send('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n');
    await changed.take('\r\n\r\n');
    await slow.pass(10_000);
    using good = await slow.gateway.connect();
    good.send(get);
    await slow.came(3);
    await slow.pass(10_000);
    connection.socket.resume();
    await until('it is whole', () => connection.received.length === size);
    assert.equal(slow.gateway.entries.length, 0);
    connection.send(ok);
    assert.equal((await client.response()).status, 200);
    await connection.take('\r\n\r\n');
    connection.send(ok);
    assert.equal((await good.response()).status, 200);
    assert.ok(!slow.gateway.counted.includes(limit));
  });

  test('go on where nobody set a rate', async () => {
    await using slow = await start({ settings: { upstreamConnectionsMax: 1, clientRateMin: 0 } });
    using client = await slow.gateway.connect();
    client.send(post);
    await slow.came(1);
    await slow.pass(10_000);
    using good = await slow.gateway.connect();
    good.send(get);
    await slow.came(2);
    await slow.pass(10_000);
    assert.equal(slow.gateway.entries.length, 0);
  });
});
