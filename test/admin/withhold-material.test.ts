import assert from 'node:assert/strict';
import { test } from 'node:test';
import { withholdMaterial } from '../../src/admin/withhold-material.ts';
import { makePrivateKey } from '../support/certificates.ts';

const pem = makePrivateKey().export({ type: 'pkcs8', format: 'pem' }).toString();
const base64 = pem.split('\n').slice(1, -2).join('');

test('a key is withheld wherever it stands, with or without its armour', () => {
  const said = JSON.stringify(
    withholdMaterial({
      message: `Invalid value: ${pem}`,
      fields: { [pem]: 'unknown field', snis: [`invalid value: ${base64}`] },
    }),
  );
  assert.ok(!said.includes(base64.slice(40, 60)));
  assert.match(said, /Invalid value: \(withheld/);
});

test('nor in another spelling, cut, or line by line', () => {
  const jwk = makePrivateKey().export({ format: 'jwk' });
  const der = makePrivateKey().export({ type: 'pkcs8', format: 'der' });
  const octets = (der.toString('hex').match(/../g) ?? []).join(':');
  for (const spelled of [
    der.toString('base64url'),
    pem.split('\n').slice(1, -2).join('\n'),
    base64.slice(0, 64),
    String(jwk.d),
    der.toString('hex'),
    octets,
    octets.replaceAll(/(.{45})/g, '$1\n    '),
  ]) {
    const said = JSON.stringify(withholdMaterial({ message: `'${spelled}' is no id` }));
    assert.match(said, /^\{"message":"'[^']{0,3}\(withheld/, spelled);
    assert.doesNotMatch(said.replaceAll(/withheld: [a-z ]+/g, ''), /[A-Za-z0-9+/_-]{20}|(..:){8}/);
  }
});

test('nor where a form has made blanks of what base64 has for +', () => {
  for (const piece of [
    '8nHPN4RF3ncDviqVFXE1WzJPUtmlHiE/tmEcpcG',
    'gTb6KeY8EJS2iloITNyKSSh98vozYcM5',
    'bQzTkLfWdXmVcRpYsJhNgBqZ',
  ]) {
    const said = withholdMaterial({ fields: { [`MIGHAgEA ${piece} 9a`]: 'unknown field' } });
    assert.ok(!JSON.stringify(said).includes(piece.slice(0, 20)), piece);
  }
});

test('nor of PEM that was cut off behind its first characters', () => {
  const said = withholdMaterial({ message: `invalid value: ${pem.slice(0, 36)}` });
  assert.deepEqual(said, { message: 'invalid value: (withheld: it looks like a certificate or key)' });
});

test('names of several words are no keys', () => {
  for (const name of [
    'MyCompany-Service-Production-2027-v1',
    'CustomerPortalBackendServiceV2',
    'A0B1C2D3-E4F5-4A6B-8C7D-0E1F2A3B4C5D',
    'TLS_AES_128_GCM_SHA256_and_more',
    'X-Forwarded-For-Header-Number-1',
    'userManagementService2Production',
  ]) {
    assert.equal(withholdMaterial(name), name);
  }
});

test('what errors ordinarily say is left as it is', () => {
  const body = {
    message: `UNIQUE violation detected on '{name="${'a'.repeat(63)}.example.com"}'`,
    fields: { certificate: { id: '00000000-0000-0000-0000-000000000000' }, sha256: 'f'.repeat(64) },
    count: 3,
    nothing: null,
    hint: 'Send PEM text that begins with -----BEGIN CERTIFICATE-----. Send the file from -----BEGIN to -----END.',
  };
  assert.deepEqual(withholdMaterial(body), body);
});
