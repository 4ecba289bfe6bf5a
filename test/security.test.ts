// docs/security.md names tests that are there, for every promise at least one.
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { refusedRequests } from './http1/refused-requests.ts';
import { refusedResponses } from './http1/refused-responses.ts';
import { smuggledRequests, smuggledResponses } from './http1/refused-smuggling.ts';
import { takenRequests } from './http1/taken-requests.ts';
import { takenResponses } from './http1/taken-responses.ts';

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

test('it says how many messages there are', () => {
  const page = readFileSync(path.join(docs, 'security.md'), 'utf8');
  const [, ...said] =
    /^(\d+) malformed .* requests and (\d+) responses,[^]*?, and (\d+) and (\d+) that only look/m.exec(page) ?? [];
  assert.deepEqual(said.map(Number), [
    refusedRequests.length + smuggledRequests.length,
    refusedResponses.length + smuggledResponses.length,
    takenRequests.length,
    takenResponses.length,
  ]);
});
