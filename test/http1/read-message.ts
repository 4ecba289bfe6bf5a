// Whole messages through the codec, in any split: what came of them, as plain data to compare.
import { BodyDecoder, piece } from '../../src/http1/body-decoder.ts';
import { progress } from '../../src/http1/codes.ts';
import { type HeadKind, type HeadLimits, HeadParser } from '../../src/http1/head-parser.ts';
import { RequestHead } from '../../src/http1/request-head.ts';
import { ResponseHead } from '../../src/http1/response-head.ts';

const limits: HeadLimits = { maxBytes: 4096, maxFields: 20, maxTargetBytes: 256 };

export interface Reading {
  /** `ok`, `incomplete`, or the code of the refusal. */
  readonly outcome: string;
  /** As far as it was read, also of what is refused. */
  readonly startLine?: string;
  readonly fields?: readonly (readonly [string, string])[];
  readonly body?: string;
  readonly trailers?: readonly (readonly [string, string])[];
  readonly keepAlive?: boolean;
  /** Bytes behind the message. */
  readonly rest?: string;
}

/** @param cuts lengths of the pieces, the last one taking what is left; none: all at once */
export function readMessage(
  kind: Exclude<HeadKind, 'trailers'>,
  text: string,
  { cuts = [], method = 'GET', closed = false }: { cuts?: readonly number[]; method?: string; closed?: boolean } = {},
): Reading {
  const parser = new HeadParser(kind, limits);
  const decoder = new BodyDecoder(limits);
  const request = new RequestHead(parser);
  const response = new ResponseHead(parser);
  let headRead = false;
  let body = '';
  let rest: string | undefined;
  const startLine = (): string =>
    kind === 'request'
      ? `${request.method} ${request.target} ${parser.version}`
      : `${parser.version} ${response.statusText}`;

  for (const bytes of pieces(Buffer.from(text, 'latin1'), cuts)) {
    if (rest !== undefined) {
      rest += bytes.toString('latin1');
      continue;
    }
    let from = 0;
    if (!headRead) {
      const behind = parser.feed(bytes, 0, bytes.length);
      if (behind === progress.more) continue;
      if (behind === progress.refused) return { outcome: parser.code };
      from = behind;
      headRead = true;
      const code = kind === 'request' ? request.read() : response.read(method);
      if (code !== undefined) return { outcome: code, startLine: startLine() };
      const head = kind === 'request' ? request : response;
      decoder.begin(head.bodyKind, head.contentLength);
    }
    for (;;) {
      const found = decoder.next(bytes, from, bytes.length);
      from = decoder.offset;
      if (found === piece.refused) return { outcome: decoder.code, startLine: startLine() };
      if (found === piece.data) body += bytes.toString('latin1', decoder.dataStart, decoder.dataEnd);
      if (found === piece.end) rest = bytes.toString('latin1', from);
      if (found !== piece.data) break;
    }
  }
  if (!headRead) return { outcome: 'incomplete' };
  if (rest === undefined && !(closed && decoder.mayClose)) return { outcome: 'incomplete', startLine: startLine() };
  return {
    outcome: 'ok',
    startLine: startLine(),
    fields: listOf(parser),
    body,
    keepAlive: kind === 'request' ? request.keepAlive : response.keepAlive,
    trailers: decoder.trailers === undefined ? [] : listOf({ fields: decoder.trailers }),
    rest: rest ?? '',
  };
}

/** The requests in `text`, one behind the other, and what became of the rest: undefined when there is none. */
export function readRequests(text: string): { readonly requests: readonly Reading[]; readonly rest?: Reading } {
  const requests: Reading[] = [];
  for (let rest = text; rest !== '';) {
    const reading = readMessage('request', rest);
    if (reading.outcome !== 'ok') return { requests, rest: reading };
    requests.push(reading);
    rest = reading.rest ?? '';
  }
  return { requests };
}

function* pieces(bytes: Buffer, cuts: readonly number[]): Generator<Buffer> {
  let at = 0;
  for (const cut of cuts) {
    if (at >= bytes.length) return;
    // A copy of its own: what a parser keeps must not depend on the reader's buffer.
    yield Buffer.from(bytes.subarray(at, at + cut));
    at += cut;
  }
  if (at < bytes.length) yield Buffer.from(bytes.subarray(at));
}

function listOf({ fields }: Pick<HeadParser, 'fields'>): readonly (readonly [string, string])[] {
  return Array.from({ length: fields.count }, (_, index) => [fields.name(index), fields.value(index)] as const);
}
