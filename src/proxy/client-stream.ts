// One stream of a downstream HTTP/2 connection: one request read off it, one response written to it. What becomes of the
// request is exchange.ts's; frames, flow control and HPACK are node:http2's.
import { constants, type ServerHttp2Stream, type ServerStreamResponseOptions } from 'node:http2';
import type { FieldLines } from '../http1/field-lines.ts';
import { field } from '../http1/field-names.ts';
import type { HeadLimits } from '../http1/head-parser.ts';
import type { Response } from '../http1/message.ts';
import { fieldsObject, pushFields } from '../http2/fields.ts';
import { GatheredPieces } from '../http2/gather-pieces.ts';
import { type Inside, insideOf, outliveStream } from '../http2/outlive-stream.ts';
import { Pieces } from '../http2/pieces.ts';
import { readTrailers, trailersObject } from '../http2/trailers.ts';
import { StreamRequest } from '../http2/stream-request.ts';
import type { Connection } from '../tls/connection.ts';
import type { Downstream } from './downstream.ts';
import { Exchange, type ExchangeServices } from './exchange.ts';
import { forwardedFields } from './forward-response.ts';
import type { OwnResponse } from './own-responses.ts';
import { judgeBody, Pace } from './pace.ts';
import type { Holder } from './pending-limit.ts';

const { NGHTTP2_CANCEL, NGHTTP2_INTERNAL_ERROR, NGHTTP2_NO_ERROR } = constants;
const never = Number.POSITIVE_INFINITY;
/** Not gRPC-Web, which is HTTP to a proxy. */
const grpcRequest = /^application\/grpc(?:[+;]|$)/i;

const withBody: ServerStreamResponseOptions & { readonly sendDate: boolean } = { sendDate: false };
const withTrailers = { ...withBody, waitForTrailers: true };
const withoutBody = { ...withBody, endStream: true };

/** Of streams that are over: one is larger than all else that a stream needs. */
const freeRequests: StreamRequest[] = [];
const freeRequestsMax = 256;

export interface ClientStreamOwner {
  readonly connection: Connection;
  readonly peerFields: string;
  /** Streams that are open. */
  readonly streams: number;
  /** Of the connection. */
  readonly bytesTaken: number;
  /** It ends before its response does. `gone` follows. */
  cut(): void;
  /** Its response is there before its request is whole. */
  answeredEarly(): void;
  /** Its exchange is over and nothing of it is left to send, or it was cut. */
  gone(): void;
}

export class ClientStream implements Downstream, Holder {
  readonly connection: Connection;
  readonly peerFields: string;
  deadline = never;

  readonly #services: ExchangeServices;
  readonly #owner: ClientStreamOwner;
  readonly #stream: ServerHttp2Stream;
  readonly #request = freeRequests.pop() ?? new StreamRequest();
  #exchange: Exchange | undefined;
  /** A response's head that is sent with what follows it. */
  #head: string[] | undefined;
  #headOptions = withBody;
  readonly #pieces = new Pieces();
  /** The response ends with trailers, or with the empty frame in their place. */
  #waitsForTrailers = false;
  #trailers: FieldLines | undefined;
  #requestTrailers: FieldLines | undefined;
  /** The request's body is not whole yet. */
  #bodyOpen = false;
  #unread: GatheredPieces | undefined;
  #inside: Inside | undefined;
  #reading = false;
  #listens = false;
  #sendBlocked = false;
  #waitsForBody = false;
  readonly #pace = new Pace();
  #switched = false;
  #closed = false;

  constructor(stream: ServerHttp2Stream, services: ExchangeServices, owner: ClientStreamOwner) {
    this.connection = owner.connection;
    this.peerFields = owner.peerFields;
    this.#services = services;
    this.#owner = owner;
    this.#stream = stream;
    stream.on('error', ignoreError);
    stream.on('aborted', () => {
      this.#owner.cut();
      this.#onGone();
    });
    stream.on('close', () => this.#onGone());
  }

  /**
   * @param raw names and values in turn
   * @param whole no body follows
   * @param waits for what came along with it, which may be its end
   * @returns false: its head is refused
   */
  begin(raw: readonly string[], whole: boolean, limits: HeadLimits, waits: boolean): boolean {
    const now = this.#services.deadlines.now();
    const code = this.#request.read(raw, whole, limits);
    this.#bodyOpen = !whole;
    if (!whole) {
      // What comes of it is held from now on.
      this.#services.deadlines.add(this);
      this.#pace.begin(now, 0);
      this.#unread = new GatheredPieces(this.#stream);
      this.#inside = insideOf(this.#stream);
      // They may come before there is an upstream to take the body, and are told of once.
      this.#stream.on('trailers', (_headers: object, _flags: number, trailers: string[]) => this.#onTrailers(trailers));
    }
    const exchange = new Exchange(this.#services, this, this.#request, now, now);
    this.#exchange = exchange;
    if (code !== undefined) exchange.refuse(code);
    else if (waits) setImmediate(() => this.#exchange?.begin());
    else exchange.begin();
    return code === undefined;
  }

  onDeadline(): void {
    this.deadline = never;
    const exchange = this.#exchange;
    if (exchange === undefined || this.#sendBlocked) {
      if (this.#readsOn()) return;
      if (exchange !== undefined) exchange.errorCode = 'HTTP_RESPONSE_TOO_SLOW';
      return this.#cut(NGHTTP2_CANCEL);
    }
    this.#services.counters.limitReached('client_body_timeout');
    exchange.refuse('HTTP_REQUEST_TIMEOUT');
  }

  sendContinue(): void {
    if (this.#isOpen) this.#stream.additionalHeaders({ ':status': 100 });
  }

  sendInterim(head: Response): void {
    if (!this.#isOpen) return;
    this.#stream.additionalHeaders({ ':status': head.status, ...fieldsObject(forwardedFields(head, 'frames')) });
  }

  sendHead(head: Response, added: string, endsHsts: boolean): void {
    this.#switched = head.status === 101;
    const text = `${forwardedFields(head, 'frames', endsHsts)}${added}`;
    this.#head = pushFields(
      this.#switched ? withoutAccept(text) : text,
      // RFC 8441 section 5: the change of protocol succeeds as CONNECT does.
      [':status', this.#switched ? '200' : String(head.status)],
    );
    // Unless all of it is at hand when it is sent: node:http2 ends what is cut as if it were whole, then resets it, but for
    // a stream that waits for its trailers.
    this.#headOptions = head.bodyKind === 'none' && !this.#switched ? withoutBody : withTrailers;
  }

  sendData(bytes: Buffer, from: number, to: number): void {
    this.#pieces.add(bytes, from, to);
  }

  sendEnd(trailers: FieldLines | undefined): void {
    if (!this.#isOpen) return;
    const last = this.#pieces.take();
    this.#trailers = trailers;
    if (this.#head !== undefined) {
      // All of it is at hand: whether there are trailers is known.
      if (trailers === undefined) this.#headOptions = last === undefined ? withoutBody : withBody;
      this.#respond();
    }
    if (last === undefined) this.#stream.end();
    else this.#stream.end(last);
  }

  sendOwn({ status, hsts, body, grpcStatus, grpcMessage }: OwnResponse, requestId: string): number {
    if (!this.#isOpen) return 0;
    const grpc = grpcRequest.test(this.#request.fields.find(field.contentType) ?? '');
    const text = Buffer.from(body);
    this.#head = [':status', grpc ? '200' : String(status), 'server', 'portunus'];
    pushFields(this.#services.dateLine(), this.#head);
    // Its clients read an error from trailers, or from a response that is nothing else.
    if (grpc)
      this.#head.push(
        'content-type',
        'application/grpc',
        'grpc-status',
        String(grpcStatus),
        'grpc-message',
        grpcMessage,
      );
    else this.#head.push('content-type', 'application/json; charset=utf-8', 'content-length', String(text.length));
    this.#head.push('x-portunus-request-id', requestId);
    pushFields(hsts, this.#head);
    const bodiless = grpc || this.#request.method === 'HEAD';
    this.#headOptions = bodiless ? withoutBody : withBody;
    this.#respond();
    if (bodiless) return 0;
    this.#stream.end(text);
    return text.length;
  }

  flush(): boolean {
    if (!this.#isOpen) return true;
    if (this.#head !== undefined) this.#respond();
    const piece = this.#pieces.take();
    if (piece !== undefined) this.#stream.write(piece);
    if (!this.#stream.writableNeedDrain) return true;
    if (!this.#sendBlocked) this.#stream.once('drain', () => this.#onDrain());
    this.#sendBlocked = true;
    this.#waitForReading();
    return false;
  }

  get usesAtOnce(): boolean {
    return false;
  }

  get holdsBytes(): boolean {
    return this.#stream.writableLength > 0;
  }

  get bodyAtHand(): number {
    return this.#stream.readableLength + (this.#unread?.gatheredBytes ?? 0);
  }

  get heldBytes(): number {
    const unsent = this.#stream.writableLength;
    // With TLS it is there as it came, and encrypted.
    const unread = this.#bodyOpen ? this.#stream.readableLength + (this.#unread?.heldBytes ?? 0) : 0;
    return (this.connection.tls ? 2 * unsent : unsent) + unread + (this.#exchange?.heldBytes ?? 0);
  }

  get heldSince(): number {
    const waits = this.#sendBlocked || this.#exchange === undefined || (this.#bodyOpen && !this.#waitsForBody);
    return waits ? this.#pace.since : never;
  }

  shed(): void {
    if (this.#exchange === undefined) this.#cut(NGHTTP2_CANCEL);
    else this.#exchange.refuse('HTTP_CLIENTS_HOLD_TOO_MUCH');
  }

  resumeBody(): void {
    this.#regulate();
    // The request's head goes with the data that is here already, and does not wait for more: the client may.
    if (this.#bodyOpen) process.nextTick(() => this.#exchange?.onRequestPause());
  }

  exchangeEnded(): void {
    this.#exchange = undefined;
    if (this.#closed) return;
    if (this.#bodyOpen && this.#request.bodyKind !== 'none') this.#owner.answeredEarly();
    // RFC 9113 section 8.1: the client need not send the rest.
    if (this.#bodyOpen && !this.#waitsForTrailers) this.#stopRequest();
    if (!this.#closed) this.#waitForReading();
  }

  abort(): void {
    const exchange = this.#exchange;
    this.#exchange = undefined;
    exchange?.abandon();
    this.#cut(NGHTTP2_INTERNAL_ERROR);
  }

  get #isOpen(): boolean {
    return !this.#closed && !this.#stream.closed && !this.#stream.destroyed;
  }

  #respond(): void {
    const head = this.#head as string[];
    this.#head = undefined;
    if (this.#headOptions === withTrailers) {
      this.#waitsForTrailers = true;
      this.#stream.once('wantTrailers', () => this.#sendTrailers());
    }
    this.#stream.respond(head, this.#headOptions);
  }

  /** None at all end the stream with an empty frame. */
  #sendTrailers(): void {
    if (!this.#isOpen) return;
    this.#waitsForTrailers = false;
    this.#stream.sendTrailers(trailersObject(this.#trailers));
    if (this.#bodyOpen && this.#exchange === undefined) setImmediate(() => this.#stopRequest());
  }

  /**
   * Resets it once the response has left, never before: node:http2 would only note the reset, and a stream that is
   * destroyed then stays open in nghttp2, which asks nobody for its data, for ever, as soon as the client opens its window.
   */
  #stopRequest(): void {
    if (this.#stream.writableFinished) this.#cut(NGHTTP2_NO_ERROR);
    else this.#stream.once('finish', () => this.#cut(NGHTTP2_NO_ERROR));
  }

  /** Reads the body while the exchange takes it; what is not read holds the client back (RFC 9113 section 5.2). */
  #regulate(): void {
    if (!this.#bodyOpen || this.#closed) return;
    const takes = this.#exchange?.takesBody === true;
    if (takes && !this.#listens) {
      this.#listens = true;
      // A body without a byte ends by itself, whether or not anybody listens.
      if (this.#stream.readableEnded) return this.#onEnd();
      this.#stream.on('data', (bytes: Buffer) => this.#onData(bytes));
      this.#stream.on('end', () => this.#onEnd());
    } else if (takes && !this.#reading) {
      this.#stream.resume();
    } else if (!takes && this.#reading) {
      this.#stream.pause();
      this.#unread?.gather();
    }
    if (takes) this.#unread?.pass();
    this.#reading = takes;
    // Once the exchange is over, the time for its response runs.
    if (this.#sendBlocked || this.#exchange === undefined) return;
    if (takes && !this.#switched) return this.#waitForBody(this.#exchange);
    if (this.#waitsForBody) this.#pace.begin(this.#services.deadlines.now(), 0);
    this.#waitsForBody = false;
    this.deadline = never;
  }

  #waitForBody(exchange: Exchange): void {
    const { settings, counters } = this.#services;
    const now = this.#watch(settings.clientBodyTimeoutMs);
    if (!this.#waitsForBody) {
      this.#waitsForBody = true;
      this.#pace.begin(now, exchange.requestBodyBytes);
    } else {
      judgeBody(this.#pace, now, exchange, settings, counters);
    }
  }

  #waitForReading(): void {
    this.#waitsForBody = false;
    this.#pace.begin(this.#watch(this.#services.settings.clientSendTimeoutMs), this.#owner.bytesTaken);
  }

  /**
   * The time for reading is over. Has the client read as much as it had to in it? Then it has the same time again. How much
   * has left of each stream nobody tells, and slow lines have many streams to share: so the connection has to read as
   * much as all of its streams together.
   */
  #readsOn(): boolean {
    const { settings, deadlines, counters } = this.#services;
    const { bytesTaken, streams } = this.#owner;
    const moved = this.#pace.moved(bytesTaken) > 0;
    const rate = this.#switched ? 0 : settings.clientRateMin * streams;
    if (moved && this.#pace.keeps(deadlines.now(), bytesTaken, rate)) {
      this.#waitForReading();
      return true;
    }
    counters.limitReached(moved ? 'client_rate_min' : 'client_send_timeout');
    return false;
  }

  #onData(bytes: Buffer): void {
    const exchange = this.#exchange;
    if (exchange === undefined) return;
    exchange.onRequestData(bytes, 0, bytes.length);
    exchange.onRequestPause();
    this.#regulate();
  }

  #onTrailers(raw: readonly string[]): void {
    const trailers = readTrailers(raw);
    if (trailers === undefined) this.#exchange?.refuse('HTTP_TRAILER_FORBIDDEN');
    else this.#requestTrailers = trailers;
  }

  #onEnd(): void {
    // Also what comes when the client resets the stream.
    if (this.#closed || this.#stream.aborted || !this.#bodyOpen) return;
    this.#bodyOpen = false;
    const exchange = this.#exchange;
    if (exchange === undefined) return;
    if (!this.#sendBlocked) this.deadline = never;
    exchange.onRequestEnd(this.#requestTrailers);
  }

  #onDrain(): void {
    this.#sendBlocked = false;
    const exchange = this.#exchange;
    if (exchange === undefined) return;
    this.deadline = never;
    exchange.onDownstreamDrain();
    this.#regulate();
  }

  /** @returns the present time */
  #watch(milliseconds: number): number {
    const { deadlines } = this.#services;
    const now = deadlines.now();
    if (this.deadline === never) deadlines.add(this);
    this.deadline = now + milliseconds;
    return now;
  }

  #cut(code: number): void {
    if (!this.#closed && !this.#stream.destroyed) {
      this.#stream.close(code);
      // Whatever was not read must not keep it.
      this.#stream.destroy();
    }
    this.#onGone();
  }

  #onGone(): void {
    if (this.#closed) return;
    this.#closed = true;
    if (this.#bodyOpen && this.#inside !== undefined) outliveStream(this.#inside);
    this.#services.deadlines.delete(this);
    this.#pieces.forget();
    const exchange = this.#exchange;
    this.#exchange = undefined;
    exchange?.abandon();
    if (freeRequests.length < freeRequestsMax) freeRequests.push(this.#request);
    this.#owner.gone();
  }
}

/** `close` follows. */
function ignoreError(): void {}

/** Of the WebSocket handshake of HTTP/1.1, whose key was ours. */
function withoutAccept(text: string): string {
  return text.replace(/^sec-websocket-accept: [^\r\n]*\r\n/gim, '');
}
