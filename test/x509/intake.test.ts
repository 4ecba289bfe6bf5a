// What intake takes: every form in which people have a certificate and its key.
import assert from 'node:assert/strict';
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { createSecureContext } from 'node:tls';
import { test } from 'node:test';
import { intake } from '../../src/x509/intake.ts';
import { makeAuthority, makePrivateKey, makeSelfSigned, type LeafOptions } from '../support/certificates.ts';
import { accepted, codes, now, take } from '../support/intake.ts';

const root = makeAuthority();
const intermediate = root.intermediate();
const leafOf = (options: Partial<LeafOptions> = {}) => intermediate.issue({ names: ['a.test'], ...options });

test('a chain and its key come out as a checked pair with the facts of the leaf', () => {
  const { chain, key, cert } = leafOf({ names: ['A.test', '*.b.test', 'a.test'] });
  const result = accepted(take({ cert: chain, key }));
  const x509 = new X509Certificate(cert);
  assert.equal(result.pair.chain, chain);
  assert.equal(result.pair.key, key);
  assert.equal(result.pair.fingerprint, x509.fingerprint256.replaceAll(':', '').toLowerCase());
  assert.equal(result.pair.serialNumber, x509.serialNumber);
  assert.equal(result.pair.subject, 'CN=A.test');
  assert.match(result.pair.issuer, /^O=Test Authority, CN=Test Intermediate \d+$/);
  assert.deepEqual(result.pair.dnsNames, ['a.test', '*.b.test']);
  assert.equal(result.pair.notAfter, x509.validToDate.getTime());
  assert.equal(result.pair.notBefore, x509.validFromDate.getTime());
  assert.equal(result.pair.keyType, 'ec');
  assert.equal(result.pair.keyBits, 256);
  assert.deepEqual([result.warnings, result.repairs], [[], []]);
  assert.deepEqual(
    result.intermediates.map((one) => one.pem),
    [intermediate.certificate],
  );
  assert.ok(result.missingIssuer !== undefined, 'the root is not there');
});
