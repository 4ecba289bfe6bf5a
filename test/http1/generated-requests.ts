// Well-formed requests of all kinds for fast-check, as data and as bytes.
import { fc } from '../support/fast-check.ts';

export interface GeneratedRequest {
  readonly method: string;
  readonly target: string;
  readonly fields: readonly (readonly [name: string, value: string])[];
  /** Chunks, a body by length, or none. */
  readonly body: readonly string[] | string | undefined;
  readonly trailers: readonly (readonly [name: string, value: string])[];
}

const token = fc.stringMatching(/^[!#$%&'*+.^`|~0-9A-Za-z-]{1,12}$/);
const value = fc.stringMatching(/^(?:[\x21-\x7e\xa0-\xff](?:[\x20-\x7e\t\xa0-\xff]{0,20}[\x21-\x7e\xa0-\xff])?)?$/);
const fields = fc.array(
  fc.tuple(
    token.map((name) => `X-${name}`),
    value,
  ),
  { maxLength: 6 },
);
/** Also what looks like framing. */
const data = fc.oneof(
  fc.string({ unit: 'binary-ascii', minLength: 1, maxLength: 40 }),
  fc.constantFrom('0\r\n\r\n', '\r\n', '5\r\nhello\r\n', 'GET /inside HTTP/1.1\r\nHost: a\r\n\r\n'),
);

export const generatedRequest: fc.Arbitrary<GeneratedRequest> = fc
  .record({
    method: fc.constantFrom('GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'),
    target: fc.stringMatching(/^\/[a-z0-9/_~-]{0,20}(?:\?[a-z0-9/_~.&=%-]{0,20})?$/),
    fields,
    body: fc.option(fc.oneof(data, fc.array(data, { maxLength: 4 })), { nil: undefined }),
    trailers: fields,
  })
  .map((request) => (Array.isArray(request.body) ? request : { ...request, trailers: [] }));

export function writeRequest({ method, target, fields: list, body, trailers }: GeneratedRequest): string {
  const head = `${method} ${target} HTTP/1.1\r\nHost: a\r\n${linesOf(list)}`;
  if (body === undefined) return `${head}\r\n`;
  if (typeof body === 'string') return `${head}Content-Length: ${body.length}\r\n\r\n${body}`;
  const chunks = body.map((chunk) => `${chunk.length.toString(16)}\r\n${chunk}\r\n`).join('');
  return `${head}Transfer-Encoding: chunked\r\n\r\n${chunks}0\r\n${linesOf(trailers)}\r\n`;
}

export function bodyOf({ body }: GeneratedRequest): string {
  return typeof body === 'object' ? body.join('') : (body ?? '');
}

function linesOf(list: GeneratedRequest['fields']): string {
  return list.map(([name, text]) => `${name}: ${text}\r\n`).join('');
}
