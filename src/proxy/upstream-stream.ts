// One stream of an HTTP/2 connection to an upstream: one request written to it, one response read off it. What a failure
// means to the client is exchange.ts's; which connection it is on is upstream-sessions.ts's.
import { type ClientHttp2Session, type ClientHttp2Stream, constants } from 'node:http2';
import { Readable } from 'node:stream';
import type { FieldLines } from '../http1/field-lines.ts';
import type { HeadLimits } from '../http1/head-parser.ts';
import { pushFields } from '../http2/fields.ts';
import { type Inside, insideOf, outliveStream } from '../http2/outlive-stream.ts';
import { Pieces } from '../http2/pieces.ts';
import { StreamResponse } from '../http2/stream-response.ts';
import { readTrailers, trailersObject } from '../http2/trailers.ts';
import type { Deadlines, Timed } from './deadlines.ts';
import { type Failure, failure } from './upstream-failures.ts';
import type { UpstreamSink, UpstreamTimeouts, UpstreamTransport } from './upstream-transport.ts';

const { NGHTTP2_CANCEL, NGHTTP2_REFUSED_STREAM } = constants;
const never = Number.POSITIVE_INFINITY;
const ofConnection: ReadonlySet<string> = new Set(['connection', 'transfer-encoding', 'upgrade']);

export class UpstreamStream implements UpstreamTransport, Timed {
  deadline = never;
  readonly reused: boolean;
  answered = false;
  unprocessed = false;

  readonly #session: ClientHttp2Session;
  readonly #scheme: string;
  readonly #deadlines: Deadlines;
  readonly #timeouts: UpstreamTimeouts;
  readonly #limits: HeadLimits;
  readonly #onGone: () => void;
  readonly #head = new StreamResponse();
  #sink: UpstreamSink | undefined;
  #stream: ClientHttp2Stream | undefined;
  #inside: Inside | undefined;
  #method = '';
  readonly #pieces = new Pieces();
  #trailers: FieldLines | undefined;
  #requestSent = false;
  #sendBlocked = false;
  #headRead = false;
  #responseRead = false;
  /** Nothing of the stream is to come any more. */
  #ended = false;
  /** The upstream has said that its response is whole. */
  #endCame = false;
  #responseTrailers: FieldLines | undefined;
  #bytesLeft = -1;
  #paused = false;
  #closed = false;

  /**
   * @param session open, with room for a stream
   * @param reused the session has carried another request
   * @param onGone called once, when it takes no more room
   */
  constructor(
    session: ClientHttp2Session,
    scheme: 'http' | 'https',
    reused: boolean,
    sink: UpstreamSink,
    timeouts: UpstreamTimeouts,
    deadlines: Deadlines,
    limits: HeadLimits,
    onGone: () => void,
  ) {
    this.#session = session;
    this.#scheme = scheme;
    this.reused = reused;
    this.#sink = sink;
    this.#timeouts = timeouts;
    this.#deadlines = deadlines;
    this.#limits = limits;
    this.#onGone = onGone;
    deadlines.add(this);
  }

  begin(method: string, head: string, whole: boolean, now: number): void {
    if (this.#closed) return;
    this.#method = method;
    let stream: ClientHttp2Stream;
    try {
      // With trailers to come, a request that is cut does not end as if it were whole.
      stream = this.#session.request(requestFields(method, this.#scheme, head), {
        endStream: whole,
        waitForTrailers: !whole,
      });
    } catch {
      // The session has ended since it was chosen.
      this.unprocessed = true;
      return this.#fail(failure.reset);
    }
    this.#stream = stream;
    this.#inside = insideOf(stream);
    this.#watchEnd(stream);
    stream.on('headers', (_headers, flags, raw: string[]) => this.#onHead(raw, flags));
    stream.on('response', (_headers, flags, raw: string[]) => this.#onHead(raw, flags));
    stream.on('trailers', (_headers: object, _flags: number, raw: string[]) => this.#onTrailers(raw));
    stream.on('data', (bytes: Buffer) => this.#onData(bytes));
    stream.on('end', () => this.#onEnd());
    stream.on('drain', () => this.#onDrain());
    stream.on('error', ignoreError);
    stream.on('close', () => this.#onClose());
    if (!whole) stream.once('wantTrailers', () => this.#sendTrailers(stream));
    if (!whole) return;
    this.#requestSent = true;
    this.deadline = now + this.#timeouts.readTimeoutMs;
  }

  sendData(bytes: Buffer, from: number, to: number): void {
    this.#pieces.add(bytes, from, to);
  }

  sendChunk(bytes: Buffer, from: number, to: number): void {
    this.sendData(bytes, from, to);
  }

  sendLastChunk(trailers: FieldLines | undefined): void {
    this.#trailers = trailers;
  }

  endRequest(): void {
    this.#requestSent = true;
    this.#sendBlocked = false;
    this.touch();
    const last = this.#pieces.take();
    if (last === undefined) this.#stream?.end();
    else this.#stream?.end(last);
  }

  flush(): boolean {
    const stream = this.#stream;
    if (this.#closed || stream === undefined) return true;
    const piece = this.#pieces.take();
    if (piece !== undefined) stream.write(piece);
    if (!stream.writableNeedDrain) return true;
    if (!this.#requestSent) {
      this.#sendBlocked = true;
      this.deadline = this.#deadlines.now() + this.#timeouts.sendTimeoutMs;
    }
    return false;
  }

  get holdsBytes(): boolean {
    return this.#stream !== undefined && this.#stream.writableLength > 0;
  }

  get heldBytes(): number {
    return this.#stream?.writableLength ?? 0;
  }

  halfClose(): void {
    this.#stream?.end();
  }

  pause(): void {
    if (this.#paused || this.#closed) return;
    this.#paused = true;
    this.#stream?.pause();
    this.deadline = never;
  }

  resume(): void {
    if (!this.#paused || this.#closed) return;
    this.#paused = false;
    this.touch();
    this.#stream?.resume();
  }

  touch(): void {
    if (this.#paused) return;
    this.deadline = this.#requestSent ? this.#deadlines.now() + this.#timeouts.readTimeoutMs : never;
  }

  release(): void {
    this.close();
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#sink = undefined;
    this.#pieces.forget();
    this.#deadlines.delete(this);
    if (!this.#ended && this.#inside !== undefined) outliveStream(this.#inside);
    const stream = this.#stream;
    // Nothing more is read of it, and what was answered early need not be sent to its end.
    if (stream !== undefined && !(this.#responseRead && this.#requestSent)) stream.close(NGHTTP2_CANCEL);
    this.#onGone();
  }

  onDeadline(): void {
    this.#fail(this.#sendBlocked ? failure.sendTimeout : failure.readTimeout);
  }

  #sendTrailers(stream: ClientHttp2Stream): void {
    if (stream.closed || stream.destroyed) return;
    stream.sendTrailers(trailersObject(this.#trailers));
  }

  #onHead(raw: readonly string[], flags: number): void {
    const sink = this.#sink;
    if (sink === undefined) return;
    this.answered = true;
    const head = this.#head;
    const whole = (flags & constants.NGHTTP2_FLAG_END_STREAM) !== 0;
    if (this.#headRead || head.read(raw, this.#method, whole, this.#limits) !== undefined) {
      return this.#fail(failure.malformed);
    }
    if (!this.#sendBlocked) this.touch();
    if (head.status < 200) return sink.onInterimResponse(head);
    this.#headRead = true;
    this.#ended = whole;
    this.#bytesLeft = head.bodyKind === 'length' ? head.contentLength : -1;
    sink.onResponseHead(head);
    if (head.bodyKind === 'none') this.#endResponse();
    if (this.#sink === sink) sink.onResponsePause();
  }

  #onData(bytes: Buffer): void {
    const sink = this.#sink;
    if (sink === undefined || this.#responseRead) return;
    if (!this.#sendBlocked) this.touch();
    if (this.#bytesLeft !== -1) {
      this.#bytesLeft -= bytes.length;
      if (this.#bytesLeft < 0) return this.#fail(failure.malformed);
    }
    sink.onResponseData(bytes, 0, bytes.length);
    if (this.#sink === sink) sink.onResponsePause();
  }

  #onTrailers(raw: readonly string[]): void {
    this.#responseTrailers = readTrailers(raw);
    if (this.#responseTrailers === undefined) this.#fail(failure.malformed);
  }

  /** node:http2 ends a response also where a reset without an error cuts it off; then the stream is closed before. */
  #watchEnd(stream: ClientHttp2Stream): void {
    stream.push = (chunk: unknown, encoding?: BufferEncoding) => {
      if (chunk === null && !stream.closed) this.#endCame = true;
      return Readable.prototype.push.call(stream, chunk, encoding);
    };
  }

  #onEnd(): void {
    if (this.#sink === undefined || this.#responseRead) return;
    if (!this.#headRead || this.#bytesLeft > 0 || !this.#endCame || this.#stream?.rstCode !== 0) {
      return this.#fail(failure.reset);
    }
    this.#ended = true;
    this.#endResponse();
  }

  #endResponse(): void {
    const sink = this.#sink;
    this.#responseRead = true;
    this.deadline = never;
    sink?.onResponseEnd(this.#responseTrailers);
  }

  #onDrain(): void {
    if (this.#closed) return;
    this.#sendBlocked = false;
    this.touch();
    this.#sink?.onUpstreamDrain();
  }

  #onClose(): void {
    if (this.#closed) return;
    this.unprocessed = this.#stream?.rstCode === NGHTTP2_REFUSED_STREAM;
    this.#fail(failure.reset);
  }

  #fail(reason: Failure): void {
    if (this.#closed) return;
    const sink = this.#sink;
    this.close();
    sink?.onUpstreamFailed(reason);
  }
}

/**
 * A head in HTTP/1.1's form as the fields of HTTP/2 (RFC 9113 section 8.3.1), without those of the connection.
 *
 * @param head as `forwardRequest` writes it
 */
function requestFields(method: string, scheme: string, head: string): string[] {
  const lineEnd = head.indexOf('\r\n');
  const target = head.slice(method.length + 1, lineEnd - ' HTTP/1.1'.length);
  const lines = pushFields(head.slice(lineEnd + 2, -2), []);
  const fields = [':method', method, ':scheme', scheme, ':authority', '', ':path', target];
  for (let index = 0; index < lines.length; index += 2) {
    const name = (lines[index] as string).toLowerCase();
    const value = lines[index + 1] as string;
    if (name === 'host') fields[5] = value;
    else if (!ofConnection.has(name)) fields.push(name, value);
  }
  return fields;
}

/** `close` follows. */
function ignoreError(): void {}
