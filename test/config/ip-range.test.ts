// CIDR ranges in normal form.
import assert from 'node:assert/strict';
import { BlockList } from 'node:net';
import { test } from 'node:test';
import { fc } from '../support/fast-check.ts';
import { isLoopback, parseIpRange } from '../../src/config/ip-range.ts';

test('ranges and addresses have one normal form', () => {
  const forms: Record<string, string> = {
    '10.1.2.3/8': '10.0.0.0/8',
    '192.0.2.1': '192.0.2.1/32',
    '0.0.0.0/0': '0.0.0.0/0',
    '255.255.255.255/31': '255.255.255.254/31',
    '::1': '::1/128',
    '2001:DB8:0:0::1/32': '2001:db8::/32',
    '::/0': '::/0',
    '1:2:3:4:5:6:7:8/112': '1:2:3:4:5:6:7:0/112',
    '::ffff:10.0.0.1': '10.0.0.1/32',
    '::ffff:10.1.0.0/104': '10.0.0.0/8',
    '::ffff:0:0/95': '::fffe:0:0/95',
  };
  for (const [given, normal] of Object.entries(forms)) assert.equal(parseIpRange(given), normal, given);
});

test('what is no range is refused', () => {
  for (const text of [
    '',
    'a',
    '10.0.0',
    '10.0.0.0/33',
    '::/129',
    '10.0.0.0/',
    '10.0.0.0/08',
    '10.0.0.0/8/8',
    '10.0.0.0/-1',
    'fe80::1%eth0',
    '[::1]',
    '10.0.0.0/255.0.0.0',
    '010.0.0.1',
    ' 10.0.0.1',
  ]) {
    assert.equal(parseIpRange(text), undefined, text);
  }
});

test('a range holds the addresses that the system says it holds, and is its own normal form', () => {
  for (const version of [4, 6] as const) {
    const address = version === 4 ? fc.ipV4() : fc.ipV6();
    fc.assert(
      fc.property(address, fc.nat(version === 4 ? 32 : 128), address, (base, prefix, probe) => {
        const normal = parseIpRange(`${base}/${prefix}`);
        assert.ok(normal !== undefined);
        assert.equal(parseIpRange(normal), normal);
        assert.equal(holds(`${base}/${prefix}`, probe), holds(normal, probe));
        assert.ok(holds(normal, base));
      }),
    );
  }
});

test('loopback is 127.0.0.0/8 and ::1', () => {
  for (const address of ['127.0.0.1', '127.255.0.1', '::1', '0:0::1', '::ffff:127.0.0.1'])
    assert.ok(isLoopback(address), address);
  for (const address of ['0.0.0.0', '::', '128.0.0.1', '10.0.0.1', '::2']) assert.ok(!isLoopback(address), address);
});

function holds(range: string, address: string): boolean {
  const [network = '', prefix = ''] = range.split('/');
  const list = new BlockList();
  list.addSubnet(network, Number(prefix), network.includes(':') ? 'ipv6' : 'ipv4');
  return list.check(address, address.includes(':') ? 'ipv6' : 'ipv4');
}
