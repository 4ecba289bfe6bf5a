// How many there are, for a connection that only reads. Counting a million rows takes some 50 ms, in which the process does
// nothing else, and the same is asked again and again: an answer stands until somebody commits.
import type { SQLInputValue } from 'node:sqlite';
import { createLru } from '../../lib/lru.ts';
import type { Connection } from './connection.ts';

/** The four tables, and some filters. */
const countsMax = 64;

export type Count = (sql: string, values: readonly SQLInputValue[]) => number;

export function countAnew(connection: Connection): Count {
  return (sql, values) => Number(connection.get(sql, ...values)?.['count'] ?? 0);
}

export function rememberCounts(connection: Connection): Count {
  const count = countAnew(connection);
  const known = createLru<string, number>(countsMax);
  let version: unknown;

  return (sql, values) => {
    // Changes with every commit of another connection; this one makes none.
    const current = connection.get('PRAGMA data_version')?.['data_version'];
    if (current !== version) known.clear();
    version = current;
    const key = JSON.stringify([sql, ...values]);
    let answer = known.get(key);
    if (answer === undefined) known.set(key, (answer = count(sql, values)));
    return answer;
  };
}
