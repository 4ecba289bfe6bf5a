// Requests on HTTP/2 streams, frame by frame over a real connection: what the gateway answers, and what the upstream gets.
import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import {
  errorCode,
  type Fields,
  type FrameClient,
  connectFrames,
  fieldBlock,
  flag,
  frame,
  getFields,
  postFields,
} from '../support/http2-frames.ts';
import { until } from '../support/until.ts';
import { answering, startGateway, startRawUpstream } from './http1-gateway.ts';

const ok = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi';

/** Like `getFields`, with other values of pseudo-header fields; '' stands for none. */
function changed(values: Readonly<Record<string, string>>, more: Fields = []): Fields {
  return [
    ...getFields()
      .map(([name, value]) => [name, values[name] ?? value] as const)
      .filter(([, value]) => value !== ''),
    ...more,
  ];
}

/** A block of any size in as many frames as it takes. */
function sendBlock(client: FrameClient, stream: number, block: Buffer, endStream = true): void {
  const most = 16_384;
  const last = block.length <= most ? flag.endHeaders : 0;
  client.send(frame.headers, last | (endStream ? flag.endStream : 0), stream, block.subarray(0, most));
  for (let at = most; at < block.length; at += most) {
    const flags = at + most >= block.length ? flag.endHeaders : 0;
    client.send(frame.continuation, flags, stream, block.subarray(at, at + most));
  }
}

const malformed = 'reset 1';

/** RFC 9113 sections 8.2 and 8.3; a reset is the library's, which has no answer to give. */
const refused: readonly (readonly [name: string, fields: Fields, outcome: string])[] = [
  ['without a path', changed({ ':path': '' }), malformed],
  ['with an empty path', [...changed({ ':path': '' }), [':path', '']], malformed],
  ['without a method', changed({ ':method': '' }), malformed],
  ['without a scheme', changed({ ':scheme': '' }), malformed],
  ['without authority and Host', changed({ ':authority': '' }), malformed],
  ['with user information', changed({ ':authority': 'u:p@a.test' }), malformed],
  ['with another Host', getFields([['host', 'b.test']]), '400 HTTP_TARGET_DISAGREES'],
  [
    'with two Hosts',
    getFields([
      ['host', 'a.test'],
      ['host', 'a.test'],
    ]),
    malformed,
  ],
  ['of another scheme', changed({ ':scheme': 'ftp' }), '400 HTTP_TARGET_INVALID'],
  ['with two paths', [...getFields(), [':path', '/b']], malformed],
  ['with two methods', [[':method', 'GET'], ...getFields()], malformed],
  ['with two authorities', [...getFields(), [':authority', 'b.test']], malformed],
  ['with a pseudo-header field behind others', [['x', '1'], ...getFields()], malformed],
  ['with an unknown pseudo-header field', [...getFields(), [':x', '1']], malformed],
  ['with a response’s pseudo-header field', [...getFields(), [':status', '200']], malformed],
  ['with a name in upper case', getFields([['X-A', '1']]), malformed],
  ['with a space before a value', getFields([['x', ' 1']]), '400 HTTP_FIELD_VALUE_INVALID'],
  ['with a tab behind a value', getFields([['x', '1\t']]), '400 HTTP_FIELD_VALUE_INVALID'],
  ['with Connection', getFields([['connection', 'close']]), malformed],
  ['with Keep-Alive', getFields([['keep-alive', 'x']]), malformed],
  ['with Proxy-Connection', getFields([['proxy-connection', 'x']]), malformed],
  ['with Transfer-Encoding', getFields([['transfer-encoding', 'chunked']]), malformed],
  ['with Upgrade', getFields([['upgrade', 'websocket']]), malformed],
  ['with a TE other than trailers', getFields([['te', 'gzip']]), malformed],
  ['with CR LF in the path', changed({ ':path': '/ HTTP/1.1\r\nx: y' }), malformed],
  ['with a fragment', changed({ ':path': '/#a' }), '400 HTTP_TARGET_INVALID'],
  ['with an absolute path', changed({ ':path': 'http://b.test/' }), malformed],
  ['with a dot segment', changed({ ':path': '/a/../b' }), '400 HTTP_TARGET_INVALID'],
  ['with a method of two words', changed({ ':method': 'GET /' }), malformed],
  [
    'of CONNECT',
    [
      [':method', 'CONNECT'],
      [':authority', 'a.test:443'],
    ],
    '501 HTTP_METHOD_UNSUPPORTED',
  ],
  ['of TRACE', changed({ ':method': 'TRACE' }), '501 HTTP_METHOD_UNSUPPORTED'],
  ['of a protocol without CONNECT', [...getFields(), [':protocol', 'websocket']], malformed],
  ['of a length and no body', getFields([['content-length', '5']]), malformed],
  ['with an unknown expectation', getFields([['expect', 'x']]), '417 HTTP_EXPECTATION_UNKNOWN'],
  ['with 101 fields', getFields(Array.from({ length: 101 }, () => ['x', 'y'])), '431 HTTP_FIELDS_TOO_MANY'],
  ['with 201 fields', getFields(Array.from({ length: 201 }, () => ['x', 'y'])), `reset ${errorCode.calm}`],
  ['with a head of 40 KB', getFields([['x', 'y'.repeat(40_000)]]), '431 HTTP_HEAD_TOO_LARGE'],
  [
    'with a head of 120 KB',
    getFields([
      ['x', 'y'.repeat(60_000)],
      ['z', 'y'.repeat(60_000)],
    ]),
    `reset ${errorCode.calm}`,
  ],
  ['with a value of 70 KB', getFields([['x', 'y'.repeat(70_000)]]), `goaway ${errorCode.compression}`],
  ['with a path of 9 KB', changed({ ':path': `/${'a'.repeat(9000)}` }), '414 HTTP_TARGET_TOO_LONG'],
];

suite('a request is refused, and others on its connection are not:', () => {
  for (const [name, fields, outcome] of refused) {
    test(name, async () => {
      await using upstream = await startRawUpstream(answering(ok));
      await using gateway = await startGateway({ upstreamPort: upstream.port, alpnProtocol: 'h2' });
      using client = await connectFrames(gateway.port);
      sendBlock(client, 1, fieldBlock(fields));
      assert.equal(await client.outcome(1), outcome);
      assert.equal(upstream.connections.length, 0);
      if (outcome.startsWith('goaway')) return;
      client.request(3, getFields());
      assert.equal(await client.outcome(3), '200');
    });
  }
});

suite('fields that HTTP/1.1 could not carry reach no upstream:', () => {
  for (const [name, line] of [
    ['a space in a name', ['x a', '1']],
    ['a colon in a name', ['x:a', '1']],
    ['CR LF in a value', ['x', '1\r\nevil: 2']],
    ['LF in a value', ['x', '1\nevil: 2']],
    ['NUL in a value', ['x', '1\x002']],
    ['DEL in a value', ['x', '1\x7f2']],
    ['HTTP2-Settings', ['http2-settings', 'AAMAAABk']],
  ] as const) {
    test(name, async () => {
      await using upstream = await startRawUpstream();
      await using gateway = await startGateway({ upstreamPort: upstream.port, alpnProtocol: 'h2' });
      using client = await connectFrames(gateway.port);
      // The library drops the field (nghttp2 knows no stricter way) and goes on.
      client.request(1, getFields([line, ['y', 'kept']]));
      const connection = await upstream.connection(0);
      const head = await connection.take('\r\n\r\n');
      assert.match(head, /^GET \/ HTTP\/1\.1\r\nHost: upstream\.test\r\ny: kept\r\nX-Real-IP: /);
      assert.doesNotMatch(head, /evil|x ?a?:|http2-settings/);
      connection.send(ok);
      assert.equal(await client.outcome(1), '200');
    });
  }
});

suite('a body that is not of its length ends the request at the upstream too:', () => {
  for (const [name, length, body, outcome] of [
    ['shorter', '5', 'hell', malformed],
    // node:http2 ends the whole connection where nghttp2 would end the stream (RFC 9113 section 5.4.1 allows it).
    ['longer', '5', 'hello!', `goaway ${errorCode.internal}`],
    ['longer than nothing', '0', 'x', `goaway ${errorCode.internal}`],
  ] as const) {
    test(name, async () => {
      await using upstream = await startRawUpstream();
      await using gateway = await startGateway({ upstreamPort: upstream.port, alpnProtocol: 'h2' });
      using client = await connectFrames(gateway.port);
      client.request(1, postFields([['content-length', length]]), false);
      const connection = await upstream.connection(0);
      await connection.take('\r\n\r\n');
      client.data(1, body, true);
      assert.equal(await client.outcome(1), outcome);
      await until('the upstream’s connection is closed', () => connection.ended || connection.closed);
      await until('it is logged', () => gateway.entries.length === 1);
      assert.equal(gateway.entries[0]?.status, 499);
    });
  }
});

test('the head of a request goes to the upstream before any of its body has come', async () => {
  await using upstream = await startRawUpstream();
  await using gateway = await startGateway({ upstreamPort: upstream.port, alpnProtocol: 'h2' });
  using client = await connectFrames(gateway.port);
  client.request(1, postFields(), false);
  const connection = await upstream.connection(0);
  assert.match(await connection.take('\r\n\r\n'), /^POST \/ HTTP\/1\.1\r\n(?:.*\r\n)*Transfer-Encoding: chunked\r\n/);
  connection.send('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nready\r\n');
  await until('the response’s beginning', () => client.dataOf(1).toString() === 'ready');
  client.data(1, 'go', true);
  assert.equal(await connection.take('0\r\n\r\n'), '2\r\ngo\r\n0\r\n\r\n');
  connection.send('0\r\n\r\n');
  assert.equal((await client.body(1)).toString(), 'ready');
});

suite('a response reaches the client, and the gateway lives on:', () => {
  for (const [name, answer, status] of [
    [
      'with HTTP2-Settings, which HTTP/2 has no place for',
      'HTTP/1.1 200 OK\r\nHTTP2-Settings: AA\r\nContent-Length: 2\r\n\r\nhi',
      200,
    ],
    ['with a body beside 205', 'HTTP/1.1 205 Reset\r\nContent-Length: 2\r\n\r\nhi', 205],
    ['with chunks beside 205', 'HTTP/1.1 205 Reset\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n', 205],
    ['of status 599', 'HTTP/1.1 599 Odd\r\nContent-Length: 2\r\n\r\nhi', 599],
    [
      'with names that objects know',
      'HTTP/1.1 200 OK\r\n__proto__: a\r\nconstructor: b\r\nContent-Length: 2\r\n\r\nhi',
      200,
    ],
    [
      'with fields that come once, twice',
      'HTTP/1.1 200 OK\r\nDate: a\r\nDate: b\r\nAge: 1\r\nAge: 2\r\nContent-Length: 2\r\n\r\nhi',
      200,
    ],
    ['with a head of 60 KB', `HTTP/1.1 200 OK\r\nX: ${'y'.repeat(60_000)}\r\nContent-Length: 2\r\n\r\nhi`, 200],
  ] as const) {
    test(name, async () => {
      await using upstream = await startRawUpstream(answering(answer));
      await using gateway = await startGateway({ upstreamPort: upstream.port, alpnProtocol: 'h2' });
      using client = await connectFrames(gateway.port);
      client.request(1, getFields());
      assert.equal(await client.status(1), status);
      assert.equal((await client.body(1)).toString(), status === 205 ? '' : 'hi');
    });
  }
  test('after interim ones with whatever fields', async () => {
    const interim = 'HTTP/1.1 103 Early\r\nHTTP2-Settings: AA\r\n__proto__: a\r\nLink: </a>\r\nLink: </b>\r\n\r\n';
    await using upstream = await startRawUpstream(answering(`${interim}HTTP/1.1 102 Busy\r\n\r\n${ok}`));
    await using gateway = await startGateway({ upstreamPort: upstream.port, alpnProtocol: 'h2' });
    using client = await connectFrames(gateway.port);
    client.request(1, getFields());
    assert.equal(await client.status(1), 200);
    assert.equal((await client.body(1)).toString(), 'hi');
    assert.equal(client.of(1, frame.headers).length, 3);
  });
});
