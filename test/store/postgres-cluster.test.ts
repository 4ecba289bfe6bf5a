// What a cluster uses of PostgreSQL beside the store itself: snapshots for replicas, the registry of nodes, pruning.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { joinCluster } from '../../src/replica/cluster.ts';
import type { NodeIdentity, NodeReport } from '../../src/store/node-registry.ts';
import { nodesChannel } from '../../src/store/postgres/channels.ts';
import { createNodeRegistry } from '../../src/store/postgres/node-registry.ts';
import { createReplicaSource } from '../../src/store/postgres/replica-source.ts';
import { pruneAudit, pruneChanges } from '../../src/store/postgres/upkeep.ts';
import { openDatabase } from '../../src/store/sqlite/open-database.ts';
import { fakeApi, fakeCertificate, fakePlugin, fakePluginCertificate, fakeSni } from '../contracts/entities.ts';
import { type PostgresServer, startPostgres } from '../support/postgres.ts';
import { until } from '../support/until.ts';
import { type TemporaryPostgres, temporaryPostgres } from './temporary-postgres.ts';
import { temporaryDirectory } from './temporary-store.ts';

let server: PostgresServer;
before(async () => {
  server = await startPostgres();
});
after(() => server[Symbol.asyncDispose]());

test('a snapshot gives rows with the very columns of the embedded store, and they fit into its tables', async () => {
  await using opened = await temporaryPostgres(server.port);
  await using temporary = await temporaryDirectory();
  await fill(opened);
  const file = await openDatabase(`${temporary.directory}/replica.db`);
  await sourceOf(opened).snapshot(async (snapshot) => {
    for (const table of ['apis', 'certificates', 'plugins', 'snis'] as const) {
      const rows = await snapshot.page(table, 0, 100);
      assert.ok(rows.length > 0);
      const columns = file.all(`SELECT name FROM pragma_table_info('${table}')`).map((row) => String(row['name']));
      for (const row of rows) {
        assert.deepEqual(Object.keys(row).toSorted(), columns.toSorted());
        file.run(
          `INSERT INTO ${table} (${Object.keys(row).join(', ')}) VALUES (${Object.keys(row)
            .map(() => '?')
            .join(', ')})`,
          ...Object.values(row),
        );
      }
      assert.deepEqual(await snapshot.rows(table, rows.map((row) => String(row['id'])).concat('missing')), rows);
      assert.deepEqual(
        await snapshot.versions(table, 0, 100),
        rows.map(({ sequence, id, revision }) => ({ sequence, id, revision })),
      );
      assert.deepEqual(await snapshot.page(table, Number(rows[0]?.['sequence']), 100), rows.slice(1));
    }
    const bindings = await snapshot.bindings(undefined, 100);
    assert.deepEqual(
      bindings.map((row) => row['name']),
      ['a.test', 's.test'],
    );
    assert.deepEqual(await snapshot.bindings('a.test', 100), bindings.slice(1));
    assert.deepEqual(await snapshot.bindingsOf(['s']), bindings.slice(1));
    assert.deepEqual(
      (await snapshot.meta()).map(({ key }) => key),
      ['keyring_probe', 'store_id'],
    );
  });
  file.close();
});

test('the changes since a revision are all there, or said to be forgotten', async () => {
  await using opened = await temporaryPostgres(server.port);
  await fill(opened);
  const since = (revision: number, limit: number) =>
    sourceOf(opened).snapshot((snapshot) => snapshot.changesSince(revision, limit));
  assert.deepEqual(
    (await since(0, 100))?.map(({ revision, entity, id }) => [revision, entity, id]),
    [
      [1, 'api', 'a'],
      [2, 'certificate', 'certificate-of-p'],
      [2, 'plugin', 'p'],
      [3, 'certificate', 'c'],
      [3, 'sni', 's'],
    ],
  );
  assert.deepEqual(await since(3, 100), []);
  assert.equal(await since(4, 100), undefined);
  assert.equal(await since(0, 4), undefined);
  await opened.client.query('DELETE FROM changes WHERE revision = 1');
  assert.equal(await since(0, 100), undefined);
  assert.equal((await since(1, 100))?.length, 4);
});

test('a commit during a snapshot is not seen in it, and is heard of', async () => {
  await using opened = await temporaryPostgres(server.port);
  const source = sourceOf(opened);
  let nudged = 0;
  const stop = source.onCommit(() => (nudged += 1));
  await source.snapshot(async (snapshot) => {
    await fill(opened);
    assert.deepEqual(await snapshot.page('apis', 0, 10), []);
    assert.equal(snapshot.revision, 0);
  });
  await until('it is told', () => nudged >= 3);
  stop();
});

test('a node registers, gives signs of life that others hear, and leaves', async () => {
  await using opened = await temporaryPostgres(server.port);
  const registry = registryOf(opened);
  await reach(opened, 7);
  let heard = 0;
  registry.onReport(() => (heard += 1));
  await registry.register(identity('one'), report({ state: 'filling', applied: undefined }));
  await registry.register(identity('two'), report());
  await until('a report is heard', async () => {
    assert.equal(await registry.report(identity('one'), report({ applied: 7 })), true);
    return heard > 0;
  });
  const nodes = await registry.list();
  assert.deepEqual(
    nodes.map(({ startedAt, silentMs, ...node }) => {
      assert.ok(startedAt > 0 && silentMs >= 0);
      return node;
    }),
    [
      { ...identity('one'), ...report({ applied: 7 }) },
      { ...identity('two'), ...report() },
    ],
  );
  await registry.leave(identity('one'));
  assert.deepEqual(
    (await registry.list()).map(({ id }) => id),
    ['two'],
  );
});

test('another instance that takes the id is noticed by the first, which then changes nothing', async () => {
  await using opened = await temporaryPostgres(server.port);
  const registry = registryOf(opened);
  await reach(opened, 9);
  const copy = { ...identity('one'), instance: 'copy', name: 'copy' };
  await registry.register(identity('one'), report());
  await registry.register(copy, report({ applied: 5 }));
  assert.equal(await registry.report(identity('one'), report({ applied: 9 })), false);
  assert.equal(await registry.report(copy, report({ applied: 6 })), true);
  await registry.leave(identity('one'));
  assert.deepEqual(
    (await registry.list()).map(({ instance, applied }) => [instance, applied]),
    [['copy', 6]],
  );
});

test('a node that has applied more than there is has applied nothing: the store was put back to an older state', async () => {
  await using opened = await temporaryPostgres(server.port);
  const registry = registryOf(opened);
  await reach(opened, 4);
  await registry.register(identity('one'), report({ applied: 5 }));
  assert.equal((await registry.list())[0]?.applied, undefined);
  await registry.report(identity('one'), report({ applied: 5 }));
  assert.equal((await registry.list())[0]?.applied, undefined);
});

test('a report that somebody made up is not taken for one: what a node has applied is read from its row', async () => {
  await using opened = await temporaryPostgres(server.port);
  const registry = registryOf(opened);
  await reach(opened, 4);
  await registry.register(identity('two'), report({ applied: 1 }));
  await using cluster = joinCluster({
    registry,
    identity: identity('one'),
    report: () => report({ applied: 4 }),
    renewId: () => 'other',
    nodeTimeoutMs: 60_000,
    log: { warn: () => undefined, error: () => undefined },
  });
  let heard = 0;
  registry.onReport(() => (heard += 1));
  await until('both are there and reports are heard', async () => heard > 0 && (await registry.list()).length === 2);
  let ended = false;
  const waiting = cluster.whenAppliedByAll(4, performance.now(), 20_000).finally(() => (ended = true));
  for (const payload of [JSON.stringify({ id: 'two', applied: 9000 }), 'what', '']) {
    const before = heard;
    await opened.client.query('SELECT pg_notify($1, $2)', nodesChannel(opened.config.schema), payload);
    await until('it is heard', () => heard > before);
  }
  // Longer than reading the list takes: had it been believed, the wait would be over.
  await registry.list();
  await registry.list();
  assert.equal(ended, false);
  await registry.report(identity('two'), report({ applied: 4 }));
  assert.deepEqual((await waiting).lagging, []);
});

test('a node whose row was forgotten is there again with its next sign of life', async () => {
  await using opened = await temporaryPostgres(server.port);
  const registry = registryOf(opened);
  await registry.register(identity('one'), report());
  await opened.client.query(`UPDATE nodes SET seen_at = seen_at - interval '8 days'`);
  await prune(opened);
  assert.equal((await opened.client.query('SELECT id FROM nodes')).length, 0);
  assert.equal(await registry.report(identity('one'), report()), true);
  assert.equal((await registry.list()).length, 1);
});

const day = 24 * 3_600_000;

test('old changes are kept as long as a node needs them, and a week at most', async () => {
  let now = 10 * day;
  await using opened = await temporaryPostgres(server.port, { now: () => now });
  const registry = registryOf(opened);
  await fill(opened);
  await registry.register(identity('one'), report({ applied: 2 }));
  await registry.register(identity('two'), report({ applied: 1 }));
  await prune(opened, { now });
  assert.equal((await opened.store.changesSince(0, 10))[0]?.revision, 1);
  now += day;
  await prune(opened, { now });
  assert.equal((await opened.store.changesSince(0, 10))[0]?.revision, 2);
  await registry.leave(identity('two'));
  await prune(opened, { now });
  assert.equal((await opened.store.changesSince(0, 10))[0]?.revision, 3);
  now += 7 * day;
  await prune(opened, { now });
  assert.deepEqual(await opened.store.changesSince(0, 10), []);
  assert.equal(await opened.store.revision(), 3);
});

test('changes beyond the greatest number are forgotten whoever needs them, by whole revisions', async () => {
  const now = 10 * day;
  await using opened = await temporaryPostgres(server.port, { now: () => now });
  await fill(opened);
  await registryOf(opened).register(identity('one'), report({ applied: 0 }));
  await prune(opened, { now, changesMax: 3 });
  assert.deepEqual(
    (await opened.store.changesSince(0, 10)).map(({ revision }) => revision),
    [2, 2, 3, 3],
  );
});

async function fill({ store }: TemporaryPostgres): Promise<void> {
  await store.transact('test', (tx) => tx.apis.insert(fakeApi('a')));
  await store.transact('test', async (tx) => {
    await tx.certificates.insert(fakePluginCertificate('p'));
    await tx.plugins.insert(fakePlugin('p', 'a'));
  });
  await store.transact('test', async (tx) => {
    await tx.certificates.insert(fakeCertificate('c', { tags: ['t'] }));
    await tx.snis.insert(fakeSni('s', 's.test', 'c'));
  });
}

test('the audit trail is kept for its time and in its rows', async () => {
  let now = 1000;
  await using opened = await temporaryPostgres(server.port, { now: () => now });
  const { store, client } = opened;
  const left = async (): Promise<readonly string[]> => (await store.audit(undefined, 100)).entries.map(({ id }) => id);
  for (const id of ['a', 'b', 'c', 'd']) {
    now += 1000;
    await store.transact('test', (tx) => tx.apis.insert(fakeApi(id)));
    // What is taken back uses up numbers, and no place.
    for (let count = 0; count < 5; count += 1) await store.rehearse('test', (tx) => tx.apis.delete(id));
  }
  const forget = (keptForMs: number, rowsMax: number): Promise<void> =>
    pruneAudit({ client, now: () => now, audit: { keptForMs, rowsMax } });
  await forget(60_000, 3);
  assert.deepEqual(await left(), ['d', 'c', 'b']);
  await forget(1000, 3);
  assert.deepEqual(await left(), ['d', 'c']);
  now += 60_000;
  await forget(1000, 3);
  assert.deepEqual(await left(), []);
});

async function reach({ client }: TemporaryPostgres, revision: number): Promise<void> {
  await client.query('UPDATE revision SET revision = $1', revision);
}

function sourceOf({ client, store }: TemporaryPostgres) {
  return createReplicaSource({ client, store });
}

function registryOf({ client, config, store }: TemporaryPostgres) {
  return createNodeRegistry({ client, schema: config.schema, store });
}

function prune({ client, config }: TemporaryPostgres, { now = Date.now(), changesMax = 100 } = {}): Promise<void> {
  return pruneChanges({ client, schema: config.schema, changesKeptForMs: 3_600_000, now: () => now, changesMax });
}

function identity(id: string): NodeIdentity {
  return { id, instance: `instance of ${id}`, name: `name of ${id}`, address: '127.0.0.1:8443', version: '3' };
}

function report(fields: Partial<NodeReport> = {}): NodeReport {
  return { applied: 1, state: 'serving', keyIds: ['k1'], ...fields };
}
