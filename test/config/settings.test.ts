// docs/configuration.md has each setting of the table, as the table has it, and no other. To write it anew after a change
// of the table: WRITE_DOCS=1 and this file.
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { test } from 'node:test';
import { closestName } from '../../src/config/closest-name.ts';
import { formatDuration, formatSize } from '../../src/config/quantities.ts';
import { retiredSettings, settings } from '../../src/config/settings.ts';
import type { Setting } from '../../src/config/settings.ts';
import { metrics } from '../../src/observe/metric-table.ts';

const page = new URL('../../docs/configuration.md', import.meta.url);
const start = '<!-- settings: from src/config/settings.ts -->\n';
const end = '<!-- /settings -->';

test('the page has the settings of the table', () => {
  const text = readFileSync(page, 'utf8');
  const [before = '', rest = ''] = text.split(start);
  const [between = '', after = ''] = rest.split(end);
  const rendered = renderSettings();
  if (process.env['WRITE_DOCS'] === '1') writeFileSync(page, `${before}${start}${rendered}${end}${after}`);
  else assert.equal(between, rendered);
});

test('the page speaks of no setting, and no metric, that its table does not have', () => {
  const text = readFileSync(page, 'utf8');
  const known = [...Object.keys(settings), ...Object.keys(retiredSettings), ...Object.keys(metrics)];
  const lookAlikes = [...text.matchAll(/`([a-z]+(?:_[a-z0-9]+)+)/g)].map((match) => match[1] ?? '');
  // Metrics have names of their own, which another test holds; some are fields of an API.
  const others = /^(proxy_protocol|nginx_|portunus_.*|upstream_url|preserve_host|strip_uri)$/;
  const unknown = lookAlikes.filter((name) => !known.includes(name) && !others.test(name));
  assert.deepEqual(
    unknown.map((name) => [name, closestName(name, known)]),
    [],
  );
});

test('names are words with underscores, descriptions are sentences', () => {
  for (const [name, { description }] of Object.entries(settings)) {
    assert.match(name, /^[a-z][a-z0-9]*(_[a-z0-9]+)*$/);
    assert.match(description, /^[A-Z].*[^.]\.$/, name);
  }
});

test('a retired setting is none of today, and each advice names one of today or none', () => {
  for (const [name, advice] of Object.entries(retiredSettings)) {
    assert.ok(!Object.hasOwn(settings, name), name);
    const named = [...advice.matchAll(/[a-z]+(?:_[a-z]+)+/g)].map(([word]) => word);
    for (const word of named) assert.ok(Object.hasOwn(settings, word), `${name}: ${word}`);
  }
});

function renderSettings(): string {
  const rows = Object.entries(settings).map(([name, setting]: [string, Setting]) => {
    const byDefault = setting.default === '' ? '' : `\`${setting.default}\``;
    return `| \`${name}\` | ${kindOf(setting)} | ${byDefault} | ${setting.description} |\n`;
  });
  return ['| name | kind | default | |\n', '|---|---|---|---|\n', ...rows].join('');
}

function kindOf(setting: Setting): string {
  if ('choices' in setting) {
    const choices = setting.choices.map((choice) => `\`${choice}\``).join(', ');
    return setting.kind === 'choices' ? `list of ${choices}` : choices;
  }
  if (setting.kind === 'pem-sources') {
    return setting.word === undefined ? 'certificates, keys' : `\`${setting.word}\`, or certificates`;
  }
  if (!('min' in setting)) return words[setting.kind] ?? setting.kind;
  const format = { size: formatSize, duration: formatDuration, integer: String, workers: String }[setting.kind];
  const range = setting.max === Number.MAX_SAFE_INTEGER ? '' : `, ${format(setting.min)} to ${format(setting.max)}`;
  return `${words[setting.kind] ?? setting.kind}${range}`;
}

const words: Partial<Record<Setting['kind'], string>> = {
  integer: 'number',
  workers: '`auto`, or number',
  output: '`stdout`, `off`, or path',
  'header-name': 'name of a header',
  'host-names': 'host names',
  'ip-ranges': 'addresses',
};
