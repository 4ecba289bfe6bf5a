// Responses of an upstream that must be refused, and with which code; whichever it is, the client gets 502.
import type { Refused } from './refused-requests.ts';

const first = (name: string, line: string, code = 'HTTP_STATUS_LINE_INVALID'): Refused => ({
  name,
  message: `${line}\r\nContent-Length: 0\r\n\r\n`,
  code,
});
const head = (name: string, line: string, code: string): Refused => ({
  name,
  message: `HTTP/1.1 200 OK\r\n${line}\r\n\r\n`,
  code,
});
const chunks = (name: string, body: string, code: string): Refused => ({
  name,
  message: `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${body}`,
  code,
});

export const refusedResponses: readonly Refused[] = [
  first('no status line', '<html>hello</html>'),
  first('another protocol', 'ICY 200 OK'),
  first('HTTP/2.0', 'HTTP/2.0 200 OK'),
  first('HTTP/0.9', 'HTTP/0.9 200 OK'),
  first('a version in lower case', 'http/1.1 200 OK'),
  first('a status of two digits', 'HTTP/1.1 20 OK'),
  first('a status of four digits', 'HTTP/1.1 2000 OK'),
  first('a status below 100', 'HTTP/1.1 099 OK'),
  first('a status of 600', 'HTTP/1.1 600 OK'),
  first('a signed status', 'HTTP/1.1 +20 OK'),
  first('no status', 'HTTP/1.1 OK'),
  first('two spaces before the status', 'HTTP/1.1  200 OK'),
  first('a NUL in the reason', 'HTTP/1.1 200 O\0K'),
  first('an empty line first', '\r\nHTTP/1.1 200 OK'),
  { name: 'bare LF', message: 'HTTP/1.1 200 OK\nContent-Length: 0\r\n\r\n', code: 'HTTP_LINE_ENDING_INVALID' },
  { name: 'bare LF in fields', message: 'HTTP/1.1 200 OK\r\nX: a\n\r\n', code: 'HTTP_LINE_ENDING_INVALID' },
  head('a folded value', 'X: a\r\n b', 'HTTP_FIELD_FOLDED'),
  head('a space before the colon', 'X : a', 'HTTP_FIELD_NAME_INVALID'),
  head('a NUL in a value', 'X: \0', 'HTTP_FIELD_VALUE_INVALID'),
  head('a bare CR in a value', 'Location: /\rSet-Cookie: a=b', 'HTTP_LINE_ENDING_INVALID'),
  head('two lengths', 'Content-Length: 1\r\nContent-Length: 2', 'HTTP_CONTENT_LENGTH_INVALID'),
  head('a list of lengths', 'Content-Length: 1, 1', 'HTTP_CONTENT_LENGTH_INVALID'),
  head('a signed length', 'Content-Length: -1', 'HTTP_CONTENT_LENGTH_INVALID'),
  head('length and chunked', 'Content-Length: 1\r\nTransfer-Encoding: chunked', 'HTTP_FRAMING_AMBIGUOUS'),
  head('an unknown coding', 'Transfer-Encoding: gzip, chunked', 'HTTP_TRANSFER_CODING_UNKNOWN'),
  head('chunked twice', 'Transfer-Encoding: chunked, chunked', 'HTTP_TRANSFER_CODING_INVALID'),
  {
    name: 'chunked in HTTP/1.0',
    message: 'HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
    code: 'HTTP_FRAMING_AMBIGUOUS',
  },
  head('a head beyond its limit', `X: ${'a'.repeat(5000)}`, 'HTTP_HEAD_TOO_LARGE'),
  head('too many fields', Array.from({ length: 21 }, () => 'X: a').join('\r\n'), 'HTTP_FIELDS_TOO_MANY'),
  chunks('no chunk size', 'hello', 'HTTP_CHUNK_INVALID'),
  chunks('a chunk longer than its size', '1\r\nab\r\n', 'HTTP_CHUNK_INVALID'),
  chunks('a trailer that frames', '0\r\nContent-Length: 5\r\n\r\n', 'HTTP_TRAILER_FORBIDDEN'),
];
