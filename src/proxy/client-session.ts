// One downstream HTTP/2 connection: its streams, its limits, its end. A stream is client-stream.ts's.
import { constants, performServerHandshake, type ServerHttp2Session, type ServerHttp2Stream } from 'node:http2';
import type { HeadLimits } from '../http1/head-parser.ts';
import type { Connection } from '../tls/connection.ts';
import { ClientStream, type ClientStreamOwner } from './client-stream.ts';
import type { Timed } from './deadlines.ts';
import type { ExchangeServices } from './exchange.ts';
import { peerFields } from './forward-request.ts';
import { type Rate, rateOf, takeOne } from './rate.ts';
import { bytesTaken } from './stream-binding.ts';

/** How long a client may take to end its connection once its last stream is over. */
const goawayGraceMs = 1000;
/** From then on a request waits for what came along with it: an upstream need not hear of what is reset at once. */
const cutStreamsMany = 20;
/** Heads that a connection may have refused, by us or, where they are larger than twice what is allowed, by the library. */
const refusedHeadsMax = 100;

/** How nghttp2 names what ended a connection, also a stream more than there may be. */
const protocolError = -505;

export interface ClientSessionOwner {
  readonly draining: boolean;
  gone(session: ClientSession): void;
}

/** `closing`: no stream is taken any more. */
type State = 'open' | 'closing' | 'closed';

export class ClientSession implements ClientStreamOwner, Timed {
  readonly connection: Connection;
  readonly peerFields: string;
  deadline: number;
  streams = 0;

  readonly #services: ExchangeServices;
  readonly #owner: ClientSessionOwner;
  readonly #limits: HeadLimits;
  readonly #session: ServerHttp2Session;
  #requests = 0;
  #cutStreams = 0;
  #refusedHeads = 0;
  readonly #resetRate: Rate;
  #resetsMadeUpAt = 0;
  /** Streams that were open when the session came to its end. */
  #streamsAtEnd = 0;
  #lastId = 0;
  #state: State = 'open';

  constructor(connection: Connection, limits: HeadLimits, services: ExchangeServices, owner: ClientSessionOwner) {
    this.connection = connection;
    this.peerFields = peerFields(connection);
    this.#services = services;
    this.#owner = owner;
    this.#limits = limits;
    const { settings, deadlines } = services;
    this.#resetRate = rateOf(settings.http2ResetRate, (settings.http2ResetBurst * 1000) / settings.http2ResetRate);
    const session = performServerHandshake(connection.socket, sessionOptions(settings, limits));
    this.#session = session;
    // A socket that was accepted paused and never read from does not read yet.
    connection.socket.read(0);
    session.on('stream', (stream: ServerHttp2Stream, _headers: object, flags: number, raw: string[]) => {
      this.#onStream(stream, flags, raw);
    });
    session.on('error', (error: NodeJS.ErrnoException) => this.#onError(error.errno));
    session.on('close', () => this.#onClose());
    this.deadline = deadlines.now() + settings.clientIdleTimeoutMs;
    deadlines.add(this);
    if (connection.socket.destroyed) this.#onClose();
  }

  /**
   * No more streams than are under way. Those on their way to us are the client's to repeat: the GOAWAY says which was the
   * last one taken (RFC 9113 section 6.8). nghttp2 takes none behind a first GOAWAY either, whatever that says.
   */
  drain(): void {
    if (this.#state !== 'open' || this.#session.destroyed) return;
    this.#state = 'closing';
    this.#session.close();
    if (this.streams === 0) this.#watch(goawayGraceMs);
    else this.deadline = Number.POSITIVE_INFINITY;
  }

  /** No stream is under way. */
  get isIdle(): boolean {
    return this.#state === 'open' && this.streams === 0;
  }

  destroy(): void {
    this.#session.destroy();
    // The session would wait until all that was written has left, for ever when the client reads nothing.
    this.connection.socket.destroy();
    this.#onClose();
  }

  onDeadline(): void {
    if (this.#state === 'open' && !this.#session.destroyed) this.drain();
    else this.destroy();
  }

  get bytesTaken(): number {
    return bytesTaken(this.connection.socket);
  }

  cut(): void {
    this.#cutStreams += 1;
    this.#countReset();
  }

  answeredEarly(): void {
    this.#countReset();
  }

  /** Its upstream connection is lost with what is missing, whoever ended the stream. nghttp2 counts frames that reset, and no answers. */
  #countReset(): void {
    const madeUpAt = takeOne(this.#resetRate, this.#resetsMadeUpAt, this.#services.deadlines.now());
    if (madeUpAt !== undefined) this.#resetsMadeUpAt = madeUpAt;
    else if (this.#state === 'open' && !this.#session.destroyed) {
      this.#services.reached('http2_reset_rate', this.connection.remoteAddress);
      this.drain();
    }
  }

  gone(): void {
    if (this.#session.destroyed) this.#streamsAtEnd = Math.max(this.#streamsAtEnd, this.streams);
    this.streams -= 1;
    if (this.streams > 0) return;
    if (this.#state === 'open') this.#watch(this.#services.settings.clientIdleTimeoutMs);
    else this.#watch(goawayGraceMs);
  }

  #onStream(stream: ServerHttp2Stream, flags: number, raw: readonly string[]): void {
    const served = new ClientStream(stream, this.#services, this);
    this.streams += 1;
    this.#requests += 1;
    if (this.#state === 'open') this.deadline = Number.POSITIVE_INFINITY;
    const whole = (flags & constants.NGHTTP2_FLAG_END_STREAM) !== 0;
    const taken = served.begin(raw, whole, this.#limits, this.#cutStreams > cutStreamsMany);
    if (this.#countRefusedHeads(stream.id ?? 0, taken) > refusedHeadsMax) return this.#endFlood();
    if (this.#requests >= this.#services.settings.requestsPerConnectionMax || this.#owner.draining) this.drain();
  }

  /** The library tells nothing of streams that it has refused, but their numbers are missing between those that come. */
  #countRefusedHeads(id: number, taken: boolean): number {
    if (this.#lastId > 0) this.#refusedHeads += (id - this.#lastId) / 2 - 1;
    this.#lastId = id;
    if (!taken) this.#refusedHeads += 1;
    return this.#refusedHeads;
  }

  #endFlood(): void {
    this.#session.destroy(undefined, constants.NGHTTP2_ENHANCE_YOUR_CALM);
    this.destroy();
  }

  #watch(milliseconds: number): void {
    this.deadline = this.#services.deadlines.now() + milliseconds;
  }

  /** `close` follows. */
  #onError(errno: number | undefined): void {
    const { reached, settings } = this.#services;
    if (errno === protocolError && this.#streamsAtEnd >= settings.http2StreamsMax) {
      reached('http2_streams_max', this.connection.remoteAddress);
    }
  }

  #onClose(): void {
    if (this.#state === 'closed') return;
    this.#state = 'closed';
    this.#services.deadlines.delete(this);
    this.#owner.gone(this);
  }
}

function sessionOptions(settings: ExchangeServices['settings'], limits: HeadLimits): object {
  return {
    settings: {
      maxConcurrentStreams: settings.http2StreamsMax,
      // What is larger is answered with 431 as long as the library takes it.
      maxHeaderListSize: limits.maxBytes * 2,
      enablePush: false,
      enableConnectProtocol: true,
    },
    maxHeaderListPairs: limits.maxFields * 2,
    strictSingleValueFields: false,
    // Or fields with such values were dropped in silence: here they are refused.
    strictFieldWhitespaceValidation: false,
    maxSessionMemory: 10,
    streamResetBurst: settings.http2ResetBurst,
    streamResetRate: settings.http2ResetRate,
  };
}
