// What stands where a key would be.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readSealedPlaceholder, sealedPlaceholder } from '../../src/x509/sealed-placeholder.ts';

const hash = '0123456789abcdef'.repeat(4);

test('a placeholder that was written is read back, with white space around it and in any case', () => {
  assert.equal(sealedPlaceholder(hash), `{sealed:sha256:${hash}}`);
  assert.equal(readSealedPlaceholder(sealedPlaceholder(hash)), hash);
  assert.equal(readSealedPlaceholder(` ${sealedPlaceholder(hash.toUpperCase())}\r\n`), hash);
});

for (const text of [
  '',
  'x',
  `{sealed:sha256:${hash}`,
  `{sealed:sha256:${hash}0}`,
  `{sealed:sha1:${hash}}`,
  `x${sealedPlaceholder(hash)}`,
  ' '.repeat(999),
]) {
  test(`${JSON.stringify(text.slice(0, 40))} is no placeholder`, () => {
    assert.equal(readSealedPlaceholder(text), undefined);
  });
}
