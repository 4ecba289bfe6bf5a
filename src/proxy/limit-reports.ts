// Tells of limits that clients have reached: counts each time, and logs without flooding, for each limit one line at once,
// then at most one in each interval with the number of those left out.
import type { ClientLimit, Counters, Log } from '../observe/contract.ts';

/** @param address of a client that met it */
export type LimitReports = (limit: ClientLimit, address: string | undefined) => void;

export const limitLogIntervalMs = 10_000;

/** @param now monotonic milliseconds */
export function createLimitReports(
  counters: Pick<Counters, 'limitReached'>,
  log: Pick<Log, 'warn'>,
  now: () => number,
): LimitReports {
  const told = new Map<ClientLimit, { at: number; leftOut: number }>();
  return (limit, address) => {
    counters.limitReached(limit);
    const last = told.get(limit);
    const at = now();
    if (last !== undefined && at - last.at < limitLogIntervalMs) {
      last.leftOut += 1;
      return;
    }
    told.set(limit, { at, leftOut: 0 });
    log.warn({ limit, address, leftOut: last?.leftOut ?? 0 }, 'clients met a limit');
  };
}
