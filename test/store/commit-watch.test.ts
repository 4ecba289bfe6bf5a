import assert from 'node:assert/strict';
import { test } from 'node:test';
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

function startWatch() {
  let notified: (payload: string) => void = () => undefined;
  let listening: () => void = () => undefined;
  const client = {
    listen(_channel: string, onNotification: (payload: string) => void, onListening: () => void) {
      [notified, listening] = [onNotification, onListening];
      return () => undefined;
    },
  } as unknown as PgClient;
  const watch = createCommitWatch(client, 'channel', () => Promise.reject(new Error('away')));
  const told: number[] = [];
  watch.onCommit((revision) => told.push(revision));
  return { watch, told, notify: (revision: number) => notified(String(revision)), reconnect: () => listening() };
}
