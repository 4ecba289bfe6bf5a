// One timer for many deadlines that are equally far away. Connections are many and most are done long before, so none
// gets a timer of its own; a deadline is met up to a quarter of its time late. What has come while the process stood still is
// read first, as in proxy/deadlines.ts.

export interface Deadlines<Item> {
  readonly size: number;
  /** Starts the time of an item, or lets it have started at a `performance.now()` before. */
  add(item: Item, startedAt?: number): void;
  /** Also of an item that is not there. */
  delete(item: Item): void;
  /**
   * Ends those whose time began first, up to so many, if it began so long ago.
   *
   * @param end called after the item was removed
   * @returns how many
   */
  endOldest(most: number, ageMs: number, end: (item: Item) => void): number;
  /** Calls `expire` for every item at once. */
  expireAll(): void;
}

/** @param expire called once for an item whose time is over, after it was removed */
export function createDeadlines<Item>(timeoutMs: number, expire: (item: Item) => void): Deadlines<Item> {
  const starts = new Map<Item, number>();
  const everyMs = Math.max(Math.ceil(timeoutMs / 4), 1);
  let timer: NodeJS.Timeout | undefined;

  return {
    get size() {
      return starts.size;
    },
    add(item, startedAt = performance.now()) {
      starts.set(item, startedAt);
      timer ??= setTimeout(sweepSoon, everyMs).unref();
    },
    delete: (item) => starts.delete(item),
    endOldest(most, ageMs, endOne) {
      const latest = performance.now() - ageMs;
      let ended = 0;
      for (const [item, at] of starts) {
        if (ended === most || at > latest) break;
        starts.delete(item);
        endOne(item);
        ended += 1;
      }
      return ended;
    },
    expireAll() {
      for (const item of starts.keys()) end(item);
    },
  };

  function sweepSoon(): void {
    setImmediate(sweep);
  }

  function sweep(): void {
    timer = undefined;
    const latest = performance.now() - timeoutMs;
    for (const [item, at] of starts) {
      if (at <= latest) end(item);
    }
    if (starts.size > 0) timer ??= setTimeout(sweepSoon, everyMs).unref();
  }

  function end(item: Item): void {
    starts.delete(item);
    expire(item);
  }
}
