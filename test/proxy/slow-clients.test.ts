// Clients that keep within every gap, a byte at a time. The clock is the test's, so nothing here is a matter of speed.
import assert from 'node:assert/strict';
import http2 from 'node:http2';
import { suite, test } from 'node:test';
import { connectFrames, errorCode, frame, getFields, postFields } from '../support/http2-frames.ts';
import { until, untilStill } from '../support/until.ts';
import { type Gateway, listen, type RawUpstream, startGateway, startRawUpstream } from './http1-gateway.ts';

const minute = 60_000;
const settings = { clientRateMin: 100, clientBodyTimeoutMs: minute, clientSendTimeoutMs: minute };

interface Slow extends AsyncDisposable {
  readonly gateway: Gateway;
  readonly upstream: RawUpstream;
  /** Lets time pass, and the gateway notice. */
  pass(ms: number): Promise<void>;
}

async function start(options: Parameters<typeof startGateway>[0] = {}): Promise<Slow> {
  const upstream = await startRawUpstream();
  let time = 0;
  let looks = 0;
  const gateway = await startGateway({
    upstreamPort: upstream.port,
    now: () => {
      looks += 1;
      return time;
    },
    ...options,
    settings: { ...settings, ...options.settings },
  });
  return {
    gateway,
    upstream,
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
