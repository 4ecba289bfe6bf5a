// Certificates that nobody's CA would make, uploaded all the same: each is refused with words or served, within its time; none
// ends the process, and none leaves an error of OpenSSL's behind for what the thread does next.
import assert from 'node:assert/strict';
import { createPrivateKey, generateKeyPairSync } from 'node:crypto';
import { createSecureContext } from 'node:tls';
import { test } from 'node:test';
import { parseCertificate } from '../../src/x509/certificate.ts';
import { encodePem } from '../../src/x509/pem.ts';
import {
  bitString,
  integer,
  nullValue,
  objectIdentifier,
  octetString,
  sequence,
  tagged,
  utf8String,
} from '../../src/x509/write-der.ts';
import { relativePoints, spelledOutKey } from '../support/costly-chains.ts';
import {
  deep,
  dns,
  extension,
  hostileCertificate,
  hostileKey,
  large,
  named,
  names,
  servedAllTheSame,
  type Parts,
} from '../support/hostile-certificates.ts';
import { problemCodes, take } from '../support/intake.ts';

const rsaKind = sequence(objectIdentifier('1.2.840.113549.1.1.1'), nullValue());
const ecKind = objectIdentifier('1.2.840.10045.2.1');
const p256 = objectIdentifier('1.2.840.10045.3.1.7');
const rsa = (modulus: Buffer, exponent: Buffer) => sequence(rsaKind, bitString(sequence(modulus, exponent)));
const point = (bytes: Buffer, ...parameters: readonly Buffer[]) =>
  sequence(sequence(ecKind, ...parameters), bitString(bytes));
const f4 = integer(Buffer.from([1, 0, 1]));

function spelledOut(field: Buffer): Buffer {
  const primeField = sequence(objectIdentifier('1.2.840.10045.1.1'), field);
  const curve = sequence(octetString(large(32)), octetString(large(32)));
  const generator = Buffer.concat([Buffer.from([4]), large(64)]);
  return point(
    generator,
    sequence(integer(1), primeField, curve, octetString(generator), integer(large(32)), integer(1)),
  );
}

const refused: Readonly<Record<string, readonly [Parts, readonly string[]]>> = {
  'no serial': [{ serial: tagged(0x02, Buffer.alloc(0)) }, ['CERTIFICATE_UNREADABLE']],
  'ten thousand names': [
    { extensions: [names(...Array.from({ length: 10_000 }, (_, at) => dns(`n${at}.a.test`)))] },
    ['CERTIFICATE_TOO_LARGE'],
  ],
  'dates that are none': [
    { validity: sequence(tagged(0x17, Buffer.from('999999999999Z')), utf8String('x')) },
    ['CERTIFICATE_UNREADABLE'],
  ],
  'broken UTF-8 in its subject': [
    { subject: named(tagged(0x0c, Buffer.from([0xc3, 0x28, 0xff]))) },
    ['CERTIFICATE_UNREADABLE'],
  ],
  'names that cannot be read': [
    { extensions: [extension('2.5.29.17', Buffer.from([0x30, 0x82, 0xff, 0xff]))] },
    ['CERTIFICATE_UNREADABLE'],
  ],
  'names ten thousand levels deep': [
    { extensions: [extension('2.5.29.17', deep(10_000))] },
    ['CERTIFICATE_UNREADABLE'],
  ],
  'usages that cannot be read': [{ extensions: [extension('2.5.29.37', integer(1))] }, ['CERTIFICATE_UNREADABLE']],
  'constraints that cannot be read': [{ extensions: [extension('2.5.29.19', integer(1))] }, ['CERTIFICATE_UNREADABLE']],
  'a use that cannot be read': [{ extensions: [extension('2.5.29.15', integer(1))] }, ['CERTIFICATE_UNREADABLE']],
  'a key of no kind': [{ spki: sequence() }, ['CERTIFICATE_UNREADABLE']],
  'a curve that is spelled out, and points that are halves': [{ spki: spelledOutKey() }, ['CERTIFICATE_UNREADABLE']],
  'points that are named relative to a long name': [relativePoints(3000, 2000), ['CERTIFICATE_UNREADABLE']],
  ...Object.fromEntries(
    Object.entries<Buffer>({
      'a key of an unknown kind': sequence(sequence(objectIdentifier('1.2.3.4')), bitString(large(32))),
      'a point that is not on its curve': point(large(65), p256),
      'the point at infinity': point(Buffer.from([0]), p256),
      'a curve without a name': point(large(65)),
      'a field of five thousand bytes': spelledOut(integer(large(5000))),
      'a field of zero': spelledOut(integer(0)),
      'RSA with the exponent 0': rsa(integer(large(256)), integer(0)),
      'RSA with the exponent 1': rsa(integer(large(256)), integer(1)),
      'RSA of 16,384 bits': rsa(integer(large(2048)), f4),
      'RSA of 400,000 bits': rsa(integer(large(50_000)), f4),
      'RSA of no bits': rsa(integer(0), f4),
      'Ed25519 with a byte too few': sequence(sequence(objectIdentifier('1.3.101.112')), bitString(large(31))),
      X25519: generateKeyPairSync('x25519').publicKey.export({ type: 'spki', format: 'der' }),
    }).map(
      ([name, spki]) =>
        [
          name,
          [{ spki }, ['CERTIFICATE_KEY_MISMATCH', /exponent|no bits/.test(name) ? 'KEY_TOO_WEAK' : 'KEY_UNSUPPORTED']],
        ] as const,
    ),
  ),
  'RSA with an even modulus': [
    { spki: rsa(integer(Buffer.concat([large(255), Buffer.from([2])])), f4) },
    ['CERTIFICATE_KEY_MISMATCH'],
  ],
};

test('the certificates that nobody would make', async (t) => {
  for (const [name, parts] of Object.entries(servedAllTheSame)) {
    await t.test(`with ${name} is served`, () => {
      const result = takeOne(parts);
      assert.ok(result.kind === 'accepted', JSON.stringify(result));
      createSecureContext({ cert: result.pair.chain, key: result.pair.key });
      const told = [...result.warnings, ...result.repairs].map(({ message }) => message).join();
      assert.ok(told.length < 2000 && !/[\0\r\n]/.test(told), 'short and on one line');
      assert.ok(result.pair.dnsNames.every((each) => /^[\x21-\x7e]{1,253}$/.test(each)));
      assertNothingLeft();
    });
  }
  for (const [name, [parts, codes]] of Object.entries(refused)) {
    await t.test(`with ${name} is refused`, () => {
      assert.deepEqual(problemCodes(takeOne(parts)), codes);
      assertNothingLeft();
    });
  }
});

test('whatever is asked of a certificate, nothing is left behind for others', () => {
  for (const parts of [...Object.values(servedAllTheSame), ...Object.values(refused).map(([each]) => each)]) {
    parseCertificate(hostileCertificate(parts));
    assertNothingLeft();
  }
});

function takeOne(parts: Parts) {
  const cert = encodePem('CERTIFICATE', hostileCertificate(parts));
  return take({ cert, key: hostileKey.export({ type: 'pkcs8', format: 'pem' }), expectedNames: ['a.test'] });
}

/** Node fails with whatever error of OpenSSL's is lying about when it opens a key. */
function assertNothingLeft(): void {
  createPrivateKey(hostileKey.export({ type: 'pkcs8', format: 'pem' }));
}
