// What this node tells about itself: /status, /status/ready, /metrics. How it is asked is admin's and observe's.
import type { Config } from './config/config.ts';
import type { ErrorCode } from './lib/errors.ts';
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
}

export function createNodeStatus(options: NodeStatusOptions): NodeStatus {
  const { nodeStore, serving, acknowledgements, version, startedAt } = options;
  const startedMs = performance.now();
  const { local: store, state, filling, trouble } = nodeStore;
  const { metricsCertificatesMax } = options.config;
  const metrics = createMetrics(metricsCertificatesMax);

  return {
    countUpload: (result) => metrics.countUpload(result),
    countAdminRefusal: (code) => metrics.countAdminRefusal(code),

    async status() {
      const [reports, revision, fill] = await Promise.all([serving.reports(), store.revision(), filling()]);
      return {
        version,
        uptime_seconds: Math.round((performance.now() - startedMs) / 1000),
        ready: isServing(),
        state: state(),
        ...(fill !== undefined && { filling: fill }),
        revision,
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

    ready() {
      return Promise.resolve({
        ready: isServing(),
        details: {
          workers: { wanted: serving.size, serving: serving.listening },
          store: { reachable: trouble() === undefined },
        },
      });
    },

    async metrics() {
      const [reports, storeRevision, certificates, authorities] = await Promise.all([
        serving.reports(),
        store.revision(),
        store.soonestToExpire(metricsCertificatesMax),
        store.authoritiesSoonestToExpire(metricsCertificatesMax),
      ]);
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
        storeRevision,
        storeReachable: trouble() === undefined,
        appliedRevision: acknowledgements.applied(),
        certificates,
        authorities,
      });
    },
  };

  function isServing(): boolean {
    return serving.listening >= serving.size;
  }
}

/** Each once, sorted. */
function allOf(lists: readonly (readonly string[])[]): readonly string[] {
  return [...new Set(lists.flat())].toSorted();
}
