import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isPortunusError } from '../../src/lib/errors.ts';
import { createQueue } from '../../src/store/queue.ts';

test('tasks are carried out one at a time, in the order in which they came, whether or not they fail', async () => {
  const queue = createQueue();
  const done: number[] = [];
  let running = 0;
  const tasks = Array.from({ length: 50 }, (_, index) =>
    queue.run(async () => {
      assert.equal((running += 1), 1);
      await new Promise(setImmediate);
      running -= 1;
      done.push(index);
      if (index % 7 === 0) throw new Error(`${index} fails`);
    }),
  );
  const outcomes = await Promise.allSettled(tasks);
  assert.deepEqual(
    done,
    outcomes.map((_, index) => index),
  );
  for (const [index, { status }] of outcomes.entries()) assert.equal(status === 'rejected', index % 7 === 0);
  await queue.idle();
});

test('whoever comes in the moment between two tasks comes after those that waited', async () => {
  const queue = createQueue();
  const done: string[] = [];
  const task = (name: string) => async () => void done.push(name);
  const first = queue.run(task('first')).then(() => queue.run(task('third')));
  await Promise.all([first, queue.run(task('second'))]);
  assert.deepEqual(done, ['first', 'second', 'third']);
});

test('a task that has waited for long enough is refused and never begun; the others keep their turns', async () => {
  const queue = createQueue();
  const held = Promise.withResolvers<void>();
  const first = queue.run(() => held.promise);
  let begun = false;
  const impatient = queue.run(async () => void (begun = true), 20);
  const patient = queue.run(async (leftMs) => leftMs, 60_000);
  await assert.rejects(impatient, isUnavailable);
  held.resolve();
  await first;
  const leftMs = await patient;
  assert.ok(leftMs > 0 && leftMs <= 60_000 - 20 + 1, `${leftMs} ms are left`);
  assert.equal(begun, false);
  assert.equal(await queue.run(async (left) => left, 7), 7);
});

test('no more wait than may', async () => {
  const queue = createQueue(1);
  const held = Promise.withResolvers<void>();
  const running = [queue.run(() => held.promise), queue.run(async () => undefined)];
  await assert.rejects(
    queue.run(async () => undefined),
    isUnavailable,
  );
  held.resolve();
  await Promise.all(running);
  await queue.run(async () => undefined);
});

test('one that is closed refuses those that wait and those that come, at once, and ends with the one under way', async () => {
  const queue = createQueue();
  const held = Promise.withResolvers<void>();
  const first = queue.run(() => held.promise);
  const waiting = [queue.run(async () => assert.fail()), queue.run(async () => assert.fail(), 60_000)];
  let closed = false;
  const closing = queue.close().then(() => (closed = true));
  for (const each of waiting) await assert.rejects(each, isUnavailable);
  await assert.rejects(
    queue.run(async () => assert.fail()),
    isUnavailable,
  );
  assert.equal(closed, false);
  held.resolve();
  await Promise.all([first, closing]);
});

function isUnavailable(error: unknown): boolean {
  return isPortunusError(error, 'STORE_UNAVAILABLE');
}
