import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { isPortunusError } from '../src/lib/errors.ts';
import { openRunDirectory } from '../src/run-file.ts';

test('a data directory belongs to one gateway at a time', (t) => {
  const prefix = directory(t);
  {
    using _first = openRunDirectory(prefix);
    assert.throws(
      () => openRunDirectory(prefix),
      (error) => isPortunusError(error, 'ALREADY_RUNNING'),
    );
  }
  using _next = openRunDirectory(prefix);
});

for (const [what, below] of [
  ['is a file', ''],
  ['is below a file', 'data'],
] as const) {
  test(`a data directory that ${what} is refused by its name, with what to do`, (t) => {
    const file = path.join(directory(t), 'file');
    writeFileSync(file, '');
    const prefix = path.join(file, below);
    assert.throws(
      () => openRunDirectory(prefix),
      (error) =>
        isPortunusError(error, 'STORE_UNAVAILABLE') &&
        error.message.includes(`the data directory ${prefix}`) &&
        error.hint !== undefined,
    );
  });
}

test('a lock that cannot be opened is not taken for another gateway', (t) => {
  const prefix = directory(t);
  writeFileSync(path.join(prefix, 'portunus.lock'), 'what SQLite does not read: '.repeat(100));
  assert.throws(
    () => openRunDirectory(prefix),
    (error) => isPortunusError(error, 'STORE_UNAVAILABLE') && error.message.includes(prefix),
  );
});

function directory(t: { after(done: () => void): void }): string {
  const made = mkdtempSync(path.join(tmpdir(), 'portunus-run-'));
  t.after(() => rmSync(made, { recursive: true }));
  return made;
}
