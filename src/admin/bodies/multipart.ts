// multipart/form-data (RFC 7578) from bytes that are already bounded and in memory, to pairs of name and value. A part's
// value is text when its bytes are UTF-8 and the bytes themselves otherwise, so that a DER file survives.
import { isUtf8 } from 'node:buffer';
import { PortunusError } from '../../lib/errors.ts';

export type Part = readonly [name: string, value: string | Uint8Array];

const partHeadMaxBytes = 8192;

/** @throws BODY_UNPARSABLE saying which rule the body breaks. */
export function* parseMultipart(body: Buffer, boundary: string): Generator<Part, void> {
  const delimiter = Buffer.from(`--${boundary}`, 'latin1');
  let at = firstDelimiter(body, delimiter);
  for (;;) {
    at += delimiter.length;
    if (body.subarray(at, at + 2).equals(dashes)) return;
    at = endOfLine(body, at);
    // A part without headers has its blank line at once: the first half of it ended the boundary's line.
    const headEnd = body.indexOf(blankLine, at - crlf.length, 'latin1');
    if (headEnd === -1 || headEnd - at > partHeadMaxBytes) throw unparsable('a part has no end of its headers');
    const head = body.toString('utf8', at, Math.max(at, headEnd));
    const start = headEnd + blankLine.length;
    const end = nextDelimiter(body, delimiter, start);
    yield [partName(head), decode(body.subarray(start, end))];
    at = end + crlf.length;
  }
}

/** The boundary of a Content-Type value (RFC 2046 section 5.1.1), or undefined when there is none that is valid. */
export function boundaryOf(contentType: string): string | undefined {
  const found = /;\s*boundary=(?:"([^"]{1,70})"|([^\s;"]{1,70}))(?:\s*;|\s*$)/i.exec(contentType);
  return found?.[1] ?? found?.[2];
}

const crlf = '\r\n';
const blankLine = '\r\n\r\n';
const parameters = /;\s*([\w*-]+)=(?:"((?:[^"\\]|\\.)*)"|([^\s;"]*))/g;
const dashes = Buffer.from('--');

function firstDelimiter(body: Buffer, delimiter: Buffer): number {
  if (body.subarray(0, delimiter.length).equals(delimiter)) return 0;
  const found = body.indexOf(Buffer.concat([Buffer.from(crlf), delimiter]));
  if (found === -1) throw unparsable('the boundary of the Content-Type does not occur');
  return found + crlf.length;
}

/** Where the part's content ends: a delimiter stands at the start of a line and is followed by `--` or the line's end. */
function nextDelimiter(body: Buffer, delimiter: Buffer, from: number): number {
  const wanted = Buffer.concat([Buffer.from(crlf), delimiter]);
  for (let at = body.indexOf(wanted, from); at !== -1; at = body.indexOf(wanted, at + 1)) {
    if (endsDelimiter(body, at + wanted.length)) return at;
  }
  throw unparsable('it ends before its last boundary');
}

function endsDelimiter(body: Buffer, from: number): boolean {
  if (body[from] === 0x2d) return body[from + 1] === 0x2d;
  let at = from;
  while (body[at] === 0x20 || body[at] === 0x09) at += 1;
  return body[at] === 0x0d && body[at + 1] === 0x0a;
}

function endOfLine(body: Buffer, from: number): number {
  const end = body.indexOf(crlf, from, 'latin1');
  if (end === -1 || !/^[ \t]*$/.test(body.toString('latin1', from, end)))
    throw unparsable('a boundary line is malformed');
  return end + crlf.length;
}

function partName(head: string): string {
  for (const line of head.split(crlf)) {
    const disposition = /^content-disposition:\s*form-data\s*(;.*)$/i.exec(line)?.[1];
    for (const [, parameter, quoted, token] of (disposition ?? '').matchAll(parameters)) {
      if (parameter?.toLowerCase() === 'name') return unescapeName(quoted ?? token ?? '');
    }
  }
  throw unparsable('a part has no name');
}

/** Clients escape `"` as `\"` (curl) or `%22` (browsers). */
function unescapeName(name: string): string {
  return name
    .replaceAll(/\\(["\\])/g, '$1')
    .replaceAll(/%(22|0D|0A)/gi, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
}

function decode(bytes: Buffer): string | Uint8Array {
  return isUtf8(bytes) ? bytes.toString('utf8') : Uint8Array.from(bytes);
}

function unparsable(what: string): PortunusError {
  return new PortunusError('BODY_UNPARSABLE', `Cannot parse multipart body: ${what}`);
}
