// What one process counts on the data path, in one block of numbers made at the start: counting allocates nothing.
// Names and help are in metric-table.ts, the sum over processes in sum-counters.ts.
import type {
  ClientLimit,
  ClientProofKind,
  ClientRefusal,
  ConnectionRefusal,
  Counters,
  HandshakeFailure,
  UpstreamFailure,
} from './contract.ts';

/** Upper bounds in milliseconds, inclusive; what is slower falls in one more bucket. */
export const latencyBoundsMs = [
  0.5, 1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000, 30_000, 60_000,
] as const;

export interface HistogramSnapshot {
  /** One count for each bound and one for the rest; not cumulative. */
  readonly buckets: readonly number[];
  readonly sumMs: number;
}

/** Plain numbers under plain names: survives JSON and structured clone. All but `connectionsOpen` only grow. */
export interface CountersSnapshot {
  readonly connectionsOpen: Readonly<Record<'plain' | 'tls', number>>;
  readonly connectionsAccepted: Readonly<Record<'plain' | 'tls', number>>;
  readonly connectionsRefused: Readonly<Record<ConnectionRefusal, number>>;
  readonly limitsReached: Readonly<Record<ClientLimit, number>>;
  readonly handshakes: readonly { readonly version: string; readonly resumed: boolean; readonly count: number }[];
  readonly handshakeFailures: Readonly<Record<HandshakeFailure, number>>;
  readonly clientProofs: Readonly<Record<ClientProofKind, number>>;
  readonly clientRefusals: Readonly<Record<ClientRefusal, number>>;
  readonly contexts: Readonly<Record<'hit' | 'made' | 'unusable' | 'evicted', number>>;
  /** By status code, those that occurred. */
  readonly requests: Readonly<Record<string, number>>;
  readonly requestDuration: HistogramSnapshot;
  readonly upstreamDuration: HistogramSnapshot;
  readonly upstreamFailures: Readonly<Record<UpstreamFailure, number>>;
  readonly upstreamConnections: Readonly<Record<'opened' | 'reused', number>>;
  readonly accessLinesDropped: number;
}

export interface CountersWithSnapshot extends Counters {
  accessLinesDropped(lines: number): void;
  snapshot(): CountersSnapshot;
}

const versions = ['TLSv1.2', 'TLSv1.3', 'other'] as const;
const handshakeFailures = {
  timeout: 0,
  'client-hello-malformed': 1,
  'client-hello-too-large': 2,
  'plain-http': 3,
  'no-certificate': 4,
  'certificate-unusable': 5,
  'tls-alert': 6,
  disconnected: 7,
  'rate-limited': 8,
  'crowded-out': 9,
  'client-chain-too-costly': 10,
} as const satisfies Record<HandshakeFailure, number>;
const connectionRefusals = {
  limit: 0,
  'proxy-protocol-untrusted': 1,
  'proxy-protocol-malformed': 2,
  'proxy-protocol-timeout': 3,
} as const satisfies Record<ConnectionRefusal, number>;
const clientLimits = {
  client_connections_max: 0,
  client_connections_per_address: 1,
  handshake_rate: 2,
  handshake_rate_per_address: 3,
  client_header_timeout: 4,
  client_body_timeout: 5,
  client_send_timeout: 6,
  client_rate_min: 7,
  client_pending_max_size: 8,
  upstream_connections_max: 9,
  http2_streams_max: 10,
  http2_reset_rate: 11,
  client_chain_max_work: 12,
} as const satisfies Record<ClientLimit, number>;
const clientProofs = { none: 0, valid: 1, invalid: 2 } as const satisfies Record<ClientProofKind, number>;
const clientRefusals = {
  'no-tls': 0,
  version: 1,
  ciphers: 2,
  'not-asked': 3,
  'not-sent': 4,
  'unknown-authority': 5,
  expired: 6,
  'not-yet-valid': 7,
  revoked: 8,
  'revocation-list-expired': 9,
  'revocation-list-unusable': 10,
  'too-deep': 11,
  'wrong-purpose': 12,
  weak: 13,
  'too-large': 14,
  invalid: 15,
  'policy-unreadable': 16,
} as const satisfies Record<ClientRefusal, number>;
const upstreamFailures = {
  connect: 0,
  tls: 1,
  timeout: 2,
  reset: 3,
  malformed: 4,
  exhausted: 5,
} as const satisfies Record<UpstreamFailure, number>;

const statusMin = 100;
const statusMax = 999;
const bucketCount = latencyBoundsMs.length + 1;

export function createCounters(): CountersWithSnapshot {
  const connectionsOpen = new Float64Array(2);
  const connectionsAccepted = new Float64Array(2);
  const refused = new Float64Array(Object.keys(connectionRefusals).length);
  const limits = new Float64Array(Object.keys(clientLimits).length);
  const handshakes = new Float64Array(versions.length * 2);
  const failures = new Float64Array(Object.keys(handshakeFailures).length);
  const proofs = new Float64Array(Object.keys(clientProofs).length);
  const clientsRefused = new Float64Array(Object.keys(clientRefusals).length);
  const contexts = new Float64Array(4);
  const statuses = new Float64Array(statusMax - statusMin + 1);
  const requestBuckets = new Float64Array(bucketCount);
  const upstreamBuckets = new Float64Array(bucketCount);
  const sumsMs = new Float64Array(2);
  const upstreamFailed = new Float64Array(Object.keys(upstreamFailures).length);
  const upstreamConnections = new Float64Array(2);
  const accessLines = new Float64Array(1);

  return {
    connectionOpened(tls) {
      add(connectionsOpen, tls ? 1 : 0, 1);
      add(connectionsAccepted, tls ? 1 : 0, 1);
    },
    connectionClosed(tls) {
      add(connectionsOpen, tls ? 1 : 0, -1);
    },
    connectionRefused(reason) {
      add(refused, connectionRefusals[reason], 1);
    },
    limitReached(limit) {
      add(limits, clientLimits[limit], 1);
    },
    handshakeDone(version, resumed) {
      const row = version === 'TLSv1.3' ? 1 : version === 'TLSv1.2' ? 0 : 2;
      add(handshakes, row * 2 + (resumed ? 1 : 0), 1);
    },
    handshakeFailed(reason) {
      add(failures, handshakeFailures[reason], 1);
    },
    clientAsked(proof) {
      add(proofs, clientProofs[proof], 1);
    },
    clientRefused(reason) {
      add(clientsRefused, clientRefusals[reason], 1);
    },
    contextHit() {
      add(contexts, 0, 1);
    },
    contextMade(ok) {
      add(contexts, ok ? 1 : 2, 1);
    },
    contextEvicted() {
      add(contexts, 3, 1);
    },
    requestDone(status, totalMs, upstreamMs) {
      add(statuses, status - statusMin, 1);
      add(requestBuckets, bucketOf(totalMs), 1);
      add(sumsMs, 0, totalMs);
      if (upstreamMs < 0) return;
      add(upstreamBuckets, bucketOf(upstreamMs), 1);
      add(sumsMs, 1, upstreamMs);
    },
    upstreamFailed(kind) {
      add(upstreamFailed, upstreamFailures[kind], 1);
    },
    upstreamConnection(reused) {
      add(upstreamConnections, reused ? 1 : 0, 1);
    },
    accessLinesDropped(lines) {
      add(accessLines, 0, lines);
    },
    snapshot() {
      return {
        connectionsOpen: { plain: at(connectionsOpen, 0), tls: at(connectionsOpen, 1) },
        connectionsAccepted: { plain: at(connectionsAccepted, 0), tls: at(connectionsAccepted, 1) },
        connectionsRefused: named(connectionRefusals, refused),
        limitsReached: named(clientLimits, limits),
        handshakes: versions.flatMap((version, row) => [
          { version, resumed: false, count: at(handshakes, row * 2) },
          { version, resumed: true, count: at(handshakes, row * 2 + 1) },
        ]),
        handshakeFailures: named(handshakeFailures, failures),
        clientProofs: named(clientProofs, proofs),
        clientRefusals: named(clientRefusals, clientsRefused),
        contexts: { hit: at(contexts, 0), made: at(contexts, 1), unusable: at(contexts, 2), evicted: at(contexts, 3) },
        requests: occurred(statuses),
        requestDuration: { buckets: [...requestBuckets], sumMs: at(sumsMs, 0) },
        upstreamDuration: { buckets: [...upstreamBuckets], sumMs: at(sumsMs, 1) },
        upstreamFailures: named(upstreamFailures, upstreamFailed),
        upstreamConnections: { opened: at(upstreamConnections, 0), reused: at(upstreamConnections, 1) },
        accessLinesDropped: at(accessLines, 0),
      };
    },
  };
}

/** Out of range is ignored: an odd status must not throw on the data path. */
function add(cells: Float64Array, index: number, amount: number): void {
  cells[index] = at(cells, index) + amount;
}

function at(cells: Float64Array, index: number): number {
  return cells[index] ?? 0;
}

/** Most requests are fast, so the search from below is short. */
function bucketOf(ms: number): number {
  let index = 0;
  while (index < latencyBoundsMs.length && ms > (latencyBoundsMs[index] ?? 0)) index += 1;
  return index;
}

function named<Name extends string>(
  indexes: Readonly<Record<Name, number>>,
  cells: Float64Array,
): Readonly<Record<Name, number>> {
  const names = Object.keys(indexes) as Name[];
  return Object.fromEntries(names.map((name) => [name, at(cells, indexes[name])])) as Record<Name, number>;
}

function occurred(cells: Float64Array): Readonly<Record<string, number>> {
  const counts: Record<string, number> = {};
  cells.forEach((count, index) => {
    if (count > 0) counts[index + statusMin] = count;
  });
  return counts;
}
