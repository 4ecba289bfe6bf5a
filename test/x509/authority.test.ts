import assert from 'node:assert/strict';
import { createHash, X509Certificate } from 'node:crypto';
import { describe, test } from 'node:test';
import { fc } from '../support/fast-check.ts';
import { type AuthorityInput, type AuthorityResult, intakeAuthority } from '../../src/x509/authority.ts';
import { makeAuthority, makeSelfSigned } from '../support/certificates.ts';

const now = Date.now();
const dayMs = 86_400_000;
const root = makeAuthority();
const leaf = root.issue({ names: ['a.test'] });

function take(fields: Partial<AuthorityInput> = {}): AuthorityResult {
  return intakeAuthority({
    certificate: root.certificate,
    crl: undefined,
    now,
    minRsaBits: 2048,
    force: false,
    ...fields,
  });
}

function refusal(fields: Partial<AuthorityInput>): readonly string[] {
  const result = take(fields);
  return result.kind === 'refused'
    ? result.problems.map(({ code, field, message }) => `${code} ${field}: ${message}`)
    : [];
}

test('an authority is taken from PEM with text around it and from DER, and its fingerprint is of its DER', () => {
  const der = new X509Certificate(root.certificate).raw;
  for (const certificate of [root.certificate, `subject=x\n${root.certificate}\n`, der]) {
    const result = take({ certificate });
    assert.ok(result.kind === 'accepted');
    assert.equal(result.authority.certificate, root.certificate);
    assert.equal(result.authority.fingerprint, createHash('sha256').update(der).digest('hex'));
    assert.deepEqual([result.authority.crl, result.warnings], [undefined, []]);
  }
  assert.equal(take({ certificate: root.intermediate().certificate }).kind, 'accepted');
});

test('a key beside it goes no further', () => {
  const result = take({ certificate: root.certificate + root.key });
  assert.ok(result.kind === 'accepted');
  assert.doesNotMatch(JSON.stringify(result), /PRIVATE/);
});

describe('refused as an authority', () => {
  const old = makeAuthority({ notBefore: now - 2 * dayMs, notAfter: now - dayMs });
  const missing = 'certificate does not appear to be a CA because it is missing the "CA" basic constraint';
  for (const [what, certificate, problems] of [
    ['a certificate of a server', leaf.cert, [`CERTIFICATE_NOT_AUTHORITY cert: ${missing}`]],
    [
      'one that signs itself and is no CA',
      makeSelfSigned({ names: ['a.test'], ca: false }).cert,
      [`CERTIFICATE_NOT_AUTHORITY cert: ${missing}`],
    ],
    [
      'two at once',
      root.certificate + old.certificate,
      ['CERTIFICATE_NOT_AUTHORITY cert: please submit only one certificate at a time'],
    ],
    [
      'an expired one',
      old.certificate,
      ['CERTIFICATE_EXPIRED cert: certificate expired, "Not After" time is in the past'],
    ],
  ] as const) {
    test(what, () => assert.deepEqual(refusal({ certificate }), problems));
  }

  test('text, a key alone, a weak key and one of a kind that no client may use', () => {
    assert.match(refusal({ certificate: 'x' })[0] ?? '', /^CERTIFICATE_UNREADABLE cert/);
    assert.match(refusal({ certificate: leaf.key })[0] ?? '', /^CERTIFICATE_UNREADABLE cert/);
    const weak = makeAuthority({ keyType: 'rsa', bits: 1024 });
    assert.match(refusal({ certificate: weak.certificate })[0] ?? '', /^KEY_TOO_WEAK cert/);
    const odd = makeAuthority({ curve: 'secp256k1' });
    assert.match(refusal({ certificate: odd.certificate })[0] ?? '', /^KEY_/);
  });

  test('an expired one is taken by force, with a warning, and one that becomes valid later with one too', () => {
    const forced = take({ certificate: old.certificate, force: true });
    assert.ok(forced.kind === 'accepted');
    assert.deepEqual(
      forced.warnings.map(({ code }) => code),
      ['CERTIFICATE_EXPIRED'],
    );
    const later = take({ certificate: makeAuthority({ notBefore: now + dayMs }).certificate });
    assert.ok(later.kind === 'accepted');
    assert.deepEqual(
      later.warnings.map(({ code }) => code),
      ['CERTIFICATE_NOT_YET_VALID'],
    );
  });
});

describe('a revocation list', () => {
  const crl = root.revoke([leaf.cert]);

  test('of the authority is taken, as PEM and as DER', () => {
    const der = Buffer.from(crl.replaceAll(/-----[^-]+-----|\s/g, ''), 'base64');
    for (const each of [crl, `text\n${crl}`, Buffer.from(crl), der]) {
      const result = take({ crl: each });
      assert.ok(result.kind === 'accepted');
      assert.equal(result.authority.crl, crl);
    }
  });

  test('of another authority is refused, also of one with the same name', () => {
    const twin = makeAuthority({ commonName: new X509Certificate(root.certificate).subject.split('CN=')[1] ?? '' });
    for (const other of [makeAuthority(), twin, root.intermediate()]) {
      assert.match(refusal({ crl: other.revoke([]) })[0] ?? '', /^CRL_NOT_SIGNED crl/);
    }
    assert.match(refusal({ crl: makeAuthority({ keyType: 'rsa' }).revoke([], { hash: 'sha1' }) })[0] ?? '', /^CRL_NOT/);
  });

  test('that is damaged, changed, none, or two is refused', () => {
    const bytes = Buffer.from(crl.replaceAll(/-----[^-]+-----|\s/g, ''), 'base64');
    for (const [each, code] of [
      ['x', 'CRL_UNREADABLE'],
      [root.certificate, 'CRL_UNREADABLE'],
      [crl + crl, 'CRL_UNREADABLE'],
      [bytes.subarray(0, -1), 'CRL_UNREADABLE'],
      [Buffer.alloc(9_000_000, 0x30), 'CRL_UNREADABLE'],
      [Buffer.concat([bytes.subarray(0, -1), Buffer.from([(bytes.at(-1) ?? 0) ^ 1])]), 'CRL_NOT_SIGNED'],
    ] as const) {
      assert.equal(refusal({ crl: each })[0]?.split(' ', 1)[0], code);
    }
  });

  test('that has run out, or is older than the one before, is taken by force only', () => {
    const past = root.revoke([], { thisUpdate: now - 9 * dayMs, nextUpdate: now - dayMs });
    const older = root.revoke([], { thisUpdate: now - 3 * dayMs });
    const newer = root.revoke([], { thisUpdate: now - 2 * dayMs });
    for (const fields of [{ crl: past }, { crl: older, crlBefore: newer }]) {
      assert.match(refusal(fields)[0] ?? '', /^CRL_OUTDATED crl/);
      const forced = take({ ...fields, force: true });
      assert.ok(forced.kind === 'accepted');
      assert.deepEqual(
        forced.warnings.map(({ code }) => code),
        ['CRL_OUTDATED'],
      );
    }
    const early = root.revoke([], { thisUpdate: now + dayMs, nextUpdate: now + 2 * dayMs });
    assert.match(refusal({ crl: early })[0] ?? '', /^CRL_NOT_YET_VALID crl/);
    assert.equal(take({ crl: early, force: true }).kind, 'accepted');
    assert.equal(take({ crl: newer, crlBefore: older }).kind, 'accepted');
    assert.equal(take({ crl: newer, crlBefore: newer }).kind, 'accepted');
    assert.equal(take({ crl: root.revoke([], { nextUpdate: null }) }).kind, 'accepted');
  });
});

test('whatever is sent, it is refused or taken and nothing is thrown', () => {
  const text = fc.oneof(fc.string(), fc.uint8Array(), fc.constantFrom(root.certificate, leaf.cert, root.revoke([])));
  const bent = fc
    .tuple(fc.constantFrom(root.certificate, root.revoke([leaf.cert])), fc.nat(600), fc.string({ maxLength: 3 }))
    .map(([whole, at, piece]) => whole.slice(0, at) + piece + whole.slice(at + piece.length));
  const any = fc.oneof(text, bent);
  fc.assert(
    fc.property(any, fc.option(any, { nil: undefined }), (certificate, crl) => void take({ certificate, crl })),
  );
});
