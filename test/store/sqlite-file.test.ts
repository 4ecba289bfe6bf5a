// The file of the embedded store: who may read it, what it never holds, and what is said when it is not what it should be.
import assert from 'node:assert/strict';
import { createPrivateKey, generateKeyPairSync } from 'node:crypto';
import { chmod, copyFile, open, readdir, readFile, rename, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import { isPortunusError, type ErrorCode } from '../../src/lib/errors.ts';
import { transactionTimeoutMs, type Store } from '../../src/store/contract.ts';
import { connect } from '../../src/store/sqlite/connection.ts';
import {
  apiQuery,
  certificateQuery,
  listSql,
  pluginQuery,
  sniQuery,
  type Query,
} from '../../src/store/sqlite/filters.ts';
import { openSqliteStore } from '../../src/store/sqlite/sqlite-store.ts';
import { checkpointIfLong } from '../../src/store/sqlite/upkeep.ts';
import { fakeApi, fakeCertificate, fakeKeyPair } from '../contracts/entities.ts';
import { until } from '../support/until.ts';
import { freshSealer, temporaryDirectory, temporaryStore } from './temporary-store.ts';

test('the audit trail is kept for its time and in its rows', async () => {
  let now = 1000;
  const limits = { audit: { keptForMs: 5000, rowsMax: 3 }, now: () => now, changesKept: 1 };
  await using temporary = await temporaryStore(limits);
  const { store } = temporary;
  for (const id of ['a', 'b', 'c', 'd', 'e']) {
    now += 1000;
    await store.transact('test', (tx) => tx.apis.insert(fakeApi(id)));
  }
  const left = async (): Promise<readonly string[]> => (await store.audit(undefined, 100)).entries.map(({ id }) => id);
  assert.deepEqual(await left(), ['e', 'd', 'c']);
  now += 4500;
  await store.transact('test', (tx) => tx.apis.insert(fakeApi('f')));
  assert.deepEqual(await left(), ['f', 'e']);
});

test('only its owner may read the file and its companions', async () => {
  await using temporary = await temporaryStore();
  await temporary.store.transact('test', (tx) => tx.apis.insert(fakeApi('a')));
  const names = await readdir(temporary.directory);
  assert.deepEqual(names.sort(), ['store.db', 'store.db-shm', 'store.db-wal']);
  for (const name of names) {
    assert.equal((await stat(path.join(temporary.directory, name))).mode & 0o777, 0o600, name);
  }
});

test('no private key and no secret is in the files in any form', async () => {
  await using temporary = await temporaryStore();
  const { store, sealer } = temporary;
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const pem = privateKey.export({ type: 'pkcs8', format: 'pem' }) as string;
  const pair = fakeKeyPair('c');
  await store.transact('test', (tx) =>
    tx.certificates.insert(
      fakeCertificate('c', { primary: { ...pair, sealedKey: sealer.seal(pem, pair.publicKeySha256) } }),
    ),
  );
  const secret = await store.secret('ticket');
  const key = createPrivateKey(pem);
  const jwk = key.export({ format: 'jwk' });
  const der = key.export({ type: 'pkcs8', format: 'der' });
  const needles = [
    Buffer.from(pem.split('\n')[5] ?? assert.fail()),
    der.subarray(-64),
    Buffer.from(der.toString('base64').slice(300, 364)),
    ...[jwk.d, jwk.p].map((number) => Buffer.from(number ?? assert.fail(), 'base64url').subarray(0, 32)),
    secret,
    Buffer.from(secret.toString('base64')),
    Buffer.from(secret.toString('hex')),
  ];
  const look = async (): Promise<void> => {
    const names = await readdir(temporary.directory);
    const bytes = Buffer.concat(await Promise.all(names.map((name) => readFile(path.join(temporary.directory, name)))));
    assert.ok(bytes.includes(pair.fingerprint), 'the certificate itself is there');
    for (const needle of needles) assert.ok(!bytes.includes(needle));
  };
  await look();
  const again = await temporary.reopen();
  await look();
  const stored = (await again.certificates.get('c'))?.primary ?? assert.fail();
  assert.equal(sealer.open(stored.sealedKey, stored.publicKeySha256).toString(), pem);
});

test('another keyring is refused, and the missing key is named', async () => {
  await using temporary = await temporaryStore();
  await temporary.store[Symbol.asyncDispose]();
  await refused(temporary.path, 'KEYRING_MISMATCH', /k1/);
  await temporary.reopen();
});

test('a file that is no database is refused and left as it was', async () => {
  await using temporary = await temporaryDirectory();
  const file = path.join(temporary.directory, 'store.db');
  const text = 'not a database, but long enough to be looked at as one\n'.repeat(100);
  await writeFile(file, text);
  await refused(file, 'STORE_DAMAGED', /is not an SQLite database/);
  assert.equal(await readFile(file, 'utf8'), text);
});

test('the database of another program is refused and left as it was', async () => {
  await using temporary = await temporaryDirectory();
  const file = path.join(temporary.directory, 'store.db');
  const other = new DatabaseSync(file);
  other.exec('CREATE TABLE songs (title TEXT)');
  other.close();
  const before = await readFile(file);
  await refused(file, 'STORE_DAMAGED', /another program/);
  assert.deepEqual(await readFile(file), before);
});

test('a store that a newer version wrote is refused and left as it was', async () => {
  await using temporary = await temporaryStore();
  await temporary.store[Symbol.asyncDispose]();
  const database = new DatabaseSync(temporary.path);
  database.exec('PRAGMA user_version = 1000');
  database.close();
  const before = await readFile(temporary.path);
  await refused(temporary.path, 'STORE_NEWER', /schema version 1000/, temporary.sealer);
  assert.deepEqual(await readFile(temporary.path), before);
});

test('an empty file, as a start that was cut off leaves it, becomes a store', async () => {
  await using temporary = await temporaryDirectory();
  const file = path.join(temporary.directory, 'store.db');
  await writeFile(file, '');
  await using store = await openSqliteStore({ path: file, sealer: freshSealer() });
  assert.equal(await store.revision(), 0);
});

test('a damaged first page is found at once', async () => {
  await using temporary = await temporaryStore();
  await temporary.store[Symbol.asyncDispose]();
  await overwrite(temporary.path, 100, 3000);
  await refused(temporary.path, 'STORE_DAMAGED', /is damaged/, temporary.sealer);
});

test('a damaged page further on fails what reads it, with the code for damage', async () => {
  await using temporary = await temporaryStore();
  await temporary.store.transact('test', async (tx) => {
    for (let index = 0; index < 200; index += 1) await tx.certificates.insert(fakeCertificate(`c${index}`));
  });
  await temporary.store[Symbol.asyncDispose]();
  const { size } = await stat(temporary.path);
  await overwrite(temporary.path, 4096, size - 4096);
  await assert.rejects(
    async () => {
      await using store = await openSqliteStore({ path: temporary.path, sealer: temporary.sealer });
      await store.certificates.list({ size: 1000 });
    },
    (error) => isPortunusError(error, 'STORE_DAMAGED'),
  );
});

for (const [what, statement] of [
  ['is gone', 'DELETE FROM revision'],
  ['is older than the last change', 'UPDATE revision SET revision = 1'],
  ['is no number that there may be', 'UPDATE revision SET revision = -5'],
] as const) {
  test(`a revision that ${what} is found when the store is opened, whose followers would never come to an end`, async () => {
    await using temporary = await temporaryStore();
    for (const id of ['c1', 'c2'])
      await temporary.store.transact('test', (tx) => tx.certificates.insert(fakeCertificate(id)));
    await temporary.store[Symbol.asyncDispose]();
    change(temporary.path, statement);
    await refused(temporary.path, 'STORE_DAMAGED', /its revision is not that of its last change/, temporary.sealer);
  });
}

test('a secret of the store that was altered is named, with what to do, which helps', async () => {
  await using temporary = await temporaryStore();
  await temporary.store.secret('ticket');
  await temporary.store[Symbol.asyncDispose]();
  change(temporary.path, "UPDATE meta SET value = 'altered' WHERE key = 'secret_ticket'");
  {
    await using store = await openSqliteStore(temporary);
    await assert.rejects(store.secret('ticket'), (error) => {
      assert.ok(isPortunusError(error, 'STORE_DAMAGED'));
      assert.match(error.message, /own secret secret_ticket does not open/);
      change(temporary.path, /DELETE FROM.*/.exec(error.hint ?? '')?.[0] ?? '');
      return true;
    });
  }
  await using store = await openSqliteStore(temporary);
  assert.equal((await store.secret('ticket')).length, 32);
});

test('a store whose file is removed or replaced takes no writes, which would be gone with the process', async () => {
  await using temporary = await temporaryStore();
  const { store, path: file } = temporary;
  const write = (id: string): Promise<unknown> =>
    store.transact('test', (tx) => tx.certificates.insert(fakeCertificate(id)));
  await write('before');
  await rename(file, `${file}.away`);
  for (const replaced of [false, true]) {
    if (replaced) await copyFile(`${file}.away`, file);
    await assert.rejects(write('lost'), (error) => {
      return isPortunusError(error, 'STORE_UNAVAILABLE') && /was removed or replaced/.test(error.message);
    });
    assert.ok(await store.certificates.get('before'));
  }
  await rename(`${file}.away`, file);
  await write('after');
});

test('a directory that is not there is said so', async () => {
  await using temporary = await temporaryDirectory();
  await refused(path.join(temporary.directory, 'missing', 'store.db'), 'STORE_UNAVAILABLE', /ENOENT/);
});

test('old rows of changes are forgotten in whole revisions, and the rest are as they were', async () => {
  await using temporary = await temporaryStore({ changesKept: 10 });
  const { store } = temporary;
  for (let index = 0; index < 25; index += 1) {
    await store.transact('test', async (tx) => {
      for (const part of ['a', 'b', 'c']) await tx.certificates.insert(fakeCertificate(`${part}${index}`));
    });
  }
  // Upkeep at revision 20 kept the ten youngest rows and the rest of the oldest one's revision: 17 to 20.
  const revisions = (await store.changesSince(0, 1000)).map((change) => change.revision);
  assert.deepEqual(
    revisions,
    [17, 18, 19, 20, 21, 22, 23, 24, 25].flatMap((revision) => [revision, revision, revision]),
  );
  assert.equal(await store.certificates.count(), 75);
});

test('the write-ahead log stays short while much is written', async () => {
  await using temporary = await temporaryStore();
  const chain = 'x'.repeat(100_000);
  for (let index = 0; index < 200; index += 1) {
    await temporary.store.transact('test', (tx) =>
      tx.certificates.insert(fakeCertificate(`c${index}`, { primary: fakeKeyPair('c', { chain }) })),
    );
  }
  const log = (await stat(`${temporary.path}-wal`)).size;
  assert.ok(log < 8 * 1024 * 1024, `${log} bytes`);
});

test('a log that has grown too long is cut off', async () => {
  await using temporary = await temporaryStore();
  await temporary.store.transact('test', (tx) => tx.apis.insert(fakeApi('a')));
  const log = async (): Promise<number> => (await stat(`${temporary.path}-wal`)).size;
  const connection = connect(temporary.path, { readOnly: false, busyTimeoutMs: 0 });
  const before = await log();
  checkpointIfLong(connection, temporary.path, before);
  assert.equal(await log(), before);
  checkpointIfLong(connection, temporary.path, before - 1);
  assert.equal(await log(), 0);
  connection.close();
  assert.ok(await temporary.store.apis.get('a'));
});

test('a write waits while another process holds the lock, and reads go on', async () => {
  await using temporary = await temporaryStore();
  const other = new DatabaseSync(temporary.path);
  other.exec('BEGIN IMMEDIATE');
  let done = false;
  const write = temporary.store.transact('test', (tx) => tx.apis.insert(fakeApi('a'))).finally(() => (done = true));
  await new Promise(setImmediate);
  assert.equal(await temporary.store.apis.count(), 0);
  assert.equal(done, false);
  other.exec('ROLLBACK');
  other.close();
  assert.equal((await write).revision, 1);
});

test('a transaction whose work never ends is given up, one that waits for it sooner, and the next one goes on', async (t) => {
  const waitMaxMs = 5000;
  await using temporary = await temporaryStore({ waitMaxMs });
  const { store } = temporary;
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const started = Promise.withResolvers<void>();
  const stuck = store.transact('test', async (tx) => {
    await tx.apis.insert(fakeApi('a'));
    started.resolve();
    await new Promise(() => undefined);
  });
  const waiting = store.transact('test', async () => assert.fail('its turn never comes'));
  await started.promise;
  t.mock.timers.tick(waitMaxMs);
  await assert.rejects(waiting, (error) => isPortunusError(error, 'STORE_UNAVAILABLE'));
  t.mock.timers.tick(transactionTimeoutMs - waitMaxMs);
  await assert.rejects(stuck, (error) => isPortunusError(error, 'STORE_UNAVAILABLE'));
  assert.equal((await store.transact('test', (tx) => tx.apis.insert(fakeApi('b')))).revision, 1);
  assert.equal(await store.apis.get('a'), undefined);
});

test('two stores on one file take their revisions in turn', async () => {
  await using temporary = await temporaryStore();
  const { store, path: file, sealer } = temporary;
  await using second = await openSqliteStore({ path: file, sealer });
  const stores: readonly Store[] = [store, second];
  const committed = await Promise.all(
    Array.from({ length: 40 }, (_, index) =>
      (stores[index % 2] ?? store).transact('test', async (tx) => {
        await new Promise(setImmediate);
        await tx.apis.insert(fakeApi(`a${index}`));
      }),
    ),
  );
  assert.deepEqual(
    committed.map(({ revision }) => revision).sort((a, b) => a - b),
    Array.from({ length: 40 }, (_, index) => index + 1),
  );
  assert.equal(await second.apis.count(), 40);
  assert.deepEqual(await second.secret('ticket'), await store.secret('ticket'));
});

test('a count that was asked before is right after a commit of this store, and of another one over the same file', async () => {
  await using temporary = await temporaryStore();
  const { store, path: file, sealer } = temporary;
  await using second = await openSqliteStore({ path: file, sealer });
  const counts = async () => [await store.apis.count(), await store.apis.count({ name: 'name-a1' })];
  assert.deepEqual(await counts(), [0, 0]);
  await store.transact('test', (tx) => tx.apis.insert(fakeApi('a1')));
  assert.deepEqual(await counts(), [1, 1]);
  assert.deepEqual(await counts(), [1, 1]);
  await second.transact('test', async (tx) => {
    await tx.apis.insert(fakeApi('a2'));
    assert.deepEqual(await counts(), [1, 1]);
  });
  assert.deepEqual(await counts(), [2, 1]);
  await store.transact('test', async (tx) => {
    await tx.apis.delete('a1');
    assert.equal(await tx.apis.count(), 1);
    await tx.apis.delete('a2');
    assert.equal(await tx.apis.count(), 0);
  });
  assert.deepEqual(await counts(), [0, 0]);
});

test('a listener that throws does not fail the write', async () => {
  await using temporary = await temporaryStore();
  const failure = new Error('from the listener');
  const uncaught = Promise.withResolvers<unknown>();
  temporary.store.onCommit(() => {
    throw failure;
  });
  const handlers = process.listeners('uncaughtException');
  process.removeAllListeners('uncaughtException');
  process.once('uncaughtException', uncaught.resolve);
  try {
    assert.equal((await temporary.store.transact('test', (tx) => tx.apis.insert(fakeApi('a')))).revision, 1);
    assert.equal(await uncaught.promise, failure);
  } finally {
    for (const handler of handlers) process.on('uncaughtException', handler);
  }
});

test('lists find what they ask for by an index, in order, without sorting', async () => {
  await using temporary = await temporaryStore();
  const database = new DatabaseSync(temporary.path, { readOnly: true });
  const queries: Readonly<Record<string, Query>> = {
    apis: apiQuery(),
    'apis by name': apiQuery({ name: 'a' }),
    'apis by host': apiQuery({ host: 'a' }),
    'apis by path': apiQuery({ uri: 'a' }),
    'apis by upstream': apiQuery({ upstreamUrl: 'a' }),
    'plugins of an API': pluginQuery({ apiId: 'a' }),
    'global plugins': pluginQuery({ apiId: null }),
    certificates: certificateQuery(),
    'certificates of any owner': certificateQuery({ owner: 'any' }),
    'certificates by a tag': certificateQuery({ tags: { all: ['a'] } }),
    'certificates by tags': certificateQuery({ tags: { all: ['a', 'b'] } }),
    'snis of a certificate': sniQuery({ certificateId: 'a' }),
    'certificates by any of some tags': certificateQuery({ tags: { any: ['a', 'b', 'c'] } }),
    'certificates by expiry': certificateQuery({ expires: { from: 1, before: 2 } }),
    'snis by a tag': sniQuery({ tags: { any: ['a'] } }),
  };
  for (const [what, query] of Object.entries(queries)) {
    const plan = database
      .prepare(`EXPLAIN QUERY PLAN ${listSql(query)}`)
      .all(...query.values, ...query.key.map(() => 0), 10)
      .map((row) => String(row['detail']));
    // What is merged out of indexes is taken as it comes.
    const merged = plan.filter((line) => line.includes('tag=? AND sequence>?')).length > 1;
    const scanned = merged ? /^SCAN e\b/ : /^SCAN [et]\b/;
    assert.ok(!plan.some((line) => scanned.test(line)), `${what}: ${plan.join('; ')}`);
    if (!/path|host/.test(what))
      assert.ok(!plan.some((line) => line.includes('TEMP B-TREE')), `${what}: ${plan.join('; ')}`);
  }
  database.close();
});

test('a file that may only be read is not available for writing', { skip: process.getuid?.() === 0 }, async () => {
  await using temporary = await temporaryStore();
  await temporary.store[Symbol.asyncDispose]();
  await chmod(temporary.path, 0o400);
  await refused(temporary.path, 'STORE_UNAVAILABLE', /may not be written/, temporary.sealer);
});

async function refused(file: string, code: ErrorCode, message: RegExp, sealer = freshSealer()): Promise<void> {
  await assert.rejects(openSqliteStore({ path: file, sealer }), (error) => {
    assert.ok(isPortunusError(error, code), String(error));
    assert.match(error.message, message);
    return true;
  });
}

/** As another program would. */
function change(file: string, statement: string): void {
  const database = new DatabaseSync(file);
  database.exec(statement);
  database.close();
}

async function overwrite(file: string, from: number, length: number): Promise<void> {
  const handle = await open(file, 'r+');
  await handle.write(Buffer.alloc(length, 0xa5), 0, length, from);
  await handle.close();
}

test('a commit of another process on the file is told of, and told of once', async () => {
  await using opened = await temporaryStore();
  await using other = await openSqliteStore({ path: opened.path, sealer: opened.sealer });
  const nudged: number[] = [];
  opened.store.onCommit((revision) => nudged.push(revision));
  await other.transact('test', (tx) => tx.certificates.insert(fakeCertificate('a')));
  await until('the other commit is told of', () => nudged.length > 0);
  await opened.store.transact('test', (tx) => tx.certificates.insert(fakeCertificate('b')));
  assert.deepEqual(nudged, [1, 2]);
});
