// The PostgreSQL store when connections, the server and other nodes fail.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import net, { type AddressInfo } from 'node:net';
import { after, before, test } from 'node:test';
import type { PostgresConfig } from '../../src/config/config.ts';
import { isPortunusError, type ErrorCode } from '../../src/lib/errors.ts';
import type { Store } from '../../src/store/contract.ts';
import { commitChannel } from '../../src/store/postgres/channels.ts';
import { openLink } from '../../src/store/postgres/link.ts';
import { createPgClient } from '../../src/store/postgres/postgres-client.ts';
import { createPostgresStore } from '../../src/store/postgres/postgres-store.ts';
import { fakeApi } from '../contracts/entities.ts';
import { startPostgresProxy } from '../support/postgres-proxy.ts';
import { type PostgresServer, startPostgres } from '../support/postgres.ts';
import { until } from '../support/until.ts';
import { postgresConfig, temporaryPostgres } from './temporary-postgres.ts';

let server: PostgresServer;
before(async () => {
  server = await startPostgres();
});
after(() => server[Symbol.asyncDispose]());

test('a connection that PostgreSQL ended between two writes costs no write', async () => {
  await using opened = await temporaryPostgres(server.port);
  const { store } = opened;
  await write(store, 'a');
  await using other = createPgClient(postgresConfig(server.port));
  const ended = await terminate(other, opened.config.schema);
  assert.ok(ended > 0);
  await untilNoSessions(other, opened.config.schema);
  await until('the write goes through', () => succeeds(write(store, 'b')));
  assert.equal(await store.revision(), 2);
});

test('a write whose connection ended in its midst is not available, has changed nothing, and the next one goes on', async () => {
  await using opened = await temporaryPostgres(server.port);
  const { store } = opened;
  await using other = createPgClient(postgresConfig(server.port));
  await assert.rejects(
    store.transact('test', async (tx) => {
      await tx.apis.insert(fakeApi('a'));
      await terminate(other, opened.config.schema);
      await tx.apis.insert(fakeApi('b'));
    }),
    hasCode('STORE_UNAVAILABLE'),
  );
  await until('the write goes through', () => succeeds(write(store, 'c')));
  assert.deepEqual(await revisionsOf(store), [1]);
  assert.equal(await store.apis.get('a'), undefined);
});

test('a server that was killed is unreachable until it is back, and what was acknowledged is there', async () => {
  await using own = await startPostgres();
  await using opened = await temporaryPostgres(own.port);
  const { store, client } = opened;
  const nudges: number[] = [];
  store.onCommit((revision) => nudges.push(revision));
  await write(store, 'a');
  await own.stop('immediate');
  await assert.rejects(write(store, 'b'), hasCode('STORE_UNAVAILABLE'));
  await until('the state says so', () => client.state.kind === 'unreachable');
  await assert.rejects(write(store, 'b'), hasCode('STORE_UNAVAILABLE'));
  await assert.rejects(store.apis.get('a'), hasCode('STORE_UNAVAILABLE'));
  await own.start();
  await until('it is found again', () => client.state.kind === 'connected');
  assert.ok(await store.apis.get('a'));
  await write(store, 'b');
  assert.deepEqual(await revisionsOf(store), [1, 2]);

  await using other = createPgClient(opened.config);
  await using second = createPostgresStore({ client: other, schema: opened.config.schema, sealer: opened.sealer });
  await write(second, 'c');
  await until('the commit of another node is heard of', () => nudges.includes(3));
});

test('a frozen server holds nobody up for longer than the timeout, and then nobody at all', async () => {
  await using own = await startPostgres();
  await using opened = await temporaryPostgres(own.port, { config: { timeoutMs: 2000 } });
  const { store, client } = opened;
  store.onCommit(() => undefined);
  await write(store, 'a');
  const frozen = [own.pid, ...childrenOf(own.pid)];
  for (const pid of frozen) process.kill(pid, 'SIGSTOP');
  try {
    await assert.rejects(write(store, 'b'), hasCode('STORE_UNAVAILABLE'));
    assert.equal(client.state.kind, 'unreachable');
    await assert.rejects(store.apis.get('a'), hasCode('STORE_UNAVAILABLE'));
  } finally {
    for (const pid of frozen.toReversed()) process.kill(pid, 'SIGCONT');
  }
  await until('it is found again', () => client.state.kind === 'connected');
  await until('a write goes through', () => succeeds(write(store, 'c')));
  assert.equal(await store.apis.get('b'), undefined);
});

test('a commit whose answer was lost is found to have happened', async () => {
  await using opened = await temporaryPostgres(server.port);
  await using proxy = await startCommitCutter(server.port, 'after');
  await using client = createPgClient({ ...opened.config, port: proxy.port });
  await using store = createPostgresStore({ client, schema: opened.config.schema, sealer: opened.sealer });
  await store.ready();
  proxy.arm();
  assert.equal((await write(store, 'a')).revision, 1);
  assert.equal(proxy.cut, 1);
  assert.ok(await opened.store.apis.get('a'));
});

test('a commit that never arrived is found not to have happened', async () => {
  await using opened = await temporaryPostgres(server.port);
  await using proxy = await startCommitCutter(server.port, 'before');
  await using client = createPgClient({ ...opened.config, port: proxy.port });
  await using store = createPostgresStore({ client, schema: opened.config.schema, sealer: opened.sealer });
  await store.ready();
  proxy.arm();
  await assert.rejects(write(store, 'a'), hasCode('STORE_UNAVAILABLE'));
  assert.equal(proxy.cut, 1);
  assert.equal(await opened.store.apis.get('a'), undefined);
  assert.equal((await write(store, 'a')).revision, 1);
});

test('a commit that nobody can be asked about is of unknown outcome', async () => {
  await using opened = await temporaryPostgres(server.port);
  await using proxy = await startCommitCutter(server.port, 'for good');
  await using client = createPgClient({ ...opened.config, port: proxy.port, timeoutMs: 1000 });
  await using store = createPostgresStore({ client, schema: opened.config.schema, sealer: opened.sealer });
  await store.ready();
  proxy.arm();
  await assert.rejects(write(store, 'a'), hasCode('STORE_OUTCOME_UNKNOWN'));
});

test('two nodes that write at once take revisions without a gap, each row of the log once', async () => {
  await using opened = await temporaryPostgres(server.port);
  await using other = createPgClient(opened.config);
  await using second = createPostgresStore({ client: other, schema: opened.config.schema, sealer: opened.sealer });
  const writes = Array.from({ length: 60 }, (_, index) => write(index % 2 === 0 ? opened.store : second, `a${index}`));
  const taken = (await Promise.all(writes)).map(({ revision }) => revision);
  assert.deepEqual(
    taken.toSorted((a, b) => a - b),
    Array.from({ length: 60 }, (_, index) => index + 1),
  );
  assert.deepEqual(
    await revisionsOf(opened.store),
    Array.from({ length: 60 }, (_, index) => index + 1),
  );
});

test('a node that stands still in the midst of a write is cut off, and the others write on', async () => {
  await using opened = await temporaryPostgres(server.port);
  await using still = createPgClient({ ...opened.config, timeoutMs: 1000 });
  const { promise: held, resolve: hold } = Promise.withResolvers<void>();
  const { promise: released, resolve: release } = Promise.withResolvers<void>();
  const standing = still.transact('write', async (tx) => {
    await tx.query('SELECT revision FROM revision FOR UPDATE');
    hold();
    await released;
  });
  await held;
  assert.equal((await write(opened.store, 'a')).revision, 1);
  release();
  await assert.rejects(standing, hasCode('STORE_UNAVAILABLE'));
});

for (const { what, begin, end, reason, hint } of [
  {
    what: 'a row that somebody else holds',
    begin: 'BEGIN; SELECT revision FROM revision FOR UPDATE',
    end: 'ROLLBACK',
    reason: /another write holds the store \(SQLSTATE 55P03\)/,
    hint: /pg_stat_activity/,
  },
  {
    what: 'a table that somebody else holds',
    begin: 'BEGIN; LOCK TABLE revision',
    end: 'ROLLBACK',
    reason: /another write holds the store \(SQLSTATE 55P03\)/,
    hint: /pg_stat_activity/,
  },
  {
    what: 'a table that is gone',
    begin: 'ALTER TABLE revision RENAME TO elsewhere',
    end: 'ALTER TABLE elsewhere RENAME TO revision',
    reason: /tables are missing \(SQLSTATE 42P01\)/,
    hint: /Start this node again/,
  },
]) {
  test(`${what} makes a write not available, says why and what to do, and the next one goes on`, async () => {
    await using opened = await temporaryPostgres(server.port, { config: { timeoutMs: 1500 } });
    const other = await openLink({ ...opened.config, timeoutMs: 60_000 }, { ended: () => undefined });
    await other.query(begin, []);
    await assert.rejects(write(opened.store, 'a'), isUnavailable(reason, hint));
    await other.query(end, []);
    other.destroy();
    await write(opened.store, 'b');
    assert.deepEqual(await revisionsOf(opened.store), [1]);
  });
}

test('a server that is read-only makes a write not available, and says why and what to do', async () => {
  await using admin = createPgClient(postgresConfig(server.port));
  await admin.query('CREATE DATABASE standby');
  await using opened = await temporaryPostgres(server.port, { config: { database: 'standby' } });
  await write(opened.store, 'a');
  await admin.query('ALTER DATABASE standby SET default_transaction_read_only = on');
  const store = await opened.reopen();
  assert.ok(await store.apis.get('a'));
  await assert.rejects(write(store, 'b'), isUnavailable(/read-only \(SQLSTATE 25006\)/, /primary/));
});

test('a lost notification costs a second and nothing else', async () => {
  await using opened = await temporaryPostgres(server.port);
  await using proxy = await startPostgresProxy(server);
  await using client = createPgClient({ ...opened.config, port: proxy.port });
  await using deaf = createPostgresStore({ client, schema: opened.config.schema, sealer: opened.sealer });
  const nudges: number[] = [];
  deaf.onCommit((revision) => nudges.push(revision));
  await write(opened.store, 'a');
  await until('it is told by one way or the other', () => nudges.includes(1));
  proxy.dropNotifications(true);
  await write(opened.store, 'b');
  await until('it finds out', () => nudges.includes(2));
  assert.ok(proxy.notificationsDropped >= 1);
});

test('a notification that somebody made up makes no node deaf', async () => {
  await using opened = await temporaryPostgres(server.port);
  await using client = createPgClient(opened.config);
  await using other = createPostgresStore({ client, schema: opened.config.schema, sealer: opened.sealer });
  const nudges: number[] = [];
  other.onCommit((revision) => nudges.push(revision));
  await write(opened.store, 'a');
  await until('a commit is heard of', () => nudges.includes(1));
  for (const payload of ['9007199254740991', '-1', 'NaN', '', '1e400']) {
    await opened.client.query('SELECT pg_notify($1, $2)', commitChannel(opened.config.schema), payload);
  }
  await until('the one that is a number is heard', () => nudges.includes(9_007_199_254_740_991));
  await write(opened.store, 'b');
  await until('the next commit is heard of', () => nudges.includes(2));
});

test('no write waits for longer than the timeout for others, however many wait, and then all go on', async () => {
  const timeoutMs = 1000;
  await using opened = await temporaryPostgres(server.port, { config: { timeoutMs } });
  const { other, letGo } = await holdRevision(opened.config);
  const startedAt = performance.now();
  const waiting = Array.from({ length: 40 }, async (_, index) => {
    await assert.rejects(write(opened.store, `a${index}`), isUnavailable(/writes? holds? the store/, /again/));
    return performance.now() - startedAt;
  });
  // One after the other they would take most of forty times that; a machine that is busy may take a part of it.
  for (const ms of await Promise.all(waiting)) assert.ok(ms < 15 * timeoutMs, `${ms} ms`);
  await letGo();
  await write(opened.store, 'b');
  assert.deepEqual(await revisionsOf(opened.store), [1]);
  other.destroy();
});

test('a store that is closed refuses at once the writes that wait', async () => {
  await using opened = await temporaryPostgres(server.port);
  const { other, letGo } = await holdRevision(opened.config);
  const first = write(opened.store, 'a');
  const waiting = [write(opened.store, 'b'), write(opened.store, 'c')];
  const closing = opened.store[Symbol.asyncDispose]();
  for (const each of waiting) await assert.rejects(each, hasCode('STORE_UNAVAILABLE'));
  await letGo();
  assert.equal((await first).revision, 1);
  await closing;
  other.destroy();
});

test('a revision that goes down, as in a database that is put back, is heard of', async () => {
  await using opened = await temporaryPostgres(server.port);
  const nudges: number[] = [];
  opened.store.onCommit((revision) => nudges.push(revision));
  await write(opened.store, 'a');
  await write(opened.store, 'b');
  await opened.client.query('UPDATE revision SET revision = 1');
  await until('it is told', () => nudges.at(-1) === 1);
});

test('when notifications were cut off, whoever listens looks, whatever the revision is', async () => {
  await using opened = await temporaryPostgres(server.port);
  await using proxy = await startPostgresProxy(server);
  await using client = createPgClient({ ...opened.config, port: proxy.port });
  await using store = createPostgresStore({ client, schema: opened.config.schema, sealer: opened.sealer });
  const nudges: number[] = [];
  store.onCommit((revision) => nudges.push(revision));
  await write(opened.store, 'a');
  await until('the commit is heard of', () => nudges.includes(1));
  const before = nudges.length;
  proxy.cut();
  await until('it is told again', () => nudges.length > before);
  assert.equal(nudges.at(-1), 1);
});

function write(store: Store, id: string) {
  return store.transact('test', (tx) => tx.apis.insert(fakeApi(id)));
}

async function revisionsOf(store: Store): Promise<readonly number[]> {
  return (await store.changesSince(0, 1000)).map((change) => change.revision);
}

async function succeeds(work: Promise<unknown>): Promise<boolean> {
  try {
    await work;
    return true;
  } catch (error) {
    if (isPortunusError(error, 'STORE_UNAVAILABLE')) return false;
    throw error;
  }
}

/** Ends the sessions of clients whose tables are in this schema: they hold it in their search path. */
async function terminate(client: ReturnType<typeof createPgClient>, schema: string): Promise<number> {
  const rows = await client.query(
    `SELECT pg_terminate_backend(pid) AS ended FROM pg_stat_activity
     WHERE pid <> pg_backend_pid() AND application_name = $1`,
    `portunus ${schema}`,
  );
  return rows.length;
}

async function untilNoSessions(client: ReturnType<typeof createPgClient>, schema: string): Promise<void> {
  await until('the sessions have ended', async () => {
    const rows = await client.query(
      'SELECT pid FROM pg_stat_activity WHERE application_name = $1',
      `portunus ${schema}`,
    );
    return rows.length === 0;
  });
}

function childrenOf(pid: number): readonly number[] {
  return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(/\s+/).map(Number);
}

interface CommitCutter extends AsyncDisposable {
  readonly port: number;
  /** Commits that were cut. */
  readonly cut: number;
  /** The next COMMIT is the one. */
  arm(): void;
}

/** A proxy that cuts a connection when it sees COMMIT: before PostgreSQL does, after it has answered, or that and all others from then on. */
async function startCommitCutter(port: number, when: 'before' | 'after' | 'for good'): Promise<CommitCutter> {
  const sockets = new Set<net.Socket>();
  let armed = false;
  let cut = 0;
  const proxy = net.createServer((client) => {
    const upstream = net.connect(port, '127.0.0.1');
    let doomed = false;
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.on('error', end).on('close', end);
    }
    if (when === 'for good' && cut > 0) end();
    client.on('data', (chunk) => {
      if (armed && chunk.includes('COMMIT\0')) {
        armed = false;
        cut += 1;
        doomed = true;
        if (when === 'before') end();
      }
      upstream.write(chunk);
    });
    upstream.on('data', (chunk) => {
      if (doomed) end();
      else client.write(chunk);
    });
    function end(): void {
      client.destroy();
      upstream.destroy();
    }
  });
  await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
  return {
    port: (proxy.address() as AddressInfo).port,
    get cut() {
      return cut;
    },
    arm() {
      armed = true;
    },
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => proxy.close(resolve));
    },
  };
}

/** Somebody else's transaction that holds the row which every write takes first. */
async function holdRevision(config: PostgresConfig) {
  const other = await openLink({ ...config, timeoutMs: 60_000 }, { ended: () => undefined });
  await other.query('BEGIN; SELECT revision FROM revision FOR UPDATE', []);
  return { other, letGo: () => other.query('ROLLBACK', []) };
}

function isUnavailable(reason: RegExp, hint: RegExp): (error: unknown) => boolean {
  return (error) => {
    assert.ok(isPortunusError(error, 'STORE_UNAVAILABLE'), String(error));
    assert.match(error.message, reason);
    assert.match(error.hint ?? '', hint);
    return true;
  };
}

function hasCode(code: ErrorCode): (error: unknown) => boolean {
  return (error) => isPortunusError(error, code);
}
