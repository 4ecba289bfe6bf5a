import assert from 'node:assert/strict';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import { auditRowsReadMax, readAudit } from '../../src/store/audit-sql.ts';

test('a page with a filter reads so many rows, and leads on to those that it did not', async () => {
  using database = new DatabaseSync(':memory:');
  database.exec(`CREATE TABLE audit (sequence INTEGER PRIMARY KEY, id TEXT, actor TEXT, at INTEGER);
    WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${2 * auditRowsReadMax + 10})
    INSERT INTO audit SELECT i, iif(i = 3, 'rare', 'usual'), 'a', 0 FROM n`);
  const read = (before: number | undefined) =>
    readAudit(async ({ sql, values }) => database.prepare(sql).all(...values), before, 10, { id: 'rare' });
  const pages = [await read(undefined)];
  for (let last = pages.at(-1); last?.next !== undefined; last = pages.at(-1)) pages.push(await read(last.next));
  assert.deepEqual(
    pages.map(({ entries }) => entries.map(({ sequence }) => sequence)),
    [[], [], [3]],
  );
});
