// The certificate that is made when there is no other.
import assert from 'node:assert/strict';
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { test } from 'node:test';
import { selfSigned } from '../../src/x509/self-signed.ts';
import { accepted, codes, now, take } from '../support/intake.ts';

const day = 86_400_000;

for (const keyType of ['ec', 'rsa'] as const) {
  test(`a self-signed certificate of type ${keyType} is one that intake takes, for the names and the time it was asked for`, () => {
    const { chain, key } = selfSigned({
      commonName: 'localhost',
      dnsNames: ['localhost', '*.localhost'],
      keyType,
      now,
      days: 7305,
    });
    const { pair, warnings } = accepted(take({ cert: chain, key }));
    assert.deepEqual(codes(warnings), ['CERTIFICATE_SELF_SIGNED']);
    assert.equal(pair.chain, chain);
    assert.equal(pair.key, key);
    assert.equal(pair.keyType, keyType);
    assert.equal(pair.subject, 'O=Portunus, CN=localhost');
    assert.deepEqual(pair.dnsNames, ['localhost', '*.localhost']);
    assert.equal(pair.notAfter, Math.floor((now + 7305 * day) / 1000) * 1000);
    assert.ok(pair.notBefore < now);
    const x509 = new X509Certificate(chain);
    assert.equal(x509.ca, false);
    assert.ok(x509.verify(x509.publicKey) && x509.checkPrivateKey(createPrivateKey(key)));
  });
}

test('two self-signed certificates share neither key nor serial number', () => {
  const options = { commonName: 'localhost', dnsNames: ['localhost'], keyType: 'ec', now, days: 1 } as const;
  const [one, two] = [selfSigned(options), selfSigned(options)];
  assert.notEqual(one.key, two.key);
  assert.notEqual(new X509Certificate(one.chain).serialNumber, new X509Certificate(two.chain).serialNumber);
});
