// What intake refuses, and that it says all of it at once, in words that help, without a byte of any key.
import assert from 'node:assert/strict';
import { createPrivateKey, generateKeyPairSync, sign, type KeyObject } from 'node:crypto';
import { test } from 'node:test';
import { encodePem } from '../../src/x509/pem.ts';
import { bitString, context, integer, objectIdentifier, octetString, sequence } from '../../src/x509/write-der.ts';
import { makeAuthority, makePrivateKey, makeSelfSigned, type Issued } from '../support/certificates.ts';
import { problemCodes, take } from '../support/intake.ts';
import type { IntakeInput } from '../../src/x509/intake.ts';

const root = makeAuthority();
const intermediate = root.intermediate();
const pair = intermediate.issue({ names: ['a.test'] });
const other = intermediate.issue({ names: ['b.test'] });
const day = 86_400_000;
const pkcs8 = (options: object) =>
  createPrivateKey(pair.key)
    .export({ type: 'pkcs8', format: 'pem', ...options } as never)
    .toString();
const sec1 = (options: object) =>
  createPrivateKey(pair.key)
    .export({ type: 'sec1', format: 'pem', ...options } as never)
    .toString();
const locked = pkcs8({ cipher: 'aes-256-cbc', passphrase: 'right' });
const lockedLegacy = sec1({ cipher: 'aes-128-cbc', passphrase: 'right' });
const publicKey = generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey;

interface Refusal {
  readonly input: Partial<IntakeInput>;
  readonly codes: readonly string[];
  /** In the message or hint of the first problem. */
  readonly says?: RegExp;
}

const refusals: Readonly<Record<string, Refusal>> = {
  'nothing at all': {
    input: { cert: '', key: undefined },
    codes: ['CERTIFICATE_UNREADABLE', 'KEY_MISSING'],
    says: /empty.*BEGIN CERTIFICATE/,
  },
  'something else than PEM': {
    input: { cert: 'hello', key: 'world' },
    codes: ['CERTIFICATE_UNREADABLE', 'KEY_UNREADABLE'],
    says: /not PEM, DER or base64/,
  },
  'a file path': {
    input: { cert: '/etc/ssl/a.crt', key: 'server.key' },
    codes: ['CERTIFICATE_UNREADABLE', 'KEY_UNREADABLE'],
    says: /looks like a file path.*--form config\.cert=@\/path/,
  },
  'a file path after an at sign': {
    input: { cert: '@server.crt' },
    codes: ['CERTIFICATE_UNREADABLE'],
    says: /file path/,
  },
  'a Windows path': {
    input: { cert: 'C:\\certs\\my server.pem' },
    codes: ['CERTIFICATE_UNREADABLE'],
    says: /file path/,
  },
  'a certificate signing request': {
    input: { cert: encodePem('CERTIFICATE REQUEST', sequence()) },
    codes: ['CERTIFICATE_UNREADABLE'],
    says: /signing request.*that the CA issued/,
  },
  'a request as DER': { input: { cert: request() }, codes: ['CERTIFICATE_UNREADABLE'], says: /signing request/ },
  'a public key as certificate and as key': {
    input: {
      cert: publicKey.export({ type: 'spki', format: 'pem' }).toString(),
      key: publicKey.export({ type: 'spki', format: 'der' }),
    },
    codes: ['CERTIFICATE_UNREADABLE', 'KEY_UNREADABLE'],
    says: /bare public key/,
  },
  'what begins as a PKCS#12 file does': {
    input: { cert: sequence(integer(3), sequence(objectIdentifier('1.2.840.113549.1.7.1'))), key: undefined },
    codes: ['CERTIFICATE_UNREADABLE'],
    says: /PKCS#12 file cannot be read: it is damaged/,
  },
  'PKCS#7 without certificates': {
    input: { cert: encodePem('PKCS7', sequence(objectIdentifier('1.2.840.113549.1.7.2'), context(0, sequence()))) },
    codes: ['CERTIFICATE_FORMAT_UNSUPPORTED'],
    says: /PKCS#7 that is no bundle of certificates/,
  },
  'an OpenSSH key': {
    input: { key: encodePem('OPENSSH PRIVATE KEY', Buffer.from('openssh-key-v1')) },
    codes: ['KEY_UNREADABLE'],
    says: /OpenSSH/,
  },
  'a PEM block that is cut off': {
    input: { cert: pair.cert.slice(0, 300) },
    codes: ['CERTIFICATE_UNREADABLE'],
    says: /line 1 has no -----END CERTIFICATE----- line: it is cut off/,
  },
  'an intermediate that is cut off': {
    input: { cert: pair.cert + intermediate.certificate.slice(0, 300) },
    codes: ['CERTIFICATE_UNREADABLE'],
    says: /block 2 \(line \d+\).*cut off/,
  },
  'a certificate with a missing start': {
    input: { cert: pair.cert.replace(/-----BEGIN.*\n/, '') },
    codes: ['CERTIFICATE_UNREADABLE'],
    says: /no -----BEGIN line/,
  },
  'PEM that is not base64': {
    input: { cert: pair.cert.replace(/\nM/, '\n*') },
    codes: ['CERTIFICATE_UNREADABLE'],
    says: /not base64/,
  },
  'an empty PEM block': {
    input: { key: '-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----' },
    codes: ['KEY_UNREADABLE'],
    says: /is empty/,
  },
  'a damaged certificate': {
    input: { cert: encodePem('CERTIFICATE', sequence(sequence(), sequence(), bitString(Buffer.alloc(9)))) },
    codes: ['CERTIFICATE_UNREADABLE'],
    says: /damaged/,
  },
  'DER that went through text': {
    input: { cert: Buffer.from(pair.cert.replaceAll(/-----.*/g, ''), 'base64').toString('utf8') },
    codes: ['CERTIFICATE_UNREADABLE'],
    says: /damaged by being read as text/,
  },
  'a key as certificate': {
    input: { cert: pair.key, key: undefined },
    codes: ['CERTIFICATE_UNREADABLE'],
    says: /holds a private key and no certificate/,
  },
  'a certificate as key': {
    input: { key: pair.cert },
    codes: ['KEY_UNREADABLE'],
    says: /holds a certificate and no private key/,
  },
  'a placeholder without a stored key': {
    input: { key: `{sealed:sha256:${'ab'.repeat(32)}}` },
    codes: ['KEY_UNREADABLE'],
    says: /placeholder of a stored key/,
  },
  'a certificate without any key': { input: { key: undefined }, codes: ['KEY_MISSING'] },
  'a key of another certificate': {
    input: { key: other.key },
    codes: ['CERTIFICATE_KEY_MISMATCH'],
    says: /does not belong to the certificate "CN=a\.test" \(public key SHA-256: key [0-9a-f]{16}/,
  },
  'the key of the intermediate': {
    input: { cert: pair.chain, key: intermediate.key },
    codes: ['CERTIFICATE_KEY_MISMATCH'],
    says: /but to "O=Test Authority, CN=Test Intermediate/,
  },
  'only a CA certificate': {
    input: { cert: intermediate.certificate, key: intermediate.key },
    codes: ['CERTIFICATE_NO_LEAF'],
    says: /no server certificate.*is the CA certificate/,
  },
  'a chain without its leaf': {
    input: { cert: intermediate.certificate + root.certificate },
    codes: ['CERTIFICATE_NO_LEAF'],
  },
  'two leaves': {
    input: { cert: pair.cert + other.cert },
    codes: ['CERTIFICATE_SEVERAL_LEAVES'],
    says: /2 server certificates: "CN=a\.test" .*"CN=b\.test"/,
  },
  'an old and a renewed certificate of one key': {
    input: { cert: pair.cert + intermediate.issue({ names: ['a.test'], privateKey: createPrivateKey(pair.key) }).cert },
    codes: ['CERTIFICATE_SEVERAL_LEAVES'],
  },
  'more certificates than the limit': {
    input: { cert: pair.cert + Array.from({ length: 11 }, () => makeAuthority().certificate).join('') },
    codes: ['CERTIFICATE_CHAIN_TOO_LONG'],
  },
  'a bundle of CA certificates': {
    input: { cert: pair.cert.repeat(65) },
    codes: ['CERTIFICATE_CHAIN_TOO_LONG'],
    says: /bundle/,
  },
  'more than a mebibyte': {
    input: { cert: pair.cert.padEnd(1_048_577, '\n') },
    codes: ['CERTIFICATE_TOO_LARGE'],
  },
  'an expired certificate': {
    input: intermediate.issue({ names: ['a.test'], notBefore: Date.now() - 9 * day, notAfter: Date.now() - day }),
    codes: ['CERTIFICATE_EXPIRED'],
    says: /expired on \d{4}-\d\d-\d\d.*force=true/,
  },
  'an encrypted key without passphrase': {
    input: { key: locked },
    codes: ['KEY_ENCRYPTED'],
    says: /is encrypted and no passphrase.*openssl pkey/,
  },
  'an encrypted key with an empty passphrase': { input: { key: locked, passphrase: '' }, codes: ['KEY_ENCRYPTED'] },
  'an encrypted key with a wrong passphrase': {
    input: { key: locked, passphrase: 'wrong' },
    codes: ['KEY_PASSPHRASE_WRONG'],
  },
  'a passphrase over its limit': {
    input: { key: locked, passphrase: 'x'.repeat(1025) },
    codes: ['KEY_PASSPHRASE_WRONG'],
  },
  'a legacy encrypted key without passphrase': { input: { key: lockedLegacy }, codes: ['KEY_ENCRYPTED'] },
  'a legacy encrypted key with a wrong passphrase': {
    input: { key: lockedLegacy, passphrase: 'wrong' },
    codes: ['KEY_PASSPHRASE_WRONG'],
  },
  'a key under DES': {
    input: { key: lockedLegacy.replace('AES-128-CBC', 'DES-CBC'), passphrase: 'right' },
    codes: ['KEY_UNSUPPORTED'],
    says: /no longer read.*openssl pkcs8 -topk8/,
  },
  'a key that costs minutes to decrypt': {
    input: { key: costly(2_000_000_000), passphrase: 'right' },
    codes: ['KEY_UNSUPPORTED'],
    says: /more than 2000000 rounds/,
  },
  'keys that together cost seconds to decrypt': {
    input: { key: Buffer.concat([costly(1_500_000), costly(1_500_000)]), passphrase: 'right' },
    codes: ['KEY_UNSUPPORTED'],
    says: /more than 2000000 rounds.* in all/,
  },
  'a key that costs seconds to decrypt with each spelling of a passphrase': {
    input: { key: costly(1_500_000), passphrase: 'right\n' },
    codes: ['KEY_UNSUPPORTED'],
    says: /more than 2000000 rounds.* in all/,
  },
  'RSA under the floor': {
    input: makeSelfSigned({ names: ['a.test'], keyType: 'rsa', bits: 1024 }),
    codes: ['KEY_TOO_WEAK'],
    says: /RSA 1024, which is weaker than RSA 2048.*ssl_min_rsa_bits/,
  },
  'an intermediate under the floor': {
    input: whole(root.intermediate({ keyType: 'rsa', bits: 1024 }).issue({ names: ['a.test'] })),
    codes: ['KEY_TOO_WEAK'],
    says: /The key of the intermediate .* RSA 1024/,
  },
  'P-224': { input: makeSelfSigned({ names: ['a.test'], curve: 'secp224r1' }), codes: ['KEY_TOO_WEAK'], says: /P-256/ },
  'P-192': { input: makeSelfSigned({ names: ['a.test'], curve: 'prime192v1' }), codes: ['KEY_TOO_WEAK'] },
  secp256k1: {
    input: makeSelfSigned({ names: ['a.test'], curve: 'secp256k1' }),
    codes: ['KEY_UNSUPPORTED'],
    says: /secp256k1/,
  },
  Brainpool: { input: makeSelfSigned({ names: ['a.test'], curve: 'brainpoolP256r1' }), codes: ['KEY_UNSUPPORTED'] },
  'P-256 with its parameters spelled out': {
    input: makeSelfSigned({ names: ['a.test'], privateKey: explicitCurve() }),
    codes: ['KEY_UNSUPPORTED'],
    says: /EC with its curve spelled out/,
  },
  'RSA-PSS': {
    input: {
      key: generateKeyPairSync('rsa-pss', { modulusLength: 2048 }).privateKey.export({ type: 'pkcs8', format: 'pem' }),
    },
    codes: ['CERTIFICATE_KEY_MISMATCH', 'KEY_UNSUPPORTED'],
  },
  DSA: { input: makeSelfSigned({ names: ['a.test'], keyType: 'dsa' }), codes: ['KEY_UNSUPPORTED'], says: /DSA/ },
  'a key whose private half is another key’s': {
    input: { key: chimera() },
    codes: ['KEY_UNREADABLE'],
    says: /damaged/,
  },
};

for (const [name, { input, codes, says }] of Object.entries(refusals)) {
  test(`intake refuses ${name}`, () => {
    const result = take({ cert: pair.cert, key: pair.key, ...input });
    assert.deepEqual(problemCodes(result), codes);
    const [first] = result.kind === 'refused' ? result.problems : [];
    assert.match(`${first?.message} ${first?.hint}`, says ?? /./);
  });
}

test('all problems are told at once', () => {
  const expired = intermediate.issue({ names: ['a.test'], keyType: 'rsa', bits: 1024, notAfter: Date.now() - day });
  assert.deepEqual(problemCodes(take({ cert: expired.cert, key: locked })).toSorted(), [
    'CERTIFICATE_EXPIRED',
    'KEY_ENCRYPTED',
    'KEY_TOO_WEAK',
  ]);
  const mismatched = take({ cert: expired.cert, key: other.key });
  assert.deepEqual(problemCodes(mismatched).toSorted(), [
    'CERTIFICATE_EXPIRED',
    'CERTIFICATE_KEY_MISMATCH',
    'KEY_TOO_WEAK',
  ]);
});

test('a problem names the field that has to change', () => {
  const fields = (input: Partial<IntakeInput>) => {
    const result = take({ cert: pair.cert, key: pair.key, ...input });
    return result.kind === 'refused' ? result.problems.map((problem) => problem.field) : [];
  };
  assert.deepEqual(fields({ cert: 'x', key: 'x' }), ['cert', 'key']);
  assert.deepEqual(fields({ key: other.key }), ['key']);
  assert.deepEqual(fields({ key: locked, passphrase: 'wrong' }), ['passphrase']);
  assert.deepEqual(fields({ cert: pair.cert + locked, key: undefined }), ['cert']);
});

function whole({ chain, key }: Issued): Partial<IntakeInput> {
  return { cert: chain, key };
}

/** A request (RFC 2986) for a.test. */
function request(): Buffer {
  const privateKey = makePrivateKey();
  const spki = generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey.export({ type: 'spki', format: 'der' });
  const info = sequence(integer(0), sequence(), spki, context(0, Buffer.alloc(0)));
  const algorithm = sequence(objectIdentifier('1.2.840.10045.4.3.2'));
  return sequence(info, algorithm, bitString(sign('sha256', info, privateKey)));
}

/** Encrypted PKCS#8 that asks for that many rounds of PBKDF2. */
function costly(rounds: number): Buffer {
  const count = Buffer.alloc(4);
  count.writeUInt32BE(rounds);
  const derivation = sequence(
    objectIdentifier('1.2.840.113549.1.5.12'),
    sequence(octetString(Buffer.alloc(8)), integer(count)),
  );
  const cipher = sequence(objectIdentifier('2.16.840.1.101.3.4.1.42'), octetString(Buffer.alloc(16)));
  const scheme = sequence(objectIdentifier('1.2.840.113549.1.5.13'), sequence(derivation, cipher));
  return sequence(scheme, octetString(Buffer.alloc(32)));
}

function explicitCurve(): KeyObject {
  return generateKeyPairSync('ec', { namedCurve: 'P-256', paramEncoding: 'explicit' }).privateKey;
}

/** The public half of the pair's key with the private half of another. */
function chimera(): Buffer {
  const half = (pem: string) => createPrivateKey(pem).export({ type: 'sec1', format: 'der' });
  const mine = half(pair.key);
  half(other.key).copy(mine, 7, 7, 39);
  return mine;
}
