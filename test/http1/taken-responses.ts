// Responses of an upstream that look doubtful and have one reading all the same: what the client gets for them, and whether
// their connection may serve another request.

export interface TakenResponse {
  readonly name: string;
  /** Of the request; GET if not said. */
  readonly method?: string;
  readonly message: string;
  /** The upstream ends its connection behind it. */
  readonly ends?: boolean;
  readonly body: string;
  /** Without what Portunus adds to each. */
  readonly forwarded: string;
  /** Does the next request go over the same connection? */
  readonly reused: boolean;
}

const ok = 'HTTP/1.1 200 OK\r\n';
const second = `${ok}Content-Length: 8\r\n\r\nsmuggled`;
const chunked = 'Transfer-Encoding: chunked\r\n';

/** Field lines beside a length of five. */
const lines = (name: string, from: string, to: string, reused = true): TakenResponse => ({
  name,
  message: `${ok}${from}Content-Length: 5\r\n\r\nhello`,
  body: 'hello',
  forwarded: `${ok}${to}Content-Length: 5\r\n\r\nhello`,
  reused,
});
const first = (name: string, line: string, forwarded: string, reused = true): TakenResponse => ({
  name,
  message: `${line}\r\nContent-Length: 5\r\n\r\nhello`,
  body: 'hello',
  forwarded: `${forwarded}\r\nContent-Length: 5\r\n\r\nhello`,
  reused,
});
const chunks = (name: string, body: string, forwarded: string, data: string, reused = true): TakenResponse => ({
  name,
  message: `${ok}${chunked}\r\n${body}`,
  body: data,
  forwarded: `${ok}${chunked}\r\n${forwarded}`,
  reused,
});
/** A response without a body, whatever its fields say, and what is sent behind it all the same. */
const bodyless = (
  name: string,
  method: string,
  status: string,
  [from, to]: readonly [from: string, to: string],
  behind: string,
): TakenResponse => ({
  name,
  method,
  message: `HTTP/1.1 ${status}\r\n${from}\r\n${behind}`,
  body: '',
  forwarded: `HTTP/1.1 ${status}\r\n${to}\r\n`,
  reused: behind === '',
});

const helloChunk = '5\r\nhello\r\n0\r\n\r\n';
const five = 'Content-Length: 5\r\n';

export const takenResponses: readonly TakenResponse[] = [
  // Status lines.
  first('no reason', 'HTTP/1.1 200', 'HTTP/1.1 200 '),
  first('an empty reason', 'HTTP/1.1 200 ', 'HTTP/1.1 200 '),
  first('a reason beyond ASCII', 'HTTP/1.1 200 \xe9\xff', 'HTTP/1.1 200 \xe9\xff'),
  first('a reason that looks like a status line', 'HTTP/1.1 200 HTTP/1.1 500 x', 'HTTP/1.1 200 HTTP/1.1 500 x'),
  first('a reason that looks like a field', 'HTTP/1.1 200 Content-Length: 9', 'HTTP/1.1 200 Content-Length: 9'),
  first('a status nobody knows', 'HTTP/1.1 299 x', 'HTTP/1.1 299 x'),
  first('the last status', 'HTTP/1.1 599 x', 'HTTP/1.1 599 x'),
  first('a later minor version', 'HTTP/1.2 200 OK', 'HTTP/1.1 200 OK'),
  first('HTTP/1.0', 'HTTP/1.0 200 OK', 'HTTP/1.1 200 OK', false),
  first('HTTP/1.0 that stays', 'HTTP/1.0 200 OK\r\nConnection: keep-alive', 'HTTP/1.1 200 OK'),

  // Fields.
  lines('obs-text in a value', 'X: \xe9\r\n', 'X: \xe9\r\n'),
  lines('an empty value', 'X:\r\n', 'X: \r\n'),
  lines('encoded line ends', 'Location: /%0d%0aSet-Cookie:%20a=b\r\n', 'Location: /%0d%0aSet-Cookie:%20a=b\r\n'),
  lines('Set-Cookie twice', 'Set-Cookie: a\r\nset-cookie: b\r\n', 'Set-Cookie: a\r\nset-cookie: b\r\n'),
  lines('what Connection names', 'Connection: X-A\r\nX-A: 1\r\nX-B: 2\r\n', 'X-B: 2\r\n'),
  lines('Connection that names the length', 'Connection: Content-Length\r\n', ''),
  lines('Connection that names Set-Cookie', 'Connection: Set-Cookie\r\nSet-Cookie: a\r\n', 'Set-Cookie: a\r\n'),
  lines('close', 'Connection: close\r\n', '', false),
  lines('close in a list, in capitals', 'Connection: X, CLOSE\r\n', '', false),
  lines('close beside keep-alive', 'Connection: keep-alive\r\nConnection: close\r\n', '', false),
  lines('fields of the connection', 'Keep-Alive: 5\r\nProxy-Connection: x\r\nTE: x\r\nUpgrade: h2c\r\n', ''),
  lines('a trailer that cannot come', 'Trailer: X-Sum\r\n', ''),
  lines('a coding of the content', 'Content-Encoding: chunked\r\n', 'Content-Encoding: chunked\r\n'),
  {
    name: 'a length with whitespace around',
    message: `${ok}Content-Length: \t5\t \r\n\r\nhello`,
    body: 'hello',
    forwarded: `${ok}Content-Length: 5\r\n\r\nhello`,
    reused: true,
  },
  {
    name: 'a length of zero',
    message: `${ok}Content-Length: 0\r\n\r\n`,
    body: '',
    forwarded: `${ok}Content-Length: 0\r\n\r\n`,
    reused: true,
  },

  // Chunks.
  chunks('chunks', helloChunk, helloChunk, 'hello'),
  chunks('extensions', '5;a="b"\r\nhello\r\n0;c\r\n\r\n', helloChunk, 'hello'),
  chunks('leading zeros', '0005\r\nhello\r\n00\r\n\r\n', helloChunk, 'hello'),
  chunks('no data', '0\r\n\r\n', '0\r\n\r\n', ''),
  chunks('a trailer', '0\r\nX-Sum:  7 \r\n\r\n', '0\r\nX-Sum: 7\r\n\r\n', ''),
  chunks(
    'a response for data',
    `${second.length.toString(16)}\r\n${second}\r\n0\r\n\r\n`,
    `${second.length.toString(16)}\r\n${second}\r\n0\r\n\r\n`,
    second,
  ),
  {
    name: 'chunked in capitals, behind a tab',
    message: `${ok}TRANSFER-ENCODING:\tCHUNKED\r\n\r\n${helloChunk}`,
    body: 'hello',
    forwarded: `${ok}${chunked}\r\n${helloChunk}`,
    reused: true,
  },

  // Until the end.
  ...(
    [
      ['HTTP/1.1', ''],
      ['HTTP/1.0', ''],
      ['HTTP/1.0', 'Connection: keep-alive\r\n'],
    ] as const
  ).map(([version, connection]) => ({
    name: `until the end, of ${version}${connection === '' ? '' : ' that would stay'}`,
    message: `${version} 200 OK\r\n${connection}\r\nhello`,
    ends: true,
    body: 'hello',
    forwarded: `${ok}${chunked}\r\n${helloChunk}`,
    reused: false,
  })),

  // No body.
  bodyless('HEAD with a length', 'HEAD', '200 OK', [five, five], ''),
  bodyless('HEAD with chunked', 'HEAD', '200 OK', [chunked, ''], ''),
  bodyless('HEAD without a length', 'HEAD', '200 OK', ['', ''], ''),
  bodyless('HEAD with a body', 'HEAD', '200 OK', [five, five], 'hello'),
  bodyless('HEAD with chunks', 'HEAD', '200 OK', [chunked, ''], helloChunk),
  bodyless('HEAD with a second response', 'HEAD', '200 OK', [five, five], second),
  bodyless('204', 'GET', '204 No Content', ['', ''], ''),
  bodyless('204 with a length of zero', 'GET', '204 No Content', ['Content-Length: 0\r\n', ''], ''),
  bodyless('204 with a body', 'GET', '204 No Content', [five, ''], 'hello'),
  bodyless('204 with chunks', 'GET', '204 No Content', [chunked, ''], helloChunk),
  bodyless('304 with a length', 'GET', '304 Not Modified', [five, five], ''),
  bodyless('304 with a body', 'GET', '304 Not Modified', [five, five], 'hello'),
  bodyless('304 with chunks', 'GET', '304 Not Modified', [chunked, ''], helloChunk),
  bodyless('304 with a second response', 'GET', '304 Not Modified', [five, five], second),

  // More than one.
  {
    name: 'a second response behind a length',
    message: `${ok}${five}\r\nhello${second}`,
    body: 'hello',
    forwarded: `${ok}${five}\r\nhello`,
    reused: false,
  },
  {
    name: 'a body longer than its length',
    message: `${ok}${five}\r\nhello, and more`,
    body: 'hello',
    forwarded: `${ok}${five}\r\nhello`,
    reused: false,
  },
  {
    name: 'a line end behind a body',
    message: `${ok}${five}\r\nhello\r\n`,
    body: 'hello',
    forwarded: `${ok}${five}\r\nhello`,
    reused: false,
  },
  chunks('a second response behind chunks', helloChunk + second, helloChunk, 'hello', false),
  {
    name: 'interim responses',
    message: `HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 x\r\nLink: </a>\r\n\r\n${ok}${five}\r\nhello`,
    body: 'hello',
    forwarded: `HTTP/1.1 103 x\r\nLink: </a>\r\n\r\n${ok}${five}\r\nhello`,
    reused: true,
  },
  {
    name: 'an interim response with a length, which it has not',
    message: `HTTP/1.1 102 x\r\n${five}\r\n${ok}${five}\r\nhello`,
    body: 'hello',
    forwarded: `HTTP/1.1 102 x\r\n\r\n${ok}${five}\r\nhello`,
    reused: true,
  },
  {
    name: 'an interim response with chunked, which it has not',
    message: `HTTP/1.1 199 x\r\n${chunked}\r\n${ok}${five}\r\nhello`,
    body: 'hello',
    forwarded: `HTTP/1.1 199 x\r\n\r\n${ok}${five}\r\nhello`,
    reused: true,
  },
];
