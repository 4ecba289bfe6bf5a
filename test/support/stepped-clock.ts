// A clock for a gateway that stands still until it is moved on: no timeout comes because the machine is busy, and none has to
// be waited for.
import { until } from './until.ts';

export interface SteppedClock {
  readonly now: () => number;
  /**
   * Moves it on, a second at a time, until the condition holds; for no more than five minutes of its own.
   *
   * @param patience how often it looks before it first moves the clock
   */
  goOnUntil(what: string, condition: () => boolean, patience?: number): Promise<void>;
  /** Nobody has a deadline any more: the clock is not read. */
  untilUnread(): Promise<void>;
}

const stepsMax = 300;

export function createSteppedClock(): SteppedClock {
  let time = 1000;
  let reads = 0;
  return {
    now() {
      reads += 1;
      return time;
    },
    async goOnUntil(what, condition, patience = 0) {
      let steps = -patience;
      await until(what, () => {
        if (condition()) return true;
        if (steps === stepsMax) throw new Error(`waited ${stepsMax} seconds of the gateway’s clock in vain: ${what}`);
        steps += 1;
        if (steps > 0) time += 1000;
        return false;
      });
    },
    async untilUnread() {
      let before = -1;
      let unread = 0;
      await until('no deadline is left', () => {
        unread = reads === before ? unread + 1 : 0;
        before = reads;
        return unread === 10;
      });
    },
  };
}
