// So many in each second, and a number of them at once: a bucket, kept as one number (the generic cell rate algorithm).

export interface Rate {
  /** Between two, when they come evenly. */
  readonly eachMs: number;
  /** What may come at once, as the time in which it comes evenly. */
  readonly burstMs: number;
}

export function rateOf(perSecond: number, burstMs: number): Rate {
  const eachMs = 1000 / perSecond;
  return { eachMs, burstMs: Math.max(burstMs, eachMs) };
}

/**
 * Takes one more.
 *
 * @param madeUpAt when all that was taken before is made up for; in the past: there is nothing to make up for
 * @returns the same with this one, or undefined when it is too much
 */
export function takeOne({ eachMs, burstMs }: Rate, madeUpAt: number, now: number): number | undefined {
  const from = Math.max(madeUpAt, now);
  return from - now > burstMs - eachMs ? undefined : from + eachMs;
}
