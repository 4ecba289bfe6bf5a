// Clients of HTTP/2 that mean harm: what they get, what it costs others, and that they are gone in time.
import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import {
  connectFrames,
  errorCode,
  fieldBlock,
  flag,
  frame,
  frameBytes,
  getFields,
  postFields,
  settingsPayload,
  uint32,
} from '../support/http2-frames.ts';
import { until } from '../support/until.ts';
import { answering, type Gateway, startGateway, startRawUpstream } from './http1-gateway.ts';

const ok = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi';
const get = fieldBlock(getFields());

function repeated(bytes: Buffer, times: number): Buffer {
  return Buffer.concat(Array.from({ length: times }, () => bytes));
}

async function isWell(gateway: Gateway): Promise<void> {
  using client = await connectFrames(gateway.port);
  client.request(1, getFields());
  assert.equal(await client.outcome(1), '200');
}

suite('a flood ends its own connection and nothing else:', () => {
  const headers = frameBytes(frame.headers, flag.endStream, 1, get);
  const open = frameBytes(frame.headers, flag.endHeaders, 1, fieldBlock(postFields()));
  for (const [name, first, more] of [
    ['CONTINUATION frames without end', headers, frameBytes(frame.continuation, 0, 1, Buffer.from('x'))],
    ['empty CONTINUATION frames', headers, frameBytes(frame.continuation, 0, 1)],
    ['SETTINGS', Buffer.alloc(0), frameBytes(frame.settings, 0, 0)],
    [
      'SETTINGS of 2,000 entries',
      Buffer.alloc(0),
      frameBytes(frame.settings, 0, 0, settingsPayload(Array.from({ length: 2000 }, () => [4, 65_535]))),
    ],
    ['acknowledgements of SETTINGS that were never sent', Buffer.alloc(0), frameBytes(frame.settings, flag.ack, 0)],
    ['PING', Buffer.alloc(0), frameBytes(frame.ping, 0, 0, Buffer.alloc(8))],
    [
      'acknowledgements of PING that was never sent',
      Buffer.alloc(0),
      frameBytes(frame.ping, flag.ack, 0, Buffer.alloc(8)),
    ],
    [
      'a reset of a stream that never was',
      Buffer.alloc(0),
      frameBytes(frame.rstStream, 0, 1, uint32(errorCode.cancel)),
    ],
    ['frames on stream 0 that have no place there', Buffer.alloc(0), frameBytes(frame.data, 0, 0, Buffer.from('x'))],
    ['a window beyond its end', Buffer.alloc(0), frameBytes(frame.windowUpdate, 0, 0, uint32(2 ** 31 - 1))],
    ['an announced frame of 16 MB', Buffer.alloc(0), Buffer.from([0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 1])],
    ['a push', Buffer.alloc(0), frameBytes(frame.pushPromise, flag.endHeaders, 1, Buffer.concat([uint32(2), get]))],
    ['a request on an even stream', Buffer.alloc(0), frameBytes(frame.headers, 5, 2, get)],
    [
      'a request on a stream below the last one',
      frameBytes(frame.headers, 5, 9, get),
      frameBytes(frame.headers, 5, 5, get),
    ],
    [
      'frames behind the end of a stream',
      frameBytes(frame.headers, 5, 1, get),
      frameBytes(frame.data, 0, 1, Buffer.from('x')),
    ],
    [
      'a table of field lines larger than allowed',
      Buffer.alloc(0),
      frameBytes(frame.headers, 5, 1, Buffer.from([0x3f, 0xff, 0xff, 0xff, 0x07])),
    ],
    [
      'a reference to a field line that is not there',
      Buffer.alloc(0),
      frameBytes(frame.headers, 5, 1, Buffer.from([0xff, 0x7f])),
    ],
    ['HTTP/1.1', Buffer.alloc(0), Buffer.from('GET / HTTP/1.1\r\nHost: a\r\n\r\n')],
    ['streams that are reset at once', open, Buffer.alloc(0)],
  ] as const) {
    test(name, async () => {
      await using upstream = await startRawUpstream(answering(ok));
      await using gateway = await startGateway({
        upstreamPort: upstream.port,
        alpnProtocol: 'h2',
        settings: { http2ResetBurst: 50, http2ResetRate: 1 },
      });
      using client = await connectFrames(gateway.port);
      client.write(first);
      if (more.length > 0) {
        for (let round = 0; round < 20 && !client.closed; round += 1)
          client.write(repeated(more, 1 + Math.floor(50_000 / more.length)));
      } else {
        for (let stream = 3; stream < 403; stream += 2) {
          client.write(
            frameBytes(frame.headers, 5, stream, get),
            frameBytes(frame.rstStream, 0, stream, uint32(errorCode.cancel)),
          );
        }
      }
      await until('the connection’s end', () => client.closed || client.ended);
      await until('it is gone', () => gateway.server.activeConnections === 0);
      await isWell(gateway);
    });
  }
});

suite('a connection whose heads are refused again and again is ended:', () => {
  const table = fieldBlock(getFields());
  /** An entry of 3,000 bytes for the table, to which the bytes 0xbe refer. */
  const entry = Buffer.concat([Buffer.of(0x40, 1, 0x78, 0x7f, 0xb9, 0x16), Buffer.alloc(3000, 'v')]);
  for (const [name, head] of [
    ['larger than allowed', Buffer.concat([table, Buffer.alloc(12, 0xbe)])],
    ['so large that the library refuses them', Buffer.concat([table, Buffer.alloc(1000, 0xbe)])],
    ['malformed', fieldBlock(getFields([['connection', 'close']]))],
  ] as const) {
    test(name, async () => {
      await using upstream = await startRawUpstream(answering(ok));
      await using gateway = await startGateway({ upstreamPort: upstream.port, alpnProtocol: 'h2' });
      using client = await connectFrames(gateway.port);
      client.write(frameBytes(frame.headers, 5, 1, Buffer.concat([table, entry])));
      let stream = 3;
      while (!client.closed && !client.ended && stream < 1000) {
        client.write(frameBytes(frame.headers, 5, stream, head), frameBytes(frame.headers, 5, stream + 2, table));
        await until(
          'the good one is answered',
          () => client.of(stream + 2, frame.headers).length > 0 || client.closed || client.ended,
        );
        stream += 4;
      }
      assert.ok(stream > 300 && stream < 500, `${stream}`);
      await until('it is gone', () => gateway.server.activeConnections === 0);
      await isWell(gateway);
    });
  }
});

test('requests that are reset as soon as they are made reach the upstream only at first', async () => {
  await using upstream = await startRawUpstream();
  await using gateway = await startGateway({ upstreamPort: upstream.port, alpnProtocol: 'h2' });
  using client = await connectFrames(gateway.port);
  for (let stream = 1; stream < 1000;) {
    const parts: Buffer[] = [];
    for (const end = stream + 100; stream < end; stream += 2) {
      parts.push(
        frameBytes(frame.headers, 5, stream, get),
        frameBytes(frame.rstStream, 0, stream, uint32(errorCode.cancel)),
      );
    }
    client.write(...parts);
    await until('they are logged', () => gateway.entries.length === (stream - 1) / 2);
  }
  assert.ok(gateway.entries.every(({ status }) => status === 499));
  const opened = gateway.counted.filter((what) => what === 'opened').length;
  assert.ok(opened < 30, `${opened} connections to the upstream`);
  client.request(1001, getFields());
  const last = await until('the request that stays', () =>
    upstream.connections.find(({ received }) => received.includes('\r\n\r\n')),
  );
  last.send(ok);
  assert.equal(await client.outcome(1001), '200');
});

for (const [name, refused] of [
  ['that end in trailers which are refused', true],
  ['that are answered before they are whole', false],
] as const) {
  test(`requests ${name} cost upstream connections: past the limit of resets their connection takes no more`, async () => {
    let connections = 0;
    await using upstream = await startRawUpstream((connection) => {
      connections += 1;
      if (!refused && connections > 1) answering(ok)(connection);
    });
    await using gateway = await startGateway({
      upstreamPort: upstream.port,
      alpnProtocol: 'h2',
      settings: { http2ResetBurst: 10, http2ResetRate: 1 },
      now: () => 1000,
    });
    using client = await connectFrames(gateway.port);
    const other = 1;
    client.request(other, postFields(), false);
    await upstream.connection(0);
    for (let stream = 3; stream < 25; stream += 2) {
      client.request(stream, postFields(), false);
      await upstream.connection((stream - 1) / 2);
      if (refused) client.send(frame.headers, 5, stream, fieldBlock([['authorization', 'x']]));
      assert.equal(await client.status(stream), refused ? 400 : 200);
    }
    assert.equal(await client.goaway(), errorCode.none);
    assert.deepEqual(
      gateway.counted.filter((what) => what.startsWith('limit')),
      ['limit:http2_reset_rate'],
    );
    client.request(25, getFields());
    client.data(other, 'x', true);
    upstream.connections[0]?.send(ok);
    assert.equal(await client.status(other), 200, 'what was under way goes on');
    await until('its end', () => client.ended || client.closed);
    assert.equal(upstream.connections.length, 12);
  });
}

test('a client that opens more streams than it was told it may ends its connection', async () => {
  await using upstream = await startRawUpstream();
  await using gateway = await startGateway({
    upstreamPort: upstream.port,
    alpnProtocol: 'h2',
    settings: { http2StreamsMax: 3 },
  });
  using client = await connectFrames(gateway.port);
  for (const stream of [1, 3, 5]) client.request(stream, getFields());
  await upstream.connection(2);
  client.request(7, getFields());
  assert.equal(await client.goaway(), errorCode.protocol);
  await until('the requests are given up', () => gateway.entries.length === 3);
  assert.ok(gateway.counted.includes('limit:http2_streams_max'));
});

test('a client that resets more streams than it may ends its connection', async () => {
  await using upstream = await startRawUpstream();
  await using gateway = await startGateway({
    upstreamPort: upstream.port,
    alpnProtocol: 'h2',
    settings: { http2ResetBurst: 3, http2ResetRate: 1 },
  });
  using client = await connectFrames(gateway.port);
  for (let stream = 1; stream < 21 && !client.closed && !client.ended; stream += 2) {
    client.request(stream, getFields());
    client.reset(stream);
  }
  await client.goaway();
  await until('it is gone', () => gateway.server.activeConnections === 0);
  assert.ok(gateway.counted.includes('limit:http2_reset_rate'));
});

const short = {
  clientIdleTimeoutMs: 100,
  clientSendTimeoutMs: 100,
  clientBodyTimeoutMs: 100,
  clientHeadTimeoutMs: 100,
};

suite('silence ends in time:', () => {
  for (const [name, bytes] of [
    ['nothing behind the preface', Buffer.alloc(0)],
    ['half a frame', Buffer.from([0, 0, 100, 1, 4])],
    ['a head that is never finished', frameBytes(frame.headers, flag.endStream, 1, get)],
  ] as const) {
    test(name, async () => {
      await using gateway = await startGateway({ alpnProtocol: 'h2', settings: short });
      using client = await connectFrames(gateway.port);
      client.write(bytes);
      await until('the connection’s end', () => client.closed || client.ended);
      await until('it is gone', () => gateway.server.activeConnections === 0);
    });
  }

  test('a body that stalls is answered with 408', async () => {
    await using upstream = await startRawUpstream();
    await using gateway = await startGateway({ upstreamPort: upstream.port, alpnProtocol: 'h2', settings: short });
    using client = await connectFrames(gateway.port);
    client.request(1, postFields([['content-length', '10']]), false);
    client.data(1, 'half');
    assert.equal(await client.outcome(1), '408 HTTP_REQUEST_TIMEOUT');
    const connection = await upstream.connection(0);
    await until('the upstream’s connection is closed', () => connection.ended || connection.closed);
  });

  test('a client that opens no window is reset, and what the upstream sends waits there', async () => {
    let sent = 0;
    await using upstream = await startRawUpstream(({ socket }) => {
      socket.once('data', () => {
        socket.write('HTTP/1.1 200 OK\r\nContent-Length: 50000000\r\n\r\n');
        const more = (): void => {
          while (socket.write(Buffer.alloc(100_000))) sent += 100_000;
          socket.once('drain', more);
        };
        more();
      });
    });
    await using gateway = await startGateway({
      upstreamPort: upstream.port,
      alpnProtocol: 'h2',
      settings: { ...short, clientSendTimeoutMs: 500 },
    });
    using client = await connectFrames(gateway.port, [[4, 0]]);
    client.request(1, getFields());
    assert.equal(await client.status(1), 200);
    assert.equal(await client.resetOf(1), errorCode.cancel);
    assert.equal(client.dataOf(1).length, 0);
    assert.ok(sent < 20_000_000, `${sent} bytes were taken from the upstream`);
    await until('it is logged', () => gateway.entries.length === 1);
    await until('the connection is idle, and gone', () => gateway.server.activeConnections === 0);
  });

  test('a small answer that the window keeps is reset too', async () => {
    await using upstream = await startRawUpstream(answering(ok));
    await using gateway = await startGateway({ upstreamPort: upstream.port, alpnProtocol: 'h2', settings: short });
    using client = await connectFrames(gateway.port, [[4, 0]]);
    client.request(1, getFields());
    assert.equal(await client.resetOf(1), errorCode.cancel);
  });

  test('an answer that the window keeps is reset, also when the client ends its request only then', async () => {
    await using upstream = await startRawUpstream(answering(ok));
    await using gateway = await startGateway({
      upstreamPort: upstream.port,
      alpnProtocol: 'h2',
      settings: { ...short, clientBodyTimeoutMs: 60_000, clientSendTimeoutMs: 300 },
    });
    using client = await connectFrames(gateway.port, [[4, 0]]);
    client.request(1, postFields([['content-length', '4']]), false);
    client.data(1, 'some', true);
    await until('it is answered', () => gateway.entries.length === 1);
    client.request(3, postFields(), false);
    client.data(3, 'some');
    await until('it is answered early', () => gateway.entries.length === 2);
    client.data(3, 'more', true);
    await until('both are over, and so the connection', () => gateway.server.activeConnections === 0);
  });

  test('a client that reads nothing from its socket is gone with its socket', async () => {
    await using upstream = await startRawUpstream(
      answering(`HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n${'x'.repeat(200_000)}`),
    );
    await using gateway = await startGateway({ upstreamPort: upstream.port, alpnProtocol: 'h2', settings: short });
    using client = await connectFrames(gateway.port, [[4, 2 ** 31 - 1]]);
    client.send(frame.windowUpdate, 0, 0, uint32(2 ** 31 - 1 - 65_535));
    client.socket.pause();
    for (let stream = 1; stream < 200; stream += 2) client.request(stream, getFields());
    await until('the gateway gives up', () => gateway.server.activeConnections === 0 && gateway.entries.length > 0);
    // Its socket is gone as well: what is written to it now is answered with a reset.
    await until('a reset', () => {
      client.send(frame.ping, 0, 0, Buffer.alloc(8));
      return client.error !== undefined;
    });
  });
});

test('uploads of one-byte frames that nobody reads cost little more than their bytes', async () => {
  // It takes connections and never answers the TLS handshake: what is uploaded waits.
  await using upstream = await startRawUpstream();
  await using gateway = await startGateway({
    upstreamPort: upstream.port,
    upstream: { tls: true },
    alpnProtocol: 'h2',
  });
  using client = await connectFrames(gateway.port);
  const before = process.memoryUsage().heapUsed;
  for (let stream = 1; stream < 21; stream += 2) {
    client.request(stream, postFields(), false);
    client.write(repeated(frameBytes(frame.data, 0, stream, Buffer.from('x')), 60_000));
    await until('it has left', () => client.socket.writableLength === 0);
  }
  client.send(frame.ping, 0, 0, Buffer.alloc(8));
  await until('all of it was read', () => client.frames.some(({ type }) => type === frame.ping));
  const grown = process.memoryUsage().heapUsed - before;
  // 600,000 pieces held one by one would be 80 MB.
  assert.ok(grown < 40_000_000, `${grown} bytes`);
});

test('a window that opens after an answer to an unfinished request was given up starts nothing again', async () => {
  await using upstream = await startRawUpstream(answering(ok));
  const settings = { ...short, clientBodyTimeoutMs: 60_000 };
  await using gateway = await startGateway({ upstreamPort: upstream.port, alpnProtocol: 'h2', settings });
  // Room for one byte of two.
  using client = await connectFrames(gateway.port, [[4, 1]]);
  client.request(1, postFields(), false);
  assert.equal(await client.status(1), 200);
  assert.equal(await client.resetOf(1), errorCode.cancel);
  client.widen(1, 1000);
  client.send(frame.ping, 0, 0, Buffer.alloc(8));
  await until('an answer', () => client.frames.some(({ type }) => type === frame.ping));
  assert.ok(client.of(1, frame.data).length <= 1);
});
