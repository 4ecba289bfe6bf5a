// What a token is made of, and what is taken for one.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isSecretOf, makeTokenText, parseTokenText } from '../../src/model/token-text.ts';

test('a token is found by its prefix and proved by its secret, of which the hash tells nothing', () => {
  const { text, prefix, hash } = makeTokenText();
  const parsed = parseTokenText(text);
  assert.equal(parsed?.prefix, prefix);
  assert.ok(isSecretOf(hash, parsed?.secret ?? ''));
  assert.equal(Buffer.from(parsed?.secret ?? '', 'base64url').length, 32);
  assert.ok(!text.includes(hash));
});

test('another secret, a cut one, or a hash in its place proves nothing', () => {
  const { text, hash } = makeTokenText();
  const secret = parseTokenText(text)?.secret ?? '';
  const first = secret.startsWith('A') ? 'B' : 'A';
  for (const wrong of [
    '',
    hash,
    secret.slice(1),
    `${first}${secret.slice(1)}`,
    parseTokenText(makeTokenText().text)?.secret ?? '',
  ]) {
    assert.ok(!isSecretOf(hash, wrong), wrong);
  }
  assert.ok(!isSecretOf('', secret));
});

test('what has another form is no token', () => {
  const { text } = makeTokenText();
  for (const wrong of [
    '',
    'ptn_',
    text.slice(0, -1),
    `${text}x`,
    ` ${text}`,
    text.toUpperCase(),
    text.replace('ptn', 'abc'),
    `${text}\n`,
  ]) {
    assert.equal(parseTokenText(wrong), undefined, wrong);
  }
});
