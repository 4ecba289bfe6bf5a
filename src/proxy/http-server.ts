// HTTP for every accepted connection of a process: what they share is made here, and here they are counted and drained.
import type { PolicyCatalog, RouteCatalog } from '../catalog/contract.ts';
import type { HeadLimits } from '../http1/head-parser.ts';
import type { AccessLog, Counters, Log } from '../observe/contract.ts';
import type { Connection } from '../tls/connection.ts';
import { ClientConnection } from './client-connection.ts';
import { ClientSession } from './client-session.ts';
import { createDeadlines } from './deadlines.ts';
import type { ExchangeServices } from './exchange.ts';
import { createHttpDate } from './http-date.ts';
import { createAdmissions } from './admissions.ts';
import type { LimitReports } from './limit-reports.ts';
import { createRequestIds } from './request-ids.ts';
import type { ProxySettings } from './settings.ts';
import { createTrustedPeers } from './trusted-peers.ts';
import { createFailureLog } from './failure-log.ts';
import { createPendingLimit } from './pending-limit.ts';
import { createUpstreamPool } from './upstream-pool.ts';

/** A look at all connections that finds too few idle ones is followed by a pause of so many times its length. */
const lookPauseFactor = 10;
const lookPauseMaxMs = 100;

export interface HttpServerOptions {
  readonly config: ProxySettings;
  readonly routes: RouteCatalog;
  readonly policies: PolicyCatalog;
  readonly counters: Counters;
  readonly accessLog: AccessLog | undefined;
  readonly reached: LimitReports;
  readonly log: Log;
  /** Monotonic milliseconds. */
  readonly now?: () => number;
  /** Milliseconds since the epoch, by which certificates expire. */
  readonly wallClock?: () => number;
  /** How late a timeout may be noticed. */
  readonly sweepIntervalMs?: number;
}

export interface HttpServer extends AsyncDisposable {
  /** Takes the connection over: it is read, answered and closed from here. */
  serve(connection: Connection): void;
  /** Idle connections are closed, the others after the response under way. Resolves when all are gone. */
  drain(): Promise<void>;
  /**
   * Ends connections without a request under way, those first that have asked nothing for longest. Where all are busy, looking for them takes
   * no more than a tenth of the time, however often it is asked.
   *
   * @returns how many
   */
  endIdle(most: number): number;
  readonly activeConnections: number;
}

export function createHttpServer(options: HttpServerOptions): HttpServer {
  const { config, routes, policies, counters, accessLog, log, now = () => performance.now() } = options;
  const pending = createPendingLimit(config.clientPendingMaxBytes, options.reached);
  const deadlines = createDeadlines(now, options.sweepIntervalMs, pending);
  const pool = createUpstreamPool(config, deadlines, counters);
  const services: ExchangeServices = {
    settings: config,
    forward: {
      realIpHeader: config.realIpHeader,
      realIpRecursive: config.realIpRecursive,
      isTrusted: createTrustedPeers(config.trustedIps),
    },
    routes,
    admissions: createAdmissions({ policies, settings: config, now: options.wallClock ?? Date.now, log }),
    pool,
    deadlines,
    counters,
    reached: options.reached,
    accessLog,
    tellFailure: createFailureLog(log, now),
    nextRequestId: createRequestIds(),
    dateLine: createHttpDate(),
  };
  const limits: HeadLimits = {
    maxBytes: config.requestHeadMaxBytes,
    maxFields: config.requestHeadersMax,
    maxTargetBytes: config.requestTargetMaxBytes,
  };
  const connections = new Set<ClientConnection | ClientSession>();
  let whenGone: (() => void)[] = [];
  let draining = false;
  let lookAgainAt = Number.NEGATIVE_INFINITY;
  const owner = {
    get draining() {
      return draining;
    },
    gone(connection: ClientConnection | ClientSession) {
      connections.delete(connection);
      if (connections.size > 0) return;
      for (const resolve of whenGone) resolve();
      whenGone = [];
    },
  };

  return {
    serve(connection) {
      const Served = connection.alpnProtocol === 'h2' ? ClientSession : ClientConnection;
      const served = new Served(connection, limits, services, owner);
      if (connection.socket.destroyed) return;
      connections.add(served);
      if (draining) served.drain();
    },
    drain,
    endIdle(most) {
      const began = now();
      if (began < lookAgainAt) return 0;
      const idle = [...connections].filter((connection) => connection.isIdle);
      idle.sort((one, other) => one.deadline - other.deadline);
      for (const connection of idle.slice(0, most)) connection.destroy();
      const ended = now();
      if (idle.length < most) lookAgainAt = ended + Math.min((ended - began) * lookPauseFactor, lookPauseMaxMs);
      return Math.min(idle.length, most);
    },
    get activeConnections() {
      return connections.size;
    },
    async [Symbol.asyncDispose]() {
      for (const connection of connections) connection.destroy();
      await drain();
      deadlines[Symbol.dispose]();
    },
  };

  function drain(): Promise<void> {
    draining = true;
    for (const connection of connections) connection.drain();
    pool.closeIdle();
    if (connections.size === 0) return Promise.resolve();
    return new Promise((resolve) => {
      whenGone.push(resolve);
    });
  }
}
