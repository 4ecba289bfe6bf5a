// The sum over workers that come, go and fall silent.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fc } from '../support/fast-check.ts';
import { createCounters } from '../../src/observe/counters.ts';
import { createCounterSum } from '../../src/observe/sum-counters.ts';

test('every count of every worker is in the sum', () => {
  const counters = createCounters();
  counters.connectionOpened(true);
  counters.connectionRefused('limit');
  counters.limitReached('client_rate_min');
  counters.handshakeDone('TLSv1.2', false);
  counters.handshakeFailed('timeout');
  counters.contextMade(true);
  counters.requestDone(201, 3, 2);
  counters.upstreamFailed('connect');
  counters.upstreamConnection(true);
  counters.accessLinesDropped(2);
  const one = counters.snapshot();
  const sum = createCounterSum();
  const both = sum([
    { worker: 1, counters: one },
    { worker: 2, counters: one },
  ]);
  assert.deepEqual(flat(both), new Map([...flat(one)].map(([name, count]) => [name, count * 2])));
});

test('a counter never goes down, whichever workers answer', () => {
  // Each step: which of the workers answer, and who has counted more since.
  const step = fc.record({ answering: fc.subarray([0, 1, 2, 3]), busy: fc.nat(3) });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 20 }), (steps) => {
      const workers = Array.from({ length: 4 }, createCounters);
      const sum = createCounterSum();
      let before = 0;
      for (const { answering, busy } of steps) {
        workers[busy]?.requestDone(200, 1, -1);
        const total =
          sum(answering.map((worker) => ({ worker, counters: workers[worker]!.snapshot() }))).requests['200'] ?? 0;
        assert.ok(total >= before);
        before = total;
      }
      const all = sum(workers.map((counters, worker) => ({ worker, counters: counters.snapshot() })));
      assert.equal(all.requests['200'] ?? 0, steps.length);
    }),
  );
});

test('a thousand workers, one after the other, are all in the sum', () => {
  const sum = createCounterSum();
  const counters = createCounters();
  counters.requestDone(200, 1, -1);
  const one = counters.snapshot();
  let total = 0;
  for (let worker = 1; worker <= 1000; worker += 1) total = sum([{ worker, counters: one }]).requests['200'] ?? 0;
  assert.equal(total, 1000);
});

/** Every number under its path; open connections are none of the past's. */
function flat(value: object, path = ''): Map<string, number> {
  const numbers = new Map<string, number>();
  for (const [name, item] of Object.entries(value)) {
    const here = `${path}/${name}`;
    if (typeof item === 'number') numbers.set(here, item);
    else if (typeof item === 'object' && item !== null)
      for (const [key, count] of flat(item, here)) numbers.set(key, count);
  }
  return numbers;
}
