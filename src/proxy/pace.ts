// Whether a client sends, or reads, fast enough while it is waited for. A gap has its timeout; who keeps just within it, a byte
// at a time, is found here.

import type { Counters } from '../observe/contract.ts';
import type { Exchange } from './exchange.ts';
import type { ProxySettings } from './settings.ts';

export class Pace {
  /** When the wait began. */
  since = 0;
  #count = 0;

  /** The wait begins. @param count of bytes, which only grows */
  begin(now: number, count: number): void {
    this.since = now;
    this.#count = count;
  }

  /** Bytes since the wait began. */
  moved(count: number): number {
    return count - this.#count;
  }

  /** Were they as many as they had to be? */
  keeps(now: number, count: number, perSecond: number): boolean {
    return this.moved(count) * 1000 >= perSecond * (now - this.since);
  }

  /** Has the wait been so long? */
  lasts(now: number, ms: number): boolean {
    return now - this.since >= ms;
  }
}

/** A body is waited for still: once `client_body_timeout` is over it has to have kept its rate, and the next wait begins. */
export function judgeBody(
  pace: Pace,
  now: number,
  exchange: Exchange,
  settings: ProxySettings,
  counters: Pick<Counters, 'limitReached'>,
): void {
  if (!pace.lasts(now, settings.clientBodyTimeoutMs)) return;
  if (exchange.maySendSlowly || pace.keeps(now, exchange.requestBodyBytes, settings.clientRateMin)) {
    return pace.begin(now, exchange.requestBodyBytes);
  }
  counters.limitReached('client_rate_min');
  exchange.refuse('HTTP_BODY_TOO_SLOW');
}
