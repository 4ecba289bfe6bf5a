// Lines gathered into pieces.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createLineBuffer, type LineBuffer } from '../../src/observe/line-buffer.ts';

test('the bytes of the pieces, one after the other, are the lines', () => {
  const lines = createLineBuffer();
  const added: string[] = [];
  const taken: string[] = [];
  for (let number = 0; number < 20_000; number += 1) {
    const line = `${number} ${'é€x'.repeat(number % 60)}\n`;
    added.push(line);
    lines.add(line);
    if (lines.full) taken.push(takeOne(lines));
  }
  assert.ok(taken.length > 3);
  while (lines.characters > 0) taken.push(takeOne(lines));
  assert.equal(taken.join(''), added.join(''));
  assert.equal(lines.take(), undefined);
});

test('a line longer than a piece is a piece', () => {
  const lines = createLineBuffer();
  lines.add('a\n');
  lines.add(`${'€'.repeat(500_000)}\n`);
  lines.add('b\n');
  let text = '';
  while (lines.characters > 0) text += takeOne(lines);
  assert.equal(text, `a\n${'€'.repeat(500_000)}\nb\n`);
});

test('a piece that was not given back is not written into', () => {
  const lines = createLineBuffer();
  lines.add('first\n');
  const first = lines.take();
  lines.add('second\n');
  assert.equal(lines.characters, 'first\nsecond\n'.length);
  assert.equal(takeOne(lines), 'second\n');
  assert.equal(first?.memory.toString('utf8', 0, first.used), 'first\n');
});

function takeOne(lines: LineBuffer): string {
  const piece = lines.take();
  assert.ok(piece !== undefined);
  const text = piece.memory.toString('utf8', 0, piece.used);
  lines.giveBack(piece);
  return text;
}
