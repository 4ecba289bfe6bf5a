// Configuration files of any shape: each is read or refused with problems, soon, and what is read is what was written.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, test, type TestContext } from 'node:test';
import { fc } from '../support/fast-check.ts';
import { readConfigFile } from '../../src/config/config-file.ts';
import { loadConfig, type LoadedConfig } from '../../src/config/load-config.ts';
import { settings } from '../../src/config/settings.ts';
import { assertHolds, fuzzBudget } from '../support/fuzz-budget.ts';

const folder = mkdtempSync(path.join(tmpdir(), 'portunus-config-fuzz-'));
after(() => rmSync(folder, { recursive: true, force: true }));

const names = Object.keys(settings);
const words = [
  ...names,
  ...[
    ':',
    ': ',
    '- ',
    '[',
    ']',
    '{',
    '}',
    '"',
    "'",
    '#',
    ' #',
    '\n',
    '\r',
    '\t',
    '  ',
    '&a ',
    '*a',
    '!!int ',
    '|\n',
    '>',
  ],
  ...['---\n', '...\n', '%YAML 1.1\n', '<<: ', '? ', ',', '=', ' = ', '\\', '\0', '\uFEFF', '\uD800', '__proto__'],
  ...[
    'on',
    'off',
    'null',
    '~',
    '0x10',
    '1e999',
    '-0',
    '1_000',
    '5s',
    '64k',
    '0.0.0.0:8000 ssl',
    '::1',
    '-----BEGIN X-----',
  ],
];
const seeds = [
  'workers: 2\nproxy_listen: [0.0.0.0:8000, "0.0.0.0:8443 ssl http2"]\ntrusted_ips:\n  - 10.0.0.0/8\n  - ::1\n',
  'workers = 2\nproxy_listen = 0.0.0.0:8000, 0.0.0.0:8443 ssl http2 backlog=100\nssl_cipher_suite = "modern" # why\n',
  'client_idle_timeout: 5s\nclient_max_body_size: 10m\nssl_cert: |\n  -----BEGIN CERTIFICATE-----\n  AAAA\n',
  'database = postgres\npg_url = postgres://a:b@c:5432/d?sslmode=require\nkeyring = /nowhere\n',
];
const edit = fc.record({
  at: fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true }),
  remove: fc.oneof(fc.constant(0), fc.nat(4), fc.nat(60)),
  insert: fc.oneof(fc.constantFrom(...words), fc.string({ unit: 'binary', maxLength: 5 })),
  times: fc.oneof({ weight: 9, arbitrary: fc.constant(1) }, { weight: 1, arbitrary: fc.integer({ min: 2, max: 300 }) }),
});
const bent = fc.tuple(fc.constantFrom(...seeds, ''), fc.array(edit, { maxLength: 8 })).map(([seed, edits]) =>
  edits.reduce((text, { at, remove, insert, times }) => {
    const offset = Math.floor(at * (text.length + 1));
    return text.slice(0, offset) + insert.repeat(times) + text.slice(offset + remove);
  }, seed),
);
const fileName = fc.constantFrom('a.yaml', 'a.conf', 'settings');

test('a bent configuration file is loaded or refused, with as many words as help', (context) => {
  const seen = { loaded: 0, refused: 0 };
  hold(
    context,
    400,
    fc.property(fileName, bent, (name, text) => {
      const loaded = load(name, text);
      seen[loaded.kind] += 1;
      if (loaded.kind === 'loaded') return;
      assert.ok(loaded.problems.length > 0);
      for (const { message } of loaded.problems) assert.ok(message.length < 500, message);
    }),
  );
  context.diagnostic(JSON.stringify(seen));
});

test('what is written in a file is read of it, in either form', (context) => {
  const text = fc.stringMatching(/^[\x20-\x7e\xa0-\xff]{0,30}$/).map((one) => one.trim());
  const entries = fc.uniqueArray(fc.tuple(fc.stringMatching(/^[a-z]\w{0,15}$/), text), { selector: ([name]) => name });
  hold(
    context,
    300,
    fc.property(entries, (list) => {
      const wanted = list.map(([name, value]) => ({ name, value }));
      const yaml = list.map(([name, value]) => `"${name}": ${JSON.stringify(value)}\n`).join('');
      assert.deepEqual(read('b.yaml', yaml), { entries: wanted, problems: [] });
      const lines = list.map(([name, value]) => `${name} = "${value.replaceAll('#', String.raw`\#`)}" # a comment\n`);
      assert.deepEqual(read('b.conf', lines.join('')), { entries: wanted, problems: [] });
    }),
  );
});

/** Each took minutes, or told of a hundred thousand problems. */
for (const [what, text] of Object.entries({
  'empty lines': '\n'.repeat(200_000),
  'a block of empty lines': `a: |\n${' \n'.repeat(100_000)}`,
  'thousands of names': Array.from({ length: 20_000 }, (_, index) => `k${index}: 1\n`).join(''),
  'thousands of anchors': Array.from({ length: 20_000 }, (_, index) => `k${index}: &a 1\n`).join(''),
  'what is nested too deep': '['.repeat(50_000),
  'commas alone': `a: [${','.repeat(20_000)}`,
  'a name that is all of it': `${'n'.repeat(200_000)} = 1\n`,
  'lines that are none': 'x\n'.repeat(50_000),
})) {
  test(`a file of ${what} is answered soon`, { timeout: 60_000 }, () => {
    for (const name of ['a.yaml', 'a.conf', 'settings']) {
      const loaded = load(name, text);
      if (loaded.kind === 'refused') assert.ok(loaded.problems.length <= 1000, String(loaded.problems.length));
    }
  });
}

function hold<T extends [unknown, ...unknown[]]>(context: TestContext, runs: number, property: fc.IProperty<T>): void {
  assertHolds(fc.check(property, fuzzBudget(context, runs)));
}

function load(name: string, text: string): LoadedConfig {
  const file = path.join(folder, name);
  writeFileSync(file, text);
  return loadConfig({ file, env: {}, flags: {}, cwd: folder });
}

function read(name: string, text: string): ReturnType<typeof readConfigFile> {
  const file = path.join(folder, name);
  writeFileSync(file, text);
  return readConfigFile(file);
}
