import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createSteadyClock } from '../../src/lib/steady-clock.ts';

test('the clock is followed, also back and a little ahead, and years ahead are not believed', () => {
  const hourMs = 3_600_000;
  const start = 1_700_000_000_000;
  let wall = start;
  let elapsed = 5000;
  const now = createSteadyClock(
    () => wall,
    () => elapsed,
  );
  assert.equal(now(), start);
  wall += 60_000;
  elapsed += 60_000;
  assert.equal(now(), wall);
  wall -= 24 * hourMs;
  assert.equal(now(), wall);
  wall = start + 10 * 365 * 24 * hourMs;
  assert.equal(now(), start + 60_000 + hourMs);
  elapsed += 90 * 24 * hourMs;
  assert.equal(now(), start + 60_000 + hourMs + 90 * 24 * hourMs, 'what has passed has passed');
});
