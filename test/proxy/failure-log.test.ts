import assert from 'node:assert/strict';
import { test } from 'node:test';
import { sparingIntervalMs } from '../../src/observe/sparing-log.ts';
import { createFailureLog } from '../../src/proxy/failure-log.ts';

test('a failing upstream is told of at once, then once in each interval with how many were left out', () => {
  const lines: { upstream?: string; leftOut?: number }[] = [];
  const silent = (): void => undefined;
  let now = 0;
  const tell = createFailureLog(
    { debug: silent, info: silent, error: silent, warn: (fields) => void lines.push(fields) },
    () => now,
  );
  const fail = (upstream: string): void => tell({ code: 'UPSTREAM_RESET', requestId: 'r', api: 'a', upstream });
  for (let at = 0; at < 100; at += 1) fail('http://one');
  fail('http://two');
  now += sparingIntervalMs;
  fail('http://one');
  fail('http://one');
  assert.deepEqual(
    lines.map(({ upstream, leftOut }) => [upstream, leftOut]),
    [
      ['http://one', 0],
      ['http://two', 0],
      ['http://one', 99],
    ],
  );
});
