// How many wrong tokens an address may send.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createFailureLimit } from '../../src/admin/failure-limit.ts';

test('so many failures at once are let through, and then one for each part of a minute', () => {
  let now = 1000;
  const limit = createFailureLimit(20, () => now);
  for (let count = 0; count < 20; count += 1) {
    assert.equal(limit.waitMs('192.0.2.1'), 0);
    limit.countFailure('192.0.2.1');
  }
  assert.equal(limit.waitMs('192.0.2.1'), 3000);
  assert.equal(limit.waitMs('192.0.2.2'), 0);
  now += 3000;
  assert.equal(limit.waitMs('192.0.2.1'), 0);
  limit.countFailure('192.0.2.1');
  assert.equal(limit.waitMs('192.0.2.1'), 3000);
  now += 60_000;
  for (let count = 0; count < 20; count += 1) limit.countFailure('192.0.2.1');
  assert.equal(limit.waitMs('192.0.2.1'), 3000);
});

test('a network of IPv6 is one caller, and an IPv4 address is the same inside IPv6', () => {
  const limit = createFailureLimit(1, () => 0);
  limit.countFailure('2001:db8::1');
  limit.countFailure('::ffff:192.0.2.1');
  for (const address of ['2001:db8::2', '2001:db8:0:0:1:2:3:4', '192.0.2.1'])
    assert.ok(limit.waitMs(address) > 0, address);
  for (const address of ['2001:db8:0:1::1', '192.0.2.2', '::1']) assert.equal(limit.waitMs(address), 0, address);
});

test('ten thousand addresses are remembered, no more', () => {
  const limit = createFailureLimit(1, () => 0);
  limit.countFailure('192.0.2.1');
  for (let count = 0; count < 9999; count += 1) limit.countFailure(`10.0.${count >> 8}.${count & 255}`);
  assert.ok(limit.waitMs('192.0.2.1') > 0);
  limit.countFailure('10.9.9.9');
  assert.equal(limit.waitMs('192.0.2.1'), 0);
});
