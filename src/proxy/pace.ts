// Whether a client sends, or reads, fast enough while it is waited for. A gap has its timeout; who keeps just within it, a byte
// at a time, is found here.

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
