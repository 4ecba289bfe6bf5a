// One listening socket of the data plane and what every connection goes through before HTTP: limit, PROXY header, TLS.
// The handshake is tls/accept.ts's; requests are read elsewhere.
import { createServer, type Server, type Socket } from 'node:net';
import type { TlsAcceptor } from '../tls/accept.ts';
import type { AlpnProtocol } from '../tls/alpn.ts';
import type { Connection } from '../tls/connection.ts';
import { createDeadlines } from '../tls/deadlines.ts';
import { acceptHandles, narrowQueue, resetHandle, type TcpHandle } from '../tls/tcp-handle.ts';
import type { ConnectionRefusal, Counters, Log } from '../observe/contract.ts';
import type { ClientLimits } from './client-limits.ts';
import { normalizeAddress, parseProxyHeader } from './proxy-protocol.ts';
import { PrefaceReading } from './preface.ts';
import { createTrustedPeers } from './trusted-peers.ts';

/** How long a listener takes those who come while it empties the queue of its socket, and what is a turn that nothing can have come in. */
const emptyingMaxMs = 500;
const shortTurnMs = 1;

export interface ListenerOptions {
  readonly listen: {
    readonly host: string;
    readonly port: number;
    readonly ssl: boolean;
    /** Over TLS by ALPN, without TLS by the client's first bytes. */
    readonly http2: boolean;
    readonly proxyProtocol: boolean;
    readonly backlog: number;
  };
  /** A bound TCP handle to accept from, instead of `listen`'s host and port. The listener closes it. */
  readonly handle?: object | undefined;
  readonly config: {
    readonly trustedIps: readonly string[];
    readonly handshakeTimeoutMs: number;
  };
  /** Required where `listen.ssl` is set. It may serve several listeners. */
  readonly tls?: TlsAcceptor | undefined;
  /** Shared by the listeners of a process. */
  readonly limits: ClientLimits;
  readonly counters: Pick<Counters, 'connectionOpened' | 'connectionClosed' | 'connectionRefused'>;
  readonly log: Log;
  /** The connection is its receiver's from here on. */
  readonly onConnection: (connection: Connection) => void;
}

export interface Listener extends AsyncDisposable {
  /** The port bound, also where 0 was asked for. */
  readonly port: number;
  /** Connections that are not yet handed over: PROXY header or handshake under way. */
  readonly preparing: number;
  /**
   * Ends connections that have said nothing of what they are for, the oldest ones first; those whose handshake has begun
   * are the acceptor's.
   *
   * @returns how many
   */
  endSilent(most: number, ageMs: number): number;
  /**
   * Accepts no more. Resolves when those under way are handed over or ended, within the handshake's time.
   *
   * @param socketStays others accept from it; else what has connected to it is accepted first
   */
  close(socketStays: boolean): Promise<void>;
  /** Accepts no more and ends those under way. Connections that were handed over stay. */
  [Symbol.asyncDispose](): Promise<void>;
}

/**
 * A listener with `proxyProtocol` requires the header of every connection and takes it from `trustedIps` alone: whoever
 * may send one may claim any address. With no `trustedIps` it therefore refuses all.
 *
 * @throws Error with code EADDRINUSE, EACCES…
 */
export async function createListener(options: ListenerOptions): Promise<Listener> {
  const { listen, config, tls, limits, counters, log, onConnection } = options;
  const alpnProtocols: readonly AlpnProtocol[] = listen.http2 ? ['h2', 'http/1.1'] : ['http/1.1'];
  if (listen.ssl && tls === undefined) throw new TypeError('a listener with ssl needs a TLS acceptor');
  const isTrusted = createTrustedPeers(config.trustedIps);
  const preparing = new Set<Preparing>();
  const reading = createDeadlines<ProxyHeaderReading>(config.handshakeTimeoutMs, (reader) => reader.expire());
  const sniffing = createDeadlines<PrefaceReading>(config.handshakeTimeoutMs, (reader) => reader.expire());
  let whenIdle: (() => void) | undefined;
  let acceptedInTurn = 0;
  let emptied: Promise<void> | undefined;

  const server = createServer({ pauseOnConnect: true, noDelay: true }, accept);
  await startListening(server, options);
  if (listen.ssl && !listen.proxyProtocol && tls !== undefined)
    acceptHandles(server, (handle) => acceptHandle(handle, tls));
  server.on('error', (error) => log.error({ err: error }, 'a listener failed'));
  const address = server.address();
  const port = address !== null && typeof address === 'object' ? address.port : listen.port;
  if (listen.proxyProtocol && config.trustedIps.length === 0) {
    log.warn({ port }, 'a listener with proxy_protocol refuses all connections because trusted_ips is empty');
  }

  return {
    port,
    get preparing() {
      return preparing.size;
    },
    endSilent(most, ageMs) {
      const ended = reading.endOldest(most, ageMs, (reader) => reader.end());
      return ended + sniffing.endOldest(most - ended, ageMs, (reader) => reader.end());
    },
    close,
    [Symbol.asyncDispose]() {
      const closed = close(true);
      for (const connection of preparing) connection.destroy();
      return closed;
    },
  };

  /**
   * The system has taken the connections that wait in the socket's queue, and would reset them with the socket: they are
   * accepted first. Each turn of the event loop brings one; after a turn that brings none and is over at once, the queue is
   * empty. Meanwhile it takes one more at most, and whoever comes then is refused a second later. Under a rush that leaves no
   * turn empty it ends after a time, but not before as many have been taken as can have waited: a machine that is busy, or
   * stands still, resets none of them.
   */
  function emptyQueue(): Promise<void> {
    narrowQueue(server);
    const endsAt = performance.now() + emptyingMaxMs;
    return new Promise((resolve) => {
      let turnBegan = 0;
      let accepted = 0;
      const turn = (): void => {
        const now = performance.now();
        const empty = turnBegan > 0 && acceptedInTurn === 0 && now - turnBegan < shortTurnMs;
        accepted += acceptedInTurn;
        const isOver = now > endsAt && accepted >= listen.backlog;
        if (empty || isOver || !server.listening) return resolve();
        turnBegan = now;
        acceptedInTurn = 0;
        setImmediate(turn);
      };
      setImmediate(turn);
    });
  }

  async function close(socketStays: boolean): Promise<void> {
    if (!socketStays) await (emptied ??= emptyQueue());
    if (server.listening) server.close();
    if (preparing.size === 0) return;
    await new Promise<void>((resolve) => {
      const before = whenIdle;
      whenIdle = () => {
        before?.();
        resolve();
      };
    });
  }

  function accept(socket: Socket): void {
    acceptedInTurn += 1;
    socket.on('error', ignoreError);
    const remoteAddress = socket.remoteAddress;
    // It has gone again.
    if (remoteAddress === undefined) return void socket.destroy();
    if (!limits.enter(remoteAddress)) return refuseAnother(() => socket.resetAndDestroy());
    counters.connectionOpened(listen.ssl);
    preparing.add(socket);
    socket.on('close', () => {
      limits.leave();
      counters.connectionClosed(listen.ssl);
      settled(socket);
    });
    const peer = normalizePeer(remoteAddress);
    if (!listen.proxyProtocol) return secure(socket, peer, socket.remotePort ?? 0, port);
    if (!isTrusted(peer)) return refuse(socket, 'proxy-protocol-untrusted');
    const reader = new ProxyHeaderReading(socket, (outcome) => {
      reading.delete(reader);
      if (outcome.kind === 'gone') return;
      if (outcome.kind === 'refused') return refuse(socket, outcome.reason);
      const { client, rest } = outcome;
      if (client === undefined) secure(socket, peer, socket.remotePort ?? 0, port, rest, reader.startedAt);
      else secure(socket, client.address, client.port, client.localPort, rest, reader.startedAt);
    });
    reading.add(reader, reader.startedAt);
    reader.start();
  }

  /** The common way: TLS with nothing before it needs no socket of its own for TCP. */
  function acceptHandle(handle: TcpHandle, acceptor: TlsAcceptor): void {
    acceptedInTurn += 1;
    const peer: { address?: string; port?: number } = {};
    // It has gone again.
    if (handle.getpeername(peer) !== 0 || peer.address === undefined) return handle.close();
    const remoteAddress = normalizePeer(peer.address);
    if (!limits.enter(remoteAddress)) return refuseAnother(() => resetHandle(handle));
    const trusted = isTrusted(remoteAddress);
    const visit = limits.visit(remoteAddress, trusted);
    if (visit === undefined) {
      limits.leave();
      return refuseAnother(() => resetHandle(handle));
    }
    counters.connectionOpened(true);
    handle.setNoDelay(true);
    const remotePort = peer.port ?? 0;
    const connection: Preparing = { destroy: () => undefined };
    preparing.add(connection);
    connection.destroy = acceptor.acceptHandle(
      handle,
      { alpnProtocols, mayStart: visit.mayHandshake, address: remoteAddress },
      ({ socket, serverName, alpnProtocol, security }) =>
        handOver(connection, {
          socket,
          tls: true,
          security,
          serverName,
          alpnProtocol,
          remoteAddress,
          remotePort,
          localPort: port,
          trusted,
        }),
      () => {
        limits.leave();
        visit.leave();
        counters.connectionClosed(true);
        settled(connection);
      },
    );
  }

  function secure(
    socket: Socket,
    remoteAddress: string,
    remotePort: number,
    localPort: number,
    firstBytes?: Buffer,
    startedAt?: number,
  ): void {
    const trusted = isTrusted(remoteAddress);
    const visit = limits.visit(remoteAddress, trusted);
    if (visit === undefined) return refuseAnother(() => socket.resetAndDestroy());
    socket.on('close', () => visit.leave());
    if (!listen.ssl || tls === undefined) {
      if (firstBytes !== undefined && firstBytes.length > 0) socket.unshift(firstBytes);
      const plain = (alpnProtocol: AlpnProtocol): void =>
        handOver(socket, {
          socket,
          tls: false,
          security: undefined,
          serverName: undefined,
          alpnProtocol,
          remoteAddress,
          remotePort,
          localPort,
          trusted,
        });
      if (!listen.http2) return plain('http/1.1');
      const reader = new PrefaceReading(socket, (protocol) => {
        sniffing.delete(reader);
        if (protocol !== undefined) plain(protocol);
      });
      sniffing.add(reader, startedAt);
      return reader.start();
    }
    const options = { alpnProtocols, firstBytes, startedAt, mayStart: visit.mayHandshake, address: remoteAddress };
    tls.accept(socket, options, (secured) => {
      handOver(socket, {
        socket: secured.socket,
        tls: true,
        security: secured.security,
        serverName: secured.serverName,
        alpnProtocol: secured.alpnProtocol,
        remoteAddress,
        remotePort,
        localPort,
        trusted,
      });
    });
  }

  function handOver(prepared: Preparing, connection: Connection): void {
    try {
      onConnection(connection);
    } catch (error) {
      log.error({ err: error }, 'a connection could not be taken on');
      connection.socket.destroy();
    }
    settled(prepared);
  }

  function refuse(socket: Socket, reason: ConnectionRefusal): void {
    counters.connectionRefused(reason);
    socket.destroy();
  }

  /** @param reset leaves nothing to wait for, as an end that the client must answer does */
  function refuseAnother(reset: () => void): void {
    counters.connectionRefused('limit');
    reset();
  }

  function settled(prepared: Preparing): void {
    if (!preparing.delete(prepared) || preparing.size > 0) return;
    whenIdle?.();
    whenIdle = undefined;
  }
}

/** A connection that is not yet handed over, or its socket. */
interface Preparing {
  destroy: () => void;
}

type ReadingOutcome =
  | {
      readonly kind: 'read';
      readonly client: { readonly address: string; readonly port: number; readonly localPort: number } | undefined;
      readonly rest: Buffer;
    }
  | { readonly kind: 'refused'; readonly reason: ConnectionRefusal }
  /** The peer closed; load balancers that look whether a port answers do. */
  | { readonly kind: 'gone' };

/** Reads the PROXY header of one connection and leaves its socket paused. */
class ProxyHeaderReading {
  readonly startedAt = performance.now();
  readonly #socket: Socket;
  readonly #done: (outcome: ReadingOutcome) => void;
  #bytes: Buffer | undefined;
  #needed = 0;

  constructor(socket: Socket, done: (outcome: ReadingOutcome) => void) {
    this.#socket = socket;
    this.#done = done;
  }

  start(): void {
    this.#socket.on('data', this.#onData);
    this.#socket.on('close', this.#onClose);
    this.#socket.resume();
  }

  expire(): void {
    this.#finish({ kind: 'refused', reason: 'proxy-protocol-timeout' });
  }

  end(): void {
    this.#socket.destroy();
  }

  #onClose = (): void => {
    this.#finish({ kind: 'gone' });
  };

  #onData = (chunk: Buffer): void => {
    const bytes = this.#bytes === undefined ? chunk : Buffer.concat([this.#bytes, chunk]);
    this.#bytes = bytes;
    if (bytes.length < this.#needed) return;
    const header = parseProxyHeader(bytes);
    if (header.kind === 'incomplete') {
      this.#needed = header.needed;
      return;
    }
    if (header.kind === 'malformed') return this.#finish({ kind: 'refused', reason: 'proxy-protocol-malformed' });
    this.#finish({ kind: 'read', client: header.client, rest: bytes.subarray(header.length) });
  };

  #finish(outcome: ReadingOutcome): void {
    this.#socket.off('data', this.#onData);
    this.#socket.off('close', this.#onClose);
    this.#socket.pause();
    this.#done(outcome);
  }
}

function startListening(server: Server, { listen, handle }: ListenerOptions): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    const started = (): void => {
      server.off('error', reject);
      resolve();
    };
    if (handle === undefined) {
      server.listen({ host: listen.host, port: listen.port, backlog: listen.backlog, ipv6Only: true }, started);
    } else {
      server.listen(handle, listen.backlog, started);
    }
  });
}

/** The socket's own addresses are in shortest form already. */
function normalizePeer(address: string): string {
  return address.startsWith('::ffff:') ? normalizeAddress(address) : address;
}

/** `close` follows and is what counts. */
function ignoreError(): void {}
