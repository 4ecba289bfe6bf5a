// docs/security.md names tests that are there, for every promise at least one.
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const docs = fileURLToPath(new URL('../docs', import.meta.url));
const rows = readFileSync(path.join(docs, 'security.md'), 'utf8')
  .split('\n')
  .filter((line) => /^\|(?! promise |-)/.test(line))
  .map((line) => line.split(' | '));

test('every promise of docs/security.md is held by tests that are there', () => {
  assert.ok(rows.length > 90);
  for (const [promise = '', ...cells] of rows) {
    const links = [...cells.join(' | ').matchAll(/\[(?<title>[^\]]+)\]\((?<file>\.\.\/test\/[^)]+\.ts)\)/g)];
    assert.notEqual(links.length, 0, `no test: ${promise}`);
    for (const { groups: { title = '', file = '' } = {} } of links) {
      const name = path.join(docs, file);
      assert.ok(existsSync(name), `${file} is not there: ${promise}`);
      assert.ok(readFileSync(name, 'utf8').includes(title), `${file} has no "${title}": ${promise}`);
    }
  }
});
