import assert from 'node:assert/strict';
import { mock, test } from 'node:test';
import type { PgClient } from '../../src/store/postgres/client.ts';
import { createCommitWatch } from '../../src/store/postgres/commit-watch.ts';

test('notifications of own commits that come late, many at once, tell nothing anew; others do', () => {
  const { watch, notify, told } = startWatch();
  for (const revision of [1, 2, 3]) watch.committed(revision);
  for (const revision of [1, 2, 3]) notify(revision);
  assert.deepEqual(told, [1, 2, 3]);
  notify(4);
  watch.committed(5);
  notify(5);
  assert.deepEqual(told, [1, 2, 3, 4, 5]);
  // The database was put back, and another node has written.
  notify(3);
  assert.deepEqual(told, [1, 2, 3, 4, 5, 3]);
});

test('a notification that was faster than its commit is told once, and one that was cut off is not waited for', () => {
  const { watch, notify, reconnect, told } = startWatch();
  notify(1);
  watch.committed(1);
  watch.committed(2);
  reconnect();
  notify(2);
  watch.committed(3);
  notify(2);
  assert.deepEqual(told, [1, 2, 3, 2]);
});

test('a database that is put back between two looks to what the last look saw is told of', async (context) => {
  mock.timers.enable({ apis: ['setInterval'] });
  context.after(() => mock.timers.reset());
  const { notify, look, told } = startWatch(() => Promise.resolve(3));
  await look();
  notify(4);
  notify(5);
  assert.deepEqual(told, [3, 4, 5]);
  await look();
  await look();
  assert.deepEqual(told, [3, 4, 5, 3]);

  // What is made up makes others look once more, not over and over.
  notify(999);
  await look();
  await look();
  assert.deepEqual(told, [3, 4, 5, 3, 999, 3]);
});

function startWatch(readRevision: () => Promise<number> = () => Promise.reject(new Error('away'))) {
  let notified: (payload: string) => void = () => undefined;
  let listening: () => void = () => undefined;
  const client = {
    listen(_channel: string, onNotification: (payload: string) => void, onListening: () => void) {
      [notified, listening] = [onNotification, onListening];
      return () => undefined;
    },
  } as unknown as PgClient;
  const watch = createCommitWatch(client, 'channel', readRevision);
  const told: number[] = [];
  watch.onCommit((revision) => told.push(revision));
  return {
    watch,
    told,
    notify: (revision: number) => notified(String(revision)),
    reconnect: () => listening(),
    look: async () => {
      mock.timers.tick(1000);
      await new Promise(setImmediate);
    },
  };
}
