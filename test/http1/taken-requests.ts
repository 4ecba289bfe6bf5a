// Requests that look doubtful, or are built to smuggle, and have one reading all the same: what their bodies are, and which
// bytes the upstream gets for them.

export interface Taken {
  readonly name: string;
  readonly message: string;
  /** Of each request in the message. */
  readonly bodies: readonly string[];
  /** Without the fields that say where it came from, which are the same for each. */
  readonly forwarded: string;
}

const smuggled = 'GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n';
const inHexadecimal = smuggled.length.toString(16);

/** As the upstream gets it; with its own Host first. */
const sent = (line: string, lines = '', body = ''): string =>
  `${line}\r\nHost: upstream.test\r\n${lines.replace(/(.)$/, '$1\r\n')}\r\n${body}`;

/** A request line that is forwarded as another, or as it came. */
const first = (name: string, line: string, forwarded = line): Taken => ({
  name,
  message: `${line}\r\nHost: a\r\n\r\n`,
  bodies: [''],
  forwarded: sent(forwarded),
});
/** Field lines that are forwarded as others. */
const head = (name: string, lines: string, forwarded: string): Taken => ({
  name,
  message: `GET / HTTP/1.1\r\nHost: a\r\n${lines}\r\n\r\n`,
  bodies: [''],
  forwarded: sent('GET / HTTP/1.1', forwarded),
});
/** The lines of a request with the body `hello`, forwarded as others. */
const hello = (name: string, lines: string, forwarded: string): Taken => ({
  name,
  message: `POST / HTTP/1.1\r\nHost: a\r\n${lines}\r\n\r\nhello`,
  bodies: ['hello'],
  forwarded: sent('POST / HTTP/1.1', forwarded, 'hello'),
});
/** The lines of a request with the chunked body `hello`. */
const coded = (name: string, lines: string, others = ''): Taken => ({
  name,
  message: `POST / HTTP/1.1\r\nHost: a\r\n${lines}\r\n\r\n5\r\nhello\r\n0\r\n\r\n`,
  bodies: ['hello'],
  forwarded: sent('POST / HTTP/1.1', `${others}Transfer-Encoding: chunked`, '5\r\nhello\r\n0\r\n\r\n'),
});
/** Chunks that are forwarded as others. */
const chunks = (name: string, body: string, forwarded: string, data: string): Taken => ({
  name,
  message: `POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n${body}`,
  bodies: [data],
  forwarded: sent('POST / HTTP/1.1', 'Transfer-Encoding: chunked', forwarded),
});

const helloChunk = '5\r\nhello\r\n0\r\n\r\n';

export const takenRequests: readonly Taken[] = [
  // Request lines.
  first('one empty line first', '\r\nGET / HTTP/1.1', 'GET / HTTP/1.1'),
  first('two empty lines first', '\r\n\r\nGET / HTTP/1.1', 'GET / HTTP/1.1'),
  first('a later minor version', 'GET / HTTP/1.2', 'GET / HTTP/1.1'),
  first('the last minor version', 'GET / HTTP/1.9', 'GET / HTTP/1.1'),
  first('a method of its own', 'MKCOL-2 / HTTP/1.1'),
  first('a method in lower case, which is another method', 'get / HTTP/1.1'),
  first('a method of every token character', "!#$%&'*+-.^_`|~09AZaz / HTTP/1.1"),
  first('a method of 32 characters', `${'M'.repeat(32)} / HTTP/1.1`),
  first('what browsers leave as it is', 'GET /[a]{b}|^?x=\\..%&y={%22a%22:1} HTTP/1.1'),
  first('dots that are no segment', 'GET /.well-known/...x/..a/a..b?../ HTTP/1.1'),
  first('three dots', 'GET /a/.../b HTTP/1.1'),
  first('an encoded slash', 'GET /group%2Fproject HTTP/1.1'),
  first('encoded line ends, which stay encoded', 'GET /a%0d%0aX:%20b%0d%0a%0d%0aGET%20/smuggled HTTP/1.1'),
  first('an encoded space', 'GET /a%20HTTP/1.1 HTTP/1.1'),
  first('an encoded percent sign', 'GET /%252e%252e/ HTTP/1.1'),
  first('a path that looks like a host', 'GET //b/c HTTP/1.1'),
  first('a path that looks like an absolute target', 'GET /http://b/ HTTP/1.1'),
  first('an at sign in the path', 'GET /@b/ HTTP/1.1'),
  first('a parameter in the path', 'GET /a;x=y/b HTTP/1.1'),
  first('a host in the query', 'GET /?http://b/ HTTP/1.1'),
  first('a second question mark', 'GET /?a?b HTTP/1.1'),
  first('a target of 256 bytes', `GET /${'a'.repeat(255)} HTTP/1.1`),
  first('an absolute target', 'GET http://A:80/x HTTP/1.1', 'GET /x HTTP/1.1'),
  first('an absolute target in capitals', 'GET HTTP://A/x HTTP/1.1', 'GET /x HTTP/1.1'),
  first('an absolute target without a path', 'GET http://a HTTP/1.1', 'GET / HTTP/1.1'),
  first('an absolute target without a path, with a query', 'GET http://a?x HTTP/1.1', 'GET /?x HTTP/1.1'),
  first('an absolute target with an empty port', 'GET http://a:/x HTTP/1.1', 'GET /x HTTP/1.1'),
  first('an absolute target with a trailing dot', 'GET http://a./x HTTP/1.1', 'GET /x HTTP/1.1'),
  first('an absolute target with a second host in its path', 'GET http://a//b/ HTTP/1.1', 'GET //b/ HTTP/1.1'),
  first('an absolute target with an at sign in its query', 'GET http://a?@b/ HTTP/1.1', 'GET /?@b/ HTTP/1.1'),
  first('an asterisk', 'OPTIONS * HTTP/1.1'),
  first('OPTIONS of an absolute target', 'OPTIONS http://a HTTP/1.1', 'OPTIONS / HTTP/1.1'),
  {
    name: 'HTTP/1.0 without Host',
    message: 'GET / HTTP/1.0\r\n\r\n',
    bodies: [''],
    forwarded: sent('GET / HTTP/1.1'),
  },
  {
    name: 'HTTP/1.0 with an absolute target and no Host',
    message: 'GET http://a/x HTTP/1.0\r\n\r\n',
    bodies: [''],
    forwarded: sent('GET /x HTTP/1.1'),
  },
  {
    name: 'HTTP/1.0 with a length',
    message: 'POST / HTTP/1.0\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\nhello',
    bodies: ['hello'],
    forwarded: sent('POST / HTTP/1.1', 'Content-Length: 5', 'hello'),
  },
  {
    name: 'an empty Host',
    message: 'GET / HTTP/1.1\r\nHost:\r\n\r\n',
    bodies: [''],
    forwarded: sent('GET / HTTP/1.1'),
  },
  {
    name: 'a Host behind other fields',
    message: 'GET / HTTP/1.1\r\nX: a\r\nhOsT:\t a:80 \t\r\nY: b\r\n\r\n',
    bodies: [''],
    forwarded: sent('GET / HTTP/1.1', 'X: a\r\nY: b'),
  },

  // Fields.
  head('no whitespace behind the colon', 'X:a', 'X: a'),
  head('whitespace around a value', 'X: \t a \t', 'X: a'),
  head('whitespace inside a value', 'X: a \t b', 'X: a \t b'),
  head('a value of whitespace', 'X: \t ', 'X: '),
  head('an empty value', 'X:', 'X: '),
  head('a colon in a value', 'X:: a', 'X: : a'),
  head('obs-text in a value', 'X: \xe9\xff\x80', 'X: \xe9\xff\x80'),
  head('encoded line ends in a value', 'X: a%0d%0aY: b', 'X: a%0d%0aY: b'),
  head('a name of every token character', "!#$%&'*+-.^_`|~09AZaz: a", "!#$%&'*+-.^_`|~09AZaz: a"),
  head('a name that repeats', 'X: a\r\nY: b\r\nx: c', 'X: a\r\nY: b\r\nx: c'),
  head('a list in quotes', 'X: "a, b", c', 'X: "a, b", c'),
  head('20 fields', 'X: a\r\n'.repeat(19).slice(0, -2), 'X: a\r\n'.repeat(19).slice(0, -2)),
  head('an underscore for the hyphen of Content-Length', 'Content_Length: 5', ''),
  head('an underscore for the hyphen of Transfer-Encoding', 'Transfer_Encoding: chunked', ''),
  head('an underscore for the hyphens of a forwarded field', 'X_Forwarded_For: 9.9.9.9\r\nX-Real_IP: 9.9.9.9', ''),
  head('a dot for the hyphens of a forwarded field', 'X.Forwarded.For: 9.9.9.9\r\nX-Real.IP: 9.9.9.9', ''),
  head('an underscore or a dot in a name of its own', 'X_Y: a\r\nX.Y: b', 'X_Y: a\r\nX.Y: b'),
  head('a name that begins like Content-Length', 'Content-Length-X: 5', 'Content-Length-X: 5'),
  head('a name that ends like Content-Length', 'X-Content-Length: 5', 'X-Content-Length: 5'),
  head('a name that is Transfer-Encoding but for a letter', 'Transfer-Encodin: chunked', 'Transfer-Encodin: chunked'),
  head('a coding of the content that is called chunked', 'Content-Encoding: chunked', 'Content-Encoding: chunked'),
  head('an address that is forged', 'X-Forwarded-For: 9.9.9.9\r\nForwarded: for=9.9.9.9\r\nX-Real-IP: 9.9.9.9', ''),

  // What ends here.
  head('what Connection names', 'Connection: X-A, x-b\r\nX-A: 1\r\nX-B: 2\r\nX-C: 3', 'X-C: 3'),
  head('what Connection names in quotes, which is no name', 'Connection: "X-A"\r\nX-A: 1', 'X-A: 1'),
  head('Connection with empty elements', 'Connection: ,, X-A ,\r\nX-A: 1', ''),
  head('Connection twice', 'Connection: X-A\r\nConnection: X-B\r\nX-A: 1\r\nX-B: 2', ''),
  head('Connection that names Host', 'Connection: Host', ''),
  head('Connection that names itself', 'Connection: Connection', ''),
  head('Connection that names Cookie', 'Connection: Cookie\r\nCookie: a=b', 'Cookie: a=b'),
  head('Connection that names X-Forwarded-For', 'Connection: X-Forwarded-For', ''),
  head('Keep-Alive and Proxy-Connection', 'Keep-Alive: 5\r\nProxy-Connection: keep-alive', ''),
  head('TE with trailers', 'TE: trailers', 'Connection: TE\r\nTE: trailers'),
  head('TE with chunked', 'TE: chunked', ''),
  head('Trailer without chunks', 'Trailer: X-Sum', ''),
  head('an expectation without a body', 'Expect: 100-continue', ''),
  head('an expectation with a length of zero', 'Expect: 100-Continue\r\nContent-Length: 0', 'Content-Length: 0'),
  ...[
    'h2c',
    'H2C',
    'h2',
    'h2c-14',
    'websocket, h2c',
    'h2c, websocket',
    'HTTP/2.0',
    'TLS/1.0',
    'websocket\r\nUpgrade: h2c',
  ].map((protocol) =>
    head(
      `a change to ${protocol}`,
      `Connection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: x\r\nUpgrade: ${protocol}`,
      '',
    ),
  ),
  head('HTTP2-Settings without a change', 'HTTP2-Settings: x', ''),
  head('a change that Connection does not name', 'Upgrade: websocket', ''),
  hello('a change with a body', 'Connection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 5', 'Content-Length: 5'),
  {
    name: 'a change of HTTP/1.0',
    message: 'GET / HTTP/1.0\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n',
    bodies: [''],
    forwarded: sent('GET / HTTP/1.1'),
  },
  head(
    'a change to a protocol that may be',
    'Connection: keep-alive, upgrade\r\nUpgrade: websocket',
    'Connection: upgrade\r\nUpgrade: websocket',
  ),

  // Bodies by length.
  hello('a length', 'Content-Length: 5', 'Content-Length: 5'),
  hello('a length with whitespace around', 'Content-Length:\t 5 \t', 'Content-Length: 5'),
  hello('a length without space', 'content-length:5', 'content-length: 5'),
  hello('a length that Connection names', 'Connection: Content-Length\r\nContent-Length: 5', 'Content-Length: 5'),
  hello(
    'a length and a coding with an underscore',
    'Content-Length: 5\r\nTransfer_Encoding: chunked',
    'Content-Length: 5',
  ),
  hello('a length and another with an underscore', 'Content_Length: 0\r\nContent-Length: 5', 'Content-Length: 5'),
  hello('a length and an expectation', 'Content-Length: 5\r\nExpect: 100-CONTINUE', 'Content-Length: 5'),
  hello('a length and TE', 'TE: chunked\r\nContent-Length: 5', 'Content-Length: 5'),
  {
    name: 'a length of zero',
    message: 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n',
    bodies: [''],
    forwarded: sent('POST / HTTP/1.1', 'Content-Length: 0'),
  },
  ...['GET', 'HEAD', 'DELETE', 'OPTIONS', 'PATCH'].map((method) => ({
    name: `CL.0: a request as the body of ${method}`,
    message: `${method} / HTTP/1.1\r\nHost: a\r\nContent-Length: ${smuggled.length}\r\n\r\n${smuggled}`,
    bodies: [smuggled],
    forwarded: sent(`${method} / HTTP/1.1`, `Content-Length: ${smuggled.length}`, smuggled),
  })),
  {
    name: 'chunks as a body by length',
    message: 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 15\r\n\r\n5\r\nhello\r\n0\r\n\r\n',
    bodies: [helloChunk],
    forwarded: sent('POST / HTTP/1.1', 'Content-Length: 15', helloChunk),
  },

  // Chunked bodies.
  coded('chunked', 'Transfer-Encoding: chunked'),
  coded('chunked in capitals', 'TRANSFER-ENCODING: CHUNKED'),
  coded('chunked without space', 'Transfer-Encoding:chunked'),
  coded('chunked behind tabs', 'Transfer-Encoding:\t\tchunked\t'),
  coded('chunked that Connection names', 'Connection: Transfer-Encoding, close\r\nTransfer-Encoding: chunked'),
  coded('chunked and a length with an underscore', 'Content_Length: 0\r\nTransfer-Encoding: chunked'),
  coded('chunked and a Trailer', 'Trailer: X-Sum\r\nTransfer-Encoding: chunked', 'Trailer: X-Sum\r\n'),
  coded('chunked and an expectation', 'Expect: 100-continue\r\nTransfer-Encoding: chunked'),
  chunks('a chunk with leading zeros', '0000000000005\r\nhello\r\n0\r\n\r\n', helloChunk, 'hello'),
  chunks('a last chunk of many zeros', '5\r\nhello\r\n0000000000000\r\n\r\n', helloChunk, 'hello'),
  chunks('a size in capitals', 'A\r\n0123456789\r\n0\r\n\r\n', 'a\r\n0123456789\r\n0\r\n\r\n', '0123456789'),
  chunks('an extension', '5;a=b\r\nhello\r\n0;c\r\n\r\n', helloChunk, 'hello'),
  chunks('an empty extension', '5;\r\nhello\r\n0;;\r\n\r\n', helloChunk, 'hello'),
  chunks('an extension in quotes', '5;a="b; c"\r\nhello\r\n0\r\n\r\n', helloChunk, 'hello'),
  chunks('an extension whose quote is left open', '5;a="\r\nhello\r\n0\r\n\r\n', helloChunk, 'hello'),
  chunks('an extension that looks like a size', '5;2\r\nhello\r\n0\r\n\r\n', helloChunk, 'hello'),
  chunks('an extension beyond ASCII', '5;\xff\r\nhello\r\n0\r\n\r\n', helloChunk, 'hello'),
  chunks('line ends for data', '4\r\n\r\n\r\n\r\n0\r\n\r\n', '4\r\n\r\n\r\n\r\n0\r\n\r\n', '\r\n\r\n'),
  chunks('a last chunk for data', '5\r\n0\r\n\r\n\r\n0\r\n\r\n', '5\r\n0\r\n\r\n\r\n0\r\n\r\n', '0\r\n\r\n'),
  chunks(
    'a request for data',
    `${inHexadecimal}\r\n${smuggled}\r\n0\r\n\r\n`,
    `${inHexadecimal}\r\n${smuggled}\r\n0\r\n\r\n`,
    smuggled,
  ),
  chunks('no data', '0\r\n\r\n', '0\r\n\r\n', ''),
  chunks('a trailer', '5\r\nhello\r\n0\r\nX-Sum:7\r\n\r\n', '5\r\nhello\r\n0\r\nX-Sum: 7\r\n\r\n', 'hello'),

  // More than one.
  {
    name: '0.CL: a length that is not seen leaves its body to be a request, at the upstream too',
    message: `GET /1 HTTP/1.1\r\nHost: a\r\nContent_Length: 5\r\n\r\n${smuggled}`,
    bodies: ['', ''],
    forwarded: sent('GET /1 HTTP/1.1') + sent('GET /smuggled HTTP/1.1'),
  },
  {
    name: 'a request behind a length',
    message: `POST /1 HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello${smuggled}`,
    bodies: ['hello', ''],
    forwarded: sent('POST /1 HTTP/1.1', 'Content-Length: 5', 'hello') + sent('GET /smuggled HTTP/1.1'),
  },
  {
    name: 'a request behind chunks',
    message: `POST /1 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n${helloChunk}${smuggled}`,
    bodies: ['hello', ''],
    forwarded: sent('POST /1 HTTP/1.1', 'Transfer-Encoding: chunked', helloChunk) + sent('GET /smuggled HTTP/1.1'),
  },
  {
    name: 'a request behind an empty line behind another',
    message: `GET /1 HTTP/1.1\r\nHost: a\r\n\r\n\r\n${smuggled}`,
    bodies: ['', ''],
    forwarded: sent('GET /1 HTTP/1.1') + sent('GET /smuggled HTTP/1.1'),
  },
  {
    name: 'three requests of three kinds',
    message: `HEAD /1 HTTP/1.1\r\nHost: a\r\n\r\nPUT /2 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nPOST /3 HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello`,
    bodies: ['', '', 'hello'],
    forwarded:
      sent('HEAD /1 HTTP/1.1') +
      sent('PUT /2 HTTP/1.1', 'Transfer-Encoding: chunked', '0\r\n\r\n') +
      sent('POST /3 HTTP/1.1', 'Content-Length: 5', 'hello'),
  },
  {
    name: 'a refused change, and a request behind it',
    message: `GET /1 HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n${smuggled}`,
    bodies: ['', ''],
    forwarded: sent('GET /1 HTTP/1.1') + sent('GET /smuggled HTTP/1.1'),
  },
  {
    name: 'a change that the upstream does not agree to, and a request behind it',
    message: `GET /1 HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n${smuggled}`,
    bodies: ['', ''],
    forwarded: sent('GET /1 HTTP/1.1', 'Connection: upgrade\r\nUpgrade: websocket') + sent('GET /smuggled HTTP/1.1'),
  },
];
