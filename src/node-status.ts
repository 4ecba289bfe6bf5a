// What this node tells about itself: /status, /status/ready, /metrics. How it is asked is admin's and observe's.
import type { Config } from './config/config.ts';
import { type ErrorCode, isPortunusError } from './lib/errors.ts';
import type { CertificateFacts } from './observe/metric-table.ts';
import { createMetrics } from './observe/metrics.ts';
import type { Readiness } from './observe/status-server.ts';
import type { Acknowledgements } from './replica/acknowledgements.ts';
import type { Serving } from './serving.ts';
import type { NodeStore } from './node-store.ts';

export interface NodeStatusOptions {
  readonly nodeStore: Pick<NodeStore, 'local' | 'state' | 'filling' | 'trouble'>;
  readonly serving: Serving;
  readonly acknowledgements: Acknowledgements;
  readonly version: string;
  /** Milliseconds since the epoch. */
  readonly startedAt: number;
  readonly config: Pick<Config, 'metricsCertificatesMax'>;
}

export interface NodeStatus {
  readonly status: () => Promise<object>;
  readonly ready: () => Promise<Readiness>;
  /** Text of the Prometheus exposition format. */
  readonly metrics: () => Promise<string>;
  readonly countUpload: (result: 'accepted' | 'refused') => void;
  readonly countAdminRefusal: (code: ErrorCode) => void;
  /** It is not ready from here on. What it tells of the store is what it knew at last, and nothing is asked of it any more. */
  stop(): Promise<void>;
}

interface KnownOfStore {
  readonly state: ReturnType<NodeStore['state']>;
  readonly filling: Awaited<ReturnType<NodeStore['filling']>>;
  readonly revision: number;
  readonly reachable: boolean;
}

interface Expiring {
  readonly certificates: readonly CertificateFacts[];
  readonly authorities: readonly CertificateFacts[];
}

export function createNodeStatus(options: NodeStatusOptions): NodeStatus {
  const { nodeStore, serving, acknowledgements, version, startedAt } = options;
  const startedMs = performance.now();
  const { local: store, state, filling, trouble } = nodeStore;
  const { metricsCertificatesMax } = options.config;
  const metrics = createMetrics(metricsCertificatesMax);
  let stopping = false;
  let known = readStore;
  let expiring = readExpiring;

  return {
    countUpload: (result) => metrics.countUpload(result),
    countAdminRefusal: (code) => metrics.countAdminRefusal(code),

    async status() {
      const [reports, stored] = await Promise.all([serving.reports(), known()]);
      return {
        version,
        uptime_seconds: Math.round((performance.now() - startedMs) / 1000),
        ready: isServing(),
        state: stopping ? 'stopping' : stored.state,
        ...(stored.filling !== undefined && { filling: stored.filling }),
        revision: stored.revision,
        applied_revision: acknowledgements.applied() ?? null,
        workers: {
          wanted: serving.size,
          serving: serving.listening,
          processes: reports.map(({ worker, pid, report }) => ({
            worker,
            pid,
            revision: report.revision,
            routes: report.routes,
            connections: report.connections,
            tls_contexts: report.tlsContexts,
            resident_bytes: report.residentBytes,
          })),
        },
        unusable_certificates: allOf(reports.map(({ report }) => report.unusableCertificates)),
        unusable_apis: allOf(reports.map(({ report }) => report.unusableApis)),
        unusable_plugins: allOf(reports.map(({ report }) => report.unusablePlugins)),
        unusable_hosts: allOf(reports.map(({ report }) => report.unusablePolicies.hosts)),
        unusable_ca_certificates: allOf(reports.map(({ report }) => report.unusablePolicies.authorities)),
      };
    },

    async ready() {
      const reachable = stopping ? (await known()).reachable : isReachable();
      return {
        ready: isServing(),
        details: {
          ...(stopping && { stopping }),
          workers: { wanted: serving.size, serving: serving.listening },
          store: { reachable },
        },
      };
    },

    async metrics() {
      const [reports, stored, soon] = await Promise.all([serving.reports(), known(), expiring()]);
      return metrics.render({
        version,
        startedAt,
        workers: reports.map(({ worker, report: { residentBytes, tlsContexts, counters } }) => ({
          worker,
          residentBytes,
          tlsContexts,
          counters,
        })),
        workersWanted: serving.size,
        stopping,
        storeRevision: stored.revision,
        storeReachable: stored.reachable,
        appliedRevision: acknowledgements.applied(),
        ...soon,
      });
    },

    async stop() {
      stopping = true;
      const [last, soon] = await Promise.all([readStore().catch(nothingKnown), readExpiring().catch(() => none)]);
      known = () => Promise.resolve(last);
      expiring = () => Promise.resolve(soon);
    },
  };

  function isServing(): boolean {
    return !stopping && serving.listening >= serving.size;
  }

  function isReachable(): boolean {
    return trouble() === undefined;
  }

  async function readStore(): Promise<KnownOfStore> {
    const [fill, revision] = await Promise.all([filling(), store.revision()]);
    return { state: state(), filling: fill, revision, reachable: isReachable() };
  }

  /** Of a file that cannot be read: how the connections end is what matters by then. */
  function nothingKnown(): KnownOfStore {
    return { state: state(), filling: undefined, revision: acknowledgements.applied() ?? 0, reachable: false };
  }

  /** None where the file is damaged there, which its log tells: whoever looks into that needs the other metrics most. */
  async function readExpiring(): Promise<Expiring> {
    try {
      const [certificates, authorities] = await Promise.all([
        store.soonestToExpire(metricsCertificatesMax),
        store.authoritiesSoonestToExpire(metricsCertificatesMax),
      ]);
      return { certificates, authorities };
    } catch (error) {
      if (!isPortunusError(error, 'STORE_DAMAGED')) throw error;
      return none;
    }
  }
}

const none: Expiring = { certificates: [], authorities: [] };

/** Each once, sorted. */
function allOf(lists: readonly (readonly string[])[]): readonly string[] {
  return [...new Set(lists.flat())].toSorted();
}
