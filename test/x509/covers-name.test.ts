// Which names a certificate is good for, held against Node's own judgement.
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { test } from 'node:test';
import { fc } from '../support/fast-check.ts';
import { coversName } from '../../src/x509/covers-name.ts';
import { makeSelfSigned } from '../support/certificates.ts';

const table: readonly [readonly string[], string, boolean][] = [
  [['a.test'], 'a.test', true],
  [['a.test'], 'A.Test.', true],
  [['A.test'], 'a.test', true],
  [['a.test'], 'b.a.test', false],
  [['*.a.test'], 'b.a.test', true],
  [['*.a.test'], 'a.test', false],
  [['*.a.test'], 'c.b.a.test', false],
  [['*.a.test'], '*.a.test', true],
  [['b.a.test'], '*.a.test', false],
  [['*.test'], 'a.test', false],
  [['*'], 'localhost', false],
  [['*.a.test'], '.a.test', false],
  [['b*.a.test'], 'bc.a.test', false],
  [['*.a.test'], 'xn--bcher-kva.a.test', true],
  [['a.test', 'b.test'], 'b.test', true],
  [[], 'a.test', false],
  [['a.test'], '', false],
];

for (const [names, name, expected] of table) {
  test(`a certificate for ${JSON.stringify(names)} ${expected ? 'covers' : 'does not cover'} ${JSON.stringify(name)}`, () => {
    assert.equal(coversName(names, name), expected);
  });
}

test('coverage agrees with X509Certificate.checkHost for exact and wildcard names', () => {
  const label = fc.constantFrom('a', 'b', 'A', 'x-1', 'xn--bcher-kva', 'a_b');
  const host = fc.array(label, { minLength: 1, maxLength: 4 }).map((labels) => labels.join('.'));
  const offered = fc.oneof(
    host,
    host.map((name) => `*.${name}`),
  );
  fc.assert(
    fc.property(fc.array(offered, { minLength: 1, maxLength: 3 }), host, (names, name) => {
      const { cert } = makeSelfSigned({ names });
      assert.equal(coversName(names, name), new X509Certificate(cert).checkHost(name) !== undefined);
    }),
    { numRuns: 500 },
  );
});
