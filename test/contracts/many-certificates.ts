// Many certificates at once: the same outcome as one by one, part of the contract of every store.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { PortunusError } from '../../src/lib/errors.ts';
import type { CertificateWithSnis, Store } from '../../src/store/contract.ts';
import { fakeApi, fakeCertificate, fakePlugin, fakePluginCertificate, fakeSni } from './entities.ts';
import type { OpenStore } from './store.ts';

export function manyCertificatesContract(name: string, openStore: OpenStore): void {
  describe(`${name}: many certificates at once`, () => {
    test('are there with their names, tags and bindings, in order, in one revision', async () => {
      await using opened = await openStore();
      const { store } = opened;
      const items: CertificateWithSnis[] = [
        {
          certificate: fakeCertificate('b', { tags: ['t'] }),
          snis: [fakeSni('s1', 'b.test', 'b', { tags: ['u'] }), fakeSni('s2', '*.b.test', 'b')],
        },
        { certificate: fakeCertificate('a'), snis: [] },
        { certificate: fakeCertificate('c'), snis: [fakeSni('s3', 'c.test', 'c')] },
      ];
      const { value, revision } = await store.transact('import', async (tx) => {
        const errors = await tx.insertCertificates(items);
        await tx.apis.insert(fakeApi('after'));
        return errors;
      });
      assert.deepEqual([value, revision], [[undefined, undefined, undefined], 1]);
      const listed = await store.certificates.list({ size: 10 });
      assert.deepEqual(
        listed.items,
        items.map((item) => item.certificate),
      );
      assert.deepEqual((await store.snis.list({ size: 10 })).items, [
        ...(items[0]?.snis ?? []),
        ...(items[2]?.snis ?? []),
      ]);
      assert.equal(await store.certificates.count({ tags: { all: ['t'] } }), 1);
      assert.equal(await store.snis.count({ tags: { all: ['u'] } }), 1);
      assert.deepEqual(await store.binding('*.b.test'), {
        name: '*.b.test',
        certificateId: 'b',
        holder: { kind: 'sni', id: 's2' },
      });
      const changes = await store.changesSince(0, 1);
      assert.deepEqual(
        changes.map(({ entity, id, operation, actor }) => `${actor} ${operation} ${entity} ${id}`),
        ['certificate b', 'sni s1', 'sni s2', 'certificate a', 'certificate c', 'sni s3', 'api after'].map(
          (what) => `import create ${what}`,
        ),
      );
    });

    test('are looked up at once, by name whoever binds it, and by id', async () => {
      await using opened = await openStore();
      const { store } = opened;
      await store.transact('test', async (tx) => {
        await tx.certificates.insert(fakeCertificate('a'));
        await tx.snis.insert(fakeSni('s', 'a.test', 'a'));
        await tx.apis.insert(fakeApi('api', { hosts: ['p.test'] }));
        await tx.certificates.insert(fakePluginCertificate('p'));
        await tx.plugins.insert(fakePlugin('p', 'api'));
      });
      const stored = await store.certificates.get('a');
      const { fingerprint, sealedKey } = stored?.primary ?? {};
      const a = { certificateId: 'a', fingerprint, sealedKey, fingerprintAlt: null, sealedKeyAlt: null };
      const found = await store.leaves({ names: ['a.test', 'p.test', 'none.test'], certificateIds: ['a', 'none'] });
      assert.deepEqual([...found.byName.keys()].toSorted(), ['a.test', 'p.test']);
      assert.deepEqual(found.byName.get('a.test'), a);
      assert.deepEqual([...found.byId], [['a', a]]);
      const nothing = await store.leaves({ names: [], certificateIds: [] });
      assert.deepEqual([nothing.byName.size, nothing.byId.size], [0, 0]);
    });

    test('an item with a conflict is left out whole, with the error of a single insert, and the others are written', async () => {
      const items: readonly CertificateWithSnis[] = [
        { certificate: fakeCertificate('known'), snis: [fakeSni('x1', 'x1.test', 'known')] },
        { certificate: fakeCertificate('n1'), snis: [fakeSni('n1', 'n1.test', 'n1')] },
        { certificate: fakeCertificate('n1'), snis: [] },
        {
          certificate: fakeCertificate('n2'),
          snis: [fakeSni('x2', 'x2.test', 'n2'), fakeSni('known-sni', 'x3.test', 'n2')],
        },
        { certificate: fakeCertificate('n3'), snis: [fakeSni('x4', 'known.test', 'n3')] },
        { certificate: fakeCertificate('n4'), snis: [fakeSni('x5', 'plugin.test', 'n4')] },
        { certificate: fakeCertificate('n5'), snis: [fakeSni('x6', 'n1.test', 'n5')] },
        { certificate: fakeCertificate('n6'), snis: [fakeSni('n1', 'x7.test', 'n6')] },
        {
          certificate: fakeCertificate('n7'),
          snis: [fakeSni('x8', 'same.test', 'n7'), fakeSni('x9', 'same.test', 'n7')],
        },
        {
          certificate: fakeCertificate('n8'),
          snis: [fakeSni('xa', 'one.test', 'n8'), fakeSni('xa', 'two.test', 'n8')],
        },
        // What was left out does not stand in the way of what follows.
        {
          certificate: fakeCertificate('n2'),
          snis: [fakeSni('x2', 'x2.test', 'n2'), fakeSni('x8', 'same.test', 'n2')],
        },
      ];
      await using together = await openStore();
      await using single = await openStore();
      for (const { store } of [together, single]) await seed(store);
      const { value: errors } = await together.store.transact('test', (tx) => tx.insertCertificates(items));
      const { value: expected } = await single.store.transact('test', async (tx) => {
        const outcome: (PortunusError | undefined)[] = [];
        for (const { certificate, snis } of items) {
          const written: (() => Promise<void>)[] = [];
          try {
            await tx.certificates.insert(certificate);
            written.push(() => tx.certificates.delete(certificate.id));
            for (const sni of snis) await tx.snis.insert(sni);
            outcome.push(undefined);
          } catch (error) {
            assert.ok(error instanceof PortunusError);
            outcome.push(error);
            for (const undo of written) await undo();
          }
        }
        return outcome;
      });
      assert.deepEqual(errors.map(told), expected.map(told));
      assert.deepEqual(
        errors.map((error) => error === undefined),
        [false, true, false, false, false, false, false, false, false, false, true],
      );
      for (const collection of ['certificates', 'snis'] as const) {
        const [one, other] = await Promise.all(
          [together, single].map(async ({ store }) => (await store[collection].list({ size: 100 })).items),
        );
        assert.deepEqual(one, other, collection);
      }
      for (const bound of ['x1.test', 'x2.test', 'x3.test', 'same.test', 'plugin.test', 'n1.test']) {
        assert.deepEqual(await together.store.binding(bound), await single.store.binding(bound), bound);
      }
    });

    test('SNIs alone, of certificates that are there: in order, those with a conflict left out with its error', async () => {
      const snis = [
        fakeSni('z', 'z.test', 'known', { tags: ['t'] }),
        fakeSni('known-sni', 'x1.test', 'known'),
        fakeSni('x2', 'known.test', 'known'),
        fakeSni('x3', 'plugin.test', 'known'),
        fakeSni('x4', 'x4.test', 'none'),
        fakeSni('x5', 'plugin.test', 'none'),
        fakeSni('x6', 'known.test', 'none'),
        fakeSni('a', 'a.test', 'certificate-of-p'),
        fakeSni('z', 'x7.test', 'known'),
        fakeSni('x8', 'a.test', 'known'),
        fakeSni('x4', '*.x4.test', 'known'),
      ];
      await using together = await openStore();
      await using single = await openStore();
      for (const { store } of [together, single]) await seed(store);
      const { value: errors, revision } = await together.store.transact('test', (tx) => tx.insertSnis(snis));
      const { value: expected } = await single.store.transact('test', async (tx) => {
        const outcome: unknown[] = [];
        for (const sni of snis) {
          outcome.push(await tx.snis.insert(sni).catch((error: unknown) => error));
        }
        return outcome;
      });
      assert.deepEqual(errors.map(told), (expected as typeof errors).map(told));
      assert.deepEqual(
        (await together.store.snis.list({ size: 100 })).items.map(({ id }) => id),
        ['known-sni', 'z', 'a', 'x4'],
      );
      assert.equal(await together.store.snis.count({ tags: { all: ['t'] } }), 1);
      for (const bound of ['z.test', 'a.test', '*.x4.test', 'x1.test', 'plugin.test']) {
        assert.deepEqual(await together.store.binding(bound), await single.store.binding(bound), bound);
      }
      const changes = await together.store.changesSince(revision - 1, 10);
      assert.deepEqual(
        changes.map(({ entity, id, operation }) => `${operation} ${entity} ${id}`),
        ['create sni z', 'create sni a', 'create sni x4'],
      );
    });

    test('when all of them are left out, no revision is taken', async () => {
      await using opened = await openStore();
      await seed(opened.store);
      const before = await opened.store.revision();
      const { value, revision } = await opened.store.transact('test', (tx) =>
        tx.insertCertificates([{ certificate: fakeCertificate('known'), snis: [] }]),
      );
      assert.deepEqual(
        [value.map(told), revision],
        [[{ code: 'UNIQUE_VIOLATION', facts: { entity: 'certificate', field: 'id', value: 'known' } }], before],
      );
    });

    test('an SNI of another certificate is a TypeError, and nothing is written', async () => {
      await using opened = await openStore();
      await assert.rejects(
        opened.store.transact('test', (tx) =>
          tx.insertCertificates([{ certificate: fakeCertificate('a'), snis: [fakeSni('s', 's.test', 'b')] }]),
        ),
        TypeError,
      );
      assert.equal(await opened.store.certificates.count(), 0);
    });
  });
}

async function seed(store: Store): Promise<void> {
  await store.transact('test', async (tx) => {
    await tx.certificates.insert(fakeCertificate('known'));
    await tx.snis.insert(fakeSni('known-sni', 'known.test', 'known'));
    await tx.apis.insert(fakeApi('a', { hosts: ['plugin.test'] }));
    await tx.certificates.insert(fakePluginCertificate('p'));
    await tx.plugins.insert(fakePlugin('p', 'a'));
  });
}

function told(error: PortunusError | undefined): object | undefined {
  return error && { code: error.code, facts: error.facts };
}
