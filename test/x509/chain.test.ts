// How a heap of certificates becomes a chain: links by signature, repairs that are told, gaps that are filled.
import assert from 'node:assert/strict';
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { rootCertificates } from 'node:tls';
import { test } from 'node:test';
import { fc } from '../support/fast-check.ts';
import { type Authority, makeAuthority } from '../support/certificates.ts';
import { intakeWithKnown } from '../../src/x509/intake-with-known.ts';
import { indexRoots } from '../../src/x509/roots.ts';
import { publicRoots } from '../../src/admin/public-roots.ts';
import { nameKey, parseCertificate } from '../../src/x509/certificate.ts';
import { accepted, codes, now, take } from '../support/intake.ts';

const root = makeAuthority();
const upper = root.intermediate();
const lower = upper.intermediate();
const leaf = lower.issue({ names: ['a.test'] });
const stranger = makeAuthority();
const { key } = leaf;
const day = 86_400_000;

test('a chain comes out the same in whatever order, with whatever duplicates, root and strangers it came', () => {
  const pieces = [leaf.cert, lower.certificate, upper.certificate];
  const extras = [root.certificate, stranger.certificate, leaf.cert, upper.certificate];
  const heap = fc
    .subarray(extras)
    .chain((some) => fc.shuffledSubarray([...pieces, ...some], { minLength: 3 + some.length }));
  fc.assert(
    fc.property(heap, (certificates) => {
      const { pair, repairs } = accepted(take({ cert: certificates.join(''), key }));
      assert.equal(pair.chain, leaf.chain);
      const told = codes(repairs);
      assert.equal(told.includes('CHAIN_ROOT_DROPPED'), certificates.includes(root.certificate));
      assert.equal(told.includes('CHAIN_UNRELATED_DROPPED'), certificates.includes(stranger.certificate));
      assert.equal(told.includes('CHAIN_DUPLICATES_DROPPED'), new Set(certificates).size < certificates.length);
      const order = [...new Set(certificates)].filter((one) => pieces.includes(one));
      assert.equal(told.includes('CHAIN_REORDERED'), order.join('') !== leaf.chain);
    }),
  );
});

test('a chain in reverse order is put right, and said so', () => {
  const { pair, repairs } = accepted(take({ cert: upper.certificate + lower.certificate + leaf.cert, key }));
  assert.equal(pair.chain, leaf.chain);
  assert.deepEqual(codes(repairs), ['CHAIN_REORDERED']);
});

test('missing intermediates are filled in from other chains, the root is not', () => {
  const knownIntermediates = [stranger.certificate, root.certificate, upper.certificate, lower.certificate];
  const result = accepted(take({ cert: leaf.cert, key, knownIntermediates }));
  assert.equal(result.pair.chain, leaf.chain);
  assert.deepEqual(codes(result.repairs), ['CHAIN_COMPLETED']);
  assert.deepEqual(result.intermediates, [], 'only given ones are remembered');
  assert.equal(result.missingIssuer, undefined);
});

test('a caller that fetches the missing issuer again and again completes the chain', () => {
  const stored = new Map<string, string>();
  for (const { subjectKey, pem } of accepted(take({ cert: leaf.chain, key })).intermediates)
    stored.set(subjectKey, pem);
  const other = lower.issue({ names: ['b.test'] });
  const known: string[] = [];
  let result = accepted(take({ cert: other.cert, key: other.key }));
  assert.deepEqual(codes(result.warnings), ['CERTIFICATE_CHAIN_INCOMPLETE']);
  for (
    let pem = stored.get(result.missingIssuer ?? '');
    pem !== undefined;
    pem = stored.get(result.missingIssuer ?? '')
  ) {
    known.push(pem);
    result = accepted(take({ cert: other.cert, key: other.key, knownIntermediates: known }));
  }
  assert.equal(result.pair.chain, other.chain);
  assert.deepEqual(result.warnings, []);
});

test('an issuer of the right name that did not sign is no link', () => {
  const impostor = makeAuthority({ commonName: 'Impostor' }).intermediate({ commonName: 'Shared Name' });
  const genuine = makeAuthority({ commonName: 'Genuine' }).intermediate({ commonName: 'Shared Name' });
  const issued = genuine.issue({ names: ['a.test'] });
  const wrong = accepted(take({ cert: issued.cert + impostor.certificate, key: issued.key }));
  assert.equal(wrong.pair.chain, issued.cert);
  assert.deepEqual(codes(wrong.repairs), ['CHAIN_UNRELATED_DROPPED']);
  assert.deepEqual(codes(wrong.warnings), ['CERTIFICATE_CHAIN_INCOMPLETE']);
  const both = accepted(take({ cert: issued.cert + impostor.certificate + genuine.certificate, key: issued.key }));
  assert.equal(both.pair.chain, issued.chain);
});

test('a renewed intermediate is preferred to its expired twin', () => {
  const privateKey = createPrivateKey(lower.key);
  const old = upper.intermediate({ commonName: 'Twin', privateKey, notBefore: now - 9 * day, notAfter: now - day });
  const renewed = upper.intermediate({ commonName: 'Twin', privateKey });
  const issued = old.issue({ names: ['a.test'] });
  const both = accepted(take({ cert: issued.cert + old.certificate + renewed.certificate, key: issued.key }));
  assert.equal(both.pair.chain, issued.cert + renewed.certificate);
  const alone = accepted(take({ cert: issued.cert + old.certificate, key: issued.key }));
  assert.deepEqual(codes(alone.warnings), ['CERTIFICATE_CHAIN_EXPIRED']);
});

test('a root that an older root has signed too is sent, and both end the chain where the sender ended it', () => {
  const newRootKey = createPrivateKey(makeAuthority().key);
  const newRoot = makeAuthority({ commonName: 'New Root', privateKey: newRootKey });
  const cross = root.intermediate({ commonName: 'New Root', privateKey: newRootKey });
  const issued = newRoot.intermediate().issue({ names: ['a.test'] });
  const result = accepted(take({ cert: issued.chain + newRoot.certificate + cross.certificate, key: issued.key }));
  assert.equal(result.pair.chain, issued.chain + cross.certificate);
  assert.deepEqual(codes(result.repairs), ['CHAIN_ROOT_DROPPED']);
});

test('two authorities that signed each other do not make a chain without end', () => {
  const keys = { a: createPrivateKey(makeAuthority().key), b: createPrivateKey(makeAuthority().key) };
  const aByB = makeAuthority({ commonName: 'B', privateKey: keys.b }).intermediate({
    commonName: 'A',
    privateKey: keys.a,
  });
  const bByA = makeAuthority({ commonName: 'A', privateKey: keys.a }).intermediate({
    commonName: 'B',
    privateKey: keys.b,
  });
  const issued = aByB.issue({ names: ['a.test'] });
  const result = accepted(take({ cert: issued.cert + aByB.certificate + bByA.certificate, key: issued.key }));
  assert.equal(result.pair.chain, issued.cert + aByB.certificate + bByA.certificate);
});

test('a chain ends at its limit even when more intermediates are known', () => {
  let authority = makeAuthority();
  for (let depth = 0; depth < 15; depth += 1) authority = authority.intermediate();
  const issued = authority.issue({ names: ['a.test'] });
  const knownIntermediates = issued.chain.split(/(?<=-----END CERTIFICATE-----\n)/).slice(1);
  const result = accepted(take({ cert: issued.cert, key: issued.key, knownIntermediates }));
  assert.equal(result.pair.chain.match(/BEGIN/g)?.length, 11);
});

test('an imitation of an intermediate, with its name and key, is not taken where the CA’s own is known', async () => {
  const evil = makeAuthority();
  const imitate = (real: Authority) =>
    evil.intermediate({ commonName: commonNameOf(real), privateKey: createPrivateKey(real.key) });
  // Found in whatever order; with its own issuer known, or with the root above it.
  const direct = root.intermediate();
  for (const [issuer, genuine] of [
    [direct, [direct]],
    [lower, [lower, upper]],
  ] as const) {
    const { cert, key: own, chain } = issuer.issue({ names: ['victim.test'] });
    const imitations = [1, 2, 3].map(() => imitate(issuer).certificate);
    for (const known of [
      [...imitations, ...genuine.map(({ certificate }) => certificate)],
      [...genuine.map(({ certificate }) => certificate), ...imitations],
    ]) {
      const input = { cert, key: own, now, minRsaBits: 2048, roots: indexRoots([root.certificate]) };
      const bySubject = (subjectKey: string) => known.filter((pem) => subjectKeyOf(pem) === subjectKey);
      assert.equal(accepted(await intakeWithKnown(input, bySubject)).pair.chain, chain);
    }
  }
});

test('an intermediate that leads to a root that clients have is remembered as such, an imitation as what anyone can make', () => {
  const roots = indexRoots([root.certificate]);
  const anchored = (cert: string, by = roots) =>
    accepted(take({ cert, key, roots: by })).intermediates.map(({ isAnchored }) => isAnchored);
  assert.deepEqual(anchored(leaf.chain), [true, true]);
  assert.deepEqual(anchored(leaf.cert + lower.certificate), [false], 'what it leads to was not sent');
  assert.deepEqual(anchored(leaf.chain, indexRoots([stranger.certificate])), [false, false]);
  const imitation = makeAuthority().intermediate({
    commonName: commonNameOf(lower),
    privateKey: createPrivateKey(lower.key),
  });
  assert.deepEqual(anchored(leaf.cert + imitation.certificate), [false]);
});

test('the roots that clients have are found by their names', () => {
  let found = 0;
  for (const pem of rootCertificates) {
    const certificate = parseCertificate(new X509Certificate(pem).raw);
    if (certificate === undefined) continue;
    found += 1;
    assert.ok(publicRoots(certificate.subjectKey).some(({ fingerprint }) => fingerprint === certificate.fingerprint));
  }
  assert.ok(found > 50);
  assert.deepEqual(publicRoots(nameKey(Buffer.from('nobody'))), []);
});

function commonNameOf({ certificate }: Authority): string {
  return /CN=(.*)/.exec(new X509Certificate(certificate).subject)?.[1] ?? '';
}

function subjectKeyOf(pem: string): string | undefined {
  return parseCertificate(new X509Certificate(pem).raw)?.subjectKey;
}
