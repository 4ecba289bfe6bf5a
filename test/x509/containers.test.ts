// PKCS#12 and PKCS#7 as OpenSSL, Java and NSS write them, read as what is in them; and what is refused, with the reason.
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { createSecureContext } from 'node:tls';
import { test } from 'node:test';
import { withDefiniteLengths } from '../../src/x509/definite-lengths.ts';
import { encodePem } from '../../src/x509/pem.ts';
import { childrenOf, readElement } from '../../src/x509/read-der.ts';
import { decryptRc2 } from '../../src/x509/rc2.ts';
import { context, integer, objectIdentifier, octetString, sequence, set } from '../../src/x509/write-der.ts';
import { makeAuthority } from '../support/certificates.ts';
import { inFolder, isInstalled, pkcs12By, pkcs12WithPbmac1, pkcs7By, run } from '../support/containers.ts';
import { accepted, codes, problemCodes, take } from '../support/intake.ts';
import type { IntakeInput } from '../../src/x509/intake.ts';

const issuer = makeAuthority().intermediate();
const pair = issuer.issue({ names: ['a.test'] });
const rsa = issuer.issue({ names: ['a.test'], keyType: 'rsa' });
const modern = pkcs12By(pair, 'open sesame');

const written: Readonly<Record<string, { readonly options: readonly string[]; readonly passphrase?: string }>> = {
  'AES-256, as OpenSSL 3 writes it': { options: [] },
  'RC2 and 3DES, as Windows and OpenSSL 1 wrote them': { options: ['-legacy'] },
  'RC2 of 128 bits': { options: ['-legacy', '-keypbe', 'PBE-SHA1-RC2-128', '-certpbe', 'PBE-SHA1-RC2-128'] },
  '3DES of two keys': { options: ['-legacy', '-keypbe', 'PBE-SHA1-2DES', '-certpbe', 'PBE-SHA1-2DES'] },
  'AES-128, and SHA-512 over all': {
    options: ['-keypbe', 'AES-128-CBC', '-certpbe', 'AES-128-CBC', '-macalg', 'sha512'],
  },
  '3DES under PBES2': { options: ['-keypbe', 'DES-EDE3-CBC', '-certpbe', 'DES-EDE3-CBC'] },
  'nothing that proves it whole': { options: ['-nomac'] },
  'nothing encrypted': { options: ['-keypbe', 'NONE', '-certpbe', 'NONE'] },
  'letters beyond ASCII in the passphrase': { options: [], passphrase: 'pässwört 😀' },
  'letters beyond ASCII in the passphrase, and RC2': { options: ['-legacy'], passphrase: 'pässwört 😀' },
};

for (const [name, { options, passphrase = 'open sesame' }] of Object.entries(written)) {
  test(`a PKCS#12 file is taken with ${name}`, () => {
    for (const issued of [pair, rsa]) {
      const result = accepted(take({ cert: pkcs12By(issued, passphrase, ...options), passphrase }));
      assert.equal(result.pair.chain, issued.chain);
      assert.equal(result.pair.key, issued.key);
      assert.deepEqual(codes(result.repairs), []);
    }
  });
}

test('a PKCS#12 file without a passphrase is taken without one, or with an empty one', () => {
  for (const options of [[], ['-legacy'], ['-nomac'], ['-nomac', '-keypbe', 'NONE', '-certpbe', 'NONE']]) {
    const file = pkcs12By(pair, '', ...options);
    for (const passphrase of [undefined, '']) {
      assert.equal(accepted(take({ cert: file, passphrase })).pair.key, pair.key, String(options));
    }
  }
});

test('a PKCS#12 file is taken in base64, in PEM, as text, in the key field, in both fields, and after its passphrase’s file', () => {
  const base64 = modern.toString('base64');
  const inputs: Readonly<Record<string, Partial<IntakeInput> & Pick<IntakeInput, 'cert'>>> = {
    base64: { cert: base64 },
    'base64 in lines': { cert: base64.replaceAll(/.{76}/g, '$&\r\n') },
    'URL-safe base64': { cert: modern.toString('base64url') },
    PEM: { cert: encodePem('PKCS12', modern) },
    'bytes as text': { cert: modern.toString('latin1') },
    'the key field': { cert: pair.chain, key: modern },
    'both fields': { cert: modern, key: modern },
    'a line break behind the passphrase': { cert: modern, passphrase: 'open sesame\n' },
    'bytes behind it': { cert: Buffer.concat([modern, Buffer.from('\r\n')]) },
  };
  for (const [name, input] of Object.entries(inputs)) {
    const { pair: found } = accepted(take({ passphrase: 'open sesame', ...input }));
    assert.deepEqual([found.chain, found.key], [pair.chain, pair.key], name);
  }
});

test('PBMAC1 is checked; OpenSSL takes the same file', () => {
  const file = pkcs12WithPbmac1(pair, { passphrase: 'p' });
  createSecureContext({ pfx: file, passphrase: 'p' });
  assert.equal(accepted(take({ cert: file, passphrase: 'p' })).pair.key, pair.key);
  assert.deepEqual(problemCodes(take({ cert: file, passphrase: 'q' })), ['KEY_PASSPHRASE_WRONG']);
});

test('a keystore of Java is taken', { skip: isInstalled('keytool') ? false : 'keytool is not installed' }, () => {
  const file = inFolder((folder) => {
    const store = path.join(folder, 'keystore.p12');
    const facts = ['-dname', 'CN=a.test', '-ext', 'san=dns:a.test', '-keyalg', 'EC', '-groupname', 'secp256r1'];
    run(
      'keytool',
      '-genkeypair',
      '-keystore',
      store,
      '-storetype',
      'PKCS12',
      '-storepass',
      'changeit',
      '-alias',
      'a',
      ...facts,
    );
    return readFileSync(store);
  });
  assert.deepEqual(accepted(take({ cert: file, passphrase: 'changeit' })).pair.dnsNames, ['a.test']);
});

test(
  'what NSS exports (Firefox, pk12util) is taken: lengths left open, octets in pieces, 600,000 rounds',
  { skip: isInstalled('pk12util') && isInstalled('certutil') ? false : 'NSS’s tools are not installed' },
  () => {
    const file = inFolder((folder) => {
      const [given, out] = [path.join(folder, 'given.p12'), path.join(folder, 'out.p12')];
      writeFileSync(given, modern);
      run('certutil', '-N', '-d', folder, '--empty-password');
      run('pk12util', '-i', given, '-d', folder, '-W', 'open sesame');
      run('pk12util', '-o', out, '-n', 'ein Näme', '-d', folder, '-W', 'pässwort');
      return readFileSync(out);
    });
    assert.equal(file[1], 0x80, 'an open length');
    const { pair: found } = accepted(take({ cert: file, passphrase: 'pässwort' }));
    assert.deepEqual([found.chain, found.key], [pair.chain, pair.key]);
  },
);

test('what does not open says why, once', () => {
  const refused: Readonly<Record<string, readonly [Partial<IntakeInput>, readonly string[], RegExp]>> = {
    'a wrong passphrase': [
      { passphrase: 'wrong' },
      ['KEY_PASSPHRASE_WRONG'],
      /PKCS#12 file is not opened by the passphrase/,
    ],
    'no passphrase': [{}, ['KEY_ENCRYPTED'], /has a passphrase and none was given.*field passphrase/],
    'a passphrase over its limit': [{ passphrase: 'x'.repeat(1025) }, ['KEY_PASSPHRASE_WRONG'], /longer than 1024/],
    'a wrong passphrase where nothing proves the file whole': [
      { cert: pkcs12By(pair, 'open sesame', '-nomac'), passphrase: 'wrong' },
      ['KEY_PASSPHRASE_WRONG'],
      /or is damaged/,
    ],
    'a file that is cut off': [
      { cert: modern.subarray(0, -9), passphrase: 'open sesame' },
      ['CERTIFICATE_UNREADABLE', 'KEY_MISSING'],
      /./,
    ],
    'a file that is changed': [
      { cert: changed(modern, modern.length >> 1), passphrase: 'open sesame' },
      ['KEY_PASSPHRASE_WRONG'],
      /or is damaged/,
    ],
    RC4: [
      { cert: pkcs12By(pair, 'p', '-legacy', '-keypbe', 'PBE-SHA1-RC4-128'), passphrase: 'p' },
      ['CERTIFICATE_FORMAT_UNSUPPORTED'],
      /protected in a way that is not read.*openssl pkcs12/,
    ],
    'a signature in place of a passphrase': [
      { cert: sequence(integer(3), sequence(objectIdentifier('1.2.840.113549.1.7.2'), context(0, sequence()))) },
      ['CERTIFICATE_FORMAT_UNSUPPORTED'],
      /protected in a way/,
    ],
    'two of them': [
      { cert: Buffer.concat([modern, modern]), passphrase: 'open sesame' },
      ['CERTIFICATE_FORMAT_UNSUPPORTED'],
      /There are 2 PKCS#12 files/,
    ],
    'more entries than the limit': [
      { cert: pkcs12WithPbmac1(pair, { passphrase: 'p', repeat: 64 }), passphrase: 'p' },
      ['CERTIFICATE_CHAIN_TOO_LONG'],
      /more than 64 entries/,
    ],
    'rounds that would take minutes': [
      { cert: pkcs12WithPbmac1(pair, { passphrase: 'p', claims: 2_000_001 }), passphrase: 'p' },
      ['CERTIFICATE_FORMAT_UNSUPPORTED'],
      /takes too many rounds to open: at most 2000000 of PBKDF2/,
    ],
    'rounds of PKCS#12’s own that would take minutes': [
      { cert: withMacRounds(600_001), passphrase: 'open sesame' },
      ['CERTIFICATE_FORMAT_UNSUPPORTED'],
      /600000 of PKCS#12's own/,
    ],
  };
  for (const [name, [input, expected, says]] of Object.entries(refused)) {
    const result = take({ cert: modern, ...input });
    assert.deepEqual(problemCodes(result), expected, name);
    if (result.kind === 'refused')
      assert.match(`${result.problems[0]?.message} ${result.problems[0]?.hint}`, says, name);
  }
});

test('a PKCS#12 file with certificates alone is taken beside a key, and says so without one', () => {
  const alone = pkcs12By({ chain: pair.chain, key: '' }, 'p', '-nokeys');
  assert.equal(accepted(take({ cert: alone, key: pair.key, passphrase: 'p' })).pair.chain, pair.chain);
  assert.deepEqual(problemCodes(take({ cert: alone, passphrase: 'p' })), ['KEY_MISSING']);
  const kept = accepted(take({ ...pair })).pair.publicKeySha256;
  const result = accepted(take({ cert: alone, passphrase: 'p', keep: { publicKeySha256: kept } }));
  assert.equal(result.pair.key, undefined);
});

test('a PKCS#7 bundle is taken as PEM, DER, base64 and under the label of a certificate', () => {
  const der = pkcs7By(pair.chain, 'DER');
  const pem = pkcs7By(pair.chain, 'PEM').toString();
  for (const cert of [
    der,
    pem,
    der.toString('base64'),
    encodePem('CERTIFICATE', der),
    pem.replaceAll('PKCS7', 'PKCS #7 SIGNED DATA'),
    openLengths(der),
  ]) {
    assert.equal(accepted(take({ cert, key: pair.key })).pair.chain, pair.chain);
  }
});

test('PKCS#7 that is no bundle of certificates, or too large a one, says so', () => {
  const signed = (...certificates: readonly Buffer[]) =>
    sequence(
      objectIdentifier('1.2.840.113549.1.7.2'),
      context(0, sequence(integer(1), set(), sequence(), context(0, Buffer.concat(certificates)), set())),
    );
  const enveloped = sequence(objectIdentifier('1.2.840.113549.1.7.3'), context(0, sequence(integer(0))));
  const certificate = readFirst(pair.cert);
  for (const [cert, code] of [
    [enveloped, 'CERTIFICATE_FORMAT_UNSUPPORTED'],
    [signed(), 'CERTIFICATE_FORMAT_UNSUPPORTED'],
    [signed(sequence(integer(1))), 'CERTIFICATE_UNREADABLE'],
    [signed(...Array.from({ length: 65 }, () => certificate)), 'CERTIFICATE_CHAIN_TOO_LONG'],
  ] as const) {
    assert.deepEqual(problemCodes(take({ cert, key: pair.key })), [code]);
  }
});

test('RC2 decrypts the examples of RFC 2268 section 5', () => {
  const examples = [
    ['ffffffffffffffff', 'ffffffffffffffff', '278b27e42e2f0d49'],
    ['3000000000000000', '1000000000000001', '30649edf9be7d2c2'],
    ['88bca90e90875a7f0f79c384627bafb2', '0000000000000000', '2269552ab0f85ca6'],
  ] as const;
  for (const [key, plain, cipher] of examples) {
    // The vector that turns the example's plain text into a letter and its padding.
    const letter = Buffer.from('41'.padEnd(16, '07'), 'hex');
    const iv = Buffer.from(plain, 'hex').map((byte, at) => byte ^ (letter[at] ?? 0));
    assert.equal(decryptRc2(Buffer.from(key, 'hex'), iv, Buffer.from(cipher, 'hex'))?.toString(), 'A');
  }
});

test('open lengths and octets in pieces come out definite and whole; what was definite stays to the byte', () => {
  const inner = sequence(integer(3), octetString(Buffer.from('abcdef')));
  const pieces = Buffer.concat([octetString(Buffer.from('abc')), octetString(Buffer.from('def'))]);
  const streamed = open(0x30, integer(3), open(0x24, pieces));
  assert.deepEqual(withDefiniteLengths(streamed), { der: inner, length: streamed.length });
  const spelledOut = Buffer.from('308103020101', 'hex');
  assert.deepEqual(withDefiniteLengths(spelledOut)?.der, spelledOut);
  assert.equal(withDefiniteLengths(streamed.subarray(0, -1)), undefined);
  let deep = integer(1);
  for (let level = 0; level < 40; level += 1) deep = open(0x30, deep);
  assert.equal(withDefiniteLengths(deep), undefined);
  assert.equal(withDefiniteLengths(open(0x30, Buffer.alloc(60_000, Buffer.from('0500', 'hex')))), undefined);
});

/** The same element with its length left open. */
function open(tag: number, ...items: readonly Uint8Array[]): Buffer {
  return Buffer.concat([Buffer.from([tag, 0x80]), ...items, Buffer.alloc(2)]);
}

/** Of the outermost element. */
function openLengths(der: Buffer): Buffer {
  return open(der[0] ?? 0, readElement(der)?.content ?? der);
}

function readFirst(pem: string): Buffer {
  return Buffer.from(pem.replaceAll(/-----.*-----|\s/g, ''), 'base64');
}

/** OpenSSL's file, which ends with its rounds (2048), with other rounds. */
function withMacRounds(rounds: number): Buffer {
  const [version, safe, mac] = childrenOf(readElement(modern));
  const count = Buffer.from(rounds.toString(16).padStart(6, '0'), 'hex');
  const [digest, salt] = childrenOf(mac).map(({ whole }) => whole);
  const parts = [version?.whole, safe?.whole, sequence(digest ?? count, salt ?? count, integer(count))];
  return sequence(...parts.filter((part) => part !== undefined));
}

function changed(bytes: Buffer, at: number): Buffer {
  const copy = Buffer.from(bytes);
  copy[at] = (copy[at] ?? 0) ^ 1;
  return copy;
}
