// What every store must do, run against each of them: test/store/sqlite.test.ts. What only one of them does is there.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { isPortunusError, type ErrorCode } from '../../src/lib/errors.ts';
import type { ClientCertificateRule } from '../../src/model/entities.ts';
import {
  type AuditFilter,
  type CertificateFilter,
  type Intermediate,
  type Store,
  type StoreTransaction,
  unanchoredMax,
  unanchoredOfOneSubjectMax,
} from '../../src/store/contract.ts';
import type { Sealer } from '../../src/store/sealer.ts';
import {
  certificateIdOf,
  fakeApi,
  fakeCaCertificate,
  fakeCertificate,
  fakeHostPolicy,
  fakeKeyPair,
  fakePlugin,
  fakePluginCertificate,
  fakeSni,
  fakeToken,
} from './entities.ts';
import { manyCertificatesContract } from './many-certificates.ts';
import { sealerOf, sealingKeysContract } from './sealing-keys.ts';
import { storeModelContract } from './store-model.ts';

export interface StoreUnderTest extends AsyncDisposable {
  readonly store: Store;
  /** Closes the store and opens it again over the same data. */
  reopen(): Promise<Store>;
}

/** An empty store. */
export type OpenStore = (options?: {
  readonly now?: () => number;
  readonly sealer?: Sealer;
}) => Promise<StoreUnderTest>;

export function storeContract(name: string, openStore: OpenStore): void {
  describe(`${name}: transactions`, () => {
    test('an entity comes back as it was given, from this store and from the next one over the same data', async () => {
      await using opened = await openStore();
      const api = fakeApi('a', { hosts: ['a.test', '*.a.test'], uris: ['/x'], methods: ['GET'], name: 'ünï "quoted"' });
      const plugin = fakePlugin('p', 'a', { config: { onlyHttps: true, acceptHttpIfAlreadyTerminated: true } });
      const owned = fakePluginCertificate('p');
      const pair = fakeCertificate('c', {
        alternative: fakeKeyPair('other', { keyType: 'rsa', keyBits: 2048, notAfter: 5 }),
        tags: ['one', "it's"],
      });
      const sni = fakeSni('s', '*.c.test', 'c', { tags: ['t'], updatedAt: 7 });
      await opened.store.transact('test', async (tx) => {
        await tx.apis.insert(api);
        await tx.certificates.insert(owned);
        await tx.plugins.insert(plugin);
        await tx.certificates.insert(pair);
        await tx.snis.insert(sni);
      });
      for (const open of [async () => opened.store, () => opened.reopen()]) {
        const store = await open();
        assert.deepEqual(await store.apis.get('a'), api);
        assert.deepEqual(await store.apis.findByName(api.name), api);
        assert.deepEqual(await store.plugins.get('p'), plugin);
        assert.deepEqual(await store.certificates.get(owned.id), owned);
        assert.deepEqual(await store.certificates.get('c'), pair);
        assert.deepEqual(await store.snis.get('s'), sni);
        assert.deepEqual(await store.snis.findByName('*.c.test'), sni);
        assert.deepEqual(await store.snis.ofCertificate('c'), [sni]);
        assert.equal(await store.revision(), 1);
      }
    });

    test('a token is found by its name and by its prefix until it is deleted, and each of them belongs to one token', async () => {
      await using opened = await openStore();
      const token = fakeToken('t', { role: 'certificates', expiresAt: 1_800_000_000_000 });
      await opened.store.transact('test', async (tx) => {
        await tx.tokens.insert(token);
        await tx.tokens.insert(fakeToken('u'));
      });
      const store = await opened.reopen();
      assert.deepEqual(await store.tokens.get('t'), token);
      assert.deepEqual(await store.tokens.findByName('name-t'), token);
      assert.deepEqual(await store.tokens.findByPrefix('prefix-t'), token);
      assert.deepEqual(
        (await store.tokens.list({ size: 10 })).items.map(({ id }) => id),
        ['t', 'u'],
      );
      for (const other of [
        fakeToken('t'),
        fakeToken('v', { name: 'name-t' }),
        fakeToken('v', { prefix: 'prefix-t' }),
      ]) {
        await assert.rejects(
          store.transact('test', (tx) => tx.tokens.insert(other)),
          hasCode('UNIQUE_VIOLATION'),
        );
      }
      await store.transact('test', (tx) => tx.tokens.delete('t'));
      assert.equal(await store.tokens.findByPrefix('prefix-t'), undefined);
      assert.equal(await store.tokens.count(), 1);
      assert.deepEqual(await changedIn(store, 1), ['create token t', 'create token u']);
      assert.deepEqual(await changedIn(store, 2), ['delete token t']);
      await assert.rejects(
        store.transact('test', (tx) => tx.tokens.delete('t')),
        TypeError,
      );
    });

    test('authorities and host policies come back as they were given, and are found by fingerprint and by name', async () => {
      await using opened = await openStore();
      const rule = { mode: 'optional', authorities: ['a1', 'a2'], depth: 3 } as const;
      const hsts = { maxAge: 31_536_000, includeSubdomains: true, preload: false };
      const a1 = fakeCaCertificate('a1', { crl: '-----BEGIN X509 CRL-----\n…', tags: ['t', "it's"] });
      const a2 = fakeCaCertificate('a2');
      const policy = fakeHostPolicy('h', '*.a.test', {
        clientCertificate: rule,
        minVersion: 'TLSv1.3',
        ciphers: 'ECDHE-ECDSA-AES128-GCM-SHA256',
      });
      const api = fakeApi('x', { clientCertificate: rule, hsts });
      await opened.store.transact('test', async (tx) => {
        await tx.caCertificates.insert(a1);
        await tx.caCertificates.insert(a2);
        await tx.hostPolicies.insert(policy);
        await tx.apis.insert(api);
      });
      const store = await opened.reopen();
      assert.deepEqual(await store.caCertificates.get('a1'), a1);
      assert.deepEqual(await store.caCertificates.findByFingerprint('fingerprint of a2'), a2);
      assert.deepEqual(await store.hostPolicies.get('h'), policy);
      assert.deepEqual(await store.hostPolicies.findByName('*.a.test'), policy);
      assert.deepEqual(await store.apis.get('x'), api);
      assert.deepEqual((await store.caCertificates.list({ size: 1 })).items, [a1]);
      assert.deepEqual((await store.caCertificates.list({ size: 9 }, { tags: { all: ['t'] } })).items, [a1]);
      assert.deepEqual((await store.hostPolicies.list({ size: 9 })).items, [policy]);
      assert.deepEqual([await store.caCertificates.count(), await store.hostPolicies.count()], [2, 1]);
      assert.deepEqual(await changedIn(store, 1), [
        'create ca_certificate a1',
        'create ca_certificate a2',
        'create host_policy h',
        'create api x',
      ]);
      await store.transact('test', async (tx) => {
        await tx.caCertificates.replace({ ...a1, tags: ['u'], crl: null });
        await tx.hostPolicies.replace({ ...policy, name: 'b.test', clientCertificate: null });
      });
      assert.deepEqual((await store.caCertificates.list({ size: 9 }, { tags: { any: ['t', 'u'] } })).items, [
        { ...a1, tags: ['u'], crl: null },
      ]);
      assert.equal(await store.hostPolicies.findByName('*.a.test'), undefined);
      await store.transact('test', async (tx) => {
        await tx.hostPolicies.delete('h');
        await tx.apis.delete('x');
        await tx.caCertificates.delete('a1');
      });
      assert.equal(await store.caCertificates.findByFingerprint('fingerprint of a1'), undefined);
      assert.deepEqual(await changedIn(store, 3), ['delete host_policy h', 'delete api x', 'delete ca_certificate a1']);
    });

    test('an authority cannot be deleted while the rule of an API or of a host names it', async () => {
      await using opened = await openStore();
      const { store } = opened;
      const rule = { mode: 'required', authorities: ['a'], depth: 1 } as const;
      await store.transact('test', async (tx) => {
        await tx.caCertificates.insert(fakeCaCertificate('a'));
        await tx.caCertificates.insert(fakeCaCertificate('b'));
        await tx.apis.insert(fakeApi('api', { clientCertificate: rule }));
        await tx.hostPolicies.insert(fakeHostPolicy('host', 'a.test', { clientCertificate: rule }));
      });
      const refusal = async (id: string): Promise<unknown> => {
        try {
          await store.transact('test', (tx) => tx.caCertificates.delete(id));
          return undefined;
        } catch (error) {
          assert.ok(isPortunusError(error, 'STILL_REFERENCED'), String(error));
          return `${String(error.facts['by'])} ${String(error.facts['holderId'])}`;
        }
      };
      assert.match(String(await refusal('a')), /^(api api|host_policy host)$/);
      await store.transact('test', (tx) => tx.apis.replace(fakeApi('api', { clientCertificate: null })));
      assert.equal(await refusal('a'), 'host_policy host');
      const other = { ...rule, authorities: ['b'] };
      await store.transact('test', (tx) =>
        tx.hostPolicies.replace(fakeHostPolicy('host', 'a.test', { clientCertificate: other })),
      );
      assert.equal(await refusal('b'), 'host_policy host');
      assert.equal(await refusal('a'), undefined);
      await store.transact('test', (tx) => tx.hostPolicies.delete('host'));
      assert.equal(await refusal('b'), undefined);
    });

    test('the audit trail says who made what of what, the latest first, and only of what was committed', async () => {
      await using opened = await openStore({ now: () => 1_700_000_000_000 });
      const { store } = opened;
      await store.transact('token:ci', async (tx) => {
        await tx.insertCertificates([{ certificate: fakeCertificate('c'), snis: [fakeSni('s', 'c.test', 'c')] }]);
        await tx.apis.insert(fakeApi('a'));
      });
      const renewed = fakeCertificate('c', { primary: fakeKeyPair('new'), alternative: fakeKeyPair('other') });
      await store.transact('admin:::1', async (tx) => {
        await tx.certificates.replace(renewed);
        await assert.rejects(tx.apis.insert(fakeApi('a')), hasCode('UNIQUE_VIOLATION'));
      });
      await store.rehearse('dry', (tx) => tx.certificates.delete('c'));
      await assert.rejects(
        store.transact('failed', async (tx) => {
          await tx.apis.delete('a');
          throw new Error('given up');
        }),
      );
      await store.transact('command', async (tx) => {
        await tx.apis.replace(fakeApi('a', { hosts: [] }));
        await tx.certificates.delete('c');
        await tx.tokens.insert(fakeToken('t'));
      });
      const { entries: trail, next } = await store.audit(undefined, 100);
      assert.equal(next, undefined);
      assert.deepEqual(
        trail.map(({ revision, actor, operation, entity, id }) => `${revision} ${actor} ${operation} ${entity} ${id}`),
        [
          '3 command create token t',
          '3 command delete certificate c',
          '3 command delete sni s',
          '3 command update api a',
          '2 admin:::1 update certificate c',
          '1 token:ci create api a',
          '1 token:ci create sni s',
          '1 token:ci create certificate c',
        ],
      );
      const of = (at: number) => [trail[at]?.before, trail[at]?.after];
      assert.deepEqual(of(7), [null, 'fingerprint of c']);
      assert.deepEqual(of(4), ['fingerprint of c', 'fingerprint of new fingerprint of other']);
      assert.deepEqual(of(1), ['fingerprint of new fingerprint of other', null]);
      assert.equal(trail[3]?.before, trail[5]?.after);
      assert.notEqual(trail[3]?.before, trail[3]?.after);
      assert.match(trail[0]?.after ?? '', /^[0-9a-f]{64}$/);
      assert.ok(trail.every(({ at }) => at === 1_700_000_000_000));
      const first = await store.audit(undefined, 2);
      assert.deepEqual(first, { entries: trail.slice(0, 2), next: trail[1]?.sequence });
      assert.deepEqual(await store.audit(first.next, 100), { entries: trail.slice(2), next: undefined });
      const found = async (filter: AuditFilter): Promise<readonly number[]> =>
        (await store.audit(undefined, 100, filter)).entries.map((entry) =>
          trail.findIndex((each) => each.sequence === entry.sequence),
        );
      assert.deepEqual(await found({ actor: 'token:ci' }), [5, 6, 7]);
      assert.deepEqual(await found({ entity: 'certificate', id: 'c' }), [1, 4, 7]);
      assert.deepEqual(await found({ revision: 3, entity: 'api' }), [3]);
      assert.deepEqual(await found({ since: 1_700_000_000_000, until: 1_700_000_000_001, id: 'a' }), [3, 5]);
      for (const none of [{ since: 1_700_000_000_001 }, { until: 1_700_000_000_000 }, { id: "' OR 1=1 --" }])
        assert.deepEqual(await found(none), []);
      const paged = await store.audit(undefined, 1, { entity: 'api' });
      assert.deepEqual(paged, { entries: [trail[3]], next: trail[3]?.sequence });
    });

    test('what is not there is undefined', async () => {
      await using opened = await openStore();
      const { store } = opened;
      assert.equal(await store.apis.get('x'), undefined);
      assert.equal(await store.apis.findByName('x'), undefined);
      assert.equal(await store.snis.findByName('x'), undefined);
      assert.equal(await store.tokens.findByName('x'), undefined);
      assert.equal(await store.tokens.findByPrefix('x'), undefined);
      assert.equal(await store.binding('x'), undefined);
      assert.deepEqual(await store.intermediates('x'), []);
      assert.deepEqual(await store.changesSince(0, 10), []);
      assert.equal(await store.revision(), 0);
    });

    test('a transaction sees its own writes, and nobody else does before it is committed', async () => {
      await using opened = await openStore();
      const { store } = opened;
      await store.transact('test', async (tx) => {
        await tx.apis.insert(fakeApi('a'));
        await new Promise(setImmediate);
        assert.ok(await tx.apis.get('a'));
        assert.equal(await tx.apis.count(), 1);
        assert.equal(await tx.revision(), 1);
        assert.equal((await tx.changesSince(0, 10)).length, 1);
        assert.equal(await store.apis.get('a'), undefined);
        assert.equal(await store.revision(), 0);
      });
      assert.ok(await store.apis.get('a'));
    });

    test('a transaction that throws leaves no trace and takes no revision', async () => {
      await using opened = await openStore();
      const { store } = opened;
      await insertCertificates(store, 'c');
      const failure = new Error('changed my mind');
      await assert.rejects(
        store.transact('test', async (tx) => {
          await tx.snis.insert(fakeSni('s', 's.test', 'c', { tags: ['t'] }));
          await tx.rememberIntermediates([{ subjectKey: 'k', pem: 'pem' }]);
          throw failure;
        }),
        failure,
      );
      assert.equal(await store.snis.count(), 0);
      assert.equal(await store.snis.count({ tags: { all: ['t'] } }), 0);
      assert.equal(await store.binding('s.test'), undefined);
      assert.deepEqual(await store.intermediates('k'), []);
      assert.equal((await store.changesSince(1, 10)).length, 0);
      const { revision } = await store.transact('test', async (tx) => tx.snis.insert(fakeSni('s', 's.test', 'c')));
      assert.equal(revision, 2);
    });

    test('a transaction that writes nothing takes no revision and answers the latest', async () => {
      await using opened = await openStore();
      const { store } = opened;
      await insertCertificates(store, 'c');
      assert.deepEqual(await store.transact('test', async (tx) => tx.certificates.count()), { value: 1, revision: 1 });
      assert.equal(await store.revision(), 1);
    });

    test('the certificates that expire first come with a name they are bound to, else their subject', async () => {
      await using opened = await openStore();
      const { store } = opened;
      const expiring = (id: string, notAfter: number) =>
        fakeCertificate(id, { primary: fakeKeyPair(id, { notAfter, subject: `CN=${id}` }) });
      await store.transact('test', async (tx) => {
        await tx.certificates.insert(expiring('late', 3000));
        await tx.certificates.insert(expiring('soon', 1000));
        await tx.certificates.insert(expiring('middle', 2000));
        await tx.snis.insert(fakeSni('s', 'soon.test', 'soon'));
      });
      assert.deepEqual(await store.soonestToExpire(2), [
        { id: 'soon', name: 'soon.test', notAfter: 1000 },
        { id: 'middle', name: 'CN=middle', notAfter: 2000 },
      ]);
    });

    test('the authorities that run out first come by their subjects, as they or their lists do', async () => {
      await using opened = await openStore();
      await opened.store.transact('test', async (tx) => {
        await tx.caCertificates.insert(fakeCaCertificate('a', { notAfter: 3 }));
        await tx.caCertificates.insert(fakeCaCertificate('b', { notAfter: 9, crlNextUpdate: 2 }));
        await tx.caCertificates.insert(fakeCaCertificate('c', { notAfter: 1 }));
        await tx.caCertificates.replace(fakeCaCertificate('c', { notAfter: 4, crlNextUpdate: 5 }));
      });
      assert.deepEqual(await opened.store.authoritiesSoonestToExpire(9), [
        { id: 'b', name: 'CN=b', notAfter: 2 },
        { id: 'a', name: 'CN=a', notAfter: 3 },
        { id: 'c', name: 'CN=c', notAfter: 4 },
      ]);
      assert.equal((await opened.store.authoritiesSoonestToExpire(1)).length, 1);
    });

    test('certificates by expiry come soonest first, page by page, those of their owner only', async () => {
      await using opened = await openStore();
      const { store } = opened;
      const notAfter = [50, 10, 30, 30, -20, 30, 40];
      await store.transact('test', async (tx) => {
        for (const [index, at] of notAfter.entries()) {
          const id = `c${index}`;
          const alternative = index === 0 ? fakeKeyPair('sooner', { notAfter: 20 }) : null;
          await tx.certificates.insert(
            fakeCertificate(id, { primary: fakeKeyPair(id, { notAfter: at }), alternative, tags: ['t'] }),
          );
        }
        await tx.certificates.insert(fakePluginCertificate('p', { primary: fakeKeyPair('p', { notAfter: 30 }) }));
      });
      const ids = async (expires: NonNullable<CertificateFilter['expires']>, size = 100): Promise<string> => {
        const found: string[] = [];
        let after: string | undefined;
        do {
          const page = await store.certificates.list({ size, after }, { expires });
          assert.ok(page.items.length <= size);
          found.push(...page.items.map((certificate) => certificate.id));
          after = page.next;
        } while (after !== undefined);
        return found.join(' ');
      };
      for (const size of [1, 2, 3, 100]) assert.equal(await ids({}, size), 'c4 c1 c0 c2 c3 c5 c6');
      assert.equal(await ids({ before: 30 }), 'c4 c1 c0');
      assert.equal(await ids({ from: 30 }, 2), 'c2 c3 c5 c6');
      assert.equal(await ids({ from: 20, before: 40 }, 1), 'c0 c2 c3 c5');
      assert.equal(await store.certificates.count({ expires: { from: 30 } }), 4);
      assert.equal(await store.certificates.count({ owner: 'any', expires: { from: 30 } }), 5);

      const { next } = await store.certificates.list({ size: 1 }, { expires: {} });
      await assert.rejects(store.certificates.list({ size: 1, after: next }), hasCode('CURSOR_INVALID'));
      const other = (await store.certificates.list({ size: 1 })).next;
      await assert.rejects(
        store.certificates.list({ size: 1, after: other }, { expires: {} }),
        hasCode('CURSOR_INVALID'),
      );
      await assert.rejects(store.certificates.list({ size: 1 }, { expires: {}, tags: { all: ['t'] } }), TypeError);
    });

    test('intermediates are remembered once each, without a revision', async () => {
      await using opened = await openStore();
      const { store } = opened;
      const found = [
        { subjectKey: 'k', pem: 'one' },
        { subjectKey: 'k', pem: 'two' },
        { subjectKey: 'other', pem: 'three' },
      ];
      for (let time = 0; time < 2; time += 1) {
        const { revision } = await store.transact('test', (tx) => tx.rememberIntermediates(found));
        assert.equal(revision, 0);
      }
      assert.deepEqual([...(await store.intermediates('k'))].sort(), ['one', 'two']);
      assert.deepEqual(await (await opened.reopen()).intermediates('other'), ['three']);
    });

    test('of intermediates that anyone can make, some of a subject are remembered; those of a real CA always', async () => {
      await using opened = await openStore();
      const { store } = opened;
      const made = (prefix: string, isAnchored: boolean) =>
        Array.from({ length: 12 }, (_, at) => ({ subjectKey: 'k', pem: `${prefix}${at}`, isAnchored }));
      await store.transact('test', (tx) => tx.rememberIntermediates(made('made', false)));
      assert.equal((await store.intermediates('k')).length, unanchoredOfOneSubjectMax);
      await store.transact('test', (tx) => tx.rememberIntermediates(made('real', true)));
      const known = await store.intermediates('k');
      assert.equal(known.filter((pem) => pem.startsWith('real')).length, 12);
      const many = Array.from({ length: unanchoredMax + 10 }, (_, at) => ({ subjectKey: `s${at}`, pem: 'pem' }));
      await store.transact('test', (tx) => tx.rememberIntermediates(many));
      assert.deepEqual(await store.intermediates(`s${unanchoredMax + 9}`), []);
      await store.transact('test', (tx) =>
        tx.rememberIntermediates([{ subjectKey: 'late', pem: 'real', isAnchored: true }]),
      );
      assert.deepEqual(await store.intermediates('late'), ['real']);
    });

    test('all that are remembered are read a few at a time, each once', async () => {
      await using opened = await openStore();
      const { store } = opened;
      const found = ['b', 'a', 'c'].flatMap((subjectKey) => ['1', '2', '3'].map((pem) => ({ subjectKey, pem })));
      await store.transact('test', (tx) => tx.rememberIntermediates(found));
      const read: Intermediate[] = [];
      for (;;) {
        const page = await store.rememberedIntermediates(read.at(-1), 2);
        assert.ok(page.length <= 2);
        if (page.length === 0) break;
        read.push(...page);
      }
      const sorted = (list: readonly Intermediate[]) =>
        list.map(({ subjectKey, pem }) => `${subjectKey} ${pem}`).sort();
      assert.deepEqual(sorted(read), sorted(found));
    });

    test('a hundred transactions at once take a hundred revisions in the order in which they came', async () => {
      await using opened = await openStore();
      const { store } = opened;
      const nudged: number[] = [];
      store.onCommit((revision) => nudged.push(revision));
      const committed = await Promise.all(
        Array.from({ length: 100 }, (_, index) =>
          store.transact(`actor ${index}`, async (tx) => {
            const before = await tx.apis.count();
            await new Promise(setImmediate);
            await tx.apis.insert(fakeApi(`a${index}`));
            return before;
          }),
        ),
      );
      const order = Array.from({ length: 100 }, (_, index) => index);
      assert.deepEqual(
        committed,
        order.map((index) => ({ value: index, revision: index + 1 })),
      );
      assert.deepEqual(
        nudged,
        order.map((index) => index + 1),
      );
      const changes = await store.changesSince(0, 1000);
      assert.deepEqual(
        changes.map((change) => [change.revision, change.actor]),
        order.map((index) => [index + 1, `actor ${index}`]),
      );
    });

    test('a failed one among many at once disturbs none of the others', async () => {
      await using opened = await openStore();
      const { store } = opened;
      const settled = await Promise.allSettled(
        Array.from({ length: 20 }, (_, index) =>
          store.transact('test', (tx) => tx.apis.insert(fakeApi(`a${index % 10}`))),
        ),
      );
      assert.equal(settled.filter((result) => result.status === 'fulfilled').length, 10);
      assert.equal(await store.revision(), 10);
      assert.equal(await store.apis.count(), 10);
    });

    test('writes of one transaction may be made at once', async () => {
      await using opened = await openStore();
      const { store } = opened;
      await insertCertificates(store, 'c');
      const { value } = await store.transact('test', (tx) =>
        Promise.allSettled(['one', 'two', 'three'].map((id) => tx.snis.insert(fakeSni(id, 'same.test', 'c')))),
      );
      assert.deepEqual(
        value.map((result) => result.status),
        ['fulfilled', 'rejected', 'rejected'],
      );
      assert.equal(await store.snis.count(), 1);
    });

    test('a write that is refused leaves no trace, and the transaction may go on', async () => {
      await using opened = await openStore();
      const { store } = opened;
      await insertCertificates(store, 'c');
      await insertApiWithPlugin(store, 'a', ['a.test']);
      const { revision } = await store.transact('test', async (tx) => {
        await tx.snis.insert(fakeSni('s', 's.test', 'c'));
        await assert.rejects(
          tx.apis.replace(fakeApi('a', { name: 'renamed', hosts: ['new.test', 's.test'] })),
          hasCode('NAME_ALREADY_BOUND'),
        );
        await tx.snis.insert(fakeSni('t', 'new.test', 'c'));
      });
      assert.deepEqual((await store.apis.get('a'))?.hosts, ['a.test']);
      assert.deepEqual((await store.binding('a.test'))?.holder, { kind: 'plugin', id: 'plugin-a' });
      assert.deepEqual(await changedIn(store, revision), ['create sni s', 'create sni t']);
    });

    test('a transaction whose writes were all refused takes no revision, and one that goes on takes the next', async () => {
      await using opened = await openStore();
      const { store } = opened;
      await insertCertificates(store, 'c');
      await insertApiWithPlugin(store, 'a', ['a.test']);
      const refused = (tx: StoreTransaction): Promise<void> =>
        assert.rejects(tx.snis.insert(fakeSni('s', 'a.test', 'c')), hasCode('NAME_ALREADY_BOUND'));
      assert.equal((await store.transact('test', refused)).revision, 2);
      assert.equal(await store.revision(), 2);
      const { revision } = await store.transact('test', async (tx) => {
        await refused(tx);
        await tx.snis.insert(fakeSni('t', 't.test', 'c'));
      });
      assert.equal(revision, 3);
      assert.equal(await store.revision(), 3);
      assert.deepEqual(await changedIn(store, 3), ['create sni t']);
    });

    test('a rehearsal answers and fails as the real thing does, and writes nothing', async () => {
      await using opened = await openStore();
      const { store } = opened;
      const nudged: number[] = [];
      store.onCommit((revision) => nudged.push(revision));
      const insert = async (tx: StoreTransaction): Promise<number> => {
        await tx.apis.insert(fakeApi('a'));
        return tx.apis.count();
      };
      assert.equal(await store.rehearse('test', insert), 1);
      assert.equal(await store.apis.count(), 0);
      assert.equal(await store.revision(), 0);
      assert.deepEqual(nudged, []);
      await store.transact('test', insert);
      await assert.rejects(store.rehearse('test', insert), hasCode('UNIQUE_VIOLATION'));
    });

    test('nothing can be read or written through a transaction that has ended', async () => {
      await using opened = await openStore();
      const { store } = opened;
      const { value: tx } = await store.transact('test', async (tx) => tx);
      await assert.rejects(tx.apis.insert(fakeApi('a')), TypeError);
      await assert.rejects(tx.apis.get('a'), TypeError);
      await assert.rejects(tx.revision(), TypeError);
      assert.equal(await store.revision(), 0);
    });

    test('a transaction inside another is refused instead of waiting for ever', async () => {
      await using opened = await openStore();
      const { store } = opened;
      await assert.rejects(
        store.transact('test', () => store.transact('test', async () => undefined)),
        TypeError,
      );
      let later: Promise<unknown> | undefined;
      const { promise: ended, resolve: end } = Promise.withResolvers<void>();
      await store.transact('test', async (tx) => {
        later = ended.then(() => store.transact('test', (next) => next.apis.insert(fakeApi('b'))));
        await tx.apis.insert(fakeApi('a'));
      });
      end();
      await later;
      assert.equal(await store.apis.count(), 2);
    });

    test('a listener is told of each commit until it stops listening', async () => {
      await using opened = await openStore();
      const { store } = opened;
      const nudged: number[] = [];
      const stop = store.onCommit((revision) => nudged.push(revision));
      await insertCertificates(store, 'c');
      await store.transact('test', async () => undefined);
      stop();
      await insertCertificates(store, 'd');
      assert.deepEqual(nudged, [1]);
    });

    test('a closed store answers that it is not available, and closing twice is closing once', async () => {
      await using opened = await openStore();
      const { store } = opened;
      const last = store.transact('test', (tx) => tx.apis.insert(fakeApi('a')));
      await Promise.all([store[Symbol.asyncDispose](), store[Symbol.asyncDispose]()]);
      assert.equal((await last).revision, 1);
      await assert.rejects(store.apis.get('a'), hasCode('STORE_UNAVAILABLE'));
      await assert.rejects(
        store.transact('test', async () => undefined),
        hasCode('STORE_UNAVAILABLE'),
      );
      assert.ok(await (await opened.reopen()).apis.get('a'));
    });

    test('the ticket secret is 32 bytes, made once', async () => {
      await using opened = await openStore();
      const [one, two] = await Promise.all([opened.store.secret('ticket'), opened.store.secret('ticket')]);
      assert.equal(one.length, 32);
      assert.ok(one.some((byte) => byte !== 0));
      assert.deepEqual(two, one);
      one.fill(0);
      assert.deepEqual(await opened.store.secret('ticket'), two);
      assert.equal(await opened.store.revision(), 0);
      assert.deepEqual(await (await opened.reopen()).secret('ticket'), two);
    });

    test("another store's ticket secret takes the place of this one's, sealed under the key that seals here", async () => {
      const [old, both] = [sealerOf('old'), sealerOf('fresh', 'old')];
      await using from = await openStore({ sealer: old });
      await using opened = await openStore({ sealer: both });
      const { store } = opened;
      assert.equal(await from.store.sealedSecret('ticket'), undefined);
      const secret = await from.store.secret('ticket');
      const sealed = (await from.store.sealedSecret('ticket')) ?? '';
      assert.deepEqual(old.open(sealed, 'meta secret_ticket'), secret);

      assert.equal(await store.adoptSecret('ticket', sealed), false, 'there was none');
      assert.deepEqual(await store.secret('ticket'), secret);
      const kept = await store.sealedSecret('ticket');
      assert.equal(both.keyIdOf(kept ?? ''), 'fresh');
      assert.equal(await store.adoptSecret('ticket', sealed), false, 'it is the same');
      assert.equal(await store.sealedSecret('ticket'), kept);
      assert.deepEqual(await (await opened.reopen()).secret('ticket'), secret);

      await using used = await openStore({ sealer: both });
      await used.store.secret('ticket');
      assert.equal(await used.store.adoptSecret('ticket', sealed), true);
      assert.deepEqual(await used.store.secret('ticket'), secret);
      await using stranger = await openStore({ sealer: sealerOf('other') });
      const own = await stranger.store.secret('ticket');
      await assert.rejects(stranger.store.adoptSecret('ticket', sealed), hasCode('KEYRING_MISMATCH'));
      assert.deepEqual(await stranger.store.secret('ticket'), own);
    });
  });

  describe(`${name}: changes`, () => {
    test('each says what happened to which entity, by whom and when', async () => {
      let clock = 1000;
      await using opened = await openStore({ now: () => clock });
      const { store } = opened;
      await insertCertificates(store, 'c');
      clock = 2000;
      await store.transact('someone', (tx) => tx.certificates.replace(fakeCertificate('c', { tags: ['new'] })));
      clock = 3000;
      await store.transact('another', (tx) => tx.certificates.delete('c'));
      const change = { entity: 'certificate', id: 'c' };
      assert.deepEqual(await store.changesSince(0, 10), [
        { ...change, revision: 1, operation: 'create', actor: 'test', at: 1000 },
        { ...change, revision: 2, operation: 'update', actor: 'someone', at: 2000 },
        { ...change, revision: 3, operation: 'delete', actor: 'another', at: 3000 },
      ]);
      assert.equal((await store.changesSince(1, 10)).length, 2);
      assert.equal((await store.changesSince(3, 10)).length, 0);
    });

    test('a limit never cuts a revision', async () => {
      await using opened = await openStore();
      const { store } = opened;
      await insertCertificates(store, 'a', 'b', 'c');
      await insertCertificates(store, 'd', 'e');
      await insertCertificates(store, 'f');
      const revisions = async (since: number, limit: number): Promise<readonly number[]> =>
        (await store.changesSince(since, limit)).map((change) => change.revision);
      assert.deepEqual(await revisions(0, 1), [1, 1, 1]);
      assert.deepEqual(await revisions(0, 3), [1, 1, 1]);
      assert.deepEqual(await revisions(0, 4), [1, 1, 1, 2, 2]);
      assert.deepEqual(await revisions(1, 2), [2, 2]);
      assert.deepEqual(await revisions(0, 100), [1, 1, 1, 2, 2, 3]);
    });

    test('deleting takes along what hangs on it, each with a row of its own', async () => {
      await using opened = await openStore();
      const { store } = opened;
      await insertApiWithPlugin(store, 'a', ['a.test']);
      await store.transact('test', (tx) => tx.snis.insert(fakeSni('s', 's.test', certificateIdOf('plugin-a'))));
      const { revision } = await store.transact('test', (tx) => tx.apis.delete('a'));
      assert.deepEqual((await changedIn(store, revision)).sort(), [
        'delete api a',
        'delete certificate certificate-of-plugin-a',
        'delete plugin plugin-a',
        'delete sni s',
      ]);
      assert.equal(await store.plugins.count(), 0);
      assert.equal(await store.certificates.count({ owner: 'any' }), 0);
      assert.equal(await store.snis.count(), 0);
      assert.equal(await store.binding('a.test'), undefined);
      assert.equal(await store.binding('s.test'), undefined);
    });
  });

  describe(`${name}: bindings`, () => {
    test('an SNI binds its name to its certificate, and lets go when it is renamed or deleted', async () => {
      await using opened = await openStore();
      const { store } = opened;
      await insertCertificates(store, 'c', 'd');
      const holder = { kind: 'sni', id: 's' };
      await store.transact('test', (tx) => tx.snis.insert(fakeSni('s', '*.s.test', 'c')));
      assert.deepEqual(await store.binding('*.s.test'), { name: '*.s.test', certificateId: 'c', holder });
      await store.transact('test', (tx) => tx.snis.replace(fakeSni('s', '*.s.test', 'd')));
      assert.deepEqual(await store.binding('*.s.test'), { name: '*.s.test', certificateId: 'd', holder });
      await store.transact('test', (tx) => tx.snis.replace(fakeSni('s', 't.test', 'd')));
      assert.equal(await store.binding('*.s.test'), undefined);
      assert.deepEqual(await store.binding('t.test'), { name: 't.test', certificateId: 'd', holder });
      await store.transact('test', (tx) => tx.snis.delete('s'));
      assert.equal(await store.binding('t.test'), undefined);
    });

    test('an ssl plugin binds the hosts of its API that TLS clients can name', async () => {
      await using opened = await openStore();
      const { store } = opened;
      const hosts = ['a.test', '*.a.test', 'a.*', '10.0.0.1', '::1', '[::1]', 'a.test'];
      await insertApiWithPlugin(store, 'a', hosts);
      for (const host of ['a.test', '*.a.test', 'a.*']) {
        assert.deepEqual(await store.binding(host), {
          name: host,
          certificateId: certificateIdOf('plugin-a'),
          holder: { kind: 'plugin', id: 'plugin-a' },
        });
      }
      for (const host of ['10.0.0.1', '::1', '[::1]', '']) assert.equal(await store.binding(host), undefined);
    });

    test('a global ssl plugin binds the empty name', async () => {
      await using opened = await openStore();
      const { store } = opened;
      await store.transact('test', async (tx) => {
        await tx.certificates.insert(fakePluginCertificate('p'));
        await tx.plugins.insert(fakePlugin('p', null));
      });
      assert.deepEqual((await store.binding(''))?.holder, { kind: 'plugin', id: 'p' });
      await store.transact('test', (tx) => tx.plugins.replace(fakePlugin('p', null, { enabled: false })));
      assert.equal(await store.binding(''), undefined);
    });

    test('bindings follow the hosts of the API, and the plugin has a row of changes', async () => {
      await using opened = await openStore();
      const { store } = opened;
      await insertApiWithPlugin(store, 'a', ['old.test', 'both.test']);
      const { revision } = await store.transact('test', (tx) =>
        tx.apis.replace(fakeApi('a', { hosts: ['both.test', 'new.test'] })),
      );
      assert.equal(await store.binding('old.test'), undefined);
      assert.ok(await store.binding('both.test'));
      assert.ok(await store.binding('new.test'));
      assert.deepEqual(await changedIn(store, revision), ['update api a', 'update plugin plugin-a']);
      const same = await store.transact('test', (tx) =>
        tx.apis.replace(fakeApi('a', { hosts: ['new.test', 'both.test'], retries: 1 })),
      );
      assert.deepEqual(await changedIn(store, same.revision), ['update api a']);
    });

    test('a disabled plugin binds nothing until it is enabled', async () => {
      await using opened = await openStore();
      const { store } = opened;
      await insertApiWithPlugin(store, 'a', ['a.test']);
      await insertCertificates(store, 'c');
      await store.transact('test', (tx) => tx.plugins.replace(fakePlugin('plugin-a', 'a', { enabled: false })));
      assert.equal(await store.binding('a.test'), undefined);
      await store.transact('test', (tx) => tx.apis.replace(fakeApi('a', { hosts: ['b.test'] })));
      assert.equal(await store.binding('b.test'), undefined);
      await store.transact('test', (tx) => tx.snis.insert(fakeSni('s', 'b.test', 'c')));
      await assert.rejects(
        store.transact('test', (tx) => tx.plugins.replace(fakePlugin('plugin-a', 'a'))),
        hasCode('NAME_ALREADY_BOUND'),
      );
      await store.transact('test', (tx) => tx.snis.delete('s'));
      await store.transact('test', (tx) => tx.plugins.replace(fakePlugin('plugin-a', 'a')));
      assert.ok(await store.binding('b.test'));
    });

    test('a plugin that moves to another API takes its certificate to the hosts of that one', async () => {
      await using opened = await openStore();
      const { store } = opened;
      await insertApiWithPlugin(store, 'a', ['a.test']);
      await store.transact('test', (tx) => tx.apis.insert(fakeApi('b')));
      await store.transact('test', (tx) => tx.plugins.replace(fakePlugin('plugin-a', 'b')));
      assert.equal(await store.binding('a.test'), undefined);
      assert.ok(await store.binding('b.test'));
    });

    test('a name that a plugin holds is refused to an SNI, and the holder is named', async () => {
      await using opened = await openStore();
      const { store } = opened;
      await insertApiWithPlugin(store, 'a', ['mockbin.test']);
      await insertCertificates(store, 'c');
      await assert.rejects(
        store.transact('test', (tx) => tx.snis.insert(fakeSni('s', 'mockbin.test', 'c'))),
        (error) => {
          assert.ok(isPortunusError(error, 'NAME_ALREADY_BOUND'));
          assert.equal(error.message, 'mockbin.test is bound by the ssl plugin plugin-a of API name-a.');
          assert.deepEqual(error.facts, {
            name: 'mockbin.test',
            holder: { kind: 'plugin', id: 'plugin-a' },
            certificateId: certificateIdOf('plugin-a'),
          });
          return true;
        },
      );
      assert.equal(await store.snis.count(), 0);
    });

    test('a name that an SNI holds is refused to a plugin, and the holder is named', async () => {
      await using opened = await openStore();
      const { store } = opened;
      await insertCertificates(store, 'c');
      await store.transact('test', (tx) => tx.snis.insert(fakeSni('s', 'mockbin.test', 'c')));
      await assert.rejects(insertApiWithPlugin(store, 'a', ['free.test', 'mockbin.test']), (error) => {
        assert.ok(isPortunusError(error, 'NAME_ALREADY_BOUND'));
        assert.equal(error.message, 'mockbin.test is bound by the SNI s of certificate c.');
        assert.deepEqual(error.facts['holder'], { kind: 'sni', id: 's' });
        return true;
      });
      assert.equal(await store.apis.count(), 0);
      assert.equal(await store.binding('free.test'), undefined);
    });

    test('one name is not for the plugins of two APIs', async () => {
      await using opened = await openStore();
      const { store } = opened;
      await insertApiWithPlugin(store, 'a', ['a.test']);
      await assert.rejects(insertApiWithPlugin(store, 'b', ['a.test']), hasCode('NAME_ALREADY_BOUND'));
      await insertApiWithPlugin(store, 'b', ['b.test']);
      await assert.rejects(
        store.transact('test', (tx) => tx.apis.replace(fakeApi('b', { hosts: ['a.test'] }))),
        hasCode('NAME_ALREADY_BOUND'),
      );
    });

    test('a name moves from one holder to the next within a transaction', async () => {
      await using opened = await openStore();
      const { store } = opened;
      await insertCertificates(store, 'c', 'd');
      await store.transact('test', (tx) => tx.snis.insert(fakeSni('s', 'x.test', 'c')));
      const { revision } = await store.transact('test', async (tx) => {
        await tx.snis.delete('s');
        await tx.snis.insert(fakeSni('t', 'x.test', 'd'));
      });
      assert.deepEqual(await store.binding('x.test'), {
        name: 'x.test',
        certificateId: 'd',
        holder: { kind: 'sni', id: 't' },
      });
      assert.deepEqual(await changedIn(store, revision), ['delete sni s', 'create sni t']);
    });
  });

  describe(`${name}: what is refused`, () => {
    const cases: readonly [string, ErrorCode, object, (tx: StoreTransaction) => Promise<void>][] = [
      [
        'a second API of one name',
        'UNIQUE_VIOLATION',
        { entity: 'api', field: 'name', value: 'name-a' },
        (tx) => tx.apis.insert(fakeApi('b', { name: 'name-a' })),
      ],
      [
        'a second API of one id',
        'UNIQUE_VIOLATION',
        { entity: 'api', field: 'id', value: 'a' },
        (tx) => tx.apis.insert(fakeApi('a', { name: 'other' })),
      ],
      [
        'a second ssl plugin on an API',
        'UNIQUE_VIOLATION',
        { entity: 'plugin', field: 'name', value: 'ssl' },
        async (tx) => {
          await tx.certificates.insert(fakePluginCertificate('p'));
          await tx.plugins.insert(fakePlugin('p', 'a'));
        },
      ],
      [
        'a second global ssl plugin',
        'UNIQUE_VIOLATION',
        { entity: 'plugin', field: 'name', value: 'ssl' },
        async (tx) => {
          for (const id of ['p', 'q']) {
            await tx.certificates.insert(fakePluginCertificate(id));
            await tx.plugins.insert(fakePlugin(id, null, { enabled: false }));
          }
        },
      ],
      [
        'a second SNI of one name',
        'UNIQUE_VIOLATION',
        { entity: 'sni', field: 'name', value: 's.test' },
        (tx) => tx.snis.insert(fakeSni('t', 's.test', 'c')),
      ],
      [
        'a second certificate of one id',
        'UNIQUE_VIOLATION',
        { entity: 'certificate', field: 'id', value: 'c' },
        (tx) => tx.certificates.insert(fakeCertificate('c')),
      ],
      [
        'renaming an API to a taken name',
        'UNIQUE_VIOLATION',
        { entity: 'api', field: 'name', value: 'name-a' },
        async (tx) => {
          await tx.apis.insert(fakeApi('b'));
          await tx.apis.replace(fakeApi('b', { name: 'name-a' }));
        },
      ],
      [
        'an SNI of no certificate',
        'REFERENCE_MISSING',
        { entity: 'sni', field: 'certificateId', value: 'x' },
        (tx) => tx.snis.insert(fakeSni('t', 't.test', 'x')),
      ],
      [
        'a plugin of no API',
        'REFERENCE_MISSING',
        { entity: 'plugin', field: 'apiId', value: 'x' },
        (tx) => tx.plugins.insert(fakePlugin('p', 'x')),
      ],
      [
        'a second authority of one fingerprint',
        'UNIQUE_VIOLATION',
        { entity: 'ca_certificate', field: 'fingerprint', value: 'same' },
        async (tx) => {
          for (const id of ['x', 'y']) await tx.caCertificates.insert(fakeCaCertificate(id, { fingerprint: 'same' }));
        },
      ],
      [
        'a second policy of one host',
        'UNIQUE_VIOLATION',
        { entity: 'host_policy', field: 'name', value: 'x.test' },
        async (tx) => {
          for (const id of ['x', 'y']) await tx.hostPolicies.insert(fakeHostPolicy(id, 'x.test'));
        },
      ],
      [
        'an API whose rule names no authority',
        'REFERENCE_MISSING',
        { entity: 'api', field: 'clientCertificate', value: 'x' },
        (tx) => tx.apis.replace(fakeApi('a', { clientCertificate: ruleOf('x') })),
      ],
      [
        'a policy whose rule names no authority',
        'REFERENCE_MISSING',
        { entity: 'host_policy', field: 'clientCertificate', value: 'x' },
        (tx) => tx.hostPolicies.insert(fakeHostPolicy('h', 'x.test', { clientCertificate: ruleOf('x') })),
      ],
      [
        'a plugin of no certificate',
        'REFERENCE_MISSING',
        { entity: 'plugin', field: 'certificateId', value: certificateIdOf('p') },
        (tx) => tx.plugins.insert(fakePlugin('p', null)),
      ],
    ];
    for (const [what, code, facts, work] of cases) {
      test(`${what}: ${code}`, async () => {
        await using opened = await openStore();
        await seed(opened.store);
        await assert.rejects(opened.store.transact('test', work), (error) => {
          assert.ok(isPortunusError(error, code), String(error));
          assert.deepEqual(error.facts, facts);
          return true;
        });
        assert.equal(await opened.store.revision(), 1);
      });
    }

    const misuses: readonly [string, (tx: StoreTransaction) => Promise<void>][] = [
      ['replacing an API that is not there', (tx) => tx.apis.replace(fakeApi('x'))],
      ['replacing a plugin that is not there', (tx) => tx.plugins.replace(fakePlugin('x', 'a'))],
      ['replacing a certificate that is not there', (tx) => tx.certificates.replace(fakeCertificate('x'))],
      ['replacing an SNI that is not there', (tx) => tx.snis.replace(fakeSni('x', 'x.test', 'c'))],
      ['replacing an authority that is not there', (tx) => tx.caCertificates.replace(fakeCaCertificate('x'))],
      ['replacing a policy that is not there', (tx) => tx.hostPolicies.replace(fakeHostPolicy('x', 'x.test'))],
      ['deleting an authority that is not there', (tx) => tx.caCertificates.delete('x')],
      ['deleting a policy that is not there', (tx) => tx.hostPolicies.delete('x')],
      ['deleting an API that is not there', (tx) => tx.apis.delete('x')],
      ['deleting a plugin that is not there', (tx) => tx.plugins.delete('x')],
      ['deleting a certificate that is not there', (tx) => tx.certificates.delete('x')],
      ['deleting an SNI that is not there', (tx) => tx.snis.delete('x')],
      ['deleting the certificate of a plugin', (tx) => tx.certificates.delete(certificateIdOf('plugin-a'))],
      [
        'a plugin with a certificate that is not its own',
        (tx) => tx.plugins.insert(fakePlugin('p', null, { certificateId: 'c' })),
      ],
      [
        'another owner for a certificate',
        (tx) => tx.certificates.replace(fakeCertificate('c', { owner: { kind: 'default' } })),
      ],
    ];
    for (const [what, work] of misuses) {
      test(`${what}: TypeError`, async () => {
        await using opened = await openStore();
        await seed(opened.store);
        await assert.rejects(opened.store.transact('test', work), TypeError);
        assert.equal(await opened.store.revision(), 1);
      });
    }
  });

  describe(`${name}: lists`, () => {
    test('come in the order of creation, page by page, and a replaced entity keeps its place', async () => {
      await using opened = await openStore();
      const { store } = opened;
      const ids = ['m', 'b', 'z', 'a', 'k'];
      for (const id of ids) await insertCertificates(store, id);
      await store.transact('test', (tx) => tx.certificates.replace(fakeCertificate('m', { tags: ['new'] })));
      const seen: string[] = [];
      const sizes: number[] = [];
      let after: string | undefined;
      do {
        const page = await store.certificates.list({ size: 2, after });
        seen.push(...page.items.map((certificate) => certificate.id));
        sizes.push(page.items.length);
        after = page.next;
      } while (after !== undefined);
      assert.deepEqual(seen, ids);
      assert.deepEqual(sizes, [2, 2, 1]);
      assert.equal((await store.certificates.list({ size: 5 })).next, undefined);
    });

    test('a page goes on after its last entity even when that one was deleted', async () => {
      await using opened = await openStore();
      const { store } = opened;
      await insertCertificates(store, 'a', 'b', 'c');
      const first = await store.certificates.list({ size: 2 });
      await store.transact('test', (tx) => tx.certificates.delete('b'));
      const second = await store.certificates.list({ size: 2, after: first.next });
      assert.deepEqual(
        second.items.map((certificate) => certificate.id),
        ['c'],
      );
    });

    test('a cursor that no list gave out is refused', async () => {
      await using opened = await openStore();
      const { store } = opened;
      await insertCertificates(store, 'a', 'b');
      const { next } = await store.certificates.list({ size: 1 });
      assert.ok(next !== undefined);
      for (const after of [
        '',
        'x',
        '1',
        'é',
        `${next}=`,
        `${next}A`,
        ` ${next}`,
        Buffer.from('s-1').toString('base64url'),
        'A'.repeat(10_000),
      ]) {
        await assert.rejects(
          store.certificates.list({ size: 1, after }),
          hasCode('CURSOR_INVALID'),
          JSON.stringify(after),
        );
      }
    });

    test('a page has 1 to 1000 entities', async () => {
      await using opened = await openStore();
      for (const size of [0, -1, 1.5, 1001, NaN]) await assert.rejects(opened.store.apis.list({ size }), RangeError);
      assert.deepEqual(await opened.store.apis.list({ size: 1000 }), { items: [], next: undefined });
    });

    test('APIs by name, host, path and upstream', async () => {
      await using opened = await openStore();
      const { store } = opened;
      await store.transact('test', async (tx) => {
        await tx.apis.insert(fakeApi('a', { hosts: ['x.test', 'y.test'], uris: ['/u'], upstreamUrl: 'http://one' }));
        await tx.apis.insert(fakeApi('b', { hosts: ['x.test'], uris: ['/u', '/v'], upstreamUrl: 'http://two' }));
        await tx.apis.insert(fakeApi('c', { hosts: [], upstreamUrl: 'http://two' }));
      });
      await store.transact('test', (tx) =>
        tx.apis.replace(fakeApi('c', { hosts: ['z.test'], upstreamUrl: 'http://two' })),
      );
      const found = async (filter: Parameters<typeof store.apis.list>[1]): Promise<string> => {
        const { items } = await store.apis.list({ size: 10 }, filter);
        assert.equal(await store.apis.count(filter), items.length);
        return items.map((api) => api.id).join('');
      };
      assert.equal(await found({}), 'abc');
      assert.equal(await found({ id: 'b' }), 'b');
      assert.equal(await found({ name: 'name-c' }), 'c');
      assert.equal(await found({ host: 'x.test' }), 'ab');
      assert.equal(await found({ host: 'c.test' }), '');
      assert.equal(await found({ host: 'z.test' }), 'c');
      assert.equal(await found({ uri: '/v' }), 'b');
      assert.equal(await found({ upstreamUrl: 'http://two' }), 'bc');
      assert.equal(await found({ host: 'x.test', upstreamUrl: 'http://two', uri: '/u', name: undefined }), 'b');
    });

    test('plugins by API, global ones, and by whether they are enabled', async () => {
      await using opened = await openStore();
      const { store } = opened;
      await insertApiWithPlugin(store, 'a', ['a.test']);
      await store.transact('test', async (tx) => {
        await tx.certificates.insert(fakePluginCertificate('global'));
        await tx.plugins.insert(fakePlugin('global', null, { enabled: false }));
      });
      const found = async (filter: Parameters<typeof store.plugins.list>[1]): Promise<readonly string[]> => {
        const { items } = await store.plugins.list({ size: 10 }, filter);
        assert.equal(await store.plugins.count(filter), items.length);
        return items.map((plugin) => plugin.id);
      };
      assert.deepEqual(await found({}), ['plugin-a', 'global']);
      assert.deepEqual(await found({ apiId: 'a' }), ['plugin-a']);
      assert.deepEqual(await found({ apiId: null }), ['global']);
      assert.deepEqual(await found({ enabled: true, name: 'ssl' }), ['plugin-a']);
      assert.deepEqual(await found({ enabled: false }), ['global']);
      assert.deepEqual(await found({ id: 'global', apiId: 'a' }), []);
    });

    test('certificates by owner: those of the Admin API unless another is asked for', async () => {
      await using opened = await openStore();
      const { store } = opened;
      await insertCertificates(store, 'c');
      await insertApiWithPlugin(store, 'a', ['a.test']);
      await store.transact('test', (tx) =>
        tx.certificates.insert(fakeCertificate('d', { owner: { kind: 'default' } })),
      );
      const found = async (owner?: 'admin' | 'plugin' | 'default' | 'any'): Promise<readonly string[]> => {
        assert.equal(
          await store.certificates.count({ owner }),
          (await store.certificates.list({ size: 10 }, { owner })).items.length,
        );
        return (await store.certificates.list({ size: 10 }, { owner })).items.map((certificate) => certificate.id);
      };
      assert.deepEqual(await found(), ['c']);
      assert.deepEqual(await found('admin'), ['c']);
      assert.deepEqual(await found('plugin'), [certificateIdOf('plugin-a')]);
      assert.deepEqual(await found('default'), ['d']);
      assert.deepEqual(await found('any'), ['c', certificateIdOf('plugin-a'), 'd']);
    });

    test('certificates and SNIs by all or any of some tags', async () => {
      await using opened = await openStore();
      const { store } = opened;
      const tagged: Readonly<Record<string, readonly string[]>> = {
        c1: ['a'],
        c2: ['b', 'a'],
        c3: ['b', 'c', 'a'],
        c4: [],
        c5: ['ab'],
      };
      await store.transact('test', async (tx) => {
        for (const [id, tags] of Object.entries(tagged)) {
          await tx.certificates.insert(fakeCertificate(id, { tags }));
          await tx.snis.insert(fakeSni(`s${id}`, `${id}.test`, id, { tags }));
        }
      });
      type Tags = { readonly all: readonly string[] } | { readonly any: readonly string[] };
      const found = async (tags: Tags): Promise<string> => {
        const { items } = await store.certificates.list({ size: 10 }, { tags });
        const snis = await store.snis.list({ size: 10 }, { tags });
        assert.deepEqual(
          snis.items.map((sni) => sni.certificateId),
          items.map((certificate) => certificate.id),
        );
        assert.equal(await store.certificates.count({ tags }), items.length);
        assert.equal(await store.snis.count({ tags }), items.length);
        return items.map((certificate) => certificate.id).join(' ');
      };
      assert.equal(await found({ all: ['a'] }), 'c1 c2 c3');
      assert.equal(await found({ all: ['a', 'b'] }), 'c2 c3');
      assert.equal(await found({ all: ['c', 'a', 'b'] }), 'c3');
      assert.equal(await found({ all: ['a', 'none'] }), '');
      assert.equal(await found({ any: ['c', 'ab'] }), 'c3 c5');
      assert.equal(await found({ any: ['a', 'b'] }), 'c1 c2 c3');
      assert.equal(await found({ any: ['b'] }), 'c2 c3');
      assert.equal(await found({ any: ['b', 'b', 'none'] }), 'c2 c3');
      assert.equal(await found({ all: ['b', 'b'] }), 'c2 c3');
      assert.equal(await found({ any: [...Array.from({ length: 100 }, (_, at) => `none ${at}`), 'ab', 'c'] }), 'c3 c5');
      assert.equal(await found({ any: [] }), '');
      assert.equal(await found({ all: [] }), 'c1 c2 c3 c4 c5');
      for (const tags of [{ any: ['c', 'b', 'a'] }, { all: ['a', 'b'] }]) {
        const { next, items } = await store.certificates.list({ size: 1 }, { tags });
        const rest = await store.certificates.list({ size: 10, after: next }, { tags });
        const ids = [...items, ...rest.items].map((certificate) => certificate.id);
        assert.deepEqual([ids.join(' '), rest.next], [await found(tags), undefined]);
      }
      const second = await store.certificates.list(
        { size: 1, after: (await store.certificates.list({ size: 1 }, { tags: { all: ['a', 'b'] } })).next },
        { tags: { all: ['a', 'b'] } },
      );
      assert.deepEqual(
        second.items.map((certificate) => certificate.id),
        ['c3'],
      );

      await store.transact('test', async (tx) => {
        await tx.certificates.replace(fakeCertificate('c1', { tags: ['c'] }));
        await tx.snis.replace(fakeSni('sc1', 'c1.test', 'c1', { tags: ['c'] }));
        await tx.certificates.delete('c3');
      });
      assert.equal(await found({ all: ['a'] }), 'c2');
      assert.equal(await found({ any: ['c'] }), 'c1');
    });

    test('SNIs by certificate, and all of a certificate sorted by name', async () => {
      await using opened = await openStore();
      const { store } = opened;
      await insertCertificates(store, 'c', 'd');
      await store.transact('test', async (tx) => {
        for (const name of ['z.test', 'a.test', 'm.test']) await tx.snis.insert(fakeSni(name, name, 'c'));
        await tx.snis.insert(fakeSni('other', 'other.test', 'd'));
      });
      const { items } = await store.snis.list({ size: 10 }, { certificateId: 'c' });
      assert.deepEqual(
        items.map((sni) => sni.name),
        ['z.test', 'a.test', 'm.test'],
      );
      assert.equal(await store.snis.count({ certificateId: 'c' }), 3);
      assert.deepEqual(
        (await store.snis.ofCertificate('c')).map((sni) => sni.name),
        ['a.test', 'm.test', 'z.test'],
      );
    });
  });

  manyCertificatesContract(name, openStore);
  sealingKeysContract(name, openStore);
  storeModelContract(name, openStore);
}

/** An API with an ssl plugin on it, a certificate and an SNI of it, in one revision. */
async function seed(store: Store): Promise<void> {
  await store.transact('test', async (tx) => {
    await tx.apis.insert(fakeApi('a'));
    await tx.certificates.insert(fakePluginCertificate('plugin-a'));
    await tx.plugins.insert(fakePlugin('plugin-a', 'a'));
    await tx.certificates.insert(fakeCertificate('c'));
    await tx.snis.insert(fakeSni('s', 's.test', 'c'));
  });
}

async function insertCertificates(store: Store, ...ids: readonly string[]): Promise<void> {
  await store.transact('test', async (tx) => {
    for (const id of ids) await tx.certificates.insert(fakeCertificate(id));
  });
}

async function insertApiWithPlugin(store: Store, id: string, hosts: readonly string[]): Promise<void> {
  await store.transact('test', async (tx) => {
    await tx.apis.insert(fakeApi(id, { hosts }));
    await tx.certificates.insert(fakePluginCertificate(`plugin-${id}`));
    await tx.plugins.insert(fakePlugin(`plugin-${id}`, id));
  });
}

async function changedIn(store: Store, revision: number): Promise<string[]> {
  const changes = await store.changesSince(revision - 1, 1);
  return changes.map((change) => `${change.operation} ${change.entity} ${change.id}`);
}

function hasCode(code: ErrorCode): (error: unknown) => boolean {
  return (error) => isPortunusError(error, code);
}

function ruleOf(...authorities: readonly string[]): ClientCertificateRule {
  return { mode: 'required', authorities, depth: 1 };
}
