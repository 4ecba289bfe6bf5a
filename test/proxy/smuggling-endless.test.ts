// Messages without end, in every place where one could have none: refused at a limit, or left in the sender's hands.
import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { until } from '../support/until.ts';
import { type RawClient, startGateway, startRawUpstream } from './http1-gateway.ts';

const megabyte = 1024 * 1024;
const head = 'POST / HTTP/1.1\r\nHost: a\r\n';
const chunked = `${head}Transfer-Encoding: chunked\r\n\r\n`;
const get = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n';
/** What the system's socket buffers take at most, and some. */
const inFlightMost = 24 * megabyte;
const sent = 64 * megabyte;

suite('a request without end is refused:', () => {
  for (const [name, begin, again, status] of [
    ['empty lines', '', '\r\n', 400],
    ['a method', '', 'M', 400],
    ['a target', 'GET /', 'a', 414],
    ['a version', 'GET / HTTP/1.', '1', 400],
    ['a name', head, 'X', 431],
    ['a value', `${head}X: `, 'a', 431],
    ['whitespace before a value', `${head}X:`, ' ', 431],
    ['fields', head, 'X: a\r\n', 431],
    ['codings', `${head}Transfer-Encoding: chunked`, ', chunked', 431],
    ['a length', `${head}Content-Length: `, '1', 431],
    ['a chunk size', chunked, '0', 400],
    ['a chunk extension', `${chunked}5;`, 'a', 400],
    ['chunk extensions', chunked, `1;${'a'.repeat(100)}\r\nx\r\n`, 400],
    ['trailers', `${chunked}0\r\n`, 'X: a\r\n', 431],
    ['a trailer', `${chunked}0\r\nX: `, 'a', 431],
  ] as const) {
    test(name, async () => {
      await using upstream = await startRawUpstream();
      await using gateway = await startGateway({ upstreamPort: upstream.port });
      using client = await gateway.connect();
      client.send(begin + again.repeat(megabyte / again.length));
      assert.equal((await client.response()).status, status);
      await client.rest();
      assert.equal(client.received, '');
    });
  }

  test('what follows a refusal is dropped, and in the end the connection', async () => {
    await using gateway = await startGateway();
    using client = await gateway.connect();
    client.send(' / HTTP/1.1\r\n');
    assert.equal((await client.response()).status, 400);
    client.send('x'.repeat(sent));
    await until('the connection is cut', () => client.closed);
    assert.equal(gateway.entries.length, 1);
  });
});

suite('a client that sends without end is no longer read from:', () => {
  for (const [name, begin, again] of [
    ['requests behind one that is not answered', get, get],
    [
      'what follows a change of protocol that is not agreed to yet',
      'GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n',
      'frame',
    ],
  ] as const) {
    test(name, async () => {
      await using upstream = await startRawUpstream();
      await using gateway = await startGateway({ upstreamPort: upstream.port });
      using client = await gateway.connect();
      client.send(begin);
      await (await upstream.connection(0)).take('\r\n\r\n');
      await standsStill(client, again);
      assert.equal(upstream.connections.length, 1);
      assert.equal(upstream.connections[0]?.received, '');
    });
  }
});

suite('a response without end is refused:', () => {
  for (const [name, begin, again] of [
    ['a reason', 'HTTP/1.1 200 ', 'a'],
    ['fields', 'HTTP/1.1 200 OK\r\n', 'X: a\r\n'],
    ['a value', 'HTTP/1.1 200 OK\r\nX: ', 'a'],
    ['a chunk extension', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;', 'a'],
    ['a trailer', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: ', 'a'],
  ] as const) {
    test(name, async () => {
      await using upstream = await startRawUpstream((connection) => {
        connection.socket.once('data', () => connection.send(begin + again.repeat(megabyte / again.length)));
      });
      await using gateway = await startGateway({ upstreamPort: upstream.port });
      using client = await gateway.connect();
      client.send(get);
      await until('it is refused', () => gateway.counted.includes('failed:malformed'));
      await until('the upstream’s connection has gone', () => upstream.connections[0]?.closed);
    });
  }

  test('interim responses to a client that does not read end with their connection', async () => {
    const interim = `HTTP/1.1 103 Early Hints\r\nLink: <${'a'.repeat(1000)}>\r\n\r\n`;
    await using upstream = await startRawUpstream();
    await using gateway = await startGateway({ upstreamPort: upstream.port });
    using client = await gateway.connect();
    client.socket.pause();
    client.send(get);
    const connection = await upstream.connection(0);
    let sends = 0;
    const feed = (): void => {
      sends += 1;
      if (sends < 10_000) connection.socket.write(interim, (error) => (error instanceof Error ? undefined : feed()));
    };
    feed();
    await until('the upstream is given up', () => connection.closed);
    assert.ok(sends < 10_000);
    await until('it is told', () => gateway.entries[0]?.errorCode === 'UPSTREAM_RESPONSE_INVALID');
  });
});

/** The other side stops taking `text` long before all is sent. */
async function standsStill({ socket }: RawClient, text: string): Promise<void> {
  const piece = Buffer.from(text.repeat(Math.ceil(megabyte / 8 / text.length)), 'latin1');
  let taken = 0;
  const feed = (): void => {
    if (taken >= sent) return;
    socket.write(piece, () => {
      taken += piece.length;
      feed();
    });
  };
  feed();
  let before = -1;
  let still = 0;
  await until('no more is taken', () => {
    still = taken > 0 && taken === before ? still + 1 : 0;
    before = taken;
    return still === 40 || taken >= sent;
  });

  assert.ok(taken < inFlightMost, `${taken} bytes were taken`);
}
