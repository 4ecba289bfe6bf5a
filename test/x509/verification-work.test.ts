import assert from 'node:assert/strict';
import { test } from 'node:test';
import { scanPem } from '../../src/x509/pem.ts';
import { constraintsLength, verificationWork } from '../../src/x509/verification-work.ts';
import { tagged } from '../../src/x509/write-der.ts';
import { makeAuthority } from '../support/certificates.ts';
import {
  costlyChains,
  costlyToRead,
  curveChain,
  dsaChain,
  linked,
  namesChain,
  rsaChain,
} from '../support/costly-chains.ts';
import { fc } from '../support/fast-check.ts';
import { deep, extension, names, dns } from '../support/hostile-certificates.ts';

/** The default of `client_chain_max_work`. */
const allowedMs = 15;
const f4 = Buffer.from([1, 0, 1]);

const honest: Readonly<Record<string, () => readonly Uint8Array[]>> = {
  none: () => [],
  'a leaf and two intermediates': () => derOf(makeAuthority().intermediate().intermediate().issue({ names: [] }).chain),
  'eleven of RSA 4096': () => rsaChain(11, 4096, f4),
  'eleven of RSA 8192': () => rsaChain(11, 8192, f4),
  'eleven on P-384': () => curveChain(11, 'P-384'),
  'eleven on P-521': () => curveChain(11, 'P-521'),
  'eleven on brainpoolP512r1': () => curveChain(11, 'brainpoolP512r1'),
  'a bundle of a hundred roots that somebody sends along': () => curveChain(100, 'P-256'),
  'a bundle of RSA roots': () => rsaChain(60, 4096, f4),
  'seven hundred names': () => linked(2, () => ({ extensions: [names(...many(700, dns('host.example.test')))] })),
  'thirty names under a hundred constraints': () => [...namesChain(2, 30), ...namesChain(2, 100).slice(1)],
};

for (const [what, chain] of Object.entries(honest)) {
  test(`${what}: no more than is allowed`, () => {
    const work = verificationWork(chain(), 0);
    assert.ok(work <= allowedMs, `${work} ms`);
  });
}

for (const [what, chain] of Object.entries({
  ...costlyChains,
  ...costlyToRead,
  'DSA of 10,000 bits': () => dsaChain(12, 10_000),
})) {
  test(`${what}: more than is allowed`, () => {
    const work = verificationWork(chain(), 0);
    assert.ok(work > allowedMs, `${work} ms`);
  });
}

test('constraints of the authority above count for the names below', () => {
  const [leaf = Buffer.alloc(0)] = linked(1, () => ({ extensions: [names(...many(900, dns('a.test')))] }));
  const constraints = constraintsLength(namesChain(2, 400)[1] ?? leaf);
  assert.ok(constraints > 400 * 5);
  assert.ok(verificationWork([leaf], 0) < 1);
  assert.ok(verificationWork([leaf], constraints) > allowedMs);
});

test('what cannot be read to its end, or a curve that is spelled out, may be anything', () => {
  const whole = linked(1, () => ({ extensions: [extension('1.2.3', Buffer.alloc(3000))] }))[0] as Buffer;
  const unreadable: Readonly<Record<string, Buffer>> = {
    'no sequence': tagged(0x31, whole.subarray(4)),
    'something behind it': Buffer.concat([whole, Buffer.of(0)]),
    'an indefinite length': Buffer.concat([Buffer.of(0x30, 0x80), whole.subarray(4), Buffer.of(0, 0)]),
    'extensions that are no list': linked(1, () => ({ extensions: [Buffer.alloc(3000, 0xff)] }))[0] as Buffer,
    'extensions without a name': linked(1, () => ({ extensions: [deep(700)] }))[0] as Buffer,
    'five thousand extensions': linked(1, () => ({
      extensions: many(5000, extension('1.2.3', Buffer.of(5, 0))),
    }))[0] as Buffer,
  };
  assert.ok(verificationWork([whole], 0) < 0.2);
  for (const [what, der] of Object.entries(unreadable)) assert.equal(verificationWork([der], 0), Infinity, what);
});

test('bytes of every kind have a number, and more certificates never have a smaller one', () => {
  const der = derOf(
    makeAuthority()
      .intermediate()
      .issue({ names: ['a.test'] }).chain,
  );
  const bent = fc.tuple(fc.constantFrom(...der), fc.nat(), fc.nat(255), fc.nat()).map(([bytes, at, value, cut]) => {
    const copy = Buffer.from(bytes);
    copy[at % copy.length] = value;
    return cut % 3 === 0 ? copy.subarray(0, cut % copy.length) : copy;
  });
  fc.assert(
    fc.property(fc.array(fc.oneof(bent, fc.uint8Array({ maxLength: 200 }))), fc.nat(2000), (chain, constraints) => {
      const work = verificationWork(chain, constraints);
      assert.ok(work >= 0);
      assert.ok(verificationWork(chain.slice(1), constraints) <= work);
      assert.ok(verificationWork(chain, 0) <= work);
    }),
  );
});

function derOf(pem: string): readonly Uint8Array[] {
  return scanPem(pem).blocks.flatMap((block) => (block.kind === 'content' ? [block.bytes] : []));
}

function many(count: number, each: Buffer): readonly Buffer[] {
  return Array.from({ length: count }, () => each);
}
