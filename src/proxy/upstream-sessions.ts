// HTTP/2 connections to upstreams: a request gets a stream of the first one that has room, or of a new one. What is sent on a
// stream is upstream-stream.ts's.
import { type ClientHttp2Session, type ClientSessionOptions, connect } from 'node:http2';
import type { Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import type { Upstream } from '../catalog/contract.ts';
import type { HeadLimits } from '../http1/head-parser.ts';
import type { Counters } from '../observe/contract.ts';
import type { Deadlines, Timed } from './deadlines.ts';
import type { ProxySettings } from './settings.ts';
import { connectFailure, type Failure, failure } from './upstream-failures.ts';
import { UpstreamStream } from './upstream-stream.ts';
import type { UpstreamSink, UpstreamTimeouts } from './upstream-transport.ts';

/** Until the upstream has said how many streams it takes (RFC 9113 section 6.5.2 recommends that it be no fewer). */
const streamsAtFirst = 100;

/** How long an upstream may take to end its connection once its last stream is over. */
const goawayGraceMs = 1000;

export interface UpstreamSessions {
  /** As `UpstreamPool.acquire`. */
  acquire(upstream: Upstream, sink: UpstreamSink, timeouts: UpstreamTimeouts): void;
  /** The sink no longer wants what it asked for. */
  cancel(upstream: Upstream, sink: UpstreamSink): void;
  /** Closes those without streams, and from now on each as its last one ends. */
  closeIdle(): void;
  readonly connections: number;
}

interface Waiter {
  readonly sink: UpstreamSink;
  readonly timeouts: UpstreamTimeouts;
}

/** @param openSocket connecting; over TLS it offers `h2` alone */
export function createUpstreamSessions(
  settings: ProxySettings,
  deadlines: Deadlines,
  counters: Counters,
  limits: HeadLimits,
  openSocket: (upstream: Upstream) => Socket,
): UpstreamSessions {
  const all = new Map<string, Set<Session>>();
  let keeping = true;

  /** One connection. It waits for its opening with all who asked for it meanwhile. */
  class Session implements Timed {
    deadline: number;
    streams = 0;
    readonly waiting = new Map<UpstreamSink, Waiter>();
    readonly #upstream: Upstream;
    readonly #session: ClientHttp2Session;
    readonly #socket: Socket;
    #opened = false;
    #uses = 0;
    #closed = false;
    #connectFailure: Failure = failure.connect;

    constructor(upstream: Upstream, timeouts: UpstreamTimeouts) {
      this.#upstream = upstream;
      this.deadline = deadlines.now() + timeouts.connectTimeoutMs;
      const socket = openSocket(upstream);
      this.#socket = socket;
      socket.once('error', (error) => (this.#connectFailure = connectFailure(error, this.#connectFailure)));
      if (upstream.tls) socket.once('connect', () => (this.#connectFailure = failure.tls));
      // The types do not know `strictSingleValueFields`; the documentation does.
      const options: ClientSessionOptions & { strictSingleValueFields: boolean } = {
        createConnection: () => socket,
        maxHeaderListPairs: limits.maxFields * 2,
        maxSendHeaderBlockLength: settings.requestHeadMaxBytes * 2,
        strictSingleValueFields: false,
        settings: { enablePush: false, maxHeaderListSize: limits.maxBytes },
      };
      const session = connect(`${upstream.tls ? 'https' : 'http'}://upstream`, options);
      this.#session = session;
      session.once('connect', () => this.#onOpen(socket));
      // With what the upstream says of how many streams it takes.
      session.on('remoteSettings', () => this.#serve());
      session.on('goaway', () => this.#leave());
      session.on('error', ignoreError);
      session.on('close', () => this.#onClose());
      deadlines.add(this);
    }

    get room(): number {
      if (!this.#opened) return streamsAtFirst - this.waiting.size;
      return Math.min(this.#session.remoteSettings.maxConcurrentStreams ?? streamsAtFirst, 2 ** 31) - this.streams;
    }

    onDeadline(): void {
      if (this.#opened) return this.close();
      this.#connectFailure = failure.connectTimeout;
      this.close();
    }

    close(): void {
      this.#session.destroy();
      // The session would wait until all that was written has left, for ever when the upstream reads nothing.
      this.#socket.destroy();
      this.#onClose();
    }

    ask(sink: UpstreamSink, timeouts: UpstreamTimeouts): void {
      if (this.#opened) this.#give({ sink, timeouts });
      else this.waiting.set(sink, { sink, timeouts });
    }

    closeWhenIdle(): void {
      if (this.streams === 0 && this.waiting.size === 0) this.close();
    }

    #onOpen(socket: Socket): void {
      if (this.#closed) return;
      if (this.#upstream.tls && (socket as TLSSocket).alpnProtocol !== 'h2') {
        this.#connectFailure = failure.tls;
        return this.close();
      }
      this.#opened = true;
      this.deadline = Number.POSITIVE_INFINITY;
      this.#serve();
    }

    #serve(): void {
      for (const waiter of this.waiting.values()) {
        if (!this.#opened || this.#closed || this.room <= 0) return;
        this.waiting.delete(waiter.sink);
        this.#give(waiter);
      }
    }

    #give({ sink, timeouts }: Waiter): void {
      this.streams += 1;
      this.#uses += 1;
      this.deadline = Number.POSITIVE_INFINITY;
      const reused = this.#uses > 1;
      counters.upstreamConnection(reused);
      const stream = new UpstreamStream(
        this.#session,
        this.#upstream.tls ? 'https' : 'http',
        reused,
        sink,
        timeouts,
        deadlines,
        limits,
        () => this.#onStreamGone(),
      );
      if (this.#uses >= settings.upstreamKeepaliveMaxRequests) this.#leave();
      sink.onUpstreamReady(stream);
    }

    #onStreamGone(): void {
      this.streams -= 1;
      if (this.#closed) return;
      this.#serve();
      if (this.streams > 0 || this.waiting.size > 0) return;
      if (!keeping || !this.#isKept) return this.#closeSoon();
      this.deadline = deadlines.now() + settings.upstreamKeepaliveIdleTimeoutMs;
    }

    get #isKept(): boolean {
      return all.get(this.#upstream.key)?.has(this) === true && settings.upstreamKeepalivePoolSize > 0;
    }

    /** It gets no more requests; those under way go on. */
    #leave(): void {
      forget(this.#upstream.key, this);
      if (this.streams === 0 && this.waiting.size === 0) this.#closeSoon();
    }

    /** What was written leaves first, if the upstream takes it. */
    #closeSoon(): void {
      this.deadline = deadlines.now() + goawayGraceMs;
      this.#session.close();
    }

    #onClose(): void {
      if (this.#closed) return;
      this.#closed = true;
      deadlines.delete(this);
      forget(this.#upstream.key, this);
      const waiters = [...this.waiting.values()];
      this.waiting.clear();
      for (const { sink } of waiters) sink.onUpstreamFailed(this.#connectFailure);
    }
  }

  return {
    acquire(upstream, sink, timeouts) {
      const sessions = all.get(upstream.key) ?? new Set<Session>();
      all.set(upstream.key, sessions);
      for (const session of sessions) if (session.room > 0) return session.ask(sink, timeouts);
      if (sessions.size >= settings.upstreamConnectionsMax) return sink.onUpstreamFailed(failure.exhausted);
      const session = new Session(upstream, timeouts);
      sessions.add(session);
      session.ask(sink, timeouts);
    },
    cancel(upstream, sink) {
      for (const session of all.get(upstream.key) ?? []) session.waiting.delete(sink);
    },
    closeIdle() {
      keeping = false;
      for (const sessions of all.values()) for (const session of sessions) session.closeWhenIdle();
    },
    get connections() {
      let total = 0;
      for (const sessions of all.values()) total += sessions.size;
      return total;
    },
  };

  function forget(key: string, session: Session): void {
    const sessions = all.get(key);
    sessions?.delete(session);
    if (sessions?.size === 0) all.delete(key);
  }
}

/** `close` follows. */
function ignoreError(): void {}
