// Tells the log of failed upstreams without flooding it, each upstream by itself. Every single failure is in the access log.
import type { ErrorCode } from '../lib/errors.ts';
import type { Log } from '../observe/contract.ts';
import { createSparingLog } from '../observe/sparing-log.ts';

export interface UpstreamFailureReport {
  readonly code: ErrorCode;
  readonly requestId: string;
  readonly api: string | undefined;
  /** Identity of the upstream: scheme, host and port. */
  readonly upstream: string;
}

/** @param now a monotonic clock, milliseconds */
export function createFailureLog(log: Log, now: () => number): (report: UpstreamFailureReport) => void {
  const tell = createSparingLog<UpstreamFailureReport>((fields) => log.warn(fields, 'an upstream failed'), now);
  return (report) => tell(report.upstream, report);
}
