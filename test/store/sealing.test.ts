// What is sealed opens only whole, under its own key and with its own binding.
import assert from 'node:assert/strict';
import { createSecretKey, randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { fc } from '../support/fast-check.ts';
import { isPortunusError } from '../../src/lib/errors.ts';
import type { MasterKey } from '../../src/store/keyring.ts';
import { createSealer } from '../../src/store/sealing.ts';

const first = masterKey('first');
const second = masterKey('second');
const sealer = createSealer({ keys: [first] });

test('what was sealed opens to the same bytes', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 5000 }), fc.string(), (plain, binding) => {
      assert.deepEqual(sealer.open(sealer.seal(plain, binding), binding), Buffer.from(plain));
    }),
  );
  assert.equal(sealer.open(sealer.seal('a text, ünïcode', 'b'), 'b').toString(), 'a text, ünïcode');
});

test('the same content is never sealed to the same text twice', () => {
  const texts = Array.from({ length: 100 }, () => sealer.seal('content', 'binding'));
  assert.equal(new Set(texts.flatMap((text) => text.split('.').slice(2))).size, 200);
});

test('a changed character never opens', () => {
  const sealed = sealer.seal('content', 'binding');
  const characters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.=+/ ';
  for (let position = 0; position < sealed.length; position += 1) {
    for (const character of characters) {
      if (character === sealed[position]) continue;
      mismatch(sealed.slice(0, position) + character + sealed.slice(position + 1), 'binding');
    }
  }
});

test('text with something added or missing never opens', () => {
  const sealed = sealer.seal('content', 'binding');
  for (let end = 0; end < sealed.length; end += 1) mismatch(sealed.slice(0, end), 'binding');
  for (const text of ['', ` ${sealed}`, `${sealed} `, `${sealed}=`, `${sealed}\n`, `${sealed}.`, `${sealed}.AAAA`]) {
    mismatch(text, 'binding');
  }
});

test('parts of two sealed texts never open together', () => {
  const [one, two] = [sealer.seal('one', 'binding'), sealer.seal('two', 'binding')].map((text) => text.split('.'));
  mismatch([...(one ?? []).slice(0, 3), two?.[3]].join('.'), 'binding');
  mismatch([...(one ?? []).slice(0, 2), one?.[3], one?.[2]].join('.'), 'binding');
});

test('another binding never opens', () => {
  fc.assert(
    fc.property(fc.string(), fc.string(), (binding, other) => {
      fc.pre(binding !== other);
      mismatch(sealer.seal('content', binding), other);
    }),
  );
});

test('the first key of a keyring seals, and all of them open', () => {
  const old = createSealer({ keys: [first] }).seal('content', 'b');
  const rotated = createSealer({ keys: [second, first] });
  assert.equal(rotated.open(old, 'b').toString(), 'content');
  assert.match(rotated.seal('content', 'b'), /^v1\.second\./);
});

test('a key that the keyring does not have is named', () => {
  const sealed = createSealer({ keys: [second] }).seal('content', 'b');
  const error = mismatch(sealed, 'b');
  assert.match(error, /no key second.*it holds first/);
});

test('another key of the same id never opens', () => {
  mismatch(createSealer({ keys: [masterKey('first')] }).seal('content', 'b'), 'b');
});

test('an error shows nothing of what was sealed', () => {
  const sealed = sealer.seal('content', 'b');
  const message = mismatch(sealed, 'other');
  for (const part of ['content', ...sealed.split('.').slice(2)]) assert.ok(!message.includes(part));
});

/** @returns the message */
function mismatch(sealed: string, binding: string): string {
  let message = '';
  assert.throws(
    () => sealer.open(sealed, binding),
    (error) => {
      assert.ok(isPortunusError(error, 'KEYRING_MISMATCH'), String(error));
      ({ message } = error);
      return true;
    },
    sealed,
  );
  return message;
}

function masterKey(id: string): MasterKey {
  return { id, secret: createSecretKey(randomBytes(32)) };
}
