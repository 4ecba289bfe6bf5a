// How long properties are tried: a number of runs in `npm test`, minutes in `npm run test:long`.
import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import type { RunDetails } from 'fast-check';
import { fc } from './fast-check.ts';
import { seed } from './seed.ts';

export interface FuzzBudget {
  readonly numRuns: number;
  readonly interruptAfterTimeLimit?: number;
}

/** Says the seed, so that a run can be repeated with PORTUNUS_FUZZ_SEED. @param runs in the short run */
export function fuzzBudget(context: TestContext, runs: number): FuzzBudget {
  const { PORTUNUS_FUZZ_MINUTES: minutes } = process.env;
  context.diagnostic(`seed ${seed}`);
  if (minutes === undefined) return { numRuns: runs };
  return { numRuns: 1_000_000_000, interruptAfterTimeLimit: Number(minutes) * 60_000 };
}

/** Throws with the smallest counterexample, how to repeat it, and what went wrong with it. */
export function assertHolds<T>(details: RunDetails<T>): void {
  const reason = details.errorInstance instanceof Error ? details.errorInstance.stack : '';
  assert.ok(!details.failed, `${fc.defaultReportMessage(details)}\n${reason}`);
}
