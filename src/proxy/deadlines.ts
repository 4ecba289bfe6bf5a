// Timeouts of all connections of a process with one timer. Setting a deadline is setting a number. A process that stood still
// (paused, swapped out, busy) first reads what has come meanwhile: nobody is late because we were.

export interface Timed {
  /** In milliseconds of the clock given; Infinity: none. */
  deadline: number;
  /** Called once `deadline` has passed; called again unless it is set anew. */
  onDeadline(): void;
}

export interface Deadlines extends Disposable {
  add(timed: Timed): void;
  delete(timed: Timed): void;
  /** The same clock. */
  readonly now: () => number;
}

/** How late a deadline may be noticed. */
const sweepIntervalMs = 200;

/**
 * @param now monotonic milliseconds
 * @param swept called after each look at all deadlines, with all that have one
 */
export function createDeadlines(
  now: () => number,
  intervalMs = sweepIntervalMs,
  swept?: (all: Iterable<Timed>) => void,
): Deadlines {
  const all = new Set<Timed>();
  let timer: NodeJS.Timeout | undefined;
  let sweeping: NodeJS.Immediate | undefined;

  return {
    now,
    add(timed) {
      all.add(timed);
      timer ??= setInterval(sweepSoon, intervalMs).unref();
    },
    delete(timed) {
      all.delete(timed);
      if (all.size === 0) stop();
    },
    [Symbol.dispose]() {
      all.clear();
      stop();
    },
  };

  /** The event loop comes to its timers before it reads, and to its immediates after it. */
  function sweepSoon(): void {
    sweeping ??= setImmediate(sweep);
  }

  function sweep(): void {
    sweeping = undefined;
    const time = now();
    for (const timed of all) if (timed.deadline <= time) timed.onDeadline();
    swept?.(all);
  }

  function stop(): void {
    clearInterval(timer);
    clearImmediate(sweeping);
    timer = undefined;
    sweeping = undefined;
  }
}
