// From the embedded store into PostgreSQL: everything arrives, an interrupted migration goes on, and strangers are refused.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { isPortunusError } from '../../src/lib/errors.ts';
import { migrateStore } from '../../src/move/migrate-store.ts';
import { fakeApi, fakeCertificate, fakePlugin, fakePluginCertificate, fakeSni } from '../contracts/entities.ts';
import { temporaryPostgres } from '../store/temporary-postgres.ts';
import { type TemporaryStore, temporaryStore } from '../store/temporary-store.ts';
import { type PostgresServer, startPostgres } from '../support/postgres.ts';

let server: PostgresServer;
before(async () => (server = await startPostgres()));
after(() => server[Symbol.asyncDispose]());
const target = ({ sealer }: TemporaryStore) => temporaryPostgres(server.port, { sealer });

async function source(): Promise<TemporaryStore> {
  const opened = await temporaryStore();
  await opened.store.transact('test', async (tx) => {
    await tx.certificates.insert(fakeCertificate('default', { owner: { kind: 'default' } }));
    for (let at = 0; at < 450; at += 1) {
      await tx.certificates.insert(fakeCertificate(`c${at}`, { tags: [`t${at % 3}`] }));
      await tx.snis.insert(fakeSni(`s${at}`, `n${at}.test`, `c${at}`, { tags: ['x'] }));
    }
    await tx.apis.insert(fakeApi('a', { hosts: ['api.test'] }));
    await tx.certificates.insert(fakePluginCertificate('p'));
    await tx.plugins.insert(fakePlugin('p', 'a'));
  });
  return opened;
}

const counts = { certificates: 452, snis: 450, apis: 1, plugins: 1 };
const nobody = (): void => undefined;

test('everything arrives as it was, and doing it again changes nothing', async () => {
  await using from = await source();
  await using to = await target(from);
  assert.deepEqual(await migrateStore(from.store, to.store, nobody), counts);
  for (const name of ['n0.test', 'n449.test', 'api.test']) {
    assert.deepEqual(await to.store.binding(name), await from.store.binding(name));
  }
  const [wanted, there] = await Promise.all(
    [from.store, to.store].map((store) => store.certificates.list({ size: 1000 }, { owner: 'any' })),
  );
  assert.deepEqual(there?.items, wanted?.items);
  const revision = await to.store.revision();
  assert.deepEqual(await migrateStore(from.store, to.store, nobody), counts);
  assert.equal(await to.store.revision(), revision);
});

test('one that was interrupted goes on', async () => {
  await using from = await source();
  await using to = await target(from);
  let pages = 0;
  await assert.rejects(
    migrateStore(from.store, to.store, () => {
      if ((pages += 1) === 2) throw new Error('interrupted');
    }),
    /interrupted/,
  );
  assert.ok((await to.store.certificates.count({ owner: 'any' })) < counts.certificates);
  assert.deepEqual(await migrateStore(from.store, to.store, nobody), counts);
});

test('a target with something of its own, or something changed, is refused', async () => {
  await using from = await source();
  await using used = await target(from);
  await used.store.transact('test', (tx) => tx.certificates.insert(fakeCertificate('stranger')));
  await assert.rejects(migrateStore(from.store, used.store, nobody), conflict);
  assert.equal(await used.store.certificates.count({ owner: 'any' }), 1);

  await using changed = await target(from);
  await changed.store.transact('test', (tx) => tx.certificates.insert(fakeCertificate('c7', { tags: ['other'] })));
  await assert.rejects(migrateStore(from.store, changed.store, nobody), conflict);
});

function conflict(error: unknown): boolean {
  return isPortunusError(error, 'MIGRATION_CONFLICT');
}
