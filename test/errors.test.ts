// docs/errors.md and the table of codes say the same, both ways.
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { errorCodes } from '../src/lib/errors.ts';

const root = fileURLToPath(new URL('..', import.meta.url));

test('docs/errors.md lists every code with its status, who has to act, whether to retry, and its summary', () => {
  const rows = [...readFileSync(path.join(root, 'docs/errors.md'), 'utf8').matchAll(/^\| `([A-Z0-9_]+)` \|.*$/gm)];
  const documented = new Map(rows.map(([row, code]) => [code, row]));
  assert.equal(documented.size, rows.length, 'a code is listed twice');
  for (const [code, { status, blame, retry, summary }] of Object.entries(errorCodes)) {
    const wanted = `| \`${code}\` | ${status ?? '–'} | ${blame} | ${retry ? 'yes' : 'no'} | ${summary} |`;
    assert.equal(documented.get(code), wanted, code);
  }
  assert.deepEqual(
    [...documented.keys()].filter((code) => !Object.hasOwn(errorCodes, code ?? '')),
    [],
  );
});

test('every code is thrown or answered somewhere', () => {
  const source = path.join(root, 'src');
  const text = readdirSync(source, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts') && name !== path.join('lib', 'errors.ts'))
    .map((name) => readFileSync(path.join(source, name), 'utf8'))
    .join('\n');
  assert.deepEqual(
    Object.keys(errorCodes).filter((code) => !text.includes(`'${code}'`)),
    [],
  );
});
