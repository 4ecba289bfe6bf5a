import assert from 'node:assert/strict';
import { test } from 'node:test';
import { newId } from '../../src/lib/new-id.ts';

test('an id is a UUID of version 7: of its time, and otherwise of chance', () => {
  const ids = Array.from({ length: 1000 }, () => newId(0x0123456789ab));
  for (const id of ids) assert.match(id, /^01234567-89ab-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  assert.equal(new Set(ids).size, ids.length);
});

test('later ids come after earlier ones', () => {
  const now = Date.now();
  assert.ok(newId(now) < newId(now + 1));
  assert.ok(newId().slice(0, 8) >= newId(now).slice(0, 8));
});
