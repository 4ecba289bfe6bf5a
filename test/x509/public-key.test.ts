// Which keys a server may use.
import assert from 'node:assert/strict';
import { createHash, createPublicKey } from 'node:crypto';
import { test } from 'node:test';
import { describeCertificate } from '../../src/x509/certificate.ts';
import { publicKeyFacts, rsaMaxBits, strengthOf } from '../../src/x509/public-key.ts';
import { makePrivateKey, makeSelfSigned, type KeyOptions } from '../support/certificates.ts';

const kinds: readonly [KeyOptions, string, string][] = [
  [{}, 'EC P-256', 'enough'],
  [{ curve: 'secp384r1' }, 'EC P-384', 'enough'],
  [{ curve: 'secp521r1' }, 'EC P-521', 'rare'],
  [{ curve: 'secp224r1' }, 'EC P-224', 'weak'],
  [{ curve: 'brainpoolP384r1' }, 'EC brainpoolP384r1', 'unsupported'],
  [{ keyType: 'rsa', bits: 1024 }, 'RSA 1024', 'weak'],
  [{ keyType: 'rsa' }, 'RSA 2048', 'enough'],
  [{ keyType: 'ed25519' }, 'Ed25519', 'rare'],
  [{ keyType: 'dsa', bits: 1024 }, 'DSA', 'unsupported'],
];

for (const [options, kind, strength] of kinds) {
  test(`a key of the kind ${kind} is ${strength}`, () => {
    const facts = publicKeyFacts(makePrivateKey(options));
    assert.equal(facts.kind, kind);
    assert.equal(strengthOf(facts, 2048).kind, strength);
  });
}

test('RSA keys that would burden every handshake, or whose exponent does nothing, are not used', () => {
  const modulusOf = (bits: number) => Buffer.alloc(bits / 8, 0xff).toString('base64url');
  const strength = (bits: number, exponent: number) => {
    const jwk = { kty: 'RSA', n: modulusOf(bits), e: Buffer.from([exponent]).toString('base64url') };
    return strengthOf(publicKeyFacts(createPublicKey({ key: jwk, format: 'jwk' })), 2048).kind;
  };
  assert.equal(strength(rsaMaxBits, 3), 'enough');
  assert.equal(strength(rsaMaxBits + 8, 3), 'unsupported');
  assert.equal(strength(2048, 1), 'weak');
});

test('the hash of a certificate is that of its public key as OpenSSL encodes it, whatever the kind', () => {
  for (const options of [
    { keyType: 'ec' },
    { keyType: 'ec', curve: 'secp384r1' },
    { keyType: 'rsa' },
    { keyType: 'ed25519' },
    { keyType: 'ed448' },
  ] as const) {
    const { cert, key } = makeSelfSigned({ names: ['a.test'], ...options });
    const spki = createPublicKey(key).export({ type: 'spki', format: 'der' });
    assert.equal(describeCertificate(cert)?.publicKeySha256, createHash('sha256').update(spki).digest('hex'));
  }
});
