// The head of a request on a stream: what is refused, with which code, and that HTTP/1.1 reads the same in what is forwarded.
import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { fc } from '../support/fast-check.ts';
import type { Route } from '../../src/catalog/contract.ts';
import { progress } from '../../src/http1/codes.ts';
import { type HeadLimits, HeadParser } from '../../src/http1/head-parser.ts';
import { RequestHead } from '../../src/http1/request-head.ts';
import { StreamRequest } from '../../src/http2/stream-request.ts';
import { errorCodes } from '../../src/lib/errors.ts';
import { forwardRequest } from '../../src/proxy/forward-request.ts';

type Fields = readonly (readonly [name: string, value: string])[];

const limits: HeadLimits = { maxBytes: 4096, maxFields: 20, maxTargetBytes: 256 };
const pseudo: Fields = [
  [':method', 'GET'],
  [':scheme', 'https'],
  [':path', '/'],
  [':authority', 'a.test'],
];

/** `pseudo` with other values, '' standing for none, and fields behind. */
function head(values: Readonly<Record<string, string>>, more: Fields = []): string[] {
  const kept = pseudo
    .map(([name, value]) => [name, values[name] ?? value] as const)
    .filter(([, value]) => value !== '');
  const added = Object.entries(values).filter(([name]) => !pseudo.some(([known]) => known === name));
  return [...kept, ...added, ...more].flat();
}

const protocol = { ':method': 'CONNECT', ':protocol': 'websocket' };

const refused: readonly (readonly [name: string, raw: readonly string[], code: string, whole?: boolean])[] = [
  ['without a path', head({ ':path': '' }), 'HTTP_TARGET_INVALID'],
  ['without a method', head({ ':method': '' }), 'HTTP_METHOD_INVALID'],
  ['without a scheme', head({ ':scheme': '' }), 'HTTP_TARGET_INVALID'],
  ['of another scheme', head({ ':scheme': 'ftp' }), 'HTTP_TARGET_INVALID'],
  ['with more than a scheme in it', head({ ':scheme': 'https://b.test/' }), 'HTTP_TARGET_INVALID'],
  ['without authority and Host', head({ ':authority': '' }), 'HTTP_HOST_MISSING'],
  ['with an empty Host alone', head({ ':authority': '' }, [['host', '']]), 'HTTP_HOST_MISSING'],
  ['with user information', head({ ':authority': 'u:p@a.test' }), 'HTTP_HOST_INVALID'],
  ['with a port that is none', head({ ':authority': 'a.test:99999' }), 'HTTP_HOST_INVALID'],
  ['with a Host that is another', head({}, [['host', 'b.test']]), 'HTTP_TARGET_DISAGREES'],
  ['with a Host of another port', head({}, [['host', 'a.test:80']]), 'HTTP_TARGET_DISAGREES'],
  ['with a Host that is none', head({}, [['host', 'a/b']]), 'HTTP_HOST_INVALID'],
  [
    'with two Hosts',
    head({}, [
      ['host', 'a.test'],
      ['host', 'a.test'],
    ]),
    'HTTP_HOST_REPEATED',
  ],
  ['with a pseudo-header field of a response', head({ ':status': '200' }), 'HTTP_FIELD_NAME_INVALID'],
  ['with an unknown pseudo-header field', head({ ':x': '1' }), 'HTTP_FIELD_NAME_INVALID'],
  ['with a name in upper case', head({}, [['X-A', '1']]), 'HTTP_FIELD_NAME_INVALID'],
  ['with a space in a name', head({}, [['x a', '1']]), 'HTTP_FIELD_NAME_INVALID'],
  ['with a colon in a name', head({}, [['x:a', '1']]), 'HTTP_FIELD_NAME_INVALID'],
  ['with CR LF in a name', head({}, [['x\r\ny', '1']]), 'HTTP_FIELD_NAME_INVALID'],
  ['with an empty name', head({}, [['', '1']]), 'HTTP_FIELD_NAME_INVALID'],
  ['with CR in a value', head({}, [['x', 'a\rb']]), 'HTTP_FIELD_VALUE_INVALID'],
  ['with LF in a value', head({}, [['x', 'a\nb']]), 'HTTP_FIELD_VALUE_INVALID'],
  ['with LF at the end of a value', head({}, [['x', 'a\n']]), 'HTTP_FIELD_VALUE_INVALID'],
  ['with NUL in a value', head({}, [['x', 'a\0b']]), 'HTTP_FIELD_VALUE_INVALID'],
  ['with a space before a value', head({}, [['x', ' a']]), 'HTTP_FIELD_VALUE_INVALID'],
  ['with a tab behind a value', head({}, [['x', 'a\t']]), 'HTTP_FIELD_VALUE_INVALID'],
  ['with CR LF in a cookie', head({}, [['cookie', 'a=1\r\nx: y']]), 'HTTP_FIELD_VALUE_INVALID'],
  ['with Connection', head({}, [['connection', 'x']]), 'HTTP_CONNECTION_FIELD'],
  ['with Keep-Alive', head({}, [['keep-alive', 'x']]), 'HTTP_CONNECTION_FIELD'],
  ['with Proxy-Connection', head({}, [['proxy-connection', 'x']]), 'HTTP_CONNECTION_FIELD'],
  ['with Transfer-Encoding', head({}, [['transfer-encoding', 'chunked']]), 'HTTP_CONNECTION_FIELD'],
  ['with Upgrade', head({}, [['upgrade', 'websocket']]), 'HTTP_CONNECTION_FIELD'],
  ['with a TE beside trailers', head({}, [['te', 'trailers, gzip']]), 'HTTP_CONNECTION_FIELD'],
  ['with a fragment', head({ ':path': '/#a' }), 'HTTP_TARGET_INVALID'],
  ['with an absolute target', head({ ':path': 'https://a.test/' }), 'HTTP_TARGET_INVALID'],
  ['with a target of no form', head({ ':path': 'a' }), 'HTTP_TARGET_INVALID'],
  ['with a space in the target', head({ ':path': '/a b' }), 'HTTP_TARGET_INVALID'],
  ['with CR LF in the target', head({ ':path': '/ HTTP/1.1\r\nx: y' }), 'HTTP_TARGET_INVALID'],
  ['with a line end behind the target', head({ ':path': '/\n' }), 'HTTP_TARGET_INVALID'],
  ['with a dot segment', head({ ':path': '/a/..' }), 'HTTP_TARGET_INVALID'],
  ['with octets beyond ASCII in the target', head({ ':path': '/\xe9' }), 'HTTP_TARGET_INVALID'],
  ['with an asterisk and GET', head({ ':path': '*' }), 'HTTP_TARGET_INVALID'],
  ['with a method of two words', head({ ':method': 'GET /' }), 'HTTP_METHOD_INVALID'],
  ['with a method of 33 octets', head({ ':method': 'M'.repeat(33) }), 'HTTP_METHOD_INVALID'],
  ['of CONNECT', head({ ':method': 'CONNECT' }), 'HTTP_METHOD_UNSUPPORTED'],
  ['of TRACE', head({ ':method': 'TRACE' }), 'HTTP_METHOD_UNSUPPORTED'],
  ['of GET with a protocol', head({ ':protocol': 'websocket' }), 'HTTP_METHOD_UNSUPPORTED', false],
  ['of another protocol', head({ ...protocol, ':protocol': 'connect-udp' }), 'HTTP_METHOD_UNSUPPORTED', false],
  ['of a protocol, ended already', head(protocol), 'HTTP_METHOD_UNSUPPORTED', true],
  ['of a protocol with a length', head(protocol, [['content-length', '1']]), 'HTTP_CONTENT_LENGTH_INVALID', false],
  ['of a length, with no body', head({}, [['content-length', '1']]), 'HTTP_CONTENT_LENGTH_INVALID'],
  [
    'of two lengths',
    head({}, [
      ['content-length', '1'],
      ['content-length', '1'],
    ]),
    'HTTP_CONTENT_LENGTH_INVALID',
    false,
  ],
  ['of a length that is a list', head({}, [['content-length', '1, 1']]), 'HTTP_CONTENT_LENGTH_INVALID', false],
  ['of a length with a sign', head({}, [['content-length', '+1']]), 'HTTP_CONTENT_LENGTH_INVALID', false],
  ['of a length with a zero before it', head({}, [['content-length', '01']]), 'HTTP_CONTENT_LENGTH_INVALID', false],
  ['with an unknown expectation', head({}, [['expect', '200-ok']]), 'HTTP_EXPECTATION_UNKNOWN'],
  [
    'with 21 fields',
    head(
      {},
      Array.from({ length: 21 }, () => ['x', 'y'] as const),
    ),
    'HTTP_FIELDS_TOO_MANY',
  ],
  ['with a head of more than 4 KiB', head({}, [['x', 'y'.repeat(4096)]]), 'HTTP_HEAD_TOO_LARGE'],
  ['with a target of more than 256 octets', head({ ':path': `/${'a'.repeat(256)}` }), 'HTTP_TARGET_TOO_LONG'],
];

suite('a request is refused:', () => {
  for (const [name, raw, code, whole = true] of refused) {
    test(name, () => assert.equal(new StreamRequest().read(raw, whole, limits), code));
  }
});

/** What is said of it: `METHOD target host`, and the fields. */
function read(raw: readonly string[], whole = true): { said: string; fields: string; request: StreamRequest } {
  const request = new StreamRequest();
  assert.equal(request.read(raw, whole, limits), undefined);
  const { method, path, query, host, fields } = request;
  return {
    said: `${method} ${path}${query} ${host}`,
    fields: fields.serialize(new Uint8Array(256), undefined),
    request,
  };
}

test('the pieces of Cookie become one, in their order', () => {
  const raw = head({}, [
    ['cookie', 'a=1'],
    ['x', 'y'],
    ['cookie', 'b=2'],
    ['cookie', 'c=3'],
  ]);
  assert.equal(read(raw).fields, 'x: y\r\ncookie: a=1; b=2; c=3\r\n');
});

test('Host may stand for the authority, and beside it when it says the same', () => {
  assert.equal(read(head({ ':authority': '' }, [['host', 'A.test:8443']])).said, 'GET / a.test');
  assert.equal(read(head({}, [['host', 'a.test:443']])).request.authority, 'a.test');
});

test('a body is of the length that is said, or of one that is not known', () => {
  const kindOf = (more: Fields, whole: boolean, method = 'GET'): string => {
    const { request } = read(head({ ':method': method }, more), whole);
    return request.bodyKind === 'length' ? String(request.contentLength) : request.bodyKind;
  };
  assert.equal(kindOf([], true), 'none');
  assert.equal(kindOf([], false), 'chunked');
  assert.equal(kindOf([['content-length', '5']], false), '5');
  assert.equal(kindOf([['content-length', '0']], false), 'none');
  assert.equal(kindOf([['content-length', '0']], true), 'none');
  assert.equal(read(head({ ':method': 'POST' })).fields, 'content-length: 0\r\n');
});

test('credentials that hold for a connection upstream are known by their scheme', () => {
  const holds = (value: string): boolean => read(head({}, [['authorization', value]])).request.authenticatesConnection;
  assert.deepEqual(['NTLM x', 'negotiate y', 'Basic z', 'Negotiated'].map(holds), [true, true, false, false]);
  assert.equal(read(head({})).request.authenticatesConnection, false);
});

test('extended CONNECT is a handshake with a key of its own each time', () => {
  const handshake = (): ReturnType<typeof read> => read(head(protocol, [['sec-websocket-version', '13']]), false);
  const { said, fields, request } = handshake();
  assert.equal(said, 'GET / a.test');
  assert.equal(request.upgrade, 'websocket');
  assert.match(fields, /^sec-websocket-version: 13\r\nsec-websocket-key: [A-Za-z0-9+/]{22}==\r\n$/);
  assert.notEqual(handshake().fields, fields);
  const own = read(head(protocol, [['sec-websocket-key', 'eA==']]), false);
  assert.equal(own.fields, 'sec-websocket-key: eA==\r\n', 'but where the client has said one: two are no handshake');
});

test('a request that is read says nothing of the one before', () => {
  const request = new StreamRequest();
  request.read(
    head({ ':method': 'PUT' }, [
      ['content-length', '5'],
      ['te', 'trailers'],
      ['expect', '100-continue'],
    ]),
    false,
    limits,
  );
  assert.deepEqual([request.acceptsTrailers, request.expectContinue, request.bodyKind], [true, true, 'length']);
  assert.equal(request.read([':scheme', 'https', ':path', '/x'], true, limits), 'HTTP_METHOD_INVALID');
  assert.equal(request.read(head({}), true, limits), undefined);
  assert.deepEqual([request.acceptsTrailers, request.expectContinue, request.bodyKind], [false, false, 'none']);
  assert.equal(request.fields.count, 0);
});

const route: Route = {
  apiId: 'id',
  apiName: 'api',
  stripUri: false,
  preserveHost: true,
  httpsOnly: false,
  httpIfTerminated: false,
  retries: 0,
  connectTimeoutMs: 1,
  sendTimeoutMs: 1,
  readTimeoutMs: 1,
  clientCertificate: undefined,
  hsts: undefined,
  upstream: { tls: false, http2: false, host: '127.0.0.1', port: 1, path: '', authority: 'upstream.test', key: '' },
};
const connection = {
  socket: undefined as never,
  tls: true,
  security: undefined,
  serverName: undefined,
  alpnProtocol: 'h2',
  remoteAddress: '192.0.2.1',
  remotePort: 1,
  localPort: 443,
  trusted: false,
} as const;

/** Pieces from which both good and bad heads come out. */
const octets = fc.constantFrom(
  'a',
  'B',
  '0',
  '/',
  ':',
  '-',
  '_',
  '.',
  ' ',
  '\t',
  '\r\n',
  '\n',
  '\0',
  '%2e',
  '?',
  '#',
  '@',
  ',',
  '\x7f',
  '\xe9',
  '\u{100}',
);
const text = fc.array(octets, { maxLength: 6 }).map((parts) => parts.join(''));
const names = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.constantFrom(
      'x',
      'x-y',
      'cookie',
      'accept',
      'user-agent',
      'x-forwarded-for',
      'x_forwarded_for',
      'forwarded',
    ),
  },
  {
    weight: 1,
    arbitrary: fc.constantFrom(
      'host',
      'te',
      'content-length',
      'connection',
      'expect',
      'trailer',
      'via',
      'transfer-encoding',
    ),
  },
  { weight: 1, arbitrary: text },
);
const values = fc.oneof(
  { weight: 3, arbitrary: fc.constantFrom('1', 'a.test', 'trailers', '', 'a, b', '5') },
  { weight: 1, arbitrary: text },
);
const pseudoValue = (good: readonly string[]): fc.Arbitrary<string> =>
  fc.oneof({ weight: 8, arbitrary: fc.constantFrom(...good) }, { weight: 1, arbitrary: text });
const anyHead = fc
  .tuple(
    pseudoValue(['GET', 'POST', 'OPTIONS', 'M-SEARCH']),
    pseudoValue(['http', 'https']),
    pseudoValue(['/', '/a?b', '/a%20b', '*', '/x/y?z=%']),
    pseudoValue(['a.test', 'A.test.', 'a.test:80', '[::1]:443']),
    fc.array(fc.tuple(names, values), { maxLength: 5 }),
  )
  .map(([method, scheme, path, authority, more]) => [
    ':method',
    method,
    ':scheme',
    scheme,
    ':path',
    path,
    ':authority',
    authority,
    ...more.flat(),
  ]);

test('a head is refused with a code, or HTTP/1.1 reads in what is forwarded what HTTP/2 said', () => {
  let taken = 0;
  fc.assert(
    fc.property(anyHead, fc.boolean(), (raw, whole) => {
      const request = new StreamRequest();
      const code = request.read(raw, whole, limits);
      if (code !== undefined) return assert.ok(code in errorCodes);
      taken += 1;
      const written = forwardRequest(
        request,
        { route, prefix: '' },
        connection,
        'X-Real-IP: 1\r\n',
        '192.0.2.1',
        undefined,
        'id',
        false,
      );
      const parser = new HeadParser('request', { ...limits, maxFields: 100 });
      const bytes = Buffer.from(written, 'latin1');
      assert.equal(parser.feed(bytes, 0, bytes.length), bytes.length, 'one head and nothing behind it');
      assert.notEqual(bytes.length, progress.refused);
      const there = new RequestHead(parser);
      assert.equal(there.read(), undefined);
      assert.equal(there.method, raw[1]);
      assert.equal(there.target, raw[5]);
      assert.equal(there.host, request.host);
      assert.equal(there.authority, raw[7]);
      assert.equal(there.bodyKind, request.bodyKind);
      assert.equal(there.contentLength, request.contentLength);
      const expected = raw
        .slice(8)
        .flatMap((name, index, all) =>
          index % 2 === 0 && /^(?:x|x-y|accept|user-agent)$/.test(name) ? [`${name}: ${all[index + 1]}`] : [],
        );
      const forwarded = written.split('\r\n').filter((line) => /^(?:x|x-y|accept|user-agent): /.test(line));
      assert.deepEqual(forwarded, expected);
    }),
    { numRuns: 5000 },
  );
  assert.ok(taken > 500, `${taken} were taken`);
});
