// A clock for a gateway that stands still until it is moved on: no timeout comes because the machine is busy, and none has to
// be waited for.
import { until } from './until.ts';

export interface SteppedClock {
  readonly now: () => number;
  /** Moves it on, a second at a time, until the condition holds. */
  goOnUntil(what: string, condition: () => boolean): Promise<void>;
  /** Nobody has a deadline any more: the clock is not read. */
  untilUnread(): Promise<void>;
}

export function createSteppedClock(): SteppedClock {
  let time = 1000;
  let reads = 0;
  return {
    now() {
      reads += 1;
      return time;
    },
    async goOnUntil(what, condition) {
      await until(what, () => {
        if (condition()) return true;
        time += 1000;
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
