// The metrics by name, help, type and labels, each with how it is read. docs/observability.md lists the same, and a test
// holds the two together.
import { latencyBoundsMs } from './counters.ts';
import type { CountersSnapshot, HistogramSnapshot } from './counters.ts';

/** What the metrics are made of at one moment. */
export interface MetricsFacts {
  /** Counted by all workers there ever were; `connectionsOpen` by those that live. */
  readonly counters: CountersSnapshot;
  readonly version: string;
  readonly startedAt: number;
  readonly workers: readonly WorkerFacts[];
  readonly workersWanted: number;
  readonly stopping: boolean;
  /** As far as this node knows. */
  readonly storeRevision: number;
  readonly storeReachable: boolean;
  /** Undefined while no worker has applied any. */
  readonly appliedRevision: number | undefined;
  /** By result. */
  readonly uploads: Readonly<Record<'accepted' | 'refused', number>>;
  /** By error code. */
  readonly adminRefusals: Readonly<Record<string, number>>;
  readonly certificates: readonly CertificateFacts[];
  /** By their subjects. */
  readonly authorities: readonly CertificateFacts[];
}

export interface WorkerFacts {
  readonly worker: number;
  readonly residentBytes: number;
  readonly tlsContexts: number;
}

export interface CertificateFacts {
  readonly id: string;
  /** One of the names it is bound to, or its subject's. */
  readonly name: string;
  /** Milliseconds since 1970. */
  readonly notAfter: number;
}

export interface Sample {
  readonly labels: Readonly<Record<string, string | number>>;
  readonly value: number;
  /** In place of the metric's name: `…_bucket`, `…_sum`, `…_count`. */
  readonly metricName?: string;
}

export interface Metric {
  readonly help: string;
  readonly type: 'counter' | 'gauge' | 'histogram';
  readonly labels: readonly string[];
  read(facts: MetricsFacts, name: string): readonly Sample[];
}

export const metrics = {
  portunus_build_info: {
    help: 'Always 1; the version is a label.',
    type: 'gauge',
    labels: ['version', 'node'],
    read: ({ version }) => [{ labels: { version, node: process.versions.node }, value: 1 }],
  },
  portunus_start_time_seconds: {
    help: 'When this node started, in seconds since 1970.',
    type: 'gauge',
    labels: [],
    read: ({ startedAt }) => one(startedAt / 1000),
  },
  portunus_workers: {
    help: 'Workers by whether they serve or are wanted.',
    type: 'gauge',
    labels: ['state'],
    read: ({ workers, workersWanted }) => by('state', { serving: workers.length, wanted: workersWanted }),
  },
  portunus_stopping: {
    help: 'Whether this gateway stops and finishes what is in flight: 1 or 0.',
    type: 'gauge',
    labels: [],
    read: ({ stopping }) => one(Number(stopping)),
  },
  portunus_worker_resident_memory_bytes: {
    help: 'Memory of a worker.',
    type: 'gauge',
    labels: ['worker'],
    read: ({ workers }) => workers.map(({ worker, residentBytes }) => ({ labels: { worker }, value: residentBytes })),
  },
  portunus_connections: {
    help: 'Client connections that are open.',
    type: 'gauge',
    labels: ['listener'],
    read: ({ counters }) => by('listener', counters.connectionsOpen),
  },
  portunus_connections_accepted_total: {
    help: 'Client connections accepted.',
    type: 'counter',
    labels: ['listener'],
    read: ({ counters }) => by('listener', counters.connectionsAccepted),
  },
  portunus_connections_refused_total: {
    help: 'Client connections closed before they were served, by reason.',
    type: 'counter',
    labels: ['reason'],
    read: ({ counters }) => by('reason', counters.connectionsRefused),
  },
  portunus_client_limits_reached_total: {
    help: 'How often clients met a limit and were refused or cut off for it, by the setting that says it.',
    type: 'counter',
    labels: ['limit'],
    read: ({ counters }) => by('limit', counters.limitsReached),
  },
  portunus_tls_handshakes_total: {
    help: 'TLS handshakes that succeeded, by version and whether a session was resumed.',
    type: 'counter',
    labels: ['version', 'resumed'],
    read: ({ counters }) =>
      counters.handshakes.map(({ version, resumed, count }) => ({
        labels: { version, resumed: String(resumed) },
        value: count,
      })),
  },
  portunus_tls_handshake_failures_total: {
    help: 'TLS handshakes that failed, by reason.',
    type: 'counter',
    labels: ['reason'],
    read: ({ counters }) => by('reason', counters.handshakeFailures),
  },
  portunus_tls_client_certificates_total: {
    help: 'TLS handshakes in which the client was asked for a certificate, by what it answered.',
    type: 'counter',
    labels: ['answer'],
    read: ({ counters }) => by('answer', counters.clientProofs),
  },
  portunus_client_certificate_refusals_total: {
    help: 'Requests refused for what their client had not proved, by reason.',
    type: 'counter',
    labels: ['reason'],
    read: ({ counters }) => by('reason', counters.clientRefusals),
  },
  portunus_tls_context_cache_total: {
    help: 'Look-ups in the cache of TLS contexts: hit, made, or unusable when the certificate could not be used.',
    type: 'counter',
    labels: ['result'],
    read: ({ counters: { contexts } }) =>
      by('result', { hit: contexts.hit, made: contexts.made, unusable: contexts.unusable }),
  },
  portunus_tls_context_cache_evictions_total: {
    help: 'TLS contexts that made room for others.',
    type: 'counter',
    labels: [],
    read: ({ counters }) => one(counters.contexts.evicted),
  },
  portunus_tls_contexts: {
    help: 'TLS contexts in the memory of all workers.',
    type: 'gauge',
    labels: [],
    read: ({ workers }) => one(workers.reduce((sum, { tlsContexts }) => sum + tlsContexts, 0)),
  },
  portunus_http_requests_total: {
    help: 'Requests answered, by status code.',
    type: 'counter',
    labels: ['code'],
    read: ({ counters }) => by('code', counters.requests),
  },
  portunus_request_duration_seconds: {
    help: 'From the first byte of a request to the last byte of its response.',
    type: 'histogram',
    labels: [],
    read: ({ counters }, name) => histogram(name, counters.requestDuration),
  },
  portunus_upstream_duration_seconds: {
    help: 'From the first byte sent to an upstream to the head of its response.',
    type: 'histogram',
    labels: [],
    read: ({ counters }, name) => histogram(name, counters.upstreamDuration),
  },
  portunus_upstream_failures_total: {
    help: 'Attempts on an upstream that failed, by kind.',
    type: 'counter',
    labels: ['kind'],
    read: ({ counters }) => by('kind', counters.upstreamFailures),
  },
  portunus_upstream_connections_total: {
    help: 'Upstream connections taken for a request: opened, or reused.',
    type: 'counter',
    labels: ['origin'],
    read: ({ counters }) => by('origin', counters.upstreamConnections),
  },
  portunus_access_log_dropped_total: {
    help: 'Lines of the access log that its destination could not take.',
    type: 'counter',
    labels: [],
    read: ({ counters }) => one(counters.accessLinesDropped),
  },
  portunus_certificate_uploads_total: {
    help: 'Certificates given to the Admin API, by whether they were accepted.',
    type: 'counter',
    labels: ['result'],
    read: ({ uploads }) => by('result', uploads),
  },
  portunus_admin_refusals_total: {
    help: 'Requests of the Admin API turned away for who sent them, by error code.',
    type: 'counter',
    labels: ['code'],
    read: ({ adminRefusals }) => by('code', adminRefusals),
  },
  portunus_certificate_not_after_timestamp_seconds: {
    help: 'When a certificate expires, in seconds since 1970; those that expire first.',
    type: 'gauge',
    labels: ['id', 'name'],
    read: ({ certificates }) =>
      certificates.map(({ id, name, notAfter }) => ({ labels: { id, name }, value: notAfter / 1000 })),
  },
  portunus_ca_certificate_not_after_timestamp_seconds: {
    help: 'From when on a CA certificate vouches for nobody: it or its revocation list runs out, in seconds since 1970.',
    type: 'gauge',
    labels: ['id', 'subject'],
    read: ({ authorities }) =>
      authorities.map(({ id, name, notAfter }) => ({ labels: { id, subject: name }, value: notAfter / 1000 })),
  },
  portunus_store_revision: {
    help: 'The last revision of the store, as far as this node knows.',
    type: 'gauge',
    labels: [],
    read: ({ storeRevision }) => one(storeRevision),
  },
  portunus_store_reachable: {
    help: 'Whether the store can be reached: 1 or 0. Without it this node serves what it has.',
    type: 'gauge',
    labels: [],
    read: ({ storeReachable }) => one(Number(storeReachable)),
  },
  portunus_applied_revision: {
    help: 'The revision that every worker of this node has applied.',
    type: 'gauge',
    labels: [],
    read: ({ appliedRevision }) => (appliedRevision === undefined ? [] : one(appliedRevision)),
  },
} as const satisfies Readonly<Record<`portunus_${string}`, Metric>>;

function one(value: number): readonly Sample[] {
  return [{ labels: {}, value }];
}

function by(label: string, counts: Readonly<Record<string, number>>): readonly Sample[] {
  return Object.entries(counts).map(([key, value]) => ({ labels: { [label]: key }, value }));
}

/** Prometheus counts in a bucket what is in the smaller ones too. */
function histogram(name: string, { buckets, sumMs }: HistogramSnapshot): readonly Sample[] {
  let count = 0;
  const samples: Sample[] = buckets.map((inBucket, index) => {
    count += inBucket;
    const bound = latencyBoundsMs[index];
    return { metricName: `${name}_bucket`, labels: { le: bound === undefined ? '+Inf' : bound / 1000 }, value: count };
  });
  samples.push({ metricName: `${name}_sum`, labels: {}, value: sumMs / 1000 });
  samples.push({ metricName: `${name}_count`, labels: {}, value: count });
  return samples;
}
