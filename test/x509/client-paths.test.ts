import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { test } from 'node:test';
import { parseCertificate, type Certificate } from '../../src/x509/certificate.ts';
import { clientIntermediatesMax, findClientPaths } from '../../src/x509/client-paths.ts';
import { context, objectIdentifier, sequence, utf8String } from '../../src/x509/write-der.ts';
import { extension, makeAuthority, makePrivateKey, type Authority } from '../support/certificates.ts';

const root = makeAuthority();
const other = makeAuthority();

test('a certificate stands on who signed it, and on nobody else', () => {
  const leaf = issue(root);
  assert.deepEqual(lengths(leaf, [], [root, other]), [2, undefined]);
});

test('the way leads through what was sent, in any order, and what was not sent is missing', () => {
  const one = root.intermediate();
  const two = one.intermediate();
  const leaf = issue(two);
  assert.deepEqual(lengths(leaf, [one, two], [root]), [4]);
  assert.deepEqual(lengths(leaf, [other, two, two, one], [root]), [4]);
  assert.deepEqual(lengths(leaf, [one], [root]), [undefined]);
});

test('an intermediate may itself be an authority, and is one whether it was sent or not', () => {
  const between = root.intermediate();
  const leaf = issue(between);
  assert.deepEqual(lengths(leaf, [], [between, root]), [2, 3]);
  assert.deepEqual(lengths(leaf, [between], [between, root]), [2, 3]);
});

test('an authority itself stands on itself', () => {
  assert.deepEqual(lengths(root, [], [root, other]), [1, undefined]);
});

test('a name alone is not enough: the signature counts', () => {
  const real = makeAuthority({ commonName: 'Same Name' });
  const impostor = makeAuthority({ commonName: 'Same Name' });
  assert.deepEqual(lengths(issue(impostor), [], [real, impostor]), [undefined, 2]);
  assert.deepEqual(lengths(issue(impostor), [impostor], [real]), [undefined]);
});

test('who may not sign certificates is on no way', () => {
  const leaf = parse(root.issue({ names: ['not-an-authority.test'] }).cert);
  const noAuthority = root.intermediate({ extensions: [extension('2.5.29.37', sequence(serverOnly))] });
  assert.deepEqual(lengths(issue(noAuthority), [noAuthority], [root]), [undefined]);
  const forClients = root.intermediate({ extensions: [extension('2.5.29.37', sequence(serverOnly, clients))] });
  assert.deepEqual(lengths(issue(forClients), [forClients], [root]), [3]);
  assert.deepEqual(findClientPaths(leaf, [leaf], [parse(other.certificate)]).size, 0);
});

test('an authority that allows fewer below it is not passed', () => {
  const narrow = makeAuthority({ pathLength: 0 });
  assert.deepEqual(lengths(issue(narrow), [], [narrow]), [2]);
  const between = narrow.intermediate();
  assert.deepEqual(lengths(issue(between), [between], [narrow]), [undefined]);
  const wider = makeAuthority({ pathLength: 1 });
  const below = wider.intermediate();
  assert.deepEqual(lengths(issue(below), [below], [wider]), [3]);
});

test('weak keys and weak signatures are on no way', () => {
  const weak = makeAuthority({ keyType: 'rsa', bits: 1024 });
  assert.deepEqual(lengths(issue(weak), [], [weak]), [undefined]);
  const sha1 = parse(root.issue({ names: ['sha1.test'], hash: 'sha1' }).cert);
  assert.equal(findClientPaths(sha1, [], [parse(root.certificate)]).size, 0);
});

test('keys of kinds that few know are taken or left, and nothing ends', () => {
  for (const options of [
    { curve: 'secp256k1' },
    { curve: 'brainpoolP256r1' },
    { curve: 'secp521r1' },
    { keyType: 'ed25519' },
    { keyType: 'ed448' },
    { keyType: 'dsa' },
  ] as const) {
    const odd = makeAuthority(options);
    assert.deepEqual(lengths(parse(odd.issue({ names: ['odd.test'], ...options }).cert), [odd], [odd]), [2]);
  }
});

test('one intermediate under two roots leads to both', () => {
  const { here, there } = crossSigned({});
  assert.deepEqual(lengths(issue(here), [here, there], [root, other]), [3, 3]);
});

test('where there are many ways, none leads past limits that only OpenSSL can judge', () => {
  const names = sequence(context(0, sequence(context(2, Buffer.from('inside.test'), 'primitive'))));
  const limited = extension('2.5.29.30', names, 'critical');
  const unread = extension('1.3.6.1.4.1.99999.2', utf8String('unread'), 'critical');
  for (const constraint of [limited, unread]) {
    const { here, there } = crossSigned({ extensions: [constraint] });
    assert.deepEqual(lengths(issue(here), [here, there], [root, other]), [3, undefined]);
    // OpenSSL had no other.
    assert.deepEqual(lengths(issue(here), [there], [root, other]), [undefined, 3]);
  }
});

test('beyond an intermediate that is an authority itself, none leads past limits that OpenSSL did not come to', () => {
  const names = sequence(context(0, sequence(context(2, Buffer.from('inside.test'), 'primitive'))));
  const limited = root.intermediate({ extensions: [extension('2.5.29.30', names, 'critical')] });
  const tenant = limited.intermediate();
  assert.deepEqual(lengths(issue(tenant), [tenant, limited], [tenant, root]), [2, undefined]);
  assert.deepEqual(lengths(issue(limited), [limited], [limited, root]), [2, 3]);
  // OpenSSL came to it.
  assert.deepEqual(lengths(issue(tenant), [tenant, limited], [root]), [4]);
});

test('a root that was renewed with its key is one way still', () => {
  const privateKey = makePrivateKey();
  const limits = [extension('2.5.29.30', sequence(context(0, sequence(context(2, Buffer.from('x'), 'primitive')))))];
  const old = makeAuthority({ commonName: 'Renewed', privateKey, extensions: limits });
  const renewed = makeAuthority({ commonName: 'Renewed', privateKey, extensions: limits });
  assert.deepEqual(lengths(issue(renewed), [], [old, renewed]), [2, 2]);
  const unlimited = makeAuthority({ commonName: 'Renewed', privateKey });
  assert.deepEqual(lengths(issue(renewed), [], [old, unlimited]), [undefined, 2]);
});

test('a way through more than is sent at most is not looked for', () => {
  const chain: Authority[] = [root];
  for (let index = 0; index <= clientIntermediatesMax; index += 1)
    chain.push((chain.at(-1) as Authority).intermediate());
  const within = chain.slice(1, clientIntermediatesMax + 1);
  assert.deepEqual(lengths(issue(within.at(-1) as Authority), within, [root]), [clientIntermediatesMax + 2]);
  assert.deepEqual(lengths(issue(chain.at(-1) as Authority), chain.slice(1), [root]), [undefined]);
});

const serverOnly = objectIdentifier('1.3.6.1.5.5.7.3.1');
const clients = objectIdentifier('1.3.6.1.5.5.7.3.2');

/** The same intermediate under `root` and, perhaps limited, under `other`. */
function crossSigned(options: { readonly extensions?: readonly Buffer[] }) {
  const both = { commonName: 'Crossing', privateKey: makePrivateKey() };
  return { here: root.intermediate(both), there: other.intermediate({ ...both, ...options }) };
}

function issue(authority: Authority): Certificate {
  return parse(authority.issue({ names: [], commonName: 'client' }).cert);
}

/** How many certificates the way to each authority has. */
function lengths(
  leaf: Certificate | Authority,
  sent: readonly Authority[],
  authorities: readonly Authority[],
): readonly (number | undefined)[] {
  const parsed = authorities.map(({ certificate }) => parse(certificate));
  const paths = findClientPaths(
    'fingerprint' in leaf ? leaf : parse(leaf.certificate),
    sent.map(({ certificate }) => parse(certificate)),
    parsed,
  );
  return parsed.map(({ fingerprint }) => paths.get(fingerprint)?.length);
}

function parse(pem: string): Certificate {
  const certificate = parseCertificate(new X509Certificate(pem).raw);
  assert.ok(certificate !== undefined);
  return certificate;
}
