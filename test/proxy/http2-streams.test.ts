// What passes on HTTP/2 streams: large bodies, trailers, interim responses, WebSockets; what is cut, and how it ends.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import http from 'node:http';
import http2, { type ClientHttp2Session, type ClientHttp2Stream } from 'node:http2';
import { suite, test } from 'node:test';
import {
  connectFrames,
  errorCode,
  fieldBlock,
  type Fields,
  flag,
  frame,
  frameBytes,
  getFields,
  postFields,
  statusOf,
} from '../support/http2-frames.ts';
import { flood } from '../support/flood.ts';
import { until, untilStill } from '../support/until.ts';
import { answering, type GatewayOptions, listen, startGateway, startRawUpstream } from './http1-gateway.ts';

const megabyte = 1024 * 1024;
const ok = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi';
const h2 = { alpnProtocol: 'h2' } satisfies GatewayOptions;

function connect(port: number): ClientHttp2Session & Disposable {
  const session = http2.connect(`http://127.0.0.1:${port}`, { maxSessionMemory: 100 });
  session.on('error', () => {});
  return Object.assign(session, { [Symbol.dispose]: () => session.destroy() });
}

test('100 MB to a client that reads slowly do not pile up in the gateway', async () => {
  let sent = { written: 0 };
  await using upstream = await startRawUpstream(({ socket }) => {
    socket.once('data', () => {
      socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${100 * megabyte}\r\n\r\n`);
      sent = flood(socket, 100 * megabyte);
    });
  });
  await using gateway = await startGateway({ ...h2, upstreamPort: upstream.port });
  using session = connect(gateway.port);
  const stream = session.request({ ':path': '/' });
  await new Promise((resolve) => stream.once('response', resolve));
  await untilStill('the upstream is held up', () => sent.written);
  assert.ok(sent.written < 20 * megabyte, `${sent.written / megabyte} MB were taken from the upstream`);
  let bytes = 0;
  stream.on('data', (piece: Buffer) => {
    bytes += piece.length;
  });
  await until('all of it arrives', () => bytes === 100 * megabyte);
  await until('it is logged', () => gateway.entries.length === 1);
  assert.equal(gateway.entries[0]?.responseBodyBytes, 100 * megabyte);
});

test('100 MB to an upstream that reads slowly do not pile up in the gateway', async () => {
  await using upstream = await startRawUpstream();
  await using gateway = await startGateway({ ...h2, upstreamPort: upstream.port });
  using session = connect(gateway.port);
  const stream = session.request({ ':method': 'POST', ':path': '/', 'content-length': 100 * megabyte });
  const connection = await upstream.connection(0);
  await connection.take('\r\n\r\n');
  connection.socket.pause();
  const block = Buffer.alloc(megabyte, 'x');
  let left = 0;
  const more = (): void => {
    if (left === 100 * megabyte) return void stream.end();
    stream.write(block, () => {
      left += megabyte;
      more();
    });
  };
  more();
  await untilStill('the client is held up', () => left);
  assert.ok(left < 20 * megabyte, `${left / megabyte} MB were taken from the client`);
  let bytes = connection.received.length;
  connection.socket.removeAllListeners('data');
  connection.socket.on('data', (text: string) => {
    bytes += text.length;
  });
  connection.socket.resume();
  await until('all of it arrives', () => bytes === 100 * megabyte);
  connection.send('HTTP/1.1 204 No Content\r\n\r\n');
  const status = await new Promise((resolve) => stream.once('response', (headers) => resolve(headers[':status'])));
  assert.equal(status, 204);
});

for (const known of [false, true]) {
  test(`20 MB echoed ${known ? 'by length' : 'without a length'} come back as they went`, async () => {
    const server = http.createServer((request, response) => {
      const length = request.headers['content-length'];
      if (length !== undefined) response.setHeader('content-length', length);
      request.pipe(response);
    });
    await using gateway = await startGateway({ ...h2, upstreamPort: await listen(server) });
    using session = connect(gateway.port);
    const body = Buffer.alloc(20 * megabyte);
    for (let index = 0; index < body.length; index += 4) body.writeInt32LE(index * 7, index);
    const stream = session.request({
      ':method': 'PUT',
      ':path': '/',
      ...(known ? { 'content-length': body.length } : {}),
    });
    const parts: Buffer[] = [];
    stream.on('data', (part: Buffer) => parts.push(part));
    for (let at = 0; at < body.length; at += 300_001) stream.write(body.subarray(at, at + 300_001));
    stream.end();
    await new Promise((resolve, reject) => stream.on('end', resolve).on('error', reject));
    assert.equal(sha256(Buffer.concat(parts)), sha256(body));
    server.close();
  });
}

test('1,000 requests over one connection, a hundred at a time, each get their own answer', async () => {
  const server = http.createServer((request, response) => void response.end(`${request.url}`));
  await using gateway = await startGateway({
    ...h2,
    upstreamPort: await listen(server),
    settings: { requestsPerConnectionMax: 10_000 },
  });
  using session = connect(gateway.port);
  const answers: string[] = [];
  for (let round = 0; round < 10; round += 1) {
    const asked = Array.from({ length: 100 }, (_, index) =>
      bodyOf(session.request({ ':path': `/${round * 100 + index}` })),
    );
    answers.push(...(await Promise.all(asked)));
  }
  assert.deepEqual(
    answers,
    Array.from({ length: 1000 }, (_, index) => `/${index}`),
  );
  assert.equal(gateway.server.activeConnections, 1);
  await until('all are logged', () => gateway.entries.length === 1000);
  assert.ok(gateway.entries.every(({ httpVersion, status }) => httpVersion === '2' && status === 200));
  server.close();
});

test('a body without a byte that ends before there is an upstream for it is sent whole', async () => {
  await using upstream = await startRawUpstream();
  await using gateway = await startGateway({
    ...h2,
    upstreamPort: upstream.port,
    settings: { upstreamConnectionsMax: 1 },
  });
  using client = await connectFrames(gateway.port);
  client.request(1, getFields());
  const connection = await upstream.connection(0);
  await connection.take('\r\n\r\n');
  client.request(3, postFields(), false);
  client.data(3, '', true);
  client.send(frame.ping, 0, 0, Buffer.alloc(8));
  await until('all of it is read', () => client.of(0, frame.ping).length > 0);
  connection.send(ok);
  assert.equal(await client.status(1), 200);
  await connection.take('\r\n\r\n0\r\n\r\n');
  connection.send(ok);
  assert.equal(await client.status(3), 200);
});

test('trailers pass both ways', async () => {
  const server = http.createServer((request, response) => {
    request.resume().on('end', () => {
      response.setHeader('trailer', 'x-sum');
      response.write('body');
      response.addTrailers({ 'x-sum': String(request.trailers['x-up']) });
      response.end();
    });
  });
  await using gateway = await startGateway({ ...h2, upstreamPort: await listen(server) });
  using session = connect(gateway.port);
  const stream = session.request({ ':method': 'POST', ':path': '/', te: 'trailers' }, { waitForTrailers: true });
  stream.on('wantTrailers', () => stream.sendTrailers({ 'x-up': '42' }));
  stream.end('data');
  const trailers = new Promise<http2.IncomingHttpHeaders>((resolve) => stream.once('trailers', resolve));
  assert.equal(await bodyOf(stream), 'body');
  assert.equal((await trailers)['x-sum'], '42');
  server.close();
});

test('trailers that frame, route or authenticate are refused', async () => {
  await using upstream = await startRawUpstream();
  await using gateway = await startGateway({ ...h2, upstreamPort: upstream.port });
  using client = await connectFrames(gateway.port);
  for (const [stream, name] of [
    [1, 'host'],
    [3, 'authorization'],
    [5, 'cookie'],
    [7, 'client-cert'],
    [9, 'x-client_cert-dn'],
  ] as const) {
    client.request(stream, postFields(), false);
    client.send(frame.headers, flag.endHeaders | flag.endStream, stream, fieldBlock([[name, '1']]));
    assert.equal(await client.outcome(stream), '400 HTTP_TRAILER_FORBIDDEN', name);
  }
  assert.equal(client.closed, false);
});

test('interim responses pass, but for the 100 that was not asked for', async () => {
  await using upstream = await startRawUpstream(
    answering(`HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\nLink: </b>\r\n\r\n${ok}`),
  );
  await using gateway = await startGateway({ ...h2, upstreamPort: upstream.port });
  using session = connect(gateway.port);
  const stream = session.request({ ':path': '/' });
  const interim: http2.IncomingHttpHeaders[] = [];
  stream.on('headers', (headers) => interim.push(headers));
  assert.equal(await bodyOf(stream), 'hi');
  assert.deepEqual(
    interim.map((headers) => [headers[':status'], headers.link]),
    [[103, '</a>, </b>']],
  );
});

test('a client that expects 100 gets it once there is an upstream to take the body', async () => {
  await using upstream = await startRawUpstream();
  await using gateway = await startGateway({ ...h2, upstreamPort: upstream.port });
  using client = await connectFrames(gateway.port);
  client.request(
    1,
    postFields([
      ['expect', '100-continue'],
      ['content-length', '2'],
    ]),
    false,
  );
  const interim = await until('an interim response', () => client.of(1, frame.headers)[0]);
  assert.equal(statusOf(interim), 100);
  client.data(1, 'go', true);
  const connection = await upstream.connection(0);
  assert.doesNotMatch(await connection.take('\r\n\r\ngo'), /expect/i);
  connection.send(ok);
  assert.equal(await client.status(1), 200);
});

suite('a response without a body ends with its head:', () => {
  for (const [method, answer, status] of [
    ['HEAD', 'HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n', 200],
    ['GET', 'HTTP/1.1 204 No Content\r\n\r\n', 204],
    ['GET', 'HTTP/1.1 304 Not Modified\r\nContent-Length: 500\r\n\r\n', 304],
    ['GET', 'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n', 200],
  ] as const) {
    test(`${method} ${status}`, async () => {
      await using upstream = await startRawUpstream(answering(answer));
      await using gateway = await startGateway({ ...h2, upstreamPort: upstream.port });
      using client = await connectFrames(gateway.port);
      for (const stream of [1, 3]) {
        client.request(stream, [[':method', method], ...getFields().slice(1)]);
        assert.equal(await client.status(stream), status);
        assert.equal((client.of(stream)[0]?.flags ?? 0) & flag.endStream, flag.endStream);
      }
      assert.equal(upstream.connections.length, 1);
    });
  }
});

test('a response that comes before its request is whole reaches the client, which is told to stop', async () => {
  await using upstream = await startRawUpstream();
  await using gateway = await startGateway({ ...h2, upstreamPort: upstream.port });
  using client = await connectFrames(gateway.port);
  client.request(1, postFields(), false);
  client.data(1, 'x'.repeat(1000));
  const connection = await upstream.connection(0);
  await connection.take('\r\n\r\n');
  connection.send('HTTP/1.1 413 Too Much\r\nContent-Length: 3\r\n\r\nno!');
  assert.equal(await client.status(1), 413);
  assert.equal((await client.body(1)).toString(), 'no!');
  assert.equal(await client.resetOf(1), errorCode.none);
  // What was on its way is no offence.
  client.data(1, 'x'.repeat(1000), true);
  client.request(3, getFields());
  (await upstream.connection(1)).send(ok);
  assert.equal(await client.status(3), 200);
});

test('a client that resets a request takes it from the upstream', async () => {
  await using upstream = await startRawUpstream();
  await using gateway = await startGateway({ ...h2, upstreamPort: upstream.port });
  using client = await connectFrames(gateway.port);
  client.request(1, getFields());
  const connection = await upstream.connection(0);
  await connection.take('\r\n\r\n');
  client.reset(1);
  await until('the upstream’s connection is closed', () => connection.ended || connection.closed);
  await until('it is logged', () => gateway.entries.length === 1);
  assert.equal(gateway.entries[0]?.status, 499);
});

test('a client that resets a response takes it from the upstream, and the log has its status', async () => {
  await using upstream = await startRawUpstream();
  await using gateway = await startGateway({ ...h2, upstreamPort: upstream.port });
  using client = await connectFrames(gateway.port);
  client.request(1, getFields());
  const connection = await upstream.connection(0);
  await connection.take('\r\n\r\n');
  connection.send('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf');
  await until('half of it', () => client.dataOf(1).length === 4);
  client.reset(1);
  await until('the upstream’s connection is closed', () => connection.ended || connection.closed);
  await until('it is logged', () => gateway.entries.length === 1);
  assert.deepEqual([gateway.entries[0]?.status, gateway.entries[0]?.responseBodyBytes], [200, 4]);
});

suite('a response that the upstream cuts short never ends as if it were whole:', () => {
  for (const [name, answer] of [
    ['by length', 'HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf'],
    ['in chunks', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n'],
    ['with a malformed chunk', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\nzz\r\n'],
  ] as const) {
    test(name, async () => {
      await using upstream = await startRawUpstream();
      await using gateway = await startGateway({ ...h2, upstreamPort: upstream.port });
      using client = await connectFrames(gateway.port);
      client.request(1, getFields());
      const connection = await upstream.connection(0);
      await connection.take('\r\n\r\n');
      connection.send(answer);
      if (!name.startsWith('with')) {
        await until('half of it', () => client.dataOf(1).length === 4);
        connection.socket.destroy();
      }
      assert.equal(await client.resetOf(1), errorCode.internal);
      assert.ok(client.of(1).every(({ type, flags }) => type === frame.rstStream || (flags & flag.endStream) === 0));
      client.request(3, getFields());
      (await upstream.connection(1)).send(ok);
      assert.equal(await client.status(3), 200);
    });
  }
});

const handshake: Fields = [
  [':method', 'CONNECT'],
  [':protocol', 'websocket'],
  ...getFields([['sec-websocket-version', '13']]).slice(1),
];
const switching =
  'HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: x\r\n\r\n';

test('a WebSocket passes by extended CONNECT, and each side ends on its own', async () => {
  await using upstream = await startRawUpstream();
  await using gateway = await startGateway({ ...h2, upstreamPort: upstream.port });
  using client = await connectFrames(gateway.port);
  client.request(1, handshake, false);
  const connection = await upstream.connection(0);
  assert.match(
    await connection.take('\r\n\r\n'),
    /^GET \/ HTTP\/1\.1\r\n(?:.*\r\n)*sec-websocket-key: [\w+/]{22}==\r\n(?:.*\r\n)*Connection: upgrade\r\nUpgrade: websocket\r\n/,
  );
  connection.send(`${switching}welcome`);
  assert.equal(await client.status(1), 200);
  await until('what came with it', () => client.dataOf(1).toString() === 'welcome');
  assert.doesNotMatch(client.of(1, frame.headers)[0]?.payload.toString('latin1') ?? '', /sec-websocket-accept/);
  client.data(1, 'ping');
  await connection.take('ping');
  connection.send('pong');
  await until('an answer', () => client.dataOf(1).toString() === 'welcomepong');
  client.data(1, 'bye', true);
  assert.equal(await connection.rest(), 'bye');
  connection.send('last words');
  connection.socket.end();
  assert.equal((await client.body(1)).toString(), 'welcomeponglast words');
  await until('it is logged', () => gateway.entries.length === 1);
  const { status, httpVersion, requestBodyBytes, responseBodyBytes } = gateway.entries[0] ?? {};
  assert.deepEqual([status, httpVersion, requestBodyBytes, responseBodyBytes], [101, '2', 7, 21]);
});

test('an upstream that refuses a WebSocket says so to the client', async () => {
  await using upstream = await startRawUpstream(answering('HTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\nno'));
  await using gateway = await startGateway({ ...h2, upstreamPort: upstream.port });
  using client = await connectFrames(gateway.port);
  client.request(1, handshake, false);
  assert.equal(await client.status(1), 403);
  assert.equal((await client.body(1)).toString(), 'no');
});

test('a 205 has no body, and says none, whatever the upstream sends with it', async () => {
  await using upstream = await startRawUpstream(answering('HTTP/1.1 205 Reset\r\nContent-Length: 2\r\n\r\nno'));
  await using gateway = await startGateway({ ...h2, upstreamPort: upstream.port });
  using session = connect(gateway.port);
  for (let each = 0; each < 2; each += 1) {
    const stream = session.request({ ':path': '/' });
    stream.resume();
    const { promise, resolve, reject } = Promise.withResolvers<http2.IncomingHttpHeaders>();
    let head: http2.IncomingHttpHeaders = {};
    stream
      .on('response', (fields) => (head = fields))
      .on('error', reject)
      .on('close', () => resolve(head));
    assert.deepEqual([(await promise)[':status'], head['content-length']], [205, undefined]);
  }
  assert.equal(upstream.connections.length, 1);
});

test('what is sent for a WebSocket before it is agreed to waits, and is never a request to the upstream', async () => {
  const tail = 'GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n';
  await using upstream = await startRawUpstream();
  await using gateway = await startGateway({ ...h2, upstreamPort: upstream.port });
  using client = await connectFrames(gateway.port);
  client.request(1, handshake, false);
  client.data(1, tail);
  const refusing = await upstream.connection(0);
  await refusing.take('\r\n\r\n');
  // More than the client's window: what is left of it waits, and goes on when the client has read.
  const size = 1_000_000;
  refusing.send(`HTTP/1.1 403 No\r\nContent-Length: ${size}\r\n\r\n${'x'.repeat(size)}`);
  await until('the window is full', () => client.dataOf(1).length === 65_535);
  client.widen(0, size);
  client.widen(1, size);
  assert.equal((await client.body(1)).length, size);
  client.request(3, getFields());
  const last = await until('the next request', () =>
    upstream.connections.find((one) => one.received.includes(' / HTTP')),
  );
  last.send(ok);
  assert.equal(await client.status(3), 200);
  assert.ok(upstream.connections.every(({ received }) => !received.includes('smuggled')));

  client.request(5, handshake, false);
  client.data(5, tail);
  const agreeing = await until('the handshake', () =>
    upstream.connections.find(({ received }) => received.includes('websocket-key')),
  );
  agreeing.send(switching);
  await agreeing.take(tail);
});

for (const [name, answer] of [
  ['200', 'HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n\x81\x04page'],
  ['204', 'HTTP/1.1 204 No Content\r\n\r\n'],
] as const) {
  test(`a page in the place of a WebSocket is no success: ${name} is 502`, async () => {
    await using upstream = await startRawUpstream(answering(answer));
    await using gateway = await startGateway({ ...h2, upstreamPort: upstream.port });
    using client = await connectFrames(gateway.port);
    client.request(1, handshake, false);
    assert.equal(await client.status(1), 502);
    assert.match((await client.body(1)).toString(), /UPSTREAM_RESPONSE_INVALID/);
  });
}

test('a WebSocket whose upstream is gone is reset', async () => {
  await using upstream = await startRawUpstream();
  await using gateway = await startGateway({ ...h2, upstreamPort: upstream.port });
  using client = await connectFrames(gateway.port);
  client.request(1, handshake, false);
  const connection = await upstream.connection(0);
  await connection.take('\r\n\r\n');
  connection.send(switching);
  assert.equal(await client.status(1), 200);
  connection.socket.resetAndDestroy();
  assert.equal(await client.resetOf(1), errorCode.internal);
});

test('a connection that has carried its requests says so and ends when they are answered', async () => {
  await using upstream = await startRawUpstream();
  await using gateway = await startGateway({
    ...h2,
    upstreamPort: upstream.port,
    settings: { requestsPerConnectionMax: 2 },
  });
  using client = await connectFrames(gateway.port);
  // The third is on its way when the client is told, and is the client's to repeat.
  client.write(...[1, 3, 5].map((stream) => frameBytes(frame.headers, 5, stream, fieldBlock(getFields()))));
  assert.equal(await client.goaway(), errorCode.none);
  await upstream.connection(1);
  for (const connection of upstream.connections) connection.send(ok);
  for (const stream of [1, 3]) assert.equal((await client.body(stream)).toString(), 'hi');
  await until('the connection’s end', () => client.ended);
  assert.equal(upstream.connections.length, 2);
  const goaways = client.frames.filter(({ type }) => type === frame.goaway);
  assert.ok(goaways.every(({ payload }) => payload.readUInt32BE(0) === 3));
  assert.deepEqual(client.of(5), []);
});

test('a drain lets what is under way finish and ends what is idle', async () => {
  await using upstream = await startRawUpstream();
  await using gateway = await startGateway({ ...h2, upstreamPort: upstream.port });
  using idle = await connectFrames(gateway.port);
  using busy = await connectFrames(gateway.port);
  busy.request(1, getFields());
  const connection = await upstream.connection(0);
  await connection.take('\r\n\r\n');
  const drained = gateway.server.drain();
  assert.equal(await idle.goaway(), errorCode.none);
  await until('the idle connection’s end', () => idle.ended || idle.closed);
  assert.equal(busy.ended, false);
  connection.send(ok);
  assert.equal((await busy.body(1)).toString(), 'hi');
  await drained;
  await until('the other one’s end', () => busy.ended || busy.closed);
});

test('a client that says it will go may finish what it has begun', async () => {
  await using upstream = await startRawUpstream();
  await using gateway = await startGateway({ ...h2, upstreamPort: upstream.port });
  using client = await connectFrames(gateway.port);
  client.request(1, getFields());
  const connection = await upstream.connection(0);
  client.send(frame.goaway, 0, 0, Buffer.alloc(8));
  connection.send(ok);
  assert.equal((await client.body(1)).toString(), 'hi');
  await until('the connection’s end', () => client.ended);
});

test('a request split into frames of one byte and segments of one byte is read like any other', async () => {
  await using upstream = await startRawUpstream(answering(ok));
  await using gateway = await startGateway({ ...h2, upstreamPort: upstream.port });
  using client = await connectFrames(gateway.port);
  const block = fieldBlock(getFields());
  const bytes = Buffer.concat([
    frameBytes(frame.headers, flag.endStream, 1, block.subarray(0, 1)),
    ...[1, 2, 3, 4, 5].map((at) => frameBytes(frame.continuation, 0, 1, block.subarray(at, at + 1))),
    frameBytes(frame.continuation, flag.endHeaders, 1, block.subarray(6)),
  ]);
  for (const octet of bytes) {
    client.write(Buffer.of(octet));
    await new Promise(setImmediate);
  }
  assert.equal((await client.body(1)).toString(), 'hi');
});

async function bodyOf(stream: ClientHttp2Stream): Promise<string> {
  let text = '';
  for await (const piece of stream) text += String(piece);
  return text;
}

function sha256(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex');
}
