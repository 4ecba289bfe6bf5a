// The wall clock for deciding what is old enough to be forgotten: one that jumps ahead must not make everything old.

/** How far the clock may be set ahead, and be followed. */
const aheadMaxMs = 3_600_000;

/** @returns the wall clock, but not much more than what has passed since this was made; milliseconds since the epoch */
export function createSteadyClock(
  wallClock: () => number,
  elapsedMs: () => number = () => performance.now(),
): () => number {
  const [startedAt, startedMs] = [wallClock(), elapsedMs()];
  return () => Math.min(wallClock(), startedAt + (elapsedMs() - startedMs) + aheadMaxMs);
}
