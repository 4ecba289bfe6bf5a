import assert from 'node:assert/strict';
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { assertNoSecrets, hear, rememberKey, rememberKeysIn, rememberSecret, secretsKnown } from './secrets.ts';

const wrap = (text: string, length: number, end = '\n'): string =>
  text.match(new RegExp(`.{1,${length}}`, 'g'))?.join(end) ?? '';

for (const [kind, key] of [
  ['RSA', generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey],
  ['EC', generateKeyPairSync('ec', { namedCurve: 'prime256v1' }).privateKey],
  ['Ed25519', generateKeyPairSync('ed25519').privateKey],
] as const) {
  test(`a private key is found in every form it may leave in: ${kind}`, () => {
    rememberKey(key);
    const der = key.export({ type: 'pkcs8', format: 'der' });
    const pem = key.export({ type: 'pkcs8', format: 'pem' }).toString();
    const jwk = key.export({ format: 'jwk' });
    const secret = Buffer.from(jwk.d ?? '', 'base64url');
    const forms: Record<string, string | Buffer> = {
      PEM: pem,
      'PEM in JSON': JSON.stringify({ key: pem }),
      'PEM in JSON in JSON': JSON.stringify(JSON.stringify({ key: pem })),
      'PEM in a query': new URLSearchParams({ key: pem }).toString(),
      'PEM with CRLF': pem.replaceAll('\n', '\r\n'),
      DER: der,
      'base64 of PEM': Buffer.from(pem).toString('base64'),
      'base64 of PEM with something before': Buffer.from(`x${pem}`).toString('base64'),
      hex: der.toString('hex'),
      HEX: der.toString('hex').toUpperCase(),
      'as openssl writes it': wrap(secret.toString('hex').match(/../g)?.join(':') ?? '', 45, '\n    '),
      JWK: JSON.stringify(jwk),
      decimal: BigInt(`0x${secret.toString('hex')}`).toString(),
      'the first half of the secret': secret.subarray(0, Math.max(24, secret.length / 2)),
    };
    for (const before of [0, 1, 2]) {
      const text = Buffer.concat([randomBytes(before), der]).toString('base64');
      forms[`base64, ${before} bytes in`] = text;
      forms[`base64url, ${before} bytes in`] = Buffer.concat([randomBytes(before), der]).toString('base64url');
      forms[`base64 in lines of 17, ${before} bytes in`] = wrap(text, 17);
    }
    for (const [form, held] of Object.entries(forms)) {
      const bytes = Buffer.concat([randomBytes(1000), Buffer.from('"'), Buffer.from(held), randomBytes(1000)]);
      assert.throws(() => assertNoSecrets([{ where: 'here', bytes }]), /secrets left: here holds/, form);
    }
  });
}

test('what is sent and what is heard counts, public halves and other bytes do not', () => {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-384' });
  const pem = privateKey.export({ type: 'sec1', format: 'pem' }).toString();
  const before = secretsKnown().secrets;
  rememberKeysIn(JSON.stringify({ key: pem }));
  rememberKeysIn(pem);
  assert.equal(secretsKnown().secrets, before + 1);
  hear('an answer', 'nothing');
  const publicPem = publicKey.export({ type: 'spki', format: 'pem' }).toString();
  assertNoSecrets([
    { where: 'public', bytes: Buffer.from(publicPem) },
    { where: 'random', bytes: randomBytes(100_000) },
  ]);
  hear('an answer', pem);
  assert.throws(() => assertNoSecrets([]), /an answer holds d of a private key/);
  assertNoSecrets([]);
  const token = randomBytes(32);
  rememberSecret('a token', token);
  assert.throws(
    () => assertNoSecrets([{ where: 'a log', bytes: Buffer.from(token.toString('base64url')) }]),
    /a token/,
  );
});
