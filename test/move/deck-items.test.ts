// Cutting a file in decK's format into items: the same as reading it whole, whatever its style; and what is refused.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { fc } from '../support/fast-check.ts';
import { stringify } from 'yaml';
import { itemMaxLength, parseYaml, readDeckItems, type DeckItem } from '../../src/move/deck-items.ts';

let folder: string;
let files = 0;
before(() => (folder = mkdtempSync(path.join(os.tmpdir(), 'portunus-deck-'))));
after(() => rmSync(folder, { recursive: true, force: true }));

async function cut(text: string): Promise<readonly DeckItem[]> {
  const file = path.join(folder, `${(files += 1)}.yaml`);
  writeFileSync(file, text);
  const items: DeckItem[] = [];
  for await (const item of readDeckItems(file)) items.push(item);
  return items;
}

/** Section and value of each. */
async function values(text: string): Promise<readonly (readonly [string, unknown])[]> {
  return (await cut(text)).map((item) => {
    if (item.kind === 'unreadable') return ['unreadable', `${item.where}: ${item.message}`];
    if (item.kind === 'value') return [item.section, item.value];
    const list = parseYaml(item.text)?.value;
    assert.ok(Array.isArray(list) && list.length === 1, item.text);
    return [item.section, list[0]];
  });
}

const awkward = fc.oneof(
  fc.constantFrom(
    '- a\n- b\n',
    'key: value\nother:\n',
    '---\n',
    '...\n',
    '# no comment\n\n  x\n',
    '{',
    '[a',
    '*',
    '&a b',
    '',
  ),
  fc.stringMatching(/^[ -~\n]{0,40}$/),
);
const item = fc.record(
  {
    cert: awkward,
    key: awkward,
    tags: fc.array(awkward, { maxLength: 3 }),
    snis: fc.array(fc.record({ name: awkward })),
  },
  { requiredKeys: ['cert'] },
);

test('is the same as reading it whole, for everything that the library writes', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.record({
        certificates: fc.array(item, { minLength: 1, maxLength: 4 }),
        apis: fc.array(item, { minLength: 1, maxLength: 2 }),
      }),
      fc.record({
        indentSeq: fc.boolean(),
        indent: fc.constantFrom(2, 3, 4),
        lineWidth: fc.constantFrom(0, 30, 80),
        blockQuote: fc.constantFrom(true, false, 'folded' as const, 'literal' as const),
        collectionStyle: fc.constantFrom('any' as const, 'flow' as const),
      }),
      fc.constantFrom('', '---\n', '# a comment\n---\n', '\uFEFF', '%YAML 1.2\n---\n'),
      fc.constantFrom('\n', '\r\n'),
      async (document, style, start, lineBreak) => {
        const written = stringify({ _format_version: '3.0', ...document }, style);
        // A line break inside a scalar is a line feed, however the file ends its lines.
        const text = start + (lineBreak === '\n' ? written : written.replaceAll('\n', lineBreak));
        const whole = parseYaml(text.replace(/^\uFEFF/, ''))?.value as Record<string, readonly unknown[]> | undefined;
        // In flow style the library writes some texts that it does not read.
        fc.pre(whole !== undefined);
        const expected = Object.entries(whole).flatMap(([section, list]) =>
          Array.isArray(list) ? list.map((each) => [section, each as unknown]) : [[section, list]],
        );
        assert.deepEqual(await values(text), expected);
      },
    ),
    { numRuns: 300 },
  );
});

test('a list at the margin, blank lines and comments between items, sections that are mappings', async () => {
  const text = `
_info:
  select_tags:
  - a
_format_version: "3.0" # of decK

certificates:
# the first
- cert: |
    one

    more
# the second
- cert: two
  snis: [ { name: a.test } ]

'services':
    - name: s
      routes:
      - name: r
`;
  assert.deepEqual(await values(text), [
    ['_info', { select_tags: ['a'] }],
    ['_format_version', '3.0'],
    ['certificates', { cert: 'one\n\nmore\n' }],
    ['certificates', { cert: 'two', snis: [{ name: 'a.test' }] }],
    ['services', { name: 's', routes: [{ name: 'r' }] }],
  ]);
});

test('one JSON document', async () => {
  const text = JSON.stringify({ certificates: [{ cert: 'a' }, { cert: 'b' }] }, undefined, 2);
  assert.deepEqual(await values(text), [
    ['certificates', { cert: 'a' }],
    ['certificates', { cert: 'b' }],
  ]);
});

test('says where an item is, and what is no such file', async () => {
  const [first, second] = await cut('certificates:\n  - cert: a\n    key: b\n  - cert: c\n');
  assert.equal(first?.where, 'certificates[0], line 2');
  assert.equal(second?.where, 'certificates[1], line 4');
  for (const text of [
    'just text\n',
    'certificates:\n- cert: a\n--- \ncertificates: []\n',
    '{"certificates": [',
    '- a\n',
  ]) {
    assert.equal((await cut(text)).at(-1)?.kind, 'unreadable', text);
  }
});

test('an item beyond its limit is left out and named, and the next one is read', async () => {
  const long = 'x'.repeat(itemMaxLength);
  const lines = Array.from({ length: 20 }, () => `    ${'y'.repeat(itemMaxLength / 10)}\n`).join('');
  const items = await values(`certificates:\n- cert: ${long}\n- cert: |\n${lines}- cert: fine\n`);
  assert.deepEqual(
    items.map(([section, value]) => (section === 'unreadable' ? value : section)),
    [
      `certificates[0], line 2: is longer than ${itemMaxLength} characters`,
      `certificates[1], line 3: is longer than ${itemMaxLength} characters`,
      'certificates',
    ],
  );
});
