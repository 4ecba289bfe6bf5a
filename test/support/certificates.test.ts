// The makers of test certificates are themselves believed only as far as Node's own reader and a TLS handshake agree.
import assert from 'node:assert/strict';
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { createSecureContext } from 'node:tls';
import { test } from 'node:test';
import { makeAuthority, makeSelfSigned } from './certificates.ts';

test('an authority issues leaves of every key type that verify against it and match their key', () => {
  const authority = makeAuthority();
  const root = new X509Certificate(authority.certificate);
  assert.ok(root.ca && root.verify(root.publicKey));
  for (const keyType of ['ec', 'rsa', 'ed25519', 'ed448'] as const) {
    const { cert, key, chain } = authority.issue({ names: ['a.test', '*.b.test', '127.0.0.1'], keyType });
    const leaf = new X509Certificate(cert);
    assert.ok(leaf.verify(root.publicKey) && leaf.checkIssued(root), keyType);
    assert.ok(leaf.checkPrivateKey(createPrivateKey(key)), keyType);
    assert.equal(leaf.subjectAltName, 'DNS:a.test, DNS:*.b.test, IP Address:127.0.0.1');
    assert.equal(leaf.subject, 'CN=a.test');
    assert.equal(leaf.ca, false);
    assert.equal(chain, cert);
    createSecureContext({ cert: chain, key });
  }
});

test('what an intermediate issues has the intermediates in its chain, without the root', () => {
  const root = makeAuthority();
  const upper = root.intermediate();
  const lower = upper.intermediate({ keyType: 'rsa' });
  const { cert, chain } = lower.issue({ names: ['a.test'] });
  assert.equal(chain, cert + lower.certificate + upper.certificate);
  assert.ok(new X509Certificate(cert).checkIssued(new X509Certificate(lower.certificate)));
  assert.ok(new X509Certificate(upper.certificate).verify(new X509Certificate(root.certificate).publicKey));
});

test('a self-signed certificate carries the dates it was given', () => {
  const notBefore = new Date('2020-01-02T03:04:05Z');
  const notAfter = new Date('2060-01-02T03:04:05Z');
  const { cert } = makeSelfSigned({ names: ['a.test'], notBefore, notAfter });
  const leaf = new X509Certificate(cert);
  assert.equal(leaf.validFromDate.getTime(), notBefore.getTime());
  assert.equal(leaf.validToDate.getTime(), notAfter.getTime());
  assert.ok(leaf.ca && leaf.verify(leaf.publicKey));
});
