import assert from 'node:assert/strict';
import { test } from 'node:test';
import { coalesce } from '../../src/lib/coalesce.ts';

test('whoever asks while one is read shares the next, which begins after that', async () => {
  const { ask, reads } = controlled();
  const first = ask();
  const others = [ask(), ask(), ask()];
  assert.equal(reads.length, 1);
  reads[0]?.resolve(1);
  assert.equal(await first, 1);
  assert.equal(reads.length, 2);
  const last = ask();
  reads[1]?.resolve(2);
  assert.deepEqual(await Promise.all(others), [2, 2, 2]);
  reads[2]?.resolve(3);
  assert.equal(await last, 3);
  assert.equal(reads.length, 3);
});

test('one that fails fails those who asked for it, and nobody else', async () => {
  const { ask, reads } = controlled();
  const first = ask();
  const second = ask();
  reads[0]?.reject(new Error('away'));
  await assert.rejects(first, /away/);
  reads[1]?.resolve(2);
  assert.equal(await second, 2);
  const third = ask();
  reads[2]?.resolve(3);
  assert.equal(await third, 3);
});

function controlled() {
  const reads: PromiseWithResolvers<number>[] = [];
  const ask = coalesce(() => {
    const read = Promise.withResolvers<number>();
    reads.push(read);
    return read.promise;
  });
  return { ask, reads };
}
