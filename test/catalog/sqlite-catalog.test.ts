import assert from 'node:assert/strict';
import { DatabaseSync } from 'node:sqlite';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { openSqliteCatalog, type Catalog } from '../../src/catalog/sqlite-catalog.ts';
import { selectionOrder } from '../../src/model/host-name.ts';
import type { Store, StoreTransaction } from '../../src/store/contract.ts';
import { fakeApi, fakeCertificate, fakePlugin, fakePluginCertificate, fakeSni } from '../contracts/entities.ts';
import { temporaryStore } from '../store/temporary-store.ts';

const apiIds = ['a', 'b'];
const hosts = ['one.test', 'two.test', '*.two.test', 'x.two.test'];
const paths = ['/', '/p', '/p/q'];

/** Each is one transaction; those that clash with what is there leave no trace. */
type Step = (tx: StoreTransaction) => Promise<void>;

const steps: fc.Arbitrary<Step> = fc.oneof(
  fc
    .record({
      id: fc.constantFrom(...apiIds),
      hosts: fc.subarray(hosts),
      uris: fc.subarray(['/p', '/']),
      https: fc.boolean(),
    })
    .map(({ id, https, ...fields }): Step => async (tx) => {
      const api = fakeApi(id, { ...fields, httpsOnly: https });
      await ((await tx.apis.get(id)) === undefined ? tx.apis.insert(api) : tx.apis.replace(api));
    }),
  fc.constantFrom(...apiIds).map(
    (id): Step =>
      (tx) =>
        tx.apis.delete(id),
  ),
  fc
    .record({ apiId: fc.constantFrom(...apiIds, null), enabled: fc.boolean(), onlyHttps: fc.boolean() })
    .map(({ apiId, enabled, onlyHttps }): Step => async (tx) => {
      const id = `plugin-of-${apiId}`;
      const config = { onlyHttps, acceptHttpIfAlreadyTerminated: !onlyHttps };
      const plugin = fakePlugin(id, apiId, { enabled, config });
      if ((await tx.plugins.get(id)) !== undefined) return tx.plugins.replace(plugin);
      await tx.certificates.insert(fakePluginCertificate(id));
      await tx.plugins.insert(plugin);
    }),
  fc.constantFrom(...apiIds, null).map(
    (apiId): Step =>
      (tx) =>
        tx.plugins.delete(`plugin-of-${apiId}`),
  ),
  fc.constantFrom(...hosts, '*').map((name): Step => async (tx) => {
    if ((await tx.certificates.get(name)) === undefined) await tx.certificates.insert(fakeCertificate(name));
    else await tx.certificates.replace(fakeCertificate(name, { updatedAt: Date.now() }));
    if ((await tx.snis.get(name)) === undefined) await tx.snis.insert(fakeSni(name, name, name));
  }),
  fc.constantFrom(...hosts, '*').map(
    (name): Step =>
      (tx) =>
        tx.certificates.delete(name),
  ),
);

test('a catalog that follows changes answers as one opened anew', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(steps, { minLength: 1, maxLength: 15 }), async (script) => {
      await using temporary = await temporaryStore();
      const { store, path } = temporary;
      using live = openSqliteCatalog(path);
      for (const step of script) {
        await store.transact('test', step).catch(() => undefined);
        await catchUp(live, store);
        using anew = openSqliteCatalog(path);
        assert.deepEqual(answers(live), answers(anew));
        assert.equal(live.revision, anew.revision);
      }
    }),
    { numRuns: 40 },
  );
});

describe('a catalog', () => {
  test('finds the certificate of the best name, in one look, with the revision that wrote it', async () => {
    await using temporary = await temporaryStore();
    const { store, path } = temporary;
    await store.transact('test', async (tx) => {
      for (const id of ['exact', 'wide', 'all']) await tx.certificates.insert(fakeCertificate(id));
      await tx.snis.insert(fakeSni('1', 'a.b.test', 'exact'));
      await tx.snis.insert(fakeSni('2', '*.b.test', 'wide'));
      await tx.snis.insert(fakeSni('3', '*', 'all'));
    });
    await store.transact('test', (tx) => tx.certificates.replace(fakeCertificate('wide', { updatedAt: 1 })));
    using catalog = openSqliteCatalog(path);
    const found = (name: string) => {
      const record = catalog.findCertificate(selectionOrder(name));
      return record === undefined ? undefined : [record.id, record.revision];
    };
    assert.deepEqual(found('a.b.test'), ['exact', 1]);
    assert.deepEqual(found('c.b.test'), ['wide', 2]);
    assert.deepEqual(found('elsewhere.test'), ['all', 1]);
    assert.equal(catalog.findCertificate(['']), undefined);
  });

  test('gives both pairs of a certificate, and the default when there is one', async () => {
    await using temporary = await temporaryStore();
    const { store, path } = temporary;
    using empty = openSqliteCatalog(path);
    assert.equal(empty.storedDefault(), undefined);
    await store.transact('test', async (tx) => {
      const { primary } = fakeCertificate('second');
      await tx.certificates.insert(fakeCertificate('d', { owner: { kind: 'default' }, alternative: primary }));
    });
    using catalog = openSqliteCatalog(path);
    assert.deepEqual(
      catalog.storedDefault()?.pairs.map((pair) => pair.fingerprint),
      ['fingerprint of d', 'fingerprint of second'],
    );
  });

  test("lets the API's own ssl plugin govern before the global one, and the global one where it has none", async () => {
    await using temporary = await temporaryStore();
    const { store, path } = temporary;
    using catalog = openSqliteCatalog(path);
    const demandsHttps = () => catalog.matchRoute('GET', 'own.test', '/')?.route.httpsOnly;
    await store.transact('test', (tx) => tx.apis.insert(fakeApi('own', { hosts: ['own.test'] })));
    await catchUp(catalog, store);
    assert.equal(demandsHttps(), false);

    const only = { onlyHttps: true, acceptHttpIfAlreadyTerminated: false };
    await store.transact('test', async (tx) => {
      await tx.certificates.insert(fakePluginCertificate('global'));
      await tx.plugins.insert(fakePlugin('global', null, { config: only }));
    });
    await catchUp(catalog, store);
    assert.equal(demandsHttps(), true);

    await store.transact('test', async (tx) => {
      await tx.certificates.insert(fakePluginCertificate('mine'));
      await tx.plugins.insert(fakePlugin('mine', 'own'));
    });
    await catchUp(catalog, store);
    assert.equal(demandsHttps(), false);

    await store.transact('test', (tx) => tx.plugins.replace(fakePlugin('mine', 'own', { enabled: false })));
    await catchUp(catalog, store);
    assert.equal(demandsHttps(), true);
  });

  test('takes changes of APIs and of the global ssl plugin at once, and leaves the routes that were handed out alone', async () => {
    await using temporary = await temporaryStore();
    const { store, path } = temporary;
    await store.transact('test', async (tx) => {
      for (const id of ['kept', 'gone', 'terminated']) {
        const own = { httpsOnly: id === 'terminated', httpIfTerminated: true };
        await tx.apis.insert(fakeApi(id, { hosts: [`${id}.test`], ...own }));
      }
    });
    using catalog = openSqliteCatalog(path);
    const route = (id: string) => catalog.matchRoute('GET', `${id}.test`, '/')?.route;
    const before = route('kept');
    const { revision } = await store.transact('test', (tx) => tx.apis.delete('gone'));
    await store.transact('test', async (tx) => {
      await tx.certificates.insert(fakePluginCertificate('global'));
      const config = { onlyHttps: true, acceptHttpIfAlreadyTerminated: true };
      await tx.plugins.insert(fakePlugin('global', null, { config }));
      await tx.apis.insert(fakeApi('new', { hosts: ['new.test'] }));
    });
    const policy = (id: string) => [route(id)?.httpsOnly, route(id)?.httpIfTerminated];
    catalog.apply(await store.revision(), await store.changesSince(revision - 1, 100));
    assert.equal(route('gone'), undefined);
    for (const id of ['kept', 'new', 'terminated']) assert.deepEqual([id, ...policy(id)], [id, true, true]);
    assert.equal(before?.httpsOnly, false);

    const refusing = { onlyHttps: true, acceptHttpIfAlreadyTerminated: false };
    await store.transact('test', (tx) => tx.plugins.replace(fakePlugin('global', null, { config: refusing })));
    await catchUp(catalog, store);
    for (const id of ['kept', 'new', 'terminated']) assert.deepEqual([id, ...policy(id)], [id, true, false]);

    const last = await store.transact('test', (tx) => tx.plugins.delete('global'));
    await catchUp(catalog, store);
    assert.ok(last.revision > revision);
    assert.deepEqual(
      [policy('kept'), policy('new'), policy('terminated')],
      [
        [false, true],
        [false, true],
        [true, true],
      ],
    );
  });

  for (const { where, to, demanding } of [
    { where: 'another API', to: 'two', demanding: ['two.test'] },
    { where: 'every API', to: null, demanding: ['one.test', 'two.test'] },
  ]) {
    test(`takes along what a plugin demands when it moves to ${where}, and leaves nothing behind`, async () => {
      await using temporary = await temporaryStore();
      const { store, path } = temporary;
      const config = { onlyHttps: true, acceptHttpIfAlreadyTerminated: false };
      await store.transact('test', async (tx) => {
        for (const id of ['one', 'two']) await tx.apis.insert(fakeApi(id));
        await tx.certificates.insert(fakePluginCertificate('p'));
        await tx.plugins.insert(fakePlugin('p', 'one', { config }));
      });
      using catalog = openSqliteCatalog(path);
      const demandHttps = () =>
        ['one.test', 'two.test'].filter((host) => catalog.matchRoute('GET', host, '/')?.route.httpsOnly === true);
      assert.deepEqual(demandHttps(), ['one.test']);

      await store.transact('test', (tx) => tx.plugins.replace(fakePlugin('p', to, { config })));
      await catchUp(catalog, store);
      assert.deepEqual(demandHttps(), demanding);

      await store.transact('test', (tx) => tx.plugins.replace(fakePlugin('p', to, { config, enabled: false })));
      await catchUp(catalog, store);
      assert.deepEqual(demandHttps(), []);
    });
  }
});

test('a row that cannot be read leaves its own API without a route, and names it', async () => {
  await using temporary = await temporaryStore();
  const { store, path } = temporary;
  await store.transact('test', async (tx) => {
    for (const id of ['whole', 'broken']) await tx.apis.insert(fakeApi(id, { hosts: [`${id}.test`] }));
  });
  const writer = new DatabaseSync(path);
  writer.exec(`UPDATE apis SET doc = '{"id":"broken"}' WHERE id = 'broken'`);
  writer.close();
  using catalog = openSqliteCatalog(path);
  assert.deepEqual(catalog.unusableApis, ['broken']);
  assert.equal(catalog.matchRoute('GET', 'broken.test', '/'), undefined);
  assert.equal(catalog.matchRoute('GET', 'whole.test', '/')?.route.apiId, 'whole');
  await store.transact('test', (tx) => tx.apis.replace(fakeApi('broken', { hosts: ['broken.test'] })));
  await catchUp(catalog, store);
  assert.deepEqual(catalog.unusableApis, []);
  assert.equal(catalog.matchRoute('GET', 'broken.test', '/')?.route.apiId, 'broken');
});

async function catchUp(catalog: Catalog, store: Store): Promise<void> {
  catalog.apply(await store.revision(), await store.changesSince(catalog.revision, 1000));
}

/** All that can be asked, as one value. */
function answers(catalog: Catalog): unknown {
  const names = ['one.test', 'two.test', 'x.two.test', 'y.two.test', 'other.test', undefined];
  return {
    routes: catalog.routes,
    certificates: names.map((name) => catalog.findCertificate(selectionOrder(name))),
    matches: ['one.test', 'two.test', 'x.two.test', 'y.two.test', 'other.test'].flatMap((host) =>
      paths.map((path) => catalog.matchRoute('GET', host, path)),
    ),
  };
}
