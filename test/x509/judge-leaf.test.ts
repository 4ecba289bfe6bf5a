// What intake warns of: it takes the certificate all the same.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { noticeCodes, type NoticeCode } from '../../src/x509/findings.ts';
import type { IntakeInput } from '../../src/x509/intake.ts';
import { makeAuthority, makeSelfSigned, type LeafOptions } from '../support/certificates.ts';
import { accepted, codes, now, take } from '../support/intake.ts';

const day = 86_400_000;
const authority = makeAuthority().intermediate({ keyType: 'rsa' });

function warningsFor(leaf: Partial<LeafOptions>, input: Partial<IntakeInput> = {}): readonly string[] {
  const { chain, key } = authority.issue({ names: ['a.test'], ...leaf });
  return codes(accepted(take({ cert: chain, key, ...input })).warnings);
}

const cases: readonly [string, Partial<LeafOptions>, Partial<IntakeInput>, readonly string[]][] = [
  ['nothing', {}, {}, []],
  ['a start in the future', { notBefore: now + day }, {}, ['CERTIFICATE_NOT_YET_VALID']],
  [
    'an expired one that was forced',
    { notBefore: now - 9 * day, notAfter: now - day },
    { force: true },
    ['CERTIFICATE_EXPIRED'],
  ],
  ['a missing subjectAltName', { withoutSan: true }, {}, ['CERTIFICATE_WITHOUT_SAN']],
  ['a signature with SHA-1', { hash: 'sha1' }, {}, ['CERTIFICATE_SIGNATURE_WEAK']],
  ['a signature with MD5', { hash: 'md5' }, {}, ['CERTIFICATE_SIGNATURE_WEAK']],
  ['P-521', { curve: 'secp521r1' }, {}, ['KEY_TYPE_RARE']],
  [
    'a name it will serve and does not cover',
    {},
    { expectedNames: ['a.test', 'b.test'] },
    ['CERTIFICATE_NAME_NOT_COVERED'],
  ],
  [
    'not of names it covers',
    { names: ['*.a.test', 'a.test'] },
    { expectedNames: ['A.test', 'b.a.test', '*.a.test', 'a.*', '*'] },
    [],
  ],
  [
    'a wildcard it will serve and does not cover',
    {},
    { expectedNames: ['*.a.test'] },
    ['CERTIFICATE_NAME_NOT_COVERED'],
  ],
  ['names lost', {}, { replaces: { notAfter: now, dnsNames: ['a.test', 'b.test'] } }, ['CERTIFICATE_NAMES_NARROWED']],
  ['an earlier end', {}, { replaces: { notAfter: now + 900 * day, dnsNames: [] } }, ['CERTIFICATE_EXPIRES_SOONER']],
  ['not of what it keeps', {}, { replaces: { notAfter: now + day, dnsNames: ['a.test'] } }, []],
];

for (const [name, leaf, input, expected] of cases) {
  test(`intake warns of ${name}`, () => {
    assert.deepEqual(warningsFor(leaf, input), expected);
  });
}

test('the last moment of a certificate is still within it', () => {
  const notAfter = Math.floor(now / 1000) * 1000;
  const { chain, key } = authority.issue({ names: ['a.test'], notAfter });
  assert.equal(take({ cert: chain, key, now: notAfter }).kind, 'accepted');
  assert.equal(take({ cert: chain, key, now: notAfter + 1000 }).kind, 'refused');
});

test('the common name stands for the names where there is no subjectAltName, and only there', () => {
  const namesOf = (leaf: LeafOptions) => accepted(take(makeSelfSigned(leaf))).pair.dnsNames;
  assert.deepEqual(namesOf({ names: ['B.test'], withoutSan: true }), ['b.test']);
  assert.deepEqual(namesOf({ names: ['a.test'], commonName: 'b.test' }), ['a.test']);
  assert.deepEqual(namesOf({ names: ['127.0.0.1'], commonName: 'b.test' }), ['b.test']);
  assert.deepEqual(namesOf({ names: [], commonName: 'My Company Ltd' }), []);
});

test('names that are no host names are left out and do not hide in others', () => {
  const { dnsNames } = accepted(
    take(makeSelfSigned({ names: ['a.test', 'b.test\0.evil.test', 'c.test, DNS:d.test'] })),
  ).pair;
  assert.deepEqual(dnsNames, ['a.test']);
});

test('every warning that was seen is in the table as a warning', () => {
  for (const code of new Set(cases.flatMap(([, , , expected]) => expected))) {
    if (code !== 'CERTIFICATE_EXPIRED') assert.equal(noticeCodes[code as NoticeCode].kind, 'warning');
  }
});
