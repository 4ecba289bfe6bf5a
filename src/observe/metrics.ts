// The metrics of this node as Prometheus reads them. Which there are is in metric-table.ts; who asks is status-server.ts.
import { Registry } from 'prom-client';
import { type ErrorCode, errorCodes } from '../lib/errors.ts';
import type { CountersSnapshot } from './counters.ts';
import { metrics } from './metric-table.ts';
import type { CertificateFacts, Metric, MetricsFacts, WorkerFacts } from './metric-table.ts';
import { createCounterSum } from './sum-counters.ts';

export interface NodeFacts extends Omit<MetricsFacts, 'counters' | 'uploads' | 'adminRefusals' | 'workers'> {
  readonly workers: readonly (WorkerFacts & { readonly counters: CountersSnapshot })[];
}

export interface Metrics {
  countUpload(result: 'accepted' | 'refused'): void;
  countAdminRefusal(code: ErrorCode): void;
  /** The text of the Prometheus exposition format. Workers that have ended are still counted. */
  render(facts: NodeFacts): Promise<string>;
}

export const metricsContentType = Registry.PROMETHEUS_CONTENT_TYPE;

/** @param certificatesMax certificates whose expiry is told, the soonest first */
export function createMetrics(certificatesMax: number): Metrics {
  const sum = createCounterSum();
  const uploads = { accepted: 0, refused: 0 };
  const adminRefusals: Record<string, number> = Object.fromEntries(
    Object.entries(errorCodes)
      .filter(([code, { status }]) => code.startsWith('ADMIN_') && status !== undefined)
      .map(([code]) => [code, 0]),
  );
  return {
    countUpload(result) {
      uploads[result] += 1;
    },
    countAdminRefusal(code) {
      adminRefusals[code] = (adminRefusals[code] ?? 0) + 1;
    },
    render(facts) {
      const certificates = soonest(facts.certificates, certificatesMax);
      return format({ ...facts, certificates, uploads, adminRefusals, counters: sum(facts.workers) });
    },
  };
}

function soonest(certificates: readonly CertificateFacts[], max: number): readonly CertificateFacts[] {
  return certificates.toSorted((left, right) => left.notAfter - right.notAfter).slice(0, max);
}

/** The registry takes anything that answers as a metric does: the numbers are counted elsewhere. */
function format(facts: MetricsFacts): Promise<string> {
  const registry = new Registry();
  for (const [name, metric] of Object.entries<Metric>(metrics)) {
    const { help, type } = metric;
    const read = {
      name,
      get: () => Promise.resolve({ name, help, type, values: metric.read(facts, name), aggregator: 'sum' }),
    };
    registry.registerMetric(read as unknown as Parameters<Registry['registerMetric']>[0]);
  }
  return registry.metrics();
}
