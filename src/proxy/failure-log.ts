// Tells the log of failed upstreams without flooding it: for each upstream one line at once, then at most one in each
// interval, with the number of those left out. Every single one is in the access log.
import type { ErrorCode } from '../lib/errors.ts';
import type { Log } from '../observe/contract.ts';

export interface UpstreamFailureReport {
  readonly code: ErrorCode;
  readonly requestId: string;
  readonly api: string | undefined;
  /** Identity of the upstream: scheme, host and port. */
  readonly upstream: string;
}

export const failureLogIntervalMs = 1000;
/** Upstreams remembered; beyond, each failure of a new one is a line. */
const upstreamsMax = 10_000;

/** @param now a monotonic clock, milliseconds */
export function createFailureLog(log: Log, now: () => number): (report: UpstreamFailureReport) => void {
  const told = new Map<string, { at: number; leftOut: number }>();
  return (report) => {
    const last = told.get(report.upstream);
    const at = now();
    if (last !== undefined && at - last.at < failureLogIntervalMs) {
      last.leftOut += 1;
      return;
    }
    if (last === undefined && told.size >= upstreamsMax) told.clear();
    told.set(report.upstream, { at, leftOut: 0 });
    log.warn({ ...report, leftOut: last?.leftOut ?? 0 }, 'an upstream failed');
  };
}
