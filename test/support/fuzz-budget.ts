// How long properties are tried: a number of runs in `npm test`, minutes in `npm run test:long`.
import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import fc, { type RunDetails } from 'fast-check';

export interface FuzzBudget {
  readonly seed: number;
  readonly numRuns: number;
  readonly interruptAfterTimeLimit?: number;
}

/** Says the seed, so that a run can be repeated with PORTUNUS_FUZZ_SEED. @param runs in the short run */
export function fuzzBudget(context: TestContext, runs: number): FuzzBudget {
  const { PORTUNUS_FUZZ_MINUTES: minutes, PORTUNUS_FUZZ_SEED: given } = process.env;
  const seed = given === undefined ? Math.trunc(Math.random() * 2 ** 31) : Number(given);
  context.diagnostic(`seed ${seed}`);
  if (minutes === undefined) return { seed, numRuns: runs };
  return { seed, numRuns: 1_000_000_000, interruptAfterTimeLimit: Number(minutes) * 60_000 };
}

/** Throws with the smallest counterexample, how to repeat it, and what went wrong with it. */
export function assertHolds<T>(details: RunDetails<T>): void {
  const reason = details.errorInstance instanceof Error ? details.errorInstance.stack : '';
  assert.ok(!details.failed, `${fc.defaultReportMessage(details)}\n${reason}`);
}
