// How the tables come to be, whoever comes first, and what a program does with tables that are newer than it.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { isPortunusError, type ErrorCode } from '../../src/lib/errors.ts';
import { createPgClient } from '../../src/store/postgres/postgres-client.ts';
import { createPostgresStore } from '../../src/store/postgres/postgres-store.ts';
import { createReplicaSource } from '../../src/store/postgres/replica-source.ts';
import { rulesKnownFrom, schemaVersion } from '../../src/store/postgres/schema.ts';
import { fakeApi, fakeCaCertificate, fakeHostPolicy } from '../contracts/entities.ts';
import { type PostgresServer, startPostgres } from '../support/postgres.ts';
import { postgresConfig, temporaryPostgres } from './temporary-postgres.ts';
import { freshSealer } from './temporary-store.ts';

let server: PostgresServer;
before(async () => {
  server = await startPostgres();
});
after(() => server[Symbol.asyncDispose]());

test('four nodes that start at once make one store, with one identity and one secret', async () => {
  const config = postgresConfig(server.port);
  const sealer = freshSealer();
  await using disposables = new AsyncDisposableStack();
  const stores = Array.from({ length: 4 }, () => {
    const client = disposables.use(createPgClient(config));
    return disposables.use(createPostgresStore({ client, schema: config.schema, sealer }));
  });
  const secrets = await Promise.all(stores.map((store) => store.secret('ticket')));
  for (const secret of secrets) assert.deepEqual(secret, secrets[0]);
  const client = disposables.use(createPgClient(config));
  const rows = await client.query('SELECT key FROM meta ORDER BY key');
  assert.deepEqual(
    rows.map((row) => row['key']),
    ['keyring_probe', 'secret_ticket', 'store_id'],
  );
  assert.equal((await client.query('SELECT schema_version FROM revision'))[0]?.['schema_version'], schemaVersion);
});

test('tables of a newer program that can still be read are read and followed, and not written', async () => {
  await using opened = await temporaryPostgres(server.port);
  await opened.store.transact('test', (tx) => tx.apis.insert(fakeApi('a')));
  await opened.client.query('UPDATE revision SET schema_version = $1', schemaVersion + 1);
  const store = await opened.reopen();
  assert.ok(await store.apis.get('a'));
  const source = createReplicaSource({ client: opened.client, store });
  assert.equal(await source.snapshot(async (snapshot) => snapshot.revision), 1);
  await assert.rejects(
    store.transact('test', (tx) => tx.apis.insert(fakeApi('b'))),
    hasCode('STORE_NEWER'),
  );
  assert.equal(await store.revision(), 1);
});

test('a program that runs while a newer one migrates stops writing, and goes on reading while it can', async () => {
  await using opened = await temporaryPostgres(server.port);
  const { store, client } = opened;
  const source = createReplicaSource({ client, store });
  await store.transact('test', (tx) => tx.apis.insert(fakeApi('a')));
  await store.apis.get('a');
  await client.query('ALTER TABLE apis ADD COLUMN more text');
  await client.query('UPDATE revision SET schema_version = $1', schemaVersion + 1);
  await assert.rejects(
    store.transact('test', (tx) => tx.apis.insert(fakeApi('b'))),
    hasCode('STORE_NEWER'),
  );
  assert.ok(await store.apis.get('a'));
  const rows = await source.snapshot((snapshot) => snapshot.rows('apis', ['a']));
  assert.deepEqual(Object.keys(rows[0] ?? {}), ['sequence', 'id', 'name', 'doc', 'revision']);
  await client.query('UPDATE revision SET readable_from = $1', schemaVersion + 1);
  await assert.rejects(
    source.snapshot(async () => undefined),
    hasCode('STORE_NEWER'),
  );
});

test('tables of a newer program that cannot be read any more are refused', async () => {
  await using opened = await temporaryPostgres(server.port);
  await opened.client.query('UPDATE revision SET schema_version = $1, readable_from = $1', schemaVersion + 1);
  await assert.rejects((await opened.reopen()).ready(), hasCode('STORE_NEWER'));
});

test('a program that knows no rules about client certificates stops following at the first one, not before', async () => {
  await using opened = await temporaryPostgres(server.port);
  const { store, client } = opened;
  const readableFrom = async () => (await client.query('SELECT readable_from FROM revision'))[0]?.['readable_from'];
  await store.transact('test', async (tx) => {
    await tx.caCertificates.insert(fakeCaCertificate('ca'));
    await tx.apis.insert(fakeApi('a'));
  });
  assert.ok(Number(await readableFrom()) < rulesKnownFrom);
  const clientCertificate = { mode: 'required', authorities: ['ca'], depth: 1 } as const;
  await store.transact('test', (tx) => tx.apis.replace(fakeApi('a', { clientCertificate })));
  assert.equal(await readableFrom(), rulesKnownFrom);

  await using other = await temporaryPostgres(server.port);
  await other.store.transact('test', (tx) => tx.hostPolicies.insert(fakeHostPolicy('h', 'a.test')));
  const [row] = await other.client.query('SELECT readable_from FROM revision');
  assert.equal(row?.['readable_from'], rulesKnownFrom);
});

test('another keyring does not open the store', async () => {
  await using opened = await temporaryPostgres(server.port);
  await using client = createPgClient(opened.config);
  await using store = createPostgresStore({ client, schema: opened.config.schema, sealer: freshSealer() });
  await assert.rejects(store.ready(), hasCode('KEYRING_MISMATCH'));
});

test('a role that may not make the schema is told so, and one that owns it needs nothing more', async () => {
  await using admin = createPgClient(postgresConfig(server.port));
  await admin.query(`CREATE ROLE humble LOGIN`);
  const config = postgresConfig(server.port, { user: 'humble' });
  await using client = createPgClient(config);
  await using store = createPostgresStore({ client, schema: config.schema, sealer: freshSealer() });
  await assert.rejects(store.ready(), (error) => {
    return isPortunusError(error, 'STORE_UNAVAILABLE') && error.hint?.includes('AUTHORIZATION') === true;
  });
  await admin.query(`CREATE SCHEMA ${config.schema} AUTHORIZATION humble`);
  await store.ready();
  assert.equal(await store.revision(), 0);
});

test('a store that is made while PostgreSQL is away is ready once it is there', async () => {
  await using own = await startPostgres();
  await own.stop('fast');
  const config = postgresConfig(own.port);
  await using client = createPgClient(config);
  await using store = createPostgresStore({ client, schema: config.schema, sealer: freshSealer() });
  await assert.rejects(store.ready(), hasCode('STORE_UNAVAILABLE'));
  await own.start();
  while (client.state.kind !== 'connected') await new Promise(setImmediate);
  await store.ready();
  assert.equal(await store.revision(), 0);
});

function hasCode(code: ErrorCode): (error: unknown) => boolean {
  return (error) => isPortunusError(error, code);
}
