// Which master keys are in use, and sealing everything anew: part of the contract of every store.
import assert from 'node:assert/strict';
import { createSecretKey, hkdfSync } from 'node:crypto';
import { describe, test } from 'node:test';
import { isPortunusError } from '../../src/lib/errors.ts';
import type { Certificate } from '../../src/model/entities.ts';
import { checkKeyring, checkWholeKeyring } from '../../src/store/check-keyring.ts';
import type { KeyUse } from '../../src/store/contract.ts';
import type { MasterKey } from '../../src/store/keyring.ts';
import { createReloadableSealer } from '../../src/store/reloadable-sealer.ts';
import { resealStore } from '../../src/store/reseal.ts';
import type { Sealer } from '../../src/store/sealer.ts';
import { createSealer } from '../../src/store/sealing.ts';
import { fakeCertificate, fakeKeyPair } from './entities.ts';
import type { OpenStore } from './store.ts';

/** Keys of these ids, the same ones each time. */
export function sealerOf(...ids: readonly [string, ...string[]]): Sealer {
  const [first, ...rest] = ids;
  return createSealer({ keys: [keyOf(first), ...rest.map(keyOf)] });
}

export function sealingKeysContract(name: string, openStore: OpenStore): void {
  describe(`${name}: keys of the keyring`, () => {
    test('a store that is new uses the key its secrets are sealed under', async () => {
      await using opened = await openStore({ sealer: sealerOf('k9') });
      await opened.store.secret('ticket');
      assert.deepEqual(counts(await opened.store.keysInUse()), [{ keyId: 'k9', certificates: 0 }]);
    });

    test('each certificate counts once for each key that one of its pairs is sealed under', async () => {
      await using opened = await openStore({ sealer: sealerOf('k1', 'k2', 'k3') });
      const { store } = opened;
      await store.transact('test', async (tx) => {
        await tx.certificates.insert(sealed('a', 'k1'));
        await tx.certificates.insert(sealed('b', 'k1', 'k1'));
        await tx.certificates.insert(sealed('c', 'k1', 'k2'));
        await tx.certificates.insert(sealed('d', 'k3', 'k1'));
        await tx.certificates.insert({ ...sealed('e', 'k3'), owner: { kind: 'plugin', pluginId: 'p' } });
        await tx.certificates.insert({ ...sealed('f', 'k10'), owner: { kind: 'default' } });
        assert.equal((await tx.keysInUse()).length, 4, 'a transaction sees its own');
      });
      assert.deepEqual(counts(await store.keysInUse()), [
        { keyId: 'k1', certificates: 4 },
        { keyId: 'k10', certificates: 1 },
        { keyId: 'k2', certificates: 1 },
        { keyId: 'k3', certificates: 2 },
      ]);
      await store.transact('test', (tx) => tx.certificates.delete('f'));
      assert.ok(!(await store.keysInUse()).some(({ keyId }) => keyId === 'k10'));
    });

    test('certificates under another key are found, whoever owns them, up to a limit', async () => {
      await using opened = await openStore({ sealer: sealerOf('k2') });
      const { store } = opened;
      await store.transact('test', async (tx) => {
        await tx.certificates.insert(sealed('a', 'k2'));
        await tx.certificates.insert(sealed('b', 'k1'));
        await tx.certificates.insert(sealed('c', 'k2', 'k3'));
        await tx.certificates.insert(sealed('d', 'k3', 'k2'));
        await tx.certificates.insert(sealed('e', 'k2', 'k2'));
        await tx.certificates.insert({ ...sealed('f', 'k3'), owner: { kind: 'default' } });
        await tx.certificates.insert(fakeCertificate('no sealed text'));
      });
      const found = await store.certificatesNotSealedUnder('k2', 10);
      assert.deepEqual(found.map(({ id }) => id).sort(), ['b', 'c', 'd', 'f']);
      assert.deepEqual(
        found.find(({ id }) => id === 'c'),
        sealed('c', 'k2', 'k3'),
      );
      assert.equal((await store.certificatesNotSealedUnder('k2', 3)).length, 3);
    });

    test('a keyring that lacks keys is refused, and each of them named', async () => {
      await using opened = await openStore({ sealer: sealerOf('k1', 'k2', 'k3') });
      await opened.store.transact('test', async (tx) => {
        await tx.certificates.insert(sealed('a', 'k2'));
        await tx.certificates.insert(sealed('b', 'k3'));
      });
      await checkKeyring(opened.store, sealerOf('k3', 'k2', 'k1', 'k4'));
      await assert.rejects(checkKeyring(opened.store, sealerOf('k1')), (error) => {
        assert.ok(isPortunusError(error, 'KEYRING_MISMATCH'));
        assert.deepEqual(error.facts['missing'], ['k2', 'k3']);
        assert.match(error.message, /k2, k3/);
        return true;
      });
    });

    test('a key that a few certificates are sealed under and nobody has is told, and the rest is of this keyring', async () => {
      await using opened = await openStore({ sealer: sealerOf('k1') });
      const { store } = opened;
      await store.secret('ticket');
      await store.transact('test', async (tx) => {
        await tx.certificates.insert(sealed('a', 'k1'));
        await tx.certificates.insert(sealed('b', 'lost'));
      });
      assert.deepEqual(counts(await checkKeyring(store, sealerOf('k1'))), [{ keyId: 'lost', certificates: 1 }]);
      await assert.rejects(checkWholeKeyring(store, sealerOf('k1')), /lacks the key lost/);
      // The key of the store's own secrets is that of everything.
      await assert.rejects(checkKeyring(store, sealerOf('lost')), /lacks the key k1/);
      // One that opens hardly anything is another keyring.
      await store.transact('test', (tx) => tx.certificates.insert(sealed('c', 'lost')));
      await assert.rejects(checkKeyring(store, sealerOf('k1')), /lacks the key lost/);
    });

    test('a key with the id of one in use and other bytes is refused', async () => {
      await using opened = await openStore({ sealer: sealerOf('k1', 'k2') });
      await opened.store.transact('test', (tx) => tx.certificates.insert(sealed('damaged', 'k2')));
      await opened.store.secret('ticket');
      const other = createSealer({ keys: [{ ...keyOf('another'), id: 'k1' }, keyOf('k2')] });
      await assert.rejects(checkKeyring(opened.store, other), (error) => {
        assert.ok(isPortunusError(error, 'KEYRING_MISMATCH'));
        assert.deepEqual([error.facts['missing'], error.facts['different']], [[], ['k1']]);
        assert.match(error.message, /has the key k1 with other bytes/);
        return true;
      });
      // A single certificate that does not open says nothing of its key.
      await checkKeyring(opened.store, sealerOf('k1', 'k2'));
    });

    test('everything is sealed anew under the key that seals now, and nothing else changes', async () => {
      const sealer = createReloadableSealer(sealerOf('old', 'older'));
      await using opened = await openStore({ sealer });
      const { store } = opened;
      const secret = await store.secret('ticket');
      const before = await store.transact('test', async (tx) => {
        const all: Certificate[] = [];
        for (let index = 0; index < 25; index += 1) {
          const made = real(`c${index}`, sealerOf(index % 2 === 0 ? 'old' : 'older'), sealerOf('old'));
          await tx.certificates.insert(made);
          all.push(made);
        }
        return all;
      });
      sealer.replace(sealerOf('fresh', 'old', 'older'));
      const steps: [number, number][] = [];
      const resealed = await resealStore(store, sealer, {
        batchSize: 10,
        progress: (done, total) => steps.push([done, total]),
      });
      assert.deepEqual(resealed, { certificates: 25, unopened: [] });
      assert.deepEqual(
        steps.map(([done]) => done),
        [10, 20, 25],
      );
      assert.deepEqual(counts(await store.keysInUse()), [{ keyId: 'fresh', certificates: 25 }]);
      const only = sealerOf('fresh');
      for (const certificate of before.value) {
        const after = await store.certificates.get(certificate.id);
        assert.ok(after);
        for (const pair of [after.primary, after.alternative]) {
          assert.ok(pair);
          assert.equal(only.open(pair.sealedKey, pair.publicKeySha256).toString(), `key of ${pair.publicKeySha256}`);
        }
        assert.deepEqual(unsealed(after), unsealed(certificate));
      }
      const changes = await store.changesSince(before.revision, 1000);
      assert.equal(changes.length, 25);
      assert.ok(changes.every(({ actor, operation }) => actor === 'keyring' && operation === 'update'));
      const revision = await store.revision();
      assert.deepEqual(await resealStore(store, sealer), { certificates: 0, unopened: [] });
      assert.equal(await store.revision(), revision);
      sealer.replace(only);
      const reopened = await opened.reopen();
      assert.deepEqual(await reopened.secret('ticket'), secret);
    });

    test('sealing anew goes on where it was cut off', async () => {
      const sealer = createReloadableSealer(sealerOf('old'));
      await using opened = await openStore({ sealer });
      const { store } = opened;
      await store.transact('test', async (tx) => {
        for (let index = 0; index < 12; index += 1) await tx.certificates.insert(real(`c${index}`, sealer));
      });
      sealer.replace(sealerOf('fresh', 'old'));
      const cut = new Error('cut off');
      await assert.rejects(
        resealStore(store, sealer, {
          batchSize: 5,
          progress() {
            throw cut;
          },
        }),
        cut,
      );
      assert.equal((await store.certificatesNotSealedUnder('fresh', 100)).length, 7);
      assert.equal((await resealStore(store, sealer, { batchSize: 5 })).certificates, 7);
      assert.deepEqual(counts(await store.keysInUse()), [{ keyId: 'fresh', certificates: 12 }]);
    });

    test('a certificate whose key does not open stays as it is, and the others are sealed anew', async () => {
      const sealer = createReloadableSealer(sealerOf('old'));
      await using opened = await openStore({ sealer });
      const { store } = opened;
      await store.transact('test', async (tx) => {
        for (let index = 0; index < 8; index += 1) {
          await tx.certificates.insert(index % 3 === 0 ? sealed(`c${index}`, 'old') : real(`c${index}`, sealer));
        }
      });
      sealer.replace(sealerOf('fresh', 'old'));
      const { certificates, unopened } = await resealStore(store, sealer, { batchSize: 2 });
      assert.deepEqual([certificates, [...unopened].sort()], [5, ['c0', 'c3', 'c6']]);
      assert.deepEqual(await store.certificates.get('c3'), sealed('c3', 'old'));
      assert.deepEqual(counts(await store.keysInUse()), [
        { keyId: 'fresh', certificates: 5 },
        { keyId: 'old', certificates: 3 },
      ]);
    });
  });
}

function counts(uses: readonly KeyUse[]): readonly object[] {
  return uses.map(({ keyId, certificates }) => ({ keyId, certificates }));
}

function keyOf(id: string): MasterKey {
  return { id, secret: createSecretKey(Buffer.from(hkdfSync('sha256', 'a test', '', id, 32))) };
}

/** Text in the sealed form that opens with no key. */
function sealed(id: string, keyId: string, alternativeKeyId?: string): Certificate {
  return fakeCertificate(id, {
    primary: fakeKeyPair(id, { sealedKey: `v1.${keyId}.data.content` }),
    alternative:
      alternativeKeyId === undefined
        ? null
        : fakeKeyPair(`${id} two`, { sealedKey: `v1.${alternativeKeyId}.data.content` }),
  });
}

function real(id: string, sealer: Sealer, alternative?: Sealer): Certificate {
  const pair = (publicKeySha256: string, under: Sealer) =>
    fakeKeyPair(id, { publicKeySha256, sealedKey: under.seal(`key of ${publicKeySha256}`, publicKeySha256) });
  return fakeCertificate(id, {
    primary: pair(`${id} one`, sealer),
    alternative: alternative === undefined ? null : pair(`${id} two`, alternative),
  });
}

function unsealed({ primary, alternative, ...rest }: Certificate): object {
  return { ...rest, primary: { ...primary, sealedKey: '' }, alternative: { ...alternative, sealedKey: '' } };
}
