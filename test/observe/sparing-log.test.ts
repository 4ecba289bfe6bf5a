import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createSparingLog, sparingIntervalMs } from '../../src/observe/sparing-log.ts';

test('the kinds that are remembered are bounded', () => {
  let lines = 0;
  const tell = createSparingLog(
    () => (lines += 1),
    () => 0,
  );
  for (let kind = 0; kind < 10_000; kind += 1) tell(String(kind), {});
  tell('0', {});
  assert.equal(lines, 10_000);
  tell('one more', {});
  tell('0', {});
  assert.equal(lines, 10_002);
  assert.ok(sparingIntervalMs > 0);
});
