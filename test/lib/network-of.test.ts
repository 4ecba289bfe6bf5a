import assert from 'node:assert/strict';
import { test } from 'node:test';
import { networkOf } from '../../src/lib/network-of.ts';

test('an IPv4 address is its own network, also inside IPv6; of IPv6 the first 64 bits count', () => {
  for (const [address, network] of [
    ['192.0.2.1', '192.0.2.1'],
    ['::ffff:192.0.2.1', '192.0.2.1'],
    ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2'],
    ['2001:db8::1', '2001:db8:0:0'],
    ['2001:db8:0:0:1::', '2001:db8:0:0'],
    ['::1', '0:0:0:0'],
    ['::', '0:0:0:0'],
    ['fe80::1%eth0', 'fe80:0:0:0'],
  ] as const)
    assert.equal(networkOf(address), network);
});
