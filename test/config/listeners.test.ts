// The syntax of listeners.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatAddress, parseListeners } from '../../src/config/listeners.ts';
import type { ListenFlag } from '../../src/config/settings.ts';

const all: readonly ListenFlag[] = ['ssl', 'http2', 'proxy_protocol', 'reuseport', 'backlog'];

test('an address, a port and flags in any order', () => {
  assert.deepEqual(parseListeners(['127.0.0.1:8443 backlog=16384 ssl   proxy_protocol', '[::1]:0'], all), {
    kind: 'listeners',
    listeners: [
      {
        host: '127.0.0.1',
        port: 8443,
        ssl: true,
        http2: false,
        proxyProtocol: true,
        reuseport: false,
        backlog: 16_384,
      },
      { host: '::1', port: 0, ssl: false, http2: false, proxyProtocol: false, reuseport: false, backlog: 4096 },
    ],
  });
});

test('off is no listener, and only alone', () => {
  assert.deepEqual(parseListeners(['off'], all), { kind: 'listeners', listeners: [] });
  assert.equal(parseListeners(['off', '127.0.0.1:1'], all).kind, 'invalid');
});

test('what is no listener is refused', () => {
  for (const item of [
    '8000',
    ':8000',
    'localhost:8000',
    '127.0.0.1',
    '127.0.0.1:',
    '127.0.0.1:65536',
    '127.0.0.1:-1',
    '127.0.0.1:8e3',
    '127.0.0.1:999999',
    '127.0.0.256:1',
    '::1:8000',
    '[::1]',
    '[127.0.0.1]:80',
    '[::g]:80',
    '[fe80::1%eth0]:80',
    '[::1]:80x',
    '127.0.0.1:80 ssl=on',
    '127.0.0.1:80 backlog',
    '127.0.0.1:80 backlog=0',
    '127.0.0.1:80 backlog=65536',
    '127.0.0.1:80 udp',
    '127.0.0.1:80 SSL',
  ]) {
    assert.equal(parseListeners([item], all).kind, 'invalid', item);
  }
});

test('an unknown flag is told with those that there are', () => {
  const parsed = parseListeners(['127.0.0.1:80 fast'], ['reuseport', 'backlog']);
  assert.ok(parsed.kind === 'invalid');
  assert.equal(parsed.expected, 'the flags reuseport, backlog=<number>, and not "fast"');
});

test('a flag that is a whole text is told shortened, and a key in its place not at all', () => {
  const expected = (flag: string): string => {
    const parsed = parseListeners([`127.0.0.1:80 ${flag}`], ['reuseport']);
    assert.ok(parsed.kind === 'invalid');
    return parsed.expected;
  };
  assert.ok(expected('long'.repeat(1000)).length < 200);
  assert.doesNotMatch(expected('-----BEGIN-PRIVATE-KEY-----MIGH'), /MIGH/);
});

test('one address and port twice is refused however it is written', () => {
  assert.equal(parseListeners(['[::1]:80', '[0:0:0:0:0:0:0:1]:80'], all).kind, 'invalid');
  assert.equal(parseListeners(['[::1]:0', '[::1]:0'], all).kind, 'listeners');
});

test('an address is written as it is read', () => {
  assert.equal(formatAddress({ host: '::1', port: 80 }), '[::1]:80');
  assert.equal(formatAddress({ host: '127.0.0.1', port: 80 }), '127.0.0.1:80');
});
