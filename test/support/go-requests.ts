// Requests as Go's net/http server reads them, from its documented rules and sources: lenient where it is lenient (bare LF,
// folded lines, a length beside chunks), so that what it reads differs from our own codec wherever a message can be read in
// two ways. Nothing of our codec is used here. One thing is not Go's: empty lines before a request are passed over, as RFC
// 9112 section 2.2 has it.

export interface GoRequest {
  readonly method: string;
  readonly target: string;
  readonly fields: readonly (readonly [name: string, value: string])[];
  readonly body: string;
  readonly trailers: readonly (readonly [name: string, value: string])[];
}

export interface GoReading {
  /** Those that are whole. */
  readonly requests: readonly GoRequest[];
  /** Why the bytes behind them are no request, `unfinished`, or undefined when there are none. */
  readonly rest: string | undefined;
  /** What is behind the last whole request. */
  readonly restFrom: number;
}

class Refused extends Error {}
class Unfinished extends Error {}

/** @param text latin1: all that came on one connection */
export function readGoRequests(text: string): GoReading {
  const requests: GoRequest[] = [];
  const reader = new LineReader(text);
  for (;;) {
    reader.skipEmptyLines();
    const from = reader.at;
    if (from === text.length) return { requests, rest: undefined, restFrom: from };
    try {
      requests.push(readRequest(reader));
    } catch (error) {
      if (error instanceof Unfinished) return { requests, rest: 'unfinished', restFrom: from };
      if (error instanceof Refused) return { requests, rest: error.message, restFrom: from };
      throw error;
    }
  }
}

/** textproto.Reader: a line ends with LF; a CR before it belongs to the end. */
class LineReader {
  at = 0;
  readonly #text: string;

  constructor(text: string) {
    this.#text = text;
  }

  skipEmptyLines(): void {
    while (this.#text.startsWith('\r\n', this.at)) this.at += 2;
  }

  line(): string {
    const end = this.#text.indexOf('\n', this.at);
    if (end === -1) throw new Unfinished();
    const line = this.#text.slice(this.at, end);
    this.at = end + 1;
    return line.endsWith('\r') ? line.slice(0, -1) : line;
  }

  /** A line with those that are folded behind it. */
  continuedLine(): string {
    let line = this.line();
    if (line === '') return line;
    while (this.#text[this.at] === ' ' || this.#text[this.at] === '\t') line = `${trim(line)} ${trim(this.line())}`;
    return trimEnd(line);
  }

  /** As `line`, with the CR. */
  rawLine(): string {
    const start = this.at;
    this.line();
    return this.#text.slice(start, this.at);
  }

  take(length: number): string {
    if (this.at + length > this.#text.length) throw new Unfinished();
    this.at += length;
    return this.#text.slice(this.at - length, this.at);
  }

  peek(): string | undefined {
    return this.#text[this.at];
  }
}

function readRequest(reader: LineReader): GoRequest {
  const line = reader.line();
  const firstSpace = line.indexOf(' ');
  const secondSpace = line.indexOf(' ', firstSpace + 1);
  if (firstSpace === -1 || secondSpace === -1) throw new Refused('malformed HTTP request');
  const method = line.slice(0, firstSpace);
  const target = line.slice(firstSpace + 1, secondSpace);
  const version = /^HTTP\/(\d)\.(\d)$/.exec(line.slice(secondSpace + 1));
  if (!isToken(method)) throw new Refused('invalid method');
  if (version === null) throw new Refused('malformed HTTP version');
  if (target === '' || /[\0-\x1f\x7f]/.test(target)) throw new Refused('invalid URI for request');
  const fields = readFields(reader);
  if (version[1] !== '1') throw new Refused('unsupported protocol version');
  const hosts = valuesOf(fields, 'host');
  if (hosts.length > 1) throw new Refused('too many Host headers');
  if (hosts.length === 0 && version[2] !== '0') throw new Refused('missing required Host header');
  const { body, trailers } = readBody(reader, fields, version[2] !== '0');
  return { method, target, fields, body, trailers };
}

/** textproto.ReadMIMEHeader, and what the server checks behind it. */
function readFields(reader: LineReader): (readonly [string, string])[] {
  const fields: (readonly [string, string])[] = [];
  const first = reader.peek();
  if (first === ' ' || first === '\t') throw new Refused('malformed MIME header initial line');
  for (;;) {
    const line = reader.continuedLine();
    if (line === '') return fields;
    const colon = line.indexOf(':');
    const name = line.slice(0, colon);
    if (colon === -1 || !isToken(name)) throw new Refused('malformed MIME header line');
    const value = trim(line.slice(colon + 1));
    if (/[\0-\x08\x0a-\x1f\x7f]/.test(value)) throw new Refused('invalid header field value');
    fields.push([name, value]);
  }
}

/** transfer.go: chunks before a length; codings of HTTP/1.0 passed over. */
function readBody(
  reader: LineReader,
  fields: GoRequest['fields'],
  version11: boolean,
): Pick<GoRequest, 'body' | 'trailers'> {
  const codings = version11 ? valuesOf(fields, 'transfer-encoding') : [];
  if (codings.length > 1) throw new Refused('too many transfer encodings');
  if (codings.length === 1) {
    if (codings[0]?.toLowerCase() !== 'chunked') throw new Refused('unsupported transfer encoding');
    return readChunks(reader);
  }
  const lengths = [...new Set(valuesOf(fields, 'content-length').map(trim))];
  if (lengths.length > 1) throw new Refused('http: request/response contained multiple Content-Length headers');
  const length = lengths[0] ?? '0';
  if (!/^\d+$/.test(length) || BigInt(length) >= 2n ** 63n) throw new Refused('bad Content-Length');
  return { body: reader.take(Number(length)), trailers: [] };
}

/** internal/chunked.go, with the refusal of bare LF that CVE-2025-22871 brought. */
function readChunks(reader: LineReader): Pick<GoRequest, 'body' | 'trailers'> {
  let body = '';
  for (;;) {
    const line = reader.rawLine();
    if (!line.endsWith('\r\n')) throw new Refused('chunked line ends with bare LF');
    const size = trimEnd(line.slice(0, -2)).split(';', 1)[0] ?? '';
    if (!/^[0-9A-Fa-f]+$/.test(size)) throw new Refused('invalid byte in chunk length');
    if (size.length > 16) throw new Refused('http chunk length too large');
    const length = Number.parseInt(size, 16);
    if (length === 0) return { body, trailers: readFields(reader) };
    body += reader.take(length);
    if (reader.take(2) !== '\r\n') throw new Refused('malformed chunked encoding');
  }
}

function valuesOf(fields: GoRequest['fields'], wanted: string): string[] {
  return fields.filter(([name]) => name.toLowerCase() === wanted).map(([, value]) => value);
}

function isToken(text: string): boolean {
  return /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/.test(text);
}

function trim(text: string): string {
  return text.replace(/^[ \t]+/, '').replace(/[ \t]+$/, '');
}

function trimEnd(text: string): string {
  return text.replace(/[ \t]+$/, '');
}
