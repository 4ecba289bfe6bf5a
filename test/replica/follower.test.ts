import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fc } from '../support/fast-check.ts';
import type { Change } from '../../src/model/entities.ts';
import { follow } from '../../src/replica/follower.ts';

/** A log of changes that nudges when, and only when, it is told to. */
function scriptedStore() {
  const log: Change[] = [];
  const nudges = new Set<(revision: number) => void>();
  let failing = 0;
  let past = 'first';
  return {
    beginAnew(revision: number) {
      past = `not ${past}`;
      log.length = 0;
      log.push({ revision, entity: 'sni', id: 'another', operation: 'create', actor: 'test', at: 0 });
    },
    append(revision: number, rows: number) {
      for (let at = 0; at < rows; at += 1) {
        log.push({ revision, entity: 'sni', id: `${revision}-${at}`, operation: 'create', actor: 'test', at: 0 });
      }
    },
    nudge() {
      for (const nudge of nudges) nudge(0);
    },
    failNext(times: number) {
      failing = times;
    },
    store: {
      async changesSince(revision: number, limit: number) {
        if (failing > 0) {
          failing -= 1;
          throw new Error('away');
        }
        const after = log.filter((change) => change.revision > revision);
        const last = after[limit - 1]?.revision ?? Infinity;
        return after.filter((change, at) => at < limit || change.revision === last);
      },
      async revision() {
        return log.at(-1)?.revision ?? 0;
      },
      history: () => past,
      onCommit(nudge: (revision: number) => void) {
        nudges.add(nudge);
        return () => nudges.delete(nudge);
      },
    },
  };
}

async function settled(): Promise<void> {
  for (let turn = 0; turn < 50; turn += 1) await Promise.resolve();
}

test('whatever the nudges, every revision is handed on once, whole and in order', async () => {
  const step = fc.oneof(
    fc.record({
      rows: fc.oneof(fc.integer({ min: 1, max: 3 }), fc.constant(400), fc.constant(999), fc.constant(1000)),
    }),
    fc.constant('nudge' as const),
    fc.constant('turn' as const),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 20 }), async (steps) => {
      const scripted = scriptedStore();
      const seen: string[] = [];
      const revisions: number[] = [];
      const follower = follow(
        scripted.store,
        0,
        (revision, changes) => {
          revisions.push(revision);
          assert.ok(changes !== 'everything');
          assert.equal(changes.at(-1)?.revision, revision);
          for (const change of changes) seen.push(change.id);
        },
        (error) => assert.fail(String(error)),
      );
      const wanted: string[] = [];
      let revision = 0;
      for (const each of steps) {
        if (each === 'nudge') scripted.nudge();
        else if (each === 'turn') await Promise.resolve();
        else {
          revision += 1;
          scripted.append(revision, each.rows);
          for (let at = 0; at < each.rows; at += 1) wanted.push(`${revision}-${at}`);
        }
      }
      scripted.nudge();
      await settled();
      assert.deepEqual(seen, wanted);
      assert.deepEqual(
        revisions,
        [...new Set(revisions)].toSorted((a, b) => a - b),
      );
      assert.equal(follower.revision, revision);
      await follower[Symbol.asyncDispose]();
    }),
    { numRuns: 100 },
  );
});

test('a store that cannot be read is told of, and the next nudge catches up', async () => {
  const scripted = scriptedStore();
  const failures: unknown[] = [];
  const seen: number[] = [];
  const follower = follow(
    scripted.store,
    0,
    (revision) => seen.push(revision),
    (error) => failures.push(error),
  );
  await settled();
  scripted.append(1, 1);
  scripted.failNext(1);
  scripted.nudge();
  await settled();
  assert.equal(failures.length, 1);
  assert.deepEqual(seen, []);
  scripted.nudge();
  await settled();
  assert.deepEqual(seen, [1]);
  await follower[Symbol.asyncDispose]();
});

test('when changes are forgotten, or a revision has none, everything is to be read anew', async () => {
  const scripted = scriptedStore();
  scripted.append(1, 1);
  const seen: unknown[] = [];
  const follower = follow(
    scripted.store,
    1,
    (revision, changes) => seen.push([revision, changes === 'everything']),
    (error) => assert.fail(String(error)),
  );
  scripted.append(4, 1);
  scripted.nudge();
  await settled();
  scripted.append(5, 2);
  scripted.nudge();
  await settled();
  assert.deepEqual(seen, [
    [4, true],
    [5, false],
  ]);
  await follower[Symbol.asyncDispose]();
});

test('with another past everything is to be read anew, whether its revision is lower, the same or the next one', async () => {
  for (const revision of [3, 5, 6]) {
    const scripted = scriptedStore();
    scripted.append(5, 1);
    const seen: unknown[] = [];
    await using follower = follow(
      scripted.store,
      5,
      (upTo, changes) => seen.push([upTo, changes === 'everything']),
      (error) => assert.fail(String(error)),
    );
    await settled();
    scripted.beginAnew(revision);
    scripted.nudge();
    await settled();
    assert.deepEqual(seen, [[revision, true]]);
    assert.equal(follower.revision, revision);
  }
});
