import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fc } from '../support/fast-check.ts';
import type { CertificateRecord } from '../../src/catalog/contract.ts';
import { createSelector, selectCertificate } from '../../src/tls/select.ts';
import { fakeCatalog } from '../support/tls-acceptor.ts';

const certificate = (id: string, revision = 1): CertificateRecord => ({ id, revision, pairs: [] });

test('the exact name goes before wildcards, and those before the default', () => {
  const catalog = fakeCatalog();
  catalog.standard = certificate('stored');
  const configured = certificate('configured');
  const select = (name: string | undefined) => selectCertificate(catalog, configured, name);
  assert.deepEqual(select('shop.example.com'), { kind: 'default', record: configured });
  for (const name of ['', '*', 'shop.example.*', '*.example.com', 'shop.example.com']) {
    catalog.bind(name, certificate(name));
    assert.deepEqual(select('shop.example.com'), { kind: 'bound', record: certificate(name) });
  }
});

test('a wildcard covers exactly one label', () => {
  const catalog = fakeCatalog();
  catalog.bind('*.example.com', certificate('wild'));
  for (const name of ['a.b.example.com', 'example.com', 'example.com.evil.test']) {
    assert.deepEqual(selectCertificate(catalog, undefined, name), { kind: 'none' });
  }
});

test('no name gets what stands for every client, else the default', () => {
  const catalog = fakeCatalog();
  catalog.bind('*', certificate('star'));
  assert.deepEqual(selectCertificate(catalog, undefined, undefined), { kind: 'none' });
  catalog.standard = certificate('stored');
  assert.deepEqual(selectCertificate(catalog, undefined, undefined), { kind: 'default', record: catalog.standard });
  catalog.bind('', certificate('global'));
  assert.deepEqual(selectCertificate(catalog, undefined, undefined), { kind: 'bound', record: certificate('global') });
});

const label = fc.constantFrom('a', 'b', 'c');
const serverName = fc.array(label, { minLength: 1, maxLength: 4 }).map((labels) => labels.join('.'));
const bindingName = fc.oneof(
  serverName,
  serverName.map((name) => `*.${name}`),
  serverName.map((name) => `${name}.*`),
  fc.constantFrom('*', ''),
);

test('selecting is what going through all bindings by hand gives', () => {
  fc.assert(
    fc.property(
      fc.uniqueArray(bindingName, { maxLength: 12 }),
      fc.option(serverName, { nil: undefined }),
      (names, asked) => {
        const catalog = fakeCatalog();
        for (const name of names) catalog.bind(name, certificate(name));
        const selection = selectCertificate(catalog, undefined, asked);
        const best = names.filter((name) => covers(name, asked)).sort((a, b) => rank(a) - rank(b))[0];
        assert.equal('record' in selection ? selection.record.id : undefined, best);
      },
    ),
  );
});

const nothingMore = { find: () => undefined };

test('a selection is looked up once, until the epoch moves on', () => {
  const catalog = fakeCatalog();
  catalog.bind('a.test', certificate('one'));
  const selector = createSelector(catalog, undefined, 10, nothingMore);
  for (let count = 0; count < 3; count += 1) {
    assert.deepEqual(selector.find('a.test'), {
      serverName: 'a.test',
      certificate: { id: 'one', revision: 1 },
      policy: undefined,
    });
  }
  assert.deepEqual(catalog.lookups, ['a.test']);
  catalog.bind('a.test', certificate('one', 2));
  assert.deepEqual(selector.find('A.test.'), {
    serverName: 'a.test',
    certificate: { id: 'one', revision: 2 },
    policy: undefined,
  });
  catalog.bind('a.test', undefined);
  assert.deepEqual(selector.find('a.test'), { serverName: 'a.test', certificate: undefined, policy: undefined });
});

test('what is no host name counts as no name', () => {
  const catalog = fakeCatalog();
  catalog.standard = certificate('stored');
  catalog.bind('*', certificate('star'));
  const selector = createSelector(catalog, undefined, 10, nothingMore);
  for (const sent of [undefined, '', '192.0.2.1', '::1', 'a b', 'a..b', 'a\0.test', 'x'.repeat(10_000), '*.test']) {
    assert.deepEqual(
      selector.find(sent),
      { serverName: undefined, certificate: { id: 'stored', revision: 1 }, policy: undefined },
      sent,
    );
  }
});

test('names asked for in passing do not grow the memory', () => {
  const catalog = fakeCatalog();
  catalog.standard = certificate('stored');
  const selector = createSelector(catalog, undefined, 2, nothingMore);
  for (const name of ['a', 'b', 'c', 'b', 'a']) selector.find(name);
  assert.deepEqual(catalog.lookups, ['a', 'b', 'c', 'a']);
});

function covers(binding: string, asked: string | undefined): boolean {
  if (binding === '') return true;
  if (asked === undefined) return false;
  if (binding === '*' || binding === asked) return true;
  const labels = asked.split('.');
  if (labels.length < 2) return false;
  // A wildcard that leaves a single label is never looked up in front.
  if (binding.startsWith('*.')) return labels.length > 2 && binding.slice(2) === labels.slice(1).join('.');
  return binding.endsWith('.*') && binding.slice(0, -2) === labels.slice(0, -1).join('.');
}

function rank(binding: string): number {
  if (binding === '') return 4;
  if (binding === '*') return 3;
  if (binding.endsWith('.*')) return 2;
  return binding.startsWith('*.') ? 1 : 0;
}
