// Waits for a condition, never for a time.
import { setTimeout as pause } from 'node:timers/promises';

const pauseMs = 5;
/** Longer than the busiest machine takes. */
const givenUpAfterMs = 120_000;

/** @returns the first answer of `probe` that is neither undefined nor false */
export async function until<T>(what: string, probe: () => T | Promise<T>): Promise<Exclude<T, undefined | false>> {
  const endsAt = performance.now() + givenUpAfterMs;
  for (;;) {
    const answer = await probe();
    if (answer !== undefined && answer !== false) return answer as Exclude<T, undefined | false>;
    if (performance.now() > endsAt) throw new Error(`waited ${givenUpAfterMs} ms in vain: ${what}`);
    await pause(pauseMs);
  }
}

/** Waits until nothing moves any more: what was written is all that sockets and the gateway hold together. */
export async function untilStill(what: string, written: () => number): Promise<void> {
  let before = -1;
  let still = 0;
  await until(what, () => {
    still = written() > 0 && written() === before ? still + 1 : 0;
    before = written();
    return still === 20;
  });
}
