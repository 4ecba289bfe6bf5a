// The two forms of the configuration file, and what is wrong with one.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, test } from 'node:test';
import { tmpdir } from 'node:os';
import { readConfigFile } from '../../src/config/config-file.ts';

const folder = mkdtempSync(path.join(tmpdir(), 'portunus-config-file-'));
after(() => rmSync(folder, { recursive: true, force: true }));

test("Kong's lines: comments, spaces, quotes, empty values, carriage returns", () => {
  const text = '# comment\r\n workers=2\r\nprefix = "/a b"   # where\r\ntrusted_ips =\r\n\r\nlog_level = a\\#b\r\n';
  assert.deepEqual(read('a.conf', text).entries, [
    { name: 'workers', value: '2' },
    { name: 'prefix', value: '/a b' },
    { name: 'trusted_ips', value: '' },
    { name: 'log_level', value: 'a#b' },
  ]);
});

test('a file without a telling extension is known by its content', () => {
  assert.deepEqual(read('settings', 'workers = 2\n').entries, [{ name: 'workers', value: '2' }]);
  assert.deepEqual(read('settings', 'workers: 2\n').entries, [{ name: 'workers', value: '2' }]);
});

test('lines that are no settings, and settings given twice, are problems with their line', () => {
  const { problems } = read('a.conf', 'workers = 2\nnonsense\nworkers = 3\n');
  assert.deepEqual(
    problems.map(({ name, message }) => [name, message]),
    [
      ['configuration file', 'expected "name = value" in line 2'],
      ['workers', 'expected it once; line 3 has it again'],
    ],
  );
});

test('broken YAML is told with its line, and never with its text', () => {
  for (const text of [
    'workers: 2\nssl_cert_key: [secret-value\n',
    'a: 1\na: "secret-value"\n',
    'a: "secret-value\n',
    '\tsecret-value: &x [1',
    'k: secret-value: secret-value',
  ]) {
    const { problems, entries } = read('a.yaml', text);
    assert.ok(problems.length > 0, text);
    assert.deepEqual(entries, []);
    assert.match(problems[0]?.message ?? '', /line \d/);
    assert.ok(!JSON.stringify(problems).includes('secret-value'), JSON.stringify(problems));
  }
});

test('YAML that is no mapping, or has mappings inside, is a problem', () => {
  assert.match(read('a.yaml', '- a\n- b\n').problems[0]?.message ?? '', /a line "name: value" for each setting/);
  const nested = read('a.yaml', 'workers:\n  count: 2\nprefix: [[a]]\nlog_level: info\n');
  assert.deepEqual(
    nested.problems.map(({ name }) => name),
    ['workers', 'prefix'],
  );
  assert.deepEqual(nested.entries, [{ name: 'log_level', value: 'info' }]);
});

test('aliases that multiply are refused', () => {
  const lines = ['a0: &a0 [x, x, x, x, x, x, x, x, x, x]'];
  for (let level = 1; level < 8; level += 1) {
    const before = `*a${level - 1}`;
    lines.push(`a${level}: &a${level} [${Array.from({ length: 10 }, () => before).join(', ')}]`);
  }
  assert.match(read('a.yaml', lines.join('\n')).problems[0]?.message ?? '', /few aliases/);
});

test('an empty file has no settings', () => {
  assert.deepEqual(read('a.yaml', '# nothing\n'), { entries: [], problems: [] });
  assert.deepEqual(read('a.conf', '# nothing\n'), { entries: [], problems: [] });
});

test('a file that is missing, a directory or too large is a problem', () => {
  assert.match(readConfigFile(path.join(folder, 'absent.yaml')).problems[0]?.message ?? '', /there is none/);
  assert.match(readConfigFile(folder).problems[0]?.message ?? '', /a directory/);
  assert.match(read('a.yaml', ' '.repeat(1024 * 1024 + 1)).problems[0]?.message ?? '', /at most 1 MiB/);
});

function read(name: string, text: string) {
  const file = path.join(folder, name);
  writeFileSync(file, text);
  return readConfigFile(file);
}
