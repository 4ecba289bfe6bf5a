// Whom a request is from behind proxies, beside what nginx makes of the same header.
import assert from 'node:assert/strict';
import { isIP } from 'node:net';
import { suite, test } from 'node:test';
import { fc } from '../support/fast-check.ts';
import { clientAddress } from '../../src/proxy/client-address.ts';
import { createTrustedPeers } from '../../src/proxy/trusted-peers.ts';
import { realIpOfNginx, trustedByNginx } from './real-ip-of-nginx.ts';

const peer = '127.0.0.1';
const isTrusted = createTrustedPeers(trustedByNginx);

/** Where we do not do as nginx does: what we take, once and recursively, and why. */
const departures: readonly (readonly [lines: readonly string[], once: string, recursive: string, why: string])[] = [
  [['1.1.1.1\t,\t10.0.0.2'], '10.0.0.2', '1.1.1.1', 'a tab is whitespace (RFC 9110 section 5.6.3)'],
  [['1.1.1.1,\t2.2.2.2'], '2.2.2.2', '2.2.2.2', 'a tab is whitespace'],
  [[',1.1.1.1'], '1.1.1.1', '1.1.1.1', 'empty elements mean nothing, also the first (RFC 9110 section 5.6.1.2)'],
  [['1.1.1.1', ''], '1.1.1.1', '1.1.1.1', 'empty elements mean nothing, also a line of them'],
  [['[2001:db8::1]'], '2001:db8::1', '2001:db8::1', 'proxies write it so'],
  [['[1.2.3.4]:80'], peer, peer, 'brackets are for IPv6'],
  [['01.2.3.4'], peer, peer, 'octal to some, decimal to others'],
  [['::ffff:1.2.3.4'], '1.2.3.4', '1.2.3.4', 'one address is written in one way'],
  [['::ffff:10.0.0.1'], '10.0.0.1', '10.0.0.1', 'one address is written in one way'],
  [['1.1.1.1, ::ffff:10.0.0.1'], '10.0.0.1', '1.1.1.1', 'one address is written in one way'],
];

suite('the client is', () => {
  for (const [lines, once, recursive] of realIpOfNginx) {
    const value = lines.join(', ');
    const departure = departures.find(([departed]) => JSON.stringify(departed) === JSON.stringify(lines));
    const expected = departure?.slice(1, 3) ?? [once, recursive];
    test(`${expected.join(', recursively ')} for ${JSON.stringify(lines)}${departure === undefined ? '' : `: ${departure[3]}`}`, () => {
      assert.deepEqual(
        [false, true].map((recursively) => clientAddress(peer, value, recursively, isTrusted)),
        expected,
      );
      if (departure !== undefined) assert.notDeepEqual([once, recursive], expected);
    });
  }

  test('the peer where no header was sent', () => {
    assert.equal(clientAddress(peer, undefined, true, isTrusted), peer);
  });

  test('an address whatever the header holds, and the nearest one that is not trusted', () => {
    const element = fc.oneof(fc.ipV4(), fc.ipV6(), fc.stringMatching(/^[0-9a-f.:[\]% ,]{0,20}$/));
    fc.assert(
      fc.property(fc.array(element, { maxLength: 8 }), (elements) => {
        const found = clientAddress(peer, elements.join(','), true, isTrusted);
        assert.notEqual(isIP(found), 0);
        assert.equal(
          clientAddress(peer, `${elements.join(',')}, 10.9.9.9`, true, isTrusted),
          found === peer ? '10.9.9.9' : found,
        );
      }),
    );
  });
});
