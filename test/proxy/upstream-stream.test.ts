// Upstreams that speak HTTP/2, behind clients that speak HTTP/1.1: what each failure of a stream means to the client.
import assert from 'node:assert/strict';
import http2, { constants, type ServerHttp2Session, type ServerHttp2Stream } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { flood } from '../support/flood.ts';
import { until, untilStill } from '../support/until.ts';
import { connectRaw, type Gateway, type GatewayOptions, startGateway } from './http1-gateway.ts';

interface Upstream extends AsyncDisposable {
  readonly port: number;
  readonly sessions: readonly ServerHttp2Session[];
  readonly streams: readonly ServerHttp2Stream[];
}

type Headers = http2.IncomingHttpHeaders;

async function startUpstream(
  answer: (stream: ServerHttp2Stream, headers: Headers, count: number) => void,
): Promise<Upstream> {
  const sessions: ServerHttp2Session[] = [];
  const streams: ServerHttp2Stream[] = [];
  const server = http2.createServer();
  server.on('session', (session) => sessions.push(session));
  server.on('stream', (stream, headers) => {
    stream.on('error', () => {});
    streams.push(stream);
    answer(stream, headers, streams.length);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    port: (server.address() as AddressInfo).port,
    sessions,
    streams,
    async [Symbol.asyncDispose]() {
      for (const session of sessions) session.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

function start(upstream: Upstream, options: GatewayOptions = {}): Promise<Gateway> {
  return startGateway({ upstreamPort: upstream.port, upstream: { http2: true }, ...options });
}

test('a request of HTTP/1.1 becomes a stream, with nothing of its connection', async () => {
  let seen: Headers = {};
  await using upstream = await startUpstream((stream, headers) => {
    seen = headers;
    stream.respond({ ':status': 201, 'set-cookie': ['a=1', 'b=2'], 'content-length': 2 });
    stream.end('ok');
  });
  await using gateway = await start(upstream);
  using client = await connectRaw(gateway.port);
  client.send(
    'GET /a?b HTTP/1.1\r\nHost: a.test\r\nConnection: x-own\r\nX-Own: 1\r\nKeep-Alive: 5\r\nX-Kept: 2\r\n\r\n',
  );
  const { status, head, body } = await client.response();
  assert.equal(status, 201);
  assert.equal(body, 'ok');
  assert.match(head, /^HTTP\/1\.1 201 \r\n/);
  assert.match(head, /set-cookie: a=1\r\nset-cookie: b=2\r\n/);
  assert.match(head, /Via: 2 portunus\r\n/);
  assert.deepEqual(
    [
      seen[':method'],
      seen[':path'],
      seen[':authority'],
      seen['x-kept'],
      seen['x-own'],
      seen['keep-alive'],
      seen['via'],
    ],
    ['GET', '/a?b', 'upstream.test', '2', undefined, undefined, '1.1 portunus'],
  );
});

test('a chunked body and its trailers pass in both directions', async () => {
  await using upstream = await startUpstream((stream) => {
    let text = '';
    let sum: unknown;
    stream.on('data', (bytes: Buffer) => (text += bytes.toString()));
    stream.on('trailers', (trailers) => (sum = trailers['x-sum']));
    stream.on('end', () => {
      stream.respond({ ':status': 200 }, { waitForTrailers: true });
      stream.on('wantTrailers', () => stream.sendTrailers({ 'x-back': '7' }));
      stream.end(`${text} ${String(sum)}`);
    });
  });
  await using gateway = await start(upstream);
  using client = await connectRaw(gateway.port);
  client.send('POST / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nConnection: TE\r\nTransfer-Encoding: chunked\r\n\r\n');
  client.send('5\r\nhello\r\n6\r\n world\r\n0\r\nX-Sum: 3\r\n\r\n');
  assert.match(await client.take('x-back: 7\r\n\r\n'), /chunked\r\n[^]*hello world 3\r\n0\r\n$|hello world 3/);
});

test('a stream that is reset before its response gives 502, in the middle of it a cut connection', async () => {
  await using upstream = await startUpstream((stream, headers) => {
    if (headers[':path'] === '/before') return stream.close(constants.NGHTTP2_INTERNAL_ERROR);
    // Else node:http2 ends it before it resets it.
    stream.respond({ ':status': 200 }, { waitForTrailers: true });
    stream.write('some');
    setImmediate(() => stream.close(constants.NGHTTP2_INTERNAL_ERROR));
  });
  await using gateway = await start(upstream);
  using first = await connectRaw(gateway.port);
  first.send('GET /before HTTP/1.1\r\nHost: a\r\n\r\n');
  const { status, body } = await first.response();
  assert.equal(status, 502);
  assert.match(body, /UPSTREAM_RESET/);
  using second = await connectRaw(gateway.port);
  second.send('GET /middle HTTP/1.1\r\nHost: a\r\n\r\n');
  assert.doesNotMatch(await second.rest(), /\r\n0\r\n\r\n$/);
});

test('a response that is reset without an error before its end is cut, one that has ended is whole', async () => {
  await using upstream = await startUpstream((stream, headers) => {
    const isWhole = headers[':path'] === '/whole';
    // With trailers to come, node:http2 does not end what it resets.
    stream.respond({ ':status': 200 }, { waitForTrailers: !isWhole });
    stream.write('some');
    if (isWhole) stream.end();
    setImmediate(() => stream.close(constants.NGHTTP2_NO_ERROR));
  });
  await using gateway = await start(upstream);
  using cut = await connectRaw(gateway.port);
  cut.send('GET /cut HTTP/1.1\r\nHost: a\r\n\r\n');
  const all = await cut.rest();
  assert.match(all, /some/);
  assert.doesNotMatch(all, /\r\n0\r\n\r\n$/);
  using whole = await connectRaw(gateway.port);
  // The upstream need not read the rest (RFC 9113 section 8.1).
  whole.send('POST /whole HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhello');
  assert.match(await whole.rest(), /^HTTP\/1\.1 200 [^]*some\r\n0\r\n\r\n$/);
});

test('a body shorter than its Content-Length is never passed off as whole', async () => {
  await using upstream = await startUpstream((stream) => {
    stream.respond({ ':status': 200, 'content-length': 10 });
    stream.write('short');
    setImmediate(() => stream.close(constants.NGHTTP2_NO_ERROR));
  });
  await using gateway = await start(upstream);
  using client = await connectRaw(gateway.port);
  client.send('GET / HTTP/1.1\r\nHost: a\r\n\r\nGET /next HTTP/1.1\r\nHost: a\r\n\r\n');
  const all = await client.rest();
  assert.equal(all.match(/HTTP\/1\.1 /g)?.length ?? 0, 1, all);
});

test('an upstream that gives an upload up without an error or an answer has failed', async () => {
  await using upstream = await startUpstream((stream) => {
    stream.pause();
    setImmediate(() => stream.close(constants.NGHTTP2_NO_ERROR));
  });
  await using gateway = await start(upstream);
  using client = await connectRaw(gateway.port);
  client.send(`POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3000000\r\n\r\n${'x'.repeat(1_000_000)}`);
  const { status, body } = await client.response();
  assert.equal(status, 502);
  assert.match(body, /UPSTREAM_RESET/);
});

for (const framing of ['Content-Length: 100', 'Transfer-Encoding: chunked']) {
  test(`an upload that the client cuts never ends as if it were whole (${framing})`, async () => {
    const events: string[] = [];
    await using upstream = await startUpstream((stream) => {
      for (const event of ['data', 'end', 'aborted']) stream.on(event, () => events.push(event));
    });
    await using gateway = await start(upstream);
    using client = await connectRaw(gateway.port);
    client.send(`POST / HTTP/1.1\r\nHost: a\r\n${framing}\r\n\r\n5\r\nhello\r\n`);
    await until('some of it arrives', () => events.includes('data'));
    client.socket.destroy();
    await until('the stream is over', () => upstream.streams[0]?.closed === true);
    assert.ok(events.includes('aborted'), String(events));
    assert.equal(upstream.streams[0]?.rstCode, constants.NGHTTP2_CANCEL);
    assert.ok(!events.includes('end') || events.indexOf('aborted') < events.indexOf('end'), String(events));
  });
}

test('a refused stream is asked for once more, also of a POST without a body', async () => {
  await using upstream = await startUpstream((stream, _headers, count) => {
    if (count === 1) return stream.close(constants.NGHTTP2_REFUSED_STREAM);
    stream.respond({ ':status': 200, 'content-length': 2 });
    stream.end('ok');
  });
  await using gateway = await start(upstream);
  using client = await connectRaw(gateway.port);
  client.send('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n');
  assert.equal((await client.response()).status, 200);
  assert.equal(upstream.streams.length, 2);
});

test('after a GOAWAY the next request gets a connection of its own', async () => {
  await using upstream = await startUpstream((stream) => {
    stream.respond({ ':status': 200, 'content-length': 2 });
    stream.end('ok');
  });
  await using gateway = await start(upstream);
  using client = await connectRaw(gateway.port);
  for (let round = 0; round < 2; round += 1) {
    client.send('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
    assert.equal((await client.response()).status, 200);
  }
  assert.equal(upstream.sessions.length, 1);
  upstream.sessions[0]?.close();
  await until('it is closed', () => upstream.sessions[0]?.destroyed === true);
  client.send('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
  assert.equal((await client.response()).status, 200);
  assert.equal(upstream.sessions.length, 2);
});

test('an upstream that does not answer in time gives 504 and is told to stop', async () => {
  await using upstream = await startUpstream(() => {});
  await using gateway = await start(upstream, { route: { readTimeoutMs: 50 } });
  using client = await connectRaw(gateway.port);
  client.send('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
  const { status, body } = await client.response();
  assert.equal(status, 504);
  assert.match(body, /UPSTREAM_READ_TIMEOUT/);
  await until('the stream is cancelled', () => upstream.streams[0]?.rstCode === constants.NGHTTP2_CANCEL);
});

test('what speaks no HTTP/2 is an upstream that failed', async () => {
  const net = await import('node:net');
  const server = net.createServer((socket) => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await using gateway = await startGateway({ upstreamPort: port, upstream: { http2: true } });
  using client = await connectRaw(gateway.port);
  client.send('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
  assert.equal((await client.response()).status, 502);
  server.close();
});

test('50 MB to a client that reads slowly do not pile up in the gateway', async () => {
  const total = 50 * 1024 * 1024;
  let sent = { written: 0 };
  await using upstream = await startUpstream((stream) => {
    stream.respond({ ':status': 200, 'content-length': total });
    sent = flood(stream, total, () => stream.end());
  });
  await using gateway = await start(upstream);
  using client = await connectRaw(gateway.port);
  client.socket.pause();
  client.send('GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n');
  await untilStill('the upstream is held up', () => sent.written);
  assert.ok(sent.written < total / 2, `${sent.written} bytes were taken`);
  client.socket.resume();
  await until('all of it arrives', () => client.received.length > total);
});
