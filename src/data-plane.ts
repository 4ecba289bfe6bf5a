// What serves clients, put together: catalog, TLS, HTTP, listeners, counters, access log. The same in a worker process
// and, with workers = 0, inside the primary.
import type { Config, ListenAddress } from './config/config.ts';
import { openSqliteCatalog, type Catalog } from './catalog/sqlite-catalog.ts';
import type { Change } from './model/entities.ts';
import { type AccessLogFile, createAccessLog } from './observe/access-log.ts';
import type { Log } from './observe/contract.ts';
import { createCounters, type CountersSnapshot, type CountersWithSnapshot } from './observe/counters.ts';
import { createClientLimits } from './proxy/client-limits.ts';
import { createLimitReports } from './proxy/limit-reports.ts';
import { createHttpServer } from './proxy/http-server.ts';
import { createListener, type Listener } from './proxy/listener.ts';
import type { Sealer } from './store/sealer.ts';
import { createTlsAcceptor } from './tls/accept.ts';

export interface DataPlaneOptions {
  readonly config: Config;
  /** The SQLite file that the catalog reads. */
  readonly storePath: string;
  readonly sealer: Sealer;
  /** Puts a certificate into the file that it lacks; rejects when it cannot. */
  readonly fetchCertificate: (id: string) => Promise<void>;
  /** The file cannot be read everywhere; told no more than once a second. */
  readonly storeDamaged: () => void;
  /** 32 bytes. */
  readonly ticketSecret: Buffer;
  readonly log: Log;
}

/** What a data plane tells about itself; survives JSON. */
export interface DataPlaneReport {
  readonly revision: number;
  readonly routes: number;
  readonly connections: number;
  readonly tlsContexts: number;
  readonly unusableCertificates: readonly string[];
  readonly unusableApis: readonly string[];
  readonly unusablePlugins: readonly string[];
  readonly unusablePolicies: Catalog['unusablePolicies'];
  readonly counters: CountersSnapshot;
  readonly residentBytes: number;
}

export interface DataPlane extends AsyncDisposable {
  readonly revision: number;
  listen(address: ListenAddress, handle: object): Promise<void>;
  apply(revision: number, changes: readonly Pick<Change, 'entity' | 'id'>[] | 'everything'): void;
  report(): DataPlaneReport;
  reopenLogs(): void;
  /**
   * Accepts nothing more; resolves when what was in flight is done.
   *
   * @param socketsStay others accept from the listening sockets; else what waits there is accepted first
   */
  drain(socketsStay: boolean): Promise<void>;
}

export function createDataPlane(options: DataPlaneOptions): DataPlane {
  const { config, storePath, sealer, fetchCertificate, storeDamaged, ticketSecret, log } = options;
  const counters = createCounters();
  const catalog = openSqliteCatalog(storePath, atMostEvery(damageToldEveryMs, storeDamaged));
  const accessLog = config.proxyAccessLog === 'off' ? undefined : openAccessLog(config.proxyAccessLog, counters, log);
  const listeners: Listener[] = [];
  const now = (): number => performance.now();
  const reached = createLimitReports(counters, log, now);
  const limits = createClientLimits(config, reached, now, makeRoom);
  const tls = createTlsAcceptor({
    config,
    catalog,
    openKey: (sealedKey, publicKeySha256) => sealer.open(sealedKey, publicKeySha256),
    fetchCertificate,
    ticketSecret,
    now: Date.now,
    counters,
    chainTooCostly: (address) => reached('client_chain_max_work', address),
    log,
  });
  const http = createHttpServer({ config, routes: catalog, policies: catalog, counters, accessLog, reached, log });

  return {
    get revision() {
      return catalog.revision;
    },
    async listen(address, handle) {
      const listener = await createListener({
        listen: address,
        handle,
        config,
        tls,
        limits,
        counters,
        log,
        onConnection: (connection) => http.serve(connection),
      });
      listeners.push(listener);
    },
    apply(revision, changes) {
      if (changes === 'everything') {
        catalog.reload();
        tls.forgetAll();
        return;
      }
      catalog.apply(revision, changes);
      for (const change of changes) if (change.entity === 'certificate') tls.forget(change.id);
    },
    report: () => ({
      revision: catalog.revision,
      routes: catalog.routes,
      connections: http.activeConnections,
      tlsContexts: tls.contexts,
      unusableCertificates: tls.unusableCertificates(),
      unusableApis: catalog.unusableApis,
      unusablePlugins: catalog.unusablePlugins,
      unusablePolicies: catalog.unusablePolicies,
      counters: counters.snapshot(),
      residentBytes: residentBytes(),
    }),
    reopenLogs() {
      accessLog?.reopen();
    },
    async drain(socketsStay) {
      const served = http.drain();
      await Promise.all(listeners.map((listener) => listener.close(socketsStay)));
      await served;
      // What was handed over since.
      await http.drain();
    },
    async [Symbol.asyncDispose]() {
      for (const listener of listeners) await listener[Symbol.asyncDispose]();
      await http[Symbol.asyncDispose]();
      await tls[Symbol.asyncDispose]();
      await accessLog?.[Symbol.asyncDispose]();
      catalog[Symbol.dispose]();
    },
  };

  /**
   * First whose handshake takes long, then who has asked nothing for longest; then, of those who may well be about to ask, the one
   * whose handshake began first.
   */
  function makeRoom(most: number): number {
    return endSilent(most, silentMs) || http.endIdle(most) || endSilent(1, 0);
  }

  function endSilent(most: number, ageMs: number): number {
    let ended = tls.endOldest(most, ageMs);
    for (const listener of listeners) ended += listener.endSilent(most - ended, ageMs);
    return ended;
  }
}

/** A client that is slow, and no more than that, has its handshake done by then. */
const silentMs = 1000;

function openAccessLog(destination: string, counters: CountersWithSnapshot, log: Log): AccessLogFile {
  return createAccessLog({
    destination,
    dropped: (lines) => counters.accessLinesDropped(lines),
    failed: (error) => log.error({ destination, reason: error.message }, 'the access log cannot be written'),
  });
}

const damageToldEveryMs = 1000;

function atMostEvery(intervalMs: number, act: () => void): () => void {
  let last = Number.NEGATIVE_INFINITY;
  return () => {
    if (performance.now() - last < intervalMs) return;
    last = performance.now();
    act();
  };
}

/** 0 where the system cannot say: without a descriptor left it has no file to read it from. */
function residentBytes(): number {
  try {
    return process.memoryUsage.rss();
  } catch {
    return 0;
  }
}
