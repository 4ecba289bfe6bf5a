import assert from 'node:assert/strict';
import { DatabaseSync } from 'node:sqlite';
import { describe, test } from 'node:test';
import { fc } from '../support/fast-check.ts';
import { openSqliteCatalog, type Catalog } from '../../src/catalog/sqlite-catalog.ts';
import { policyOrder, selectionOrder } from '../../src/model/host-name.ts';
import type { ClientCertificateRule } from '../../src/model/entities.ts';
import type { Store, StoreTransaction } from '../../src/store/contract.ts';
import {
  fakeApi,
  fakeCaCertificate,
  fakeCertificate,
  fakeHostPolicy,
  fakePlugin,
  fakePluginCertificate,
  fakeSni,
} from '../contracts/entities.ts';
import { temporaryStore } from '../store/temporary-store.ts';

const apiIds = ['a', 'b'];
const hosts = ['one.test', 'two.test', '*.two.test', 'x.two.test'];
const paths = ['/', '/p', '/p/q'];

/** Each is one transaction; those that clash with what is there leave no trace. */
type Step = (tx: StoreTransaction) => Promise<void>;

const rules: fc.Arbitrary<ClientCertificateRule | null> = fc.constantFrom(
  null,
  { mode: 'required', authorities: ['ca1'], depth: 1 },
  { mode: 'optional', authorities: ['ca1', 'ca2'], depth: 0 },
);

const steps: fc.Arbitrary<Step> = fc.oneof(
  fc
    .record({
      id: fc.constantFrom(...apiIds),
      hosts: fc.subarray(hosts),
      uris: fc.subarray(['/p', '/']),
      https: fc.boolean(),
      clientCertificate: rules,
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
  fc
    .record({ name: fc.constantFrom(...hosts, '*'), clientCertificate: rules })
    .map(({ name, ...fields }): Step => async (tx) => {
      const policy = fakeHostPolicy(`policy of ${name}`, name, fields);
      await ((await tx.hostPolicies.get(policy.id)) === undefined
        ? tx.hostPolicies.insert(policy)
        : tx.hostPolicies.replace(policy));
    }),
  fc.constantFrom(...hosts, '*').map(
    (name): Step =>
      (tx) =>
        tx.hostPolicies.delete(`policy of ${name}`),
  ),
  fc
    .record({ id: fc.constantFrom('ca1', 'ca2'), crl: fc.constantFrom(null, 'crl') })
    .map(({ id, crl }): Step => async (tx) => {
      const known = await tx.caCertificates.get(id);
      if (known === undefined) await tx.caCertificates.insert(fakeCaCertificate(id, { crl }));
      else if (known.crl === crl) await tx.caCertificates.delete(id);
      else await tx.caCertificates.replace(fakeCaCertificate(id, { crl }));
    }),
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
      await store.transact('test', (tx) => tx.caCertificates.insert(fakeCaCertificate('ca1')));
      for (const step of script) {
        const before = { epoch: live.policyEpoch, policies: JSON.stringify(policyAnswers(live)) };
        await store.transact('test', step).catch(() => undefined);
        await catchUp(live, store);
        if (JSON.stringify(policyAnswers(live)) !== before.policies) assert.ok(live.policyEpoch > before.epoch);
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

describe('policies', () => {
  const rule = { mode: 'required', authorities: ['ca'], depth: 2 } as const;

  test('the most specific policy of a host holds alone, and that of every host also where none is named', async () => {
    await using temporary = await temporaryStore();
    const { store, path } = temporary;
    using catalog = openSqliteCatalog(path);
    assert.equal(catalog.hasPolicies, false);
    await store.transact('test', async (tx) => {
      await tx.caCertificates.insert(fakeCaCertificate('ca'));
      await tx.hostPolicies.insert(fakeHostPolicy('1', '*', { clientCertificate: rule }));
      await tx.hostPolicies.insert(fakeHostPolicy('2', '*.b.test', { minVersion: 'TLSv1.3' }));
      await tx.hostPolicies.insert(fakeHostPolicy('3', 'a.b.test', { ciphers: 'TLS_AES_128_GCM_SHA256:AES' }));
    });
    await catchUp(catalog, store);
    const found = (name: string | undefined) => catalog.findHostPolicy(policyOrder(name));
    const nothing = { clientCertificate: undefined, minVersion: undefined, ciphers: undefined };
    assert.deepEqual(found('a.b.test'), { ...nothing, name: 'a.b.test', ciphers: 'TLS_AES_128_GCM_SHA256:AES' });
    assert.deepEqual(found('c.b.test'), { ...nothing, name: '*.b.test', minVersion: 'TLSv1.3' });
    for (const name of ['b.test', 'x', undefined]) {
      assert.deepEqual(found(name), { ...nothing, name: '*', clientCertificate: rule });
    }
    assert.equal(catalog.hasPolicies, true);
    await store.transact('test', async (tx) => {
      for (const id of ['1', '2', '3']) await tx.hostPolicies.delete(id);
    });
    await catchUp(catalog, store);
    assert.deepEqual([found('a.b.test'), catalog.hasPolicies], [undefined, false]);
  });

  test('an authority comes with the revision that wrote it, another list of what it revoked is another one', async () => {
    await using temporary = await temporaryStore();
    const { store, path } = temporary;
    using catalog = openSqliteCatalog(path);
    await store.transact('test', (tx) => tx.caCertificates.insert(fakeCaCertificate('ca')));
    await catchUp(catalog, store);
    const { certificate, fingerprint } = fakeCaCertificate('ca');
    const facts = { id: 'ca', version: '0.1', certificate, fingerprint, hasRevocationList: false };
    assert.deepEqual(catalog.findAuthority('ca'), facts);
    assert.equal(catalog.findRevocationList('ca'), undefined);
    const before = catalog.policyEpoch;
    await store.transact('test', (tx) => tx.caCertificates.replace(fakeCaCertificate('ca', { crl: 'crl' })));
    await catchUp(catalog, store);
    assert.deepEqual(catalog.findAuthority('ca'), { ...facts, version: '0.2', hasRevocationList: true });
    assert.equal(catalog.findRevocationList('ca'), 'crl');
    assert.ok(catalog.policyEpoch > before);
    assert.equal(catalog.findAuthority('none'), undefined);
  });

  test('an authority that cannot be read is none, and is named', async () => {
    await using temporary = await temporaryStore();
    const { store, path } = temporary;
    await store.transact('test', (tx) => tx.caCertificates.insert(fakeCaCertificate('ca')));
    const writer = new DatabaseSync(path);
    writer.exec(`UPDATE ca_certificates SET doc = json_remove(doc, '$.id')`);
    writer.close();
    using catalog = openSqliteCatalog(path);
    assert.equal(catalog.findAuthority('ca'), undefined);
    assert.deepEqual(catalog.unusablePolicies, { hosts: [], authorities: ['ca'] });
  });

  test('a policy that cannot be read lets nobody in', async () => {
    await using temporary = await temporaryStore();
    const { store, path } = temporary;
    await store.transact('test', (tx) => tx.hostPolicies.insert(fakeHostPolicy('h', 'a.test')));
    const writer = new DatabaseSync(path);
    writer.exec(`UPDATE host_policies SET doc = '{"id'`);
    writer.close();
    using catalog = openSqliteCatalog(path);
    const policy = catalog.findHostPolicy(policyOrder('a.test'));
    assert.deepEqual(policy?.clientCertificate, { mode: 'required', authorities: [], depth: 0 });
    assert.deepEqual(catalog.unusablePolicies, { hosts: ['a.test'], authorities: [] });
    await store.transact('test', (tx) => tx.hostPolicies.replace(fakeHostPolicy('h', 'a.test')));
    await catchUp(catalog, store);
    assert.equal(catalog.findHostPolicy(policyOrder('a.test'))?.clientCertificate, undefined);
    assert.deepEqual(catalog.unusablePolicies.hosts, []);
  });

  test("an API's rule and Strict-Transport-Security are its route's; those without change nothing of policies", async () => {
    await using temporary = await temporaryStore();
    const { store, path } = temporary;
    using catalog = openSqliteCatalog(path);
    await store.transact('test', async (tx) => {
      await tx.caCertificates.insert(fakeCaCertificate('ca'));
      await tx.apis.insert(
        fakeApi('ruled', {
          clientCertificate: rule,
          hsts: { maxAge: 86_400, includeSubdomains: true, preload: true },
        }),
      );
    });
    await catchUp(catalog, store);
    const route = catalog.matchRoute('GET', 'ruled.test', '/')?.route;
    assert.deepEqual(route?.clientCertificate, rule);
    assert.equal(route.hsts, 'max-age=86400; includeSubDomains; preload');
    assert.deepEqual(catalog.clientCertificateRules('ruled.test'), [rule]);
    const before = catalog.policyEpoch;
    const hsts = { maxAge: 0, includeSubdomains: false, preload: false };
    await store.transact('test', (tx) => tx.apis.insert(fakeApi('plain', { hsts })));
    await catchUp(catalog, store);
    const plain = catalog.matchRoute('GET', 'plain.test', '/')?.route;
    assert.deepEqual([plain?.clientCertificate, plain?.hsts], [undefined, 'max-age=0']);
    assert.deepEqual(catalog.clientCertificateRules('plain.test'), []);
    assert.equal(catalog.policyEpoch, before);
    await store.transact('test', (tx) => tx.apis.delete('ruled'));
    await catchUp(catalog, store);
    assert.equal(catalog.hasPolicies, false);
  });

  test('an API of an earlier version has no rule and no Strict-Transport-Security', async () => {
    await using temporary = await temporaryStore();
    const { store, path } = temporary;
    await store.transact('test', (tx) => tx.apis.insert(fakeApi('old')));
    const writer = new DatabaseSync(path);
    writer.exec(`UPDATE apis SET doc = json_remove(doc, '$.clientCertificate', '$.hsts')`);
    writer.close();
    using catalog = openSqliteCatalog(path);
    const route = catalog.matchRoute('GET', 'old.test', '/')?.route;
    assert.deepEqual([route?.clientCertificate, route?.hsts, catalog.hasPolicies], [undefined, undefined, false]);
    assert.deepEqual(await store.apis.get('old'), fakeApi('old'));
  });
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
    policies: policyAnswers(catalog),
    matches: ['one.test', 'two.test', 'x.two.test', 'y.two.test', 'other.test'].flatMap((host) =>
      paths.map((path) => catalog.matchRoute('GET', host, path)),
    ),
  };
}

function policyAnswers(catalog: Catalog): unknown {
  const names = ['one.test', 'two.test', 'x.two.test', 'y.two.test', 'other.test', undefined];
  return {
    any: catalog.hasPolicies,
    hosts: names.map((name) => catalog.findHostPolicy(policyOrder(name))),
    authorities: ['ca1', 'ca2', 'none'].map((id) => [
      catalog.findAuthority(id),
      catalog.findAuthoritiesBySubject(`cn=${id}`),
      catalog.findRevocationList(id),
    ]),
    rules: names.map((name) =>
      catalog
        .clientCertificateRules(name ?? '')
        .map((rule) => JSON.stringify(rule))
        .toSorted(),
    ),
  };
}
