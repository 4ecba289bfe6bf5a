// Connections to upstreams, kept alive between requests: for each upstream the most recently used first, up to a bound. At
// the bound a request waits for one to come free, as long as it would wait for a connection to open. Bodies stream, so a
// client that sends or reads one slowly holds a connection: while others wait, the slowest of these give way.
import { lookup as lookUpName } from 'node:dns';
import { connect as connectTcp, isIP, type OnReadOpts, type Socket } from 'node:net';
import { connect as connectTls, type ConnectionOptions, createSecureContext, type SecureContext } from 'node:tls';
import type { Upstream } from '../catalog/contract.ts';
import type { HeadLimits } from '../http1/head-parser.ts';
import type { Counters } from '../observe/contract.ts';
import type { Deadlines, Timed } from './deadlines.ts';
import type { ProxySettings } from './settings.ts';
import { UpstreamConnection, type UpstreamOwner } from './upstream-connection.ts';
import { failure } from './upstream-failures.ts';
import { createUpstreamNames } from './upstream-names.ts';
import { createUpstreamSessions } from './upstream-sessions.ts';
import type { UpstreamSink, UpstreamTimeouts } from './upstream-transport.ts';

export interface UpstreamPool extends Disposable {
  /**
   * Gives the sink a connection, now or later, by `onUpstreamReady`, or `onUpstreamFailed`.
   *
   * @param fresh do not take a kept one
   */
  acquire(upstream: Upstream, sink: UpstreamSink, timeouts: UpstreamTimeouts, fresh: boolean): void;
  /** The sink no longer wants what it asked for. */
  cancel(upstream: Upstream, sink: UpstreamSink): void;
  /** Closes kept connections, and from now on each as it comes free. */
  closeIdle(): void;
  readonly connections: number;
}

/** Upstreams without a connection whose TLS session is kept for the next one. */
const upstreamsRememberedMax = 1000;

/** How long a request waits for a connection to come free by itself before a slow client has to give way. */
const patienceMs = 200;

/** Looked at, while anyone waits, each time that deadlines are. */
interface Peers extends Timed {
  readonly open: Set<UpstreamConnection>;
  readonly idle: UpstreamConnection[];
  readonly connecting: Map<UpstreamSink, UpstreamConnection>;
  readonly waiting: Map<UpstreamSink, Waiter>;
  readonly owner: UpstreamOwner;
  /** Who was given a connection last: the first of those who wait, or the first of them whose request is at hand. They take turns. */
  firstWasNext: boolean;
  session: Buffer | undefined;
}

interface Waiter extends Timed {
  readonly sink: UpstreamSink;
  readonly timeouts: UpstreamTimeouts;
  readonly since: number;
}

export function createUpstreamPool(settings: ProxySettings, deadlines: Deadlines, counters: Counters): UpstreamPool {
  const lookup = createUpstreamNames(deadlines, lookUpName);
  const all = new Map<string, Peers>();
  const limits: HeadLimits = {
    maxBytes: settings.upstreamResponseHeadMaxBytes,
    maxFields: settings.requestHeadersMax,
    maxTargetBytes: 0,
  };
  let secureContext: SecureContext | undefined;
  let idleConnections = 0;
  let keeping = settings.upstreamKeepalivePoolSize > 0;
  const sessions = createUpstreamSessions(settings, deadlines, counters, limits, ({ tls, host, port }) => {
    if (!tls) return connectTcp({ host, port, noDelay: true, lookup });
    const socket = connectTls({ ...tlsOptions(host, port), ALPNProtocols: ['h2'] });
    socket.setNoDelay(true);
    return socket;
  });

  return {
    acquire(upstream, sink, timeouts, fresh) {
      if (upstream.http2) return sessions.acquire(upstream, sink, timeouts);
      const peers = peersOf(upstream);
      const kept = fresh ? undefined : peers.idle.pop();
      if (kept !== undefined) {
        idleConnections -= 1;
        kept.assign(sink, timeouts);
        counters.upstreamConnection(true);
        sink.onUpstreamReady(kept);
        return;
      }
      if (peers.open.size < settings.upstreamConnectionsMax) return open(upstream, peers, sink, timeouts);
      // A fresh one is wanted and kept ones fill the bound: the oldest of them makes room.
      const oldest = peers.idle[0];
      if (oldest !== undefined) {
        oldest.close();
        return open(upstream, peers, sink, timeouts);
      }
      wait(peers, sink, timeouts);
    },
    cancel(upstream, sink) {
      if (upstream.http2) return sessions.cancel(upstream, sink);
      const peers = all.get(upstream.key);
      if (peers === undefined) return;
      const waiter = peers.waiting.get(sink);
      if (waiter !== undefined) waitsNoMore(peers, waiter);
      peers.connecting.get(sink)?.close();
    },
    closeIdle() {
      keeping = false;
      sessions.closeIdle();
      for (const peers of all.values()) for (const connection of peers.idle.slice()) connection.close();
    },
    get connections() {
      let total = sessions.connections;
      for (const peers of all.values()) total += peers.open.size;
      return total;
    },
    [Symbol.dispose]() {
      this.closeIdle();
    },
  };

  function peersOf(upstream: Upstream): Peers {
    const known = all.get(upstream.key);
    if (known !== undefined) return known;
    const peers: Peers = {
      deadline: Number.NEGATIVE_INFINITY,
      onDeadline: () => makeRoom(peers),
      open: new Set(),
      idle: [],
      connecting: new Map(),
      waiting: new Map(),
      owner: {
        connected: (sink) => peers.connecting.delete(sink),
        idle: (connection, now) => onIdle(peers, connection, now),
        gone: (connection) => onGone(upstream, peers, connection),
      },
      firstWasNext: true,
      session: undefined,
    };
    all.set(upstream.key, peers);
    return peers;
  }

  function open(upstream: Upstream, peers: Peers, sink: UpstreamSink, timeouts: UpstreamTimeouts): void {
    counters.upstreamConnection(false);
    const { host, port } = upstream;
    const connection = new UpstreamConnection(
      (onread) =>
        upstream.tls ? openTls(upstream, peers, onread) : connectTcp({ host, port, noDelay: true, lookup, onread }),
      upstream.tls,
      sink,
      timeouts,
      peers.owner,
      deadlines,
      limits,
    );
    peers.open.add(connection);
    peers.connecting.set(sink, connection);
  }

  function openTls(upstream: Upstream, peers: Peers, onread: OnReadOpts): Socket {
    // The types do not know `onread`; the documentation does.
    const options: ConnectionOptions & { onread: OnReadOpts } = {
      ...tlsOptions(upstream.host, upstream.port),
      onread,
      ALPNProtocols: ['http/1.1'],
      ...(peers.session === undefined ? {} : { session: peers.session }),
    };
    const socket = connectTls(options);
    socket.setNoDelay(true);
    socket.on('session', (session) => {
      peers.session = session;
    });
    return socket;
  }

  function tlsOptions(host: string, port: number): ConnectionOptions {
    secureContext ??= createSecureContext({ ca: settings.upstreamTrustedCertificates });
    return {
      host,
      port,
      lookup,
      // RFC 6066 section 3: no addresses.
      servername: isIP(host) === 0 ? host : '',
      secureContext,
      rejectUnauthorized: settings.upstreamTlsVerify,
    };
  }

  function wait(peers: Peers, sink: UpstreamSink, timeouts: UpstreamTimeouts): void {
    if (peers.waiting.size >= settings.upstreamConnectionsMax) {
      // Those whose bodies are still to come do not keep out the others, however many they are.
      const last = sink.requestAtHand
        ? [...peers.waiting.values()].findLast((one) => !one.sink.requestAtHand)
        : undefined;
      if (last === undefined) return sink.onUpstreamFailed(failure.exhausted);
      last.onDeadline();
    }
    const since = deadlines.now();
    const waiter: Waiter = {
      sink,
      timeouts,
      since,
      deadline: since + timeouts.connectTimeoutMs,
      onDeadline() {
        waitsNoMore(peers, waiter);
        sink.onUpstreamFailed(failure.exhausted);
      },
    };
    peers.waiting.set(sink, waiter);
    deadlines.add(waiter);
    if (settings.clientRateMin > 0) deadlines.add(peers);
  }

  function waitsNoMore(peers: Peers, waiter: Waiter): void {
    peers.waiting.delete(waiter.sink);
    deadlines.delete(waiter);
    if (peers.waiting.size === 0) deadlines.delete(peers);
  }

  function nextWaiter(peers: Peers): Waiter | undefined {
    const first = peers.waiting.values().next().value;
    if (first === undefined) return undefined;
    peers.firstWasNext = !peers.firstWasNext;
    const next = peers.firstWasNext ? first : (peers.waiting.values().find(({ sink }) => sink.requestAtHand) ?? first);
    waitsNoMore(peers, next);
    return next;
  }

  /** Has as many give way as have waited in vain: those whose clients keep their upstream waiting, the slowest first. */
  function makeRoom(peers: Peers): void {
    const now = deadlines.now();
    let wanted = 0;
    for (const { since } of peers.waiting.values()) if (now - since >= patienceMs) wanted += 1;
    if (wanted === 0) return;
    const slow: { readonly sink: UpstreamSink; readonly rate: number }[] = [];
    for (const { sink } of peers.open) {
      const rate = sink?.clientRate(now);
      if (sink !== undefined && rate !== undefined && rate < Number.POSITIVE_INFINITY) slow.push({ sink, rate });
    }
    slow.sort((one, other) => one.rate - other.rate);
    for (const { sink } of slow.slice(0, wanted)) sink.giveWay();
  }

  function onIdle(peers: Peers, connection: UpstreamConnection, now: number): void {
    if (!keeping || connection.uses >= settings.upstreamKeepaliveMaxRequests) return connection.close();
    const waiter = nextWaiter(peers);
    if (waiter !== undefined) {
      connection.assign(waiter.sink, waiter.timeouts);
      counters.upstreamConnection(true);
      return waiter.sink.onUpstreamReady(connection);
    }
    connection.deadline = now + settings.upstreamKeepaliveIdleTimeoutMs;
    peers.idle.push(connection);
    idleConnections += 1;
    if (peers.idle.length > settings.upstreamKeepalivePoolSize) peers.idle[0]?.close();
    else if (idleConnections > settings.upstreamIdleConnectionsMax) closeOldestIdle();
  }

  /** Many at once, so that looking for them is rare. */
  function closeOldestIdle(): void {
    const idle = [...all.values()].flatMap((peers) => peers.idle).sort((one, other) => one.deadline - other.deadline);
    for (const connection of idle.slice(0, Math.ceil(idle.length / 8))) connection.close();
  }

  function onGone(upstream: Upstream, peers: Peers, connection: UpstreamConnection): void {
    peers.open.delete(connection);
    const at = peers.idle.indexOf(connection);
    if (at !== -1) {
      peers.idle.splice(at, 1);
      idleConnections -= 1;
    }
    if (peers.connecting.size > 0) {
      for (const [sink, connecting] of peers.connecting) if (connecting === connection) peers.connecting.delete(sink);
    }
    const waiter = nextWaiter(peers);
    if (waiter !== undefined) open(upstream, peers, waiter.sink, waiter.timeouts);
    else if (peers.open.size === 0 && (peers.session === undefined || all.size > upstreamsRememberedMax)) {
      all.delete(upstream.key);
    }
  }
}
