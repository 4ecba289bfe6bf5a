// What intake takes: every form in which people have a certificate and its key. What it refuses: intake-refusals.test.ts.
import assert from 'node:assert/strict';
import { createPrivateKey, generateKeyPairSync, X509Certificate } from 'node:crypto';
import { createSecureContext } from 'node:tls';
import { test } from 'node:test';
import { sealedPlaceholder } from '../../src/x509/sealed-placeholder.ts';
import { makeAuthority, makeSelfSigned, type Issued, type LeafOptions } from '../support/certificates.ts';
import { accepted, codes, problemCodes, take } from '../support/intake.ts';

const root = makeAuthority();
const upper = root.intermediate();
const lower = upper.intermediate();
const leafOf = (options: Partial<LeafOptions> = {}) => lower.issue({ names: ['a.test'], ...options });

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
    [lower.certificate, upper.certificate],
  );
  assert.ok(result.missingIssuer !== undefined, 'the root is not there');
});

const plain = leafOf();
const rsa = leafOf({ keyType: 'rsa' });
const der = (pem: string) => Buffer.from(pem.replaceAll(/-----.*-----|\s/g, ''), 'base64');
const keyOf = (pem: string) => createPrivateKey(pem);
const ecParameters = '-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n';

interface Form {
  readonly pair?: Issued;
  readonly cert?: string | Uint8Array;
  readonly key?: string | Uint8Array | undefined;
  readonly passphrase?: string;
  readonly repairs?: readonly string[];
}

const forms: Readonly<Record<string, Form>> = {
  'text around the blocks': {
    cert: `Subject: CN=a.test\n${plain.chain}\nsome notes`,
    key: `Bag Attributes\n${plain.key}`,
  },
  'CRLF line ends': { cert: plain.chain.replaceAll('\n', '\r\n'), key: plain.key.replaceAll('\n', '\r\n') },
  'a byte order mark': { cert: `\uFEFF${plain.chain}`, key: `\uFEFF${plain.key}` },
  'UTF-16, as PowerShell writes it': { cert: Buffer.from(`\uFEFF${plain.chain}`, 'utf16le') },
  'indented lines': { cert: plain.chain.replaceAll(/^/gm, '    '), key: plain.key.replaceAll(/^/gm, '\t') },
  'no line breaks inside the base64': { cert: plain.chain.replaceAll(/([^-])\n([^-])/g, '$1$2') },
  'spaces in place of line breaks': { cert: plain.chain.replaceAll('\n', ' '), key: plain.key.replaceAll('\n', ' ') },
  'bytes of PEM': { cert: Buffer.from(plain.chain), key: Buffer.from(plain.key) },
  'line breaks spelled out': {
    cert: plain.chain.replaceAll('\n', '\\n'),
    key: plain.key.replaceAll('\n', '\\r\\n'),
    repairs: ['ESCAPED_NEWLINES_RESTORED', 'ESCAPED_NEWLINES_RESTORED'],
  },
  'plus signs turned into spaces by a form': {
    pair: rsa,
    cert: rsa.chain.replaceAll('+', ' '),
    key: rsa.key.replaceAll('+', ' '),
    repairs: ['PLUS_SIGNS_RESTORED', 'PLUS_SIGNS_RESTORED'],
  },
  'PEM wrapped in base64': {
    cert: Buffer.from(plain.chain).toString('base64'),
    key: Buffer.from(plain.key).toString('base64'),
    repairs: ['BASE64_UNWRAPPED', 'BASE64_UNWRAPPED'],
  },
  'the key beside the certificate': { cert: plain.key + plain.chain, key: undefined },
  'the key beside the certificate, and an empty key field': { cert: plain.chain + plain.key, key: ' \n' },
  'the same file in both fields': { cert: plain.chain + plain.key, key: plain.chain + plain.key },
  'certificate and key in each other’s field': { cert: plain.key, key: plain.chain, repairs: ['FIELDS_SWAPPED'] },
  'certificate label X509 CERTIFICATE': { cert: plain.chain.replaceAll('CERTIFICATE', 'X509 CERTIFICATE') },
  'OpenSSL’s trusted certificate, with its trailing data': { cert: trusted(plain.chain) },
  'PKCS#1': { pair: rsa, key: keyOf(rsa.key).export({ type: 'pkcs1', format: 'pem' }) },
  'PKCS#1 DER': { pair: rsa, key: keyOf(rsa.key).export({ type: 'pkcs1', format: 'der' }) },
  'SEC1 after its parameters': {
    key: ecParameters + keyOf(plain.key).export({ type: 'sec1', format: 'pem' }).toString(),
  },
  'SEC1 DER': { key: keyOf(plain.key).export({ type: 'sec1', format: 'der' }) },
  'PKCS#8 DER': { key: der(plain.key) },
  'PKCS#8 DER in base64': { key: der(plain.key).toString('base64') },
  'PKCS#8 DER in URL-safe base64, wrapped': { key: der(plain.key).toString('base64url').replace(/.{60}/g, '$&\r\n') },
  'encrypted PKCS#8': { key: encrypted('pkcs8', 'pem'), passphrase: 'correct horse' },
  'a passphrase with the line break of its file': { key: encrypted('pkcs8', 'pem'), passphrase: 'correct horse\r\n' },
  'encrypted PKCS#8 DER': { key: encrypted('pkcs8', 'der'), passphrase: 'correct horse' },
  'encrypted PKCS#8 under the label of a plain key': {
    key: encrypted('pkcs8', 'pem').toString().replaceAll('ENCRYPTED PRIVATE KEY', 'PRIVATE KEY'),
    passphrase: 'correct horse',
  },
  'legacy encryption with Proc-Type': { key: encrypted('sec1', 'pem'), passphrase: 'correct horse' },
  'a passphrase that is not needed': { passphrase: 'correct horse', repairs: ['PASSPHRASE_UNUSED'] },
  'several keys': { key: rsa.key + plain.key + leafOf().key, repairs: ['KEY_EXTRA_DROPPED'] },
  'an encrypted key that is not needed beside the right one': {
    key: encrypted('pkcs8', 'pem').toString() + plain.key,
    repairs: ['KEY_EXTRA_DROPPED'],
  },
};

for (const [name, form] of Object.entries(forms)) {
  test(`a certificate and key are taken as ${name}`, () => {
    const pair = form.pair ?? plain;
    const key = 'key' in form ? form.key : pair.key;
    const result = accepted(take({ cert: form.cert ?? pair.chain, key, passphrase: form.passphrase }));
    assert.equal(result.pair.chain, pair.chain);
    assert.ok(keyOf(result.pair.key ?? '').equals(keyOf(pair.key)));
    assert.match(result.pair.key ?? '', /^-----BEGIN PRIVATE KEY-----/);
    assert.deepEqual(codes(result.repairs), form.repairs ?? []);
    createSecureContext({ cert: result.pair.chain, key: result.pair.key });
  });
}

test('DER is taken as bytes, as a string of bytes and in base64', () => {
  const bytes = der(plain.cert);
  for (const cert of [
    bytes,
    bytes.toString('latin1'),
    bytes.toString('base64'),
    Buffer.concat([bytes, der(lower.certificate)]),
  ]) {
    assert.equal(
      accepted(take({ cert, key: der(plain.key) })).pair.fingerprint,
      accepted(take(plain)).pair.fingerprint,
    );
  }
});

for (const keyType of ['ec', 'rsa', 'ed25519', 'ed448'] as const) {
  test(`a pair of type ${keyType} is taken, and TLS takes it`, () => {
    const { chain, key } = leafOf({ keyType });
    const { pair, warnings } = accepted(take({ cert: chain, key }));
    assert.equal(pair.keyType, keyType);
    assert.equal(pair.keyBits, { ec: 256, rsa: 2048, ed25519: 256, ed448: 456 }[keyType]);
    assert.deepEqual(codes(warnings), keyType.startsWith('ed') ? ['KEY_TYPE_RARE'] : []);
    createSecureContext({ cert: pair.chain, key: pair.key });
  });
}

test('a self-signed certificate is taken whether it is CA:TRUE or not, with a warning', () => {
  for (const ca of [true, false]) {
    const result = accepted(take(makeSelfSigned({ names: ['a.test'], ca })));
    assert.deepEqual(codes(result.warnings), ['CERTIFICATE_SELF_SIGNED']);
    assert.equal(result.missingIssuer, undefined);
  }
});

test('a 1024-bit RSA key is taken where the floor allows it', () => {
  const pair = makeSelfSigned({ names: ['a.test'], keyType: 'rsa', bits: 1024 });
  assert.equal(accepted(take({ ...pair, minRsaBits: 1024 })).pair.keyBits, 1024);
  assert.deepEqual(problemCodes(take(pair)), ['KEY_TOO_WEAK']);
});

test('a kept key is compared by its public half and does not come out', () => {
  const { publicKeySha256 } = accepted(take({ cert: plain.chain, key: plain.key })).pair;
  const placeholder = sealedPlaceholder(publicKeySha256);
  const renewed = lower.issue({ names: ['a.test'], privateKey: keyOf(plain.key) });
  const kept = accepted(take({ cert: renewed.chain, key: placeholder, keep: { publicKeySha256 } }));
  assert.equal(kept.pair.key, undefined);
  assert.equal(kept.pair.publicKeySha256, publicKeySha256);
  const other = take({ cert: leafOf().chain, key: placeholder, keep: { publicKeySha256 } });
  assert.deepEqual(problemCodes(other), ['CERTIFICATE_KEY_MISMATCH']);
  assert.match(other.kind === 'refused' ? (other.problems[0]?.message ?? '') : '', /^The stored key/);
});

test('a megabyte of anything is answered', () => {
  const keyText = generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
  const mega = (text: string) => text.repeat(Math.ceil(1_000_000 / text.length)).slice(0, 1_000_000);
  for (const text of [
    'a',
    ' ',
    '\n',
    '=',
    '-----BEGIN ',
    '-----BEGIN CERTIFICATE-----\n',
    '\\n-----BEGIN A-----',
    'A: ',
    keyText,
    '\u{FFFD}',
  ]) {
    assert.equal(take({ cert: mega(text), key: mega(text) }).kind, 'refused');
  }
  assert.equal(take({ cert: Buffer.alloc(1_000_000, 0x30) }).kind, 'refused');
});

function encrypted(type: 'pkcs8' | 'sec1', format: 'pem' | 'der'): string | Buffer {
  return keyOf(plain.key).export({ type, format, cipher: 'aes-256-cbc', passphrase: 'correct horse' } as never);
}

/** `SEQUENCE {}` where OpenSSL keeps trust settings. */
function trusted(chain: string): string {
  return chain.replaceAll(/-----BEGIN CERTIFICATE-----([^-]*)-----END CERTIFICATE-----/g, (_block, body: string) => {
    const bytes = Buffer.concat([Buffer.from(body, 'base64'), Buffer.from([0x30, 0])]);
    return `-----BEGIN TRUSTED CERTIFICATE-----\n${bytes.toString('base64')}\n-----END TRUSTED CERTIFICATE-----`;
  });
}
