// The server the other tests rely on: it starts, is killed, and starts again over the same data.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import postgres from 'postgres';
import { startPostgres } from './postgres.ts';

test('what was committed is there after the server was killed and started again', async () => {
  await using server = await startPostgres();
  const first = postgres(server.url, { max: 1, onnotice: () => undefined });
  await first`CREATE TABLE t (n integer)`;
  await first`INSERT INTO t VALUES (7)`;
  const { pid, port } = server;
  await server.stop('kill');
  await first.end({ timeout: 0 });
  await server.start();
  assert.notEqual(server.pid, pid);
  assert.equal(server.port, port);
  const second = postgres(server.url, { max: 1 });
  assert.deepEqual([...(await second`SELECT n FROM t`)], [{ n: 7 }]);
  await second.end();
});
