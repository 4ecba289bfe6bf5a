// One downstream HTTP/1.1 connection: requests read off it one at a time, responses written to it, kept alive or closed.
// What becomes of a request is exchange.ts's.
//
//   idle ─▶ head ─▶ exchange ─▶ idle … ─▶ linger ─▶ closed
//
// Bytes that cannot be used yet, of a body whose upstream is not ready or of a pipelined request, stay in `#input`, and
// the socket is paused for as long as there are some: never more than what one read brought.
import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import { BodyDecoder, piece } from '../http1/body-decoder.ts';
import { type HttpCode, progress } from '../http1/codes.ts';
import type { FieldLines } from '../http1/field-lines.ts';
import { type HeadLimits, HeadParser } from '../http1/head-parser.ts';
import { MessageWriter } from '../http1/message-writer.ts';
import { RequestHead } from '../http1/request-head.ts';
import type { Response } from '../http1/message.ts';
import type { Connection } from '../tls/connection.ts';
import { DirectWrites } from './direct-writes.ts';
import type { Downstream } from './downstream.ts';
import { Exchange, type ExchangeServices } from './exchange.ts';
import { peerFields } from './forward-request.ts';
import { forwardResponse, type ResponseFraming, responseFraming } from './forward-response.ts';
import type { OwnResponse } from './own-responses.ts';
import { judgeBody, Pace } from './pace.ts';
import type { Holder } from './pending-limit.ts';
import { copyIfShared, readInto, ReadRoom } from './read-room.ts';
import { bytesTaken, bytesWaiting } from './stream-binding.ts';

/** How long, and for how many bytes, a client that still sends is listened to after our last response, so that it can read it. */
const lingerMs = 5000;
const lingerMaxBytes = 16 * 1024 * 1024;

/**
 * How long the next request is waited for when the process drains: it may be on its way already, and what is closed under it
 * is lost to a client that does not repeat it.
 */
const nextRequestGraceMs = 1000;

export interface ClientConnectionOwner {
  readonly draining: boolean;
  gone(connection: ClientConnection): void;
}

type Phase = 'idle' | 'head' | 'exchange' | 'linger' | 'closed';

export class ClientConnection implements Downstream, Holder {
  readonly connection: Connection;
  readonly peerFields: string;
  deadline: number;

  readonly #services: ExchangeServices;
  readonly #owner: ClientConnectionOwner;
  readonly #socket: Socket;
  readonly #writer: MessageWriter;
  readonly #direct: DirectWrites;
  readonly #parser: HeadParser;
  readonly #request: RequestHead;
  readonly #decoder: BodyDecoder;
  #phase: Phase = 'idle';
  #exchange: Exchange | undefined;
  #startedAt = 0;
  #requests = 0;
  #input: Buffer | undefined;
  #inputAt = 0;
  #inputEnd = 0;
  readonly #room = new ReadRoom();
  #pumping = false;
  #paused = false;
  #sendBlocked = false;
  /** The client to send a body, or to read; or the upstream, to take what it has sent. */
  #waitsFor: 'body' | 'reading' | 'upstream' | undefined;
  readonly #pace = new Pace();
  /** The request's body is not whole yet. */
  #bodyOpen = false;
  #framing: ResponseFraming = 'none';
  #switched = false;
  /** No request follows the present one. */
  #closeAfter = false;
  #lingered = 0;

  constructor(connection: Connection, limits: HeadLimits, services: ExchangeServices, owner: ClientConnectionOwner) {
    this.connection = connection;
    this.peerFields = peerFields(connection);
    this.#services = services;
    this.#owner = owner;
    const { socket } = connection;
    this.#socket = socket;
    this.#direct = new DirectWrites(socket, socket instanceof TLSSocket);
    this.#writer = new MessageWriter(socket, this.#direct);
    this.#parser = new HeadParser('request', limits);
    this.#request = new RequestHead(this.#parser);
    this.#decoder = new BodyDecoder(limits);
    this.deadline = services.deadlines.now() + services.settings.clientIdleTimeoutMs;
    services.deadlines.add(this);
    socket.allowHalfOpen = true;
    socket.setNoDelay(true);
    socket.on('data', (bytes: Buffer) => this.#onData(bytes, bytes.length));
    readInto(socket, {
      buffer: () => this.#room.next,
      callback: (length, bytes) => {
        this.#onData(bytes as Buffer, length);
        return true;
      },
    });
    socket.on('drain', () => this.#onDrain());
    socket.on('end', () => this.#onEnd());
    socket.on('finish', () => this.#onFinish());
    socket.on('error', ignoreError);
    socket.on('close', () => this.#onClose());
    if (socket.destroyed) this.#onClose();
    else socket.resume();
  }

  /** Closes it behind the exchange under way; between two, once it has been idle for a moment. */
  drain(): void {
    if (this.#phase !== 'idle') return;
    const now = this.#services.deadlines.now();
    // No client expects an end instead of an answer to the request that it opened the connection for.
    const idleSince = this.#requests === 0 ? now : this.deadline - this.#services.settings.clientIdleTimeoutMs;
    if (idleSince + nextRequestGraceMs <= now) return this.#destroySoon();
    this.deadline = Math.min(this.deadline, idleSince + nextRequestGraceMs);
  }

  /** No request is under way, and nothing of the last response is left to send. */
  get isIdle(): boolean {
    return this.#phase === 'idle' && !this.#sending && !this.#socket.destroyed;
  }

  destroy(): void {
    this.#socket.destroy();
  }

  onDeadline(): void {
    switch (this.#phase) {
      case 'idle':
        if (this.#sending) return this.#readsOn() ? undefined : this.destroy();
        this.deadline = Number.POSITIVE_INFINITY;
        this.#destroySoon();
        return;
      case 'head':
        this.#services.counters.limitReached('client_header_timeout');
        return this.#refuse('HTTP_REQUEST_TIMEOUT');
      case 'exchange':
        if (this.#exchange === undefined) return this.abort();
        if (this.#sendBlocked) {
          if (this.#readsOn()) return;
          this.#exchange.errorCode = 'HTTP_RESPONSE_TOO_SLOW';
          return this.abort();
        }
        this.#services.counters.limitReached('client_body_timeout');
        this.#exchange.refuse('HTTP_REQUEST_TIMEOUT');
        return;
      case 'linger':
        if (!this.#readsOn()) this.#socket.destroy();
        return;
      case 'closed':
        this.#socket.destroy();
    }
  }

  sendContinue(): void {
    this.#writer.text('HTTP/1.1 100 Continue\r\n\r\n');
    this.#writer.flush();
  }

  sendInterim(head: Response): void {
    this.#writer.text(`${forwardResponse(head, 'none')}\r\n`);
  }

  sendHead(head: Response, added: string, endsHsts: boolean): void {
    if (head.status === 101) {
      this.#switched = true;
      this.#closeAfter = true;
      this.#bodyOpen = true;
      this.#framing = 'until-close';
      this.#decoder.begin('until-close', 0);
      const upgrade = head.upgrade === undefined ? '' : `Upgrade: ${head.upgrade}\r\n`;
      this.#writer.text(`${forwardResponse(head, 'none', endsHsts)}${added}Connection: Upgrade\r\n${upgrade}\r\n`);
      return;
    }
    this.#framing = responseFraming(head, this.#request.version);
    if (this.#framing === 'until-close') this.#closeAfter = true;
    this.#writer.text(`${forwardResponse(head, this.#framing, endsHsts)}${added}${this.#persistence('')}\r\n`);
  }

  sendData(bytes: Buffer, from: number, to: number): void {
    if (this.#framing === 'chunked') this.#writer.chunk(bytes, from, to);
    else this.#writer.data(bytes, from, to);
  }

  sendEnd(trailers: FieldLines | undefined): void {
    if (this.#framing === 'chunked') this.#writer.lastChunk(trailers);
    if (this.#switched && this.#bodyOpen) {
      this.#writer.flush();
      this.#end();
    }
  }

  sendOwn({ statusText, fields, hsts, body, close }: OwnResponse, requestId: string): number {
    if (close) this.#closeAfter = true;
    const bodiless = this.#request.method === 'HEAD';
    this.#writer.text(
      `HTTP/1.1 ${statusText}\r\nServer: portunus\r\n${this.#services.dateLine()}Content-Type: application/json; charset=utf-8\r\nContent-Length: ${
        body.length
      }\r\nX-Portunus-Request-Id: ${requestId}\r\n${hsts}${fields}${this.#persistence(fields === '' ? '' : 'Upgrade')}\r\n${
        bodiless ? '' : body
      }`,
    );
    return bodiless ? 0 : body.length;
  }

  flush(): boolean {
    if (this.#phase === 'closed' || this.#writer.flush()) return true;
    this.#sendBlocked = true;
    this.#waitForReading(this.#services.deadlines.now());
    return false;
  }

  get holdsBytes(): boolean {
    return this.#socket.writableLength > 0;
  }

  get bodyAtHand(): number {
    return this.#input === undefined ? 0 : this.#inputEnd - this.#inputAt;
  }

  get heldBytes(): number {
    const input = this.bodyAtHand;
    if (this.#phase === 'idle' && !this.#sending) return input;
    return input + this.#parser.heldBytes + bytesWaiting(this.#socket) + (this.#exchange?.heldBytes ?? 0);
  }

  get heldSince(): number {
    if (this.#phase === 'head') return this.#startedAt;
    return this.#waitsFor === undefined || this.#waitsFor === 'body' ? Number.POSITIVE_INFINITY : this.#pace.since;
  }

  shed(): void {
    if (this.#exchange !== undefined) this.#exchange.refuse('HTTP_CLIENTS_HOLD_TOO_MUCH');
    else if (this.#phase === 'head') this.#refuse('HTTP_CLIENTS_HOLD_TOO_MUCH');
    else this.destroy();
  }

  get usesAtOnce(): boolean {
    return this.#writer.usesAtOnce;
  }

  resumeBody(): void {
    this.#pump();
  }

  exchangeEnded(now: number): void {
    this.#exchange = undefined;
    if (this.#phase === 'closed') return;
    const flushed = this.#writer.flush();
    if (this.#closeAfter || this.#bodyOpen || this.#owner.draining) return this.#linger();
    this.#parser.reset();
    this.#phase = 'idle';
    if (flushed) this.deadline = now + this.#services.settings.clientIdleTimeoutMs;
    else this.#waitForReading(now);
    this.#pump();
  }

  abort(): void {
    const exchange = this.#exchange;
    this.#exchange = undefined;
    exchange?.abandon();
    // To a client that takes the end of the connection for the end of the body, only a reset says that it is cut.
    if (this.#framing === 'until-close' && !this.connection.tls && !this.#switched) this.#socket.resetAndDestroy();
    else this.#socket.destroy();
  }

  /** The Connection field of a response, and with it whether this connection goes on. */
  #persistence(options: string): string {
    if (
      !this.#request.keepAlive ||
      this.#bodyOpen ||
      this.#owner.draining ||
      this.#requests >= this.#services.settings.requestsPerConnectionMax
    ) {
      this.#closeAfter = true;
    }
    if (this.#closeAfter) return options === '' ? 'Connection: close\r\n' : `Connection: ${options}, close\r\n`;
    if (options !== '') return `Connection: ${options}\r\n`;
    return this.#request.version === 10 ? 'Connection: keep-alive\r\n' : '';
  }

  #onData(bytes: Buffer, length: number): void {
    const held = this.#input;
    if (this.#room.lends && held === undefined && this.#exchange?.holdsRequest === false) this.#room.takeBack();
    if (held === undefined) {
      this.#input = this.#room.settle(bytes, length);
      this.#inputAt = 0;
      this.#inputEnd = length;
    } else {
      // Read before the pause took hold.
      this.#input = Buffer.concat([held.subarray(this.#inputAt, this.#inputEnd), bytes.subarray(0, length)]);
      this.#inputAt = 0;
      this.#inputEnd = this.#input.length;
    }
    this.#pump();
    const left = this.#input;
    if (left !== undefined) {
      this.#input = copyIfShared(left, this.#inputAt, this.#inputEnd);
      this.#inputEnd -= this.#inputAt;
      this.#inputAt = 0;
    }
    this.#room.after(length, left !== undefined || this.#exchange?.holdsRequest !== false, this.#bodyOpen);
  }

  /** Uses what input there is as far as it can be used. */
  #pump(): void {
    if (this.#pumping) return;
    this.#pumping = true;
    for (let input = this.#input; input !== undefined; input = this.#input) {
      if (this.#inputAt === this.#inputEnd) this.#input = undefined;
      else if (!this.#step(input)) break;
    }
    this.#pumping = false;
    if (this.#phase === 'closed') return;
    this.#exchange?.onRequestPause();
    this.#regulate();
  }

  /** False: it can use no more for now. */
  #step(input: Buffer): boolean {
    // oxlint-disable-next-line typescript/switch-exhaustiveness-check -- closed: whatever still comes is dropped
    switch (this.#phase) {
      case 'idle':
        // Or answers to requests that came all at once would gather here for a client that reads none of them.
        if (this.#socket.writableNeedDrain) return false;
        this.#startedAt = this.#services.deadlines.now();
        this.deadline = this.#startedAt + this.#services.settings.clientHeadTimeoutMs;
        this.#phase = 'head';
        return this.#readHead(input, this.#startedAt);
      case 'head':
        return this.#readHead(input, this.#services.deadlines.now());
      case 'exchange':
        return this.#bodyOpen && this.#readBody(input);
      case 'linger':
        this.#lingered += this.#inputEnd - this.#inputAt;
        this.#inputAt = this.#inputEnd;
        if (this.#lingered > lingerMaxBytes) this.#socket.destroy();
        return true;
      default:
        this.#inputAt = this.#inputEnd;
        return true;
    }
  }

  #readHead(input: Buffer, now: number): boolean {
    const behind = this.#parser.feed(input, this.#inputAt, this.#inputEnd);
    if (behind === progress.more) {
      this.#inputAt = this.#inputEnd;
      return true;
    }
    if (behind === progress.refused) {
      this.#inputAt = this.#inputEnd;
      this.#refuse(this.#parser.code);
      return true;
    }
    this.#inputAt = behind;
    this.#requests += 1;
    const request = this.#request;
    const code = request.read();
    if (code !== undefined) {
      this.#inputAt = this.#inputEnd;
      this.#refuse(code);
      return true;
    }
    this.#phase = 'exchange';
    this.deadline = Number.POSITIVE_INFINITY;
    this.#waitsFor = undefined;
    this.#bodyOpen = request.bodyKind !== 'none';
    if (this.#bodyOpen) this.#decoder.begin(request.bodyKind, request.contentLength);
    const exchange = new Exchange(this.#services, this, request, this.#startedAt, now);
    this.#exchange = exchange;
    exchange.begin();
    return true;
  }

  #readBody(input: Buffer): boolean {
    const exchange = this.#exchange;
    if (exchange === undefined || !exchange.takesBody) return false;
    const decoder = this.#decoder;
    const found = decoder.next(input, this.#inputAt, this.#inputEnd);
    this.#inputAt = decoder.offset;
    if (found === piece.refused) {
      this.#inputAt = this.#inputEnd;
      this.#closeAfter = true;
      exchange.refuse(decoder.code);
      return true;
    }
    if (found === piece.data) exchange.onRequestData(input, decoder.dataStart, decoder.dataEnd);
    if (decoder.ended && this.#exchange === exchange) {
      this.#bodyOpen = false;
      // From here on it is the upstream that is waited for.
      if (!this.#sendBlocked) this.deadline = Number.POSITIVE_INFINITY;
      exchange.onRequestEnd(decoder.trailers);
    }
    return true;
  }

  /** The message that was being read is not one: answered, and nothing more is read as a request. */
  #refuse(code: HttpCode | 'HTTP_CLIENTS_HOLD_TOO_MUCH'): void {
    this.#closeAfter = true;
    this.#phase = 'exchange';
    this.deadline = Number.POSITIVE_INFINITY;
    if (this.#parser.text === '') this.#request.forget();
    const exchange = new Exchange(this.#services, this, this.#request, this.#startedAt, this.#startedAt);
    this.#exchange = exchange;
    exchange.refuse(code);
  }

  #regulate(): void {
    const hold = this.#input !== undefined;
    if (hold !== this.#paused) {
      this.#paused = hold;
      if (hold) this.#socket.pause();
      else this.#socket.resume();
    }
    if (!this.#bodyOpen || this.#phase !== 'exchange' || this.#sendBlocked || this.#switched) return;
    const exchange = this.#exchange;
    if (hold || exchange?.takesBody !== true) {
      if (this.#waitsFor !== 'upstream') this.#pace.begin(this.#services.deadlines.now(), 0);
      this.#waitsFor = 'upstream';
      this.deadline = Number.POSITIVE_INFINITY;
    } else {
      this.#waitForBody(exchange);
    }
  }

  #waitForBody(exchange: Exchange): void {
    const { settings, deadlines, counters } = this.#services;
    const now = deadlines.now();
    this.deadline = now + settings.clientBodyTimeoutMs;
    if (this.#waitsFor !== 'body') {
      this.#waitsFor = 'body';
      this.#pace.begin(now, exchange.requestBodyBytes);
    } else {
      judgeBody(this.#pace, now, exchange, settings, counters);
    }
  }

  #waitForReading(now: number): void {
    this.#waitsFor = 'reading';
    this.deadline = now + this.#services.settings.clientSendTimeoutMs;
    this.#pace.begin(now, bytesTaken(this.#socket));
  }

  /** The time for reading is over. Has the client read as much as it had to in it? Then it has the same time again. */
  #readsOn(): boolean {
    if (this.#waitsFor !== 'reading') return false;
    const { settings, deadlines, counters } = this.#services;
    const now = deadlines.now();
    const taken = bytesTaken(this.#socket);
    const moved = this.#pace.moved(taken) > 0;
    const rate = this.#switched ? 0 : settings.clientRateMin;
    if (moved && this.#pace.keeps(now, taken, rate)) {
      this.#waitForReading(now);
      return true;
    }
    counters.limitReached(moved ? 'client_rate_min' : 'client_send_timeout');
    return false;
  }

  #linger(): void {
    this.#phase = 'linger';
    this.#waitForReading(this.#services.deadlines.now());
    this.#end();
    this.#pump();
  }

  /** Everything has been handed to the system: what remains is to let the client read it. */
  #onFinish(): void {
    if (this.#phase !== 'linger') return;
    this.#waitsFor = undefined;
    this.deadline = this.#services.deadlines.now() + lingerMs;
  }

  #onDrain(): void {
    this.#sendBlocked = false;
    this.#waitsFor = undefined;
    if (this.#phase === 'idle') {
      this.deadline = this.#services.deadlines.now() + this.#services.settings.clientIdleTimeoutMs;
      this.#pump();
    }
    if (this.#phase !== 'exchange') return;
    this.deadline = Number.POSITIVE_INFINITY;
    this.#regulate();
    this.#exchange?.onDownstreamDrain();
  }

  #onEnd(): void {
    const exchange = this.#exchange;
    if (this.#phase === 'linger') return;
    if (this.#switched && exchange !== undefined) {
      this.#bodyOpen = false;
      exchange.onRequestEnd(undefined);
      return;
    }
    // A client that sends no more has gone, as almost every one that does so has; what it asked for is given up. Answers
    // that are whole already still go out.
    if (this.#phase === 'idle' && this.#sending) this.#linger();
    else this.#socket.destroy();
  }

  /** The system has not taken all of what was written. */
  get #sending(): boolean {
    return this.#socket.writableLength > 0 || this.#direct.underWay;
  }

  #end(): void {
    this.#direct.whenDone(() => this.#socket.end());
  }

  #destroySoon(): void {
    this.#direct.whenDone(() => this.#socket.destroySoon());
  }

  #onClose(): void {
    if (this.#phase === 'closed') return;
    this.#phase = 'closed';
    this.#input = undefined;
    this.#services.deadlines.delete(this);
    const exchange = this.#exchange;
    this.#exchange = undefined;
    exchange?.abandon();
    this.#owner.gone(this);
  }
}

/** `close` follows. */
function ignoreError(): void {}
