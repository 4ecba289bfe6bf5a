// Whatever bytes come in, intake answers: it never throws, and says nothing of a key. What it accepts, TLS accepts.
import assert from 'node:assert/strict';
import { createPrivateKey } from 'node:crypto';
import { createSecureContext } from 'node:tls';
import { test } from 'node:test';
import { fc } from '../support/fast-check.ts';
import { describeCertificate } from '../../src/x509/certificate.ts';
import type { IntakeResult } from '../../src/x509/intake.ts';
import { makeAuthority } from '../support/certificates.ts';
import { pkcs12By, pkcs12WithPbmac1, pkcs7By } from '../support/containers.ts';
import { take } from '../support/intake.ts';

const authority = makeAuthority().intermediate();
const pairs = (['ec', 'rsa', 'ed25519'] as const).map((keyType) =>
  authority.issue({ names: ['a.test', '*.b.test'], keyType }),
);
const encryption = { cipher: 'aes-128-cbc', passphrase: 'right' } as const;

const keyFormats = pairs.flatMap(({ key }) => [
  Buffer.from(key),
  createPrivateKey(key).export({ type: 'pkcs8', format: 'der' }),
  createPrivateKey(key).export({ type: 'pkcs8', format: 'der', ...encryption }),
  Buffer.from(createPrivateKey(key).export({ type: 'pkcs8', format: 'pem', ...encryption })),
]);
const certFormats = pairs.flatMap(({ chain, cert, key }) => [
  Buffer.from(chain),
  Buffer.from(cert.replaceAll(/-----.*|\s/g, ''), 'base64'),
  Buffer.from(chain + key),
]);
/** With one round, so that the time goes into reading. */
const containers = pairs
  .slice(0, 1)
  .flatMap((pair) => [
    ...[[], ['-legacy'], ['-legacy', '-nomac']].map((options) =>
      pkcs12By(pair, 'right', '-iter', '1', '-nomaciter', ...options),
    ),
    pkcs12WithPbmac1(pair, { passphrase: 'right' }),
    pkcs7By(pair.chain, 'DER'),
  ]);

const edit = fc.record({
  at: fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true }),
  remove: fc.nat(3),
  insert: fc.uint8Array({ maxLength: 3 }),
});

/** A sample with a few bytes changed, removed or added; sometimes as a string. */
function mutated(samples: readonly Buffer[]): fc.Arbitrary<Buffer | string> {
  return fc
    .tuple(fc.constantFrom(...samples), fc.array(edit, { maxLength: 4 }), fc.boolean())
    .map(([sample, edits, asText]) => {
      let bytes = sample;
      for (const { at, remove, insert } of edits) {
        const offset = Math.floor(at * bytes.length);
        bytes = Buffer.concat([bytes.subarray(0, offset), insert, bytes.subarray(offset + remove)]);
      }
      return asText ? bytes.toString('latin1') : bytes;
    });
}

test('intake answers every damaged certificate and key, and TLS takes what it accepts', () => {
  let taken = 0;
  fc.assert(
    fc.property(mutated(certFormats), mutated(keyFormats), (cert, key) => {
      const result = take({ cert, key, passphrase: 'right', force: true });
      if (result.kind === 'accepted') {
        taken += 1;
        createSecureContext({ cert: result.pair.chain, key: result.pair.key });
      } else {
        assert.ok(result.problems.length > 0);
      }
      assertNoKeyMaterial(result);
    }),
    { numRuns: 500 },
  );
  assert.ok(taken > 0, 'unchanged samples are among them');
});

test('intake answers damaged DER under sound armour', () => {
  const der = (samples: readonly Buffer[]) => mutated(samples.filter((sample) => sample[0] === 0x30));
  const armour = (label: string) => (bytes: Buffer | string) =>
    `-----BEGIN ${label}-----\n${Buffer.from(bytes as string, 'latin1').toString('base64')}\n-----END ${label}-----\n`;
  fc.assert(
    fc.property(
      der(certFormats).map(armour('CERTIFICATE')),
      der(keyFormats).map(armour('PRIVATE KEY')),
      (cert, key) => {
        const result = take({ cert, key, passphrase: 'right', force: true });
        if (result.kind === 'accepted') createSecureContext({ cert: result.pair.chain, key: result.pair.key });
        assertNoKeyMaterial(result);
      },
    ),
    { numRuns: 500 },
  );
});

test('intake answers every damaged PKCS#12 and PKCS#7 file', () => {
  let taken = 0;
  fc.assert(
    fc.property(mutated(containers), fc.constantFrom('right', 'wrong', ''), (cert, passphrase) => {
      const result = take({ cert, key: undefined, passphrase });
      if (result.kind === 'accepted') {
        taken += 1;
        createSecureContext({ cert: result.pair.chain, key: result.pair.key });
      }
      assertNoKeyMaterial(result);
    }),
    { numRuns: 1000 },
  );
  assert.ok(taken > 0, 'unchanged samples are among them');
});

test('intake answers any text and any bytes', () => {
  const anything = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.uint8Array(),
    fc.constant('-----BEGIN CERTIFICATE-----\n'),
  );
  fc.assert(
    fc.property(anything, fc.option(anything, { nil: undefined }), (cert, key) => {
      assert.equal(take({ cert, key }).kind, 'refused');
    }),
    { numRuns: 1000 },
  );
});

test('a description is the facts of the first certificate, or nothing', () => {
  assert.equal(describeCertificate(pairs[0]?.chain ?? '')?.dnsNames.join(' '), 'a.test *.b.test');
  fc.assert(
    fc.property(mutated(certFormats), (bytes) => {
      const facts = describeCertificate(bytes.toString('latin1'));
      assert.ok(facts === undefined || facts.fingerprint.length === 64);
    }),
  );
});

/** No run of base64 or hex that a key holds turns up in what a person is told. */
function assertNoKeyMaterial(result: IntakeResult): void {
  const told = JSON.stringify(result.kind === 'accepted' ? [result.warnings, result.repairs] : result.problems);
  for (const { key } of pairs) {
    const body = key.replaceAll(/-----.*|\s/g, '');
    for (let at = 24; at + 12 <= body.length; at += 12)
      assert.ok(!told.includes(body.slice(at, at + 12)), 'a piece of a key');
  }
  assert.ok(!told.includes('right'), 'the passphrase');
}
