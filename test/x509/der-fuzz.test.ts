// DER that is well formed and says something else: elements taken out, repeated, moved, nested, retagged, with lengths that are
// right. Every reader of x509 answers, none throws or hangs, what intake accepts TLS serves, and what a client may send is read.
import assert from 'node:assert/strict';
import { createPrivateKey } from 'node:crypto';
import { createSecureContext } from 'node:tls';
import { test, type TestContext } from 'node:test';
import { fc } from '../support/fast-check.ts';
import { intakeAuthority } from '../../src/x509/authority.ts';
import { type Certificate, describeCertificate, outlineOf, parseCertificate } from '../../src/x509/certificate.ts';
import { findClientPaths } from '../../src/x509/client-paths.ts';
import { distinguishedNameText } from '../../src/x509/distinguished-name.ts';
import { encodePem } from '../../src/x509/pem.ts';
import { readElements, readElement } from '../../src/x509/read-der.ts';
import { parseRevocationList } from '../../src/x509/revocation-list.ts';
import { tagged } from '../../src/x509/write-der.ts';
import { makeAuthority } from '../support/certificates.ts';
import { pkcs12By, pkcs12WithPbmac1, pkcs7By } from '../support/containers.ts';
import { assertHolds, fuzzBudget } from '../support/fuzz-budget.ts';
import { now, take } from '../support/intake.ts';

const keyTypes = ['ec', 'rsa', 'ed25519'] as const;
const root = makeAuthority();
const authority = root.intermediate();
const pairs = keyTypes.map((keyType) => authority.issue({ names: ['a.test', '*.b.test'], keyType }));
const [pair] = pairs;
assert.ok(pair !== undefined);
const derOf = (pem: string): Buffer => Buffer.from(pem.replaceAll(/-----.*|\s/g, ''), 'base64');

const certificates = [...pairs.map(({ cert }) => derOf(cert)), derOf(root.certificate), derOf(authority.certificate)];
const keys = pairs.flatMap(({ key }) => [
  createPrivateKey(key).export({ type: 'pkcs8', format: 'der' }),
  createPrivateKey(key).export({ type: 'pkcs8', format: 'der', cipher: 'aes-128-cbc', passphrase: 'right' }),
]);
const containers = [
  // With one round, so that the time goes into reading.
  ...[[], ['-legacy'], ['-legacy', '-nomac']].map((options) =>
    pkcs12By(pair, 'right', '-iter', '1', '-nomaciter', ...options),
  ),
  pkcs12WithPbmac1(pair, { passphrase: 'right' }),
  pkcs7By(pair.chain, 'DER'),
];
const lists = [derOf(root.revoke([pair.cert])), derOf(root.revoke([]))];

/** Of what is bent further. */
const elementsMax = 2000;

interface Node {
  readonly tag: number;
  /** Of what is inside, before it. A BIT STRING has its count of unused bits there. */
  readonly before: Buffer;
  readonly inside: readonly Node[] | Buffer;
}

function readNodes(bytes: Uint8Array): Node[] | undefined {
  const elements = readElements(bytes);
  if (elements === undefined || elements.length === 0) return undefined;
  return elements.map(({ tag, content }) => {
    const skipped = tag === 0x03 ? 1 : 0;
    const mayHold = (tag & 0x20) !== 0 || tag === 0x03 || tag === 0x04;
    const inside = mayHold ? readNodes(content.subarray(skipped)) : undefined;
    if (inside === undefined) return { tag, before: Buffer.alloc(0), inside: Buffer.from(content) };
    return { tag, before: Buffer.from(content.subarray(0, skipped)), inside };
  });
}

function writeNodes(nodes: readonly Node[]): Buffer {
  return Buffer.concat(
    nodes.map(({ tag, before, inside }) =>
      tagged(tag, Buffer.concat([before, Buffer.isBuffer(inside) ? inside : writeNodes(inside)])),
    ),
  );
}

type Change = (node: Node, word: Buffer, number: number, other: Node) => readonly Node[];

const changes = {
  drop: () => [],
  repeat: (node) => [node, node],
  many: (node, _word, number) => Array.from({ length: number % 100 }, () => node),
  empty: (node) => [{ ...node, inside: Buffer.alloc(0) }],
  content: (node, word) => [{ ...node, inside: word }],
  tag: (node, word) => [{ ...node, tag: ((word[0] ?? 0x30) & ~0x1f) | Math.min((word[0] ?? 0x30) & 0x1f, 0x1e) }],
  octet: (node, _word, number) => {
    if (!Buffer.isBuffer(node.inside) || node.inside.length === 0) return [node];
    const inside = Buffer.from(node.inside);
    inside[number % inside.length] = number >>> 8;
    return [{ ...node, inside }];
  },
  other: (_node, _word, _number, other) => [other],
  within: (node, _word, number) => {
    let nested = node;
    for (let depth = number % 60; depth >= 0; depth -= 1)
      nested = { tag: 0x30, before: Buffer.alloc(0), inside: [nested] };
    return [nested];
  },
  unwrapped: (node) => (Buffer.isBuffer(node.inside) ? [node] : node.inside),
} as const satisfies Record<string, Change>;

/** Numbers and names that mean something: curves, algorithms, extensions, sizes. */
const words = [
  ...[
    '00',
    'ff',
    '01',
    '80',
    '7fffffff',
    '00ffffffffffffffffff',
    '550403',
    '551d11',
    '551d13',
    '551d0f',
    '551d1e',
    '551d25',
  ],
  ...['2a8648ce3d0201', '2a8648ce3d030107', '2b81040022', '2b8104000a', '2b240303020801010d', '2a864886f70d010101'],
  ...['2a864886f70d01010a', '2a864886f70d01010b', '2a8648ce380401', '2a864886f70d010301', '2b6570', '2b656e', '2b6571'],
  ...[
    '2a811ccf5501822d',
    '608648016503040311',
    '608648016503040203',
    '170d3439313233313233353935395a',
    '00'.repeat(300),
  ],
].map((hex) => Buffer.from(hex, 'hex'));

const edit = fc.record({
  kind: fc.constantFrom(...(Object.keys(changes) as (keyof typeof changes)[])),
  at: fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true }),
  from: fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true }),
  number: fc.nat({ max: 0xffff }),
  word: fc.oneof(
    fc.constantFrom(...words),
    fc.uint8Array({ maxLength: 12 }).map((bytes) => Buffer.from(bytes)),
  ),
});
type Edit = typeof edit extends fc.Arbitrary<infer T> ? T : never;

function bent(samples: readonly Buffer[]): fc.Arbitrary<Buffer> {
  return fc
    .tuple(fc.constantFrom(...samples), fc.array(edit, { maxLength: 3 }))
    .map(([sample, edits]) => writeNodes(edits.reduce<readonly Node[]>(changed, readNodes(sample) ?? [])));
}

function changed(nodes: readonly Node[], { kind, at, from, number, word }: Edit): readonly Node[] {
  const all = flat(nodes);
  // Repeated often enough.
  if (all.length > elementsMax) return nodes;
  const target = all[Math.floor(at * all.length)];
  const other = all[Math.floor(from * all.length)];
  if (target === undefined || other === undefined) return nodes;
  const replace = (list: readonly Node[]): readonly Node[] =>
    list.flatMap((node) => {
      if (node === target) return changes[kind](node, word, number, other);
      return Buffer.isBuffer(node.inside) ? [node] : [{ ...node, inside: replace(node.inside) }];
    });
  return replace(nodes);
}

function flat(nodes: readonly Node[]): Node[] {
  return nodes.flatMap((node) => [node, ...(Buffer.isBuffer(node.inside) ? [] : flat(node.inside))]);
}

test('a bent certificate is refused, or served by TLS', (context) => {
  hold(
    context,
    150,
    fc.property(bent(certificates), fc.constantFrom(...pairs), (der, { key }) => {
      const result = take({ cert: der, key, force: true });
      if (result.kind === 'accepted') createSecureContext({ cert: result.pair.chain, key: result.pair.key });
      const facts = describeCertificate(encodePem('CERTIFICATE', der));
      assert.ok(facts === undefined || facts.fingerprint.length === 64);
    }),
  );
});

test('a bent key is refused, or served by TLS', (context) => {
  hold(
    context,
    150,
    fc.property(bent(keys), fc.constantFrom(...pairs), (der, { chain }) => {
      const result = take({ cert: chain, key: der, passphrase: 'right', force: true });
      if (result.kind === 'accepted') createSecureContext({ cert: result.pair.chain, key: result.pair.key });
    }),
  );
});

test('bent PKCS#12 and PKCS#7 files are refused, or served by TLS', (context) => {
  hold(
    context,
    150,
    fc.property(bent(containers), fc.constantFrom('right', 'wrong', undefined), (der, passphrase) => {
      const result = take({ cert: der, passphrase });
      if (result.kind === 'accepted') createSecureContext({ cert: result.pair.chain, key: result.pair.key });
    }),
  );
});

test('a bent authority, and a bent revocation list, are taken or refused', (context) => {
  hold(
    context,
    150,
    fc.property(bent(certificates), bent(lists), fc.boolean(), (der, list, own) => {
      const certificate = own ? root.certificate : der;
      const result = intakeAuthority({ certificate, crl: list, now, minRsaBits: 2048, force: true });
      if (result.kind === 'accepted')
        createSecureContext({ ca: encodePem('CERTIFICATE', own ? derOf(root.certificate) : der) });
      const parsed = parseRevocationList(list);
      const issuer = parseCertificate(derOf(root.certificate));
      if (parsed.kind === 'list' && issuer !== undefined) parsed.list.isSignedBy(issuer.x509.publicKey);
    }),
  );
});

test('of bent certificates that a client sends, name and paths are read', (context) => {
  const three = fc.tuple(bent(certificates), bent(certificates), bent(certificates));
  hold(
    context,
    150,
    fc.property(three, (list) => {
      const parsed = list.map((der) => parseCertificate(der)).filter((one): one is Certificate => one !== undefined);
      for (const der of list) {
        const { subject } = outlineOf(der);
        assert.match(
          distinguishedNameText(subject === undefined ? undefined : readElement(subject.whole)),
          /^[\x20-\x7e]*$/,
        );
      }
      const [leaf, ...sent] = parsed;
      if (leaf !== undefined) findClientPaths(leaf, sent, parsed);
    }),
  );
});

function hold<T extends [unknown, ...unknown[]]>(context: TestContext, runs: number, property: fc.IProperty<T>): void {
  const details = fc.check(property, fuzzBudget(context, runs));
  assertHolds(details);
  context.diagnostic(`${details.numRuns} runs`);
}
