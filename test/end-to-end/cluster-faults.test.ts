// What a cluster does while parts of it fail: PostgreSQL stopped, killed, cut off or slow; a node frozen or killed. It goes
// on serving, loses no write that was acknowledged, and agrees again afterwards.
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import { call, expectOk } from '../support/admin.ts';
import { makeSelfSigned } from '../support/certificates.ts';
import { type Cluster, startCluster } from '../support/cluster.ts';
import { type Gateway, isAlive } from '../support/gateway.ts';
import { copyCertificates } from '../support/copy-certificates.ts';
import { handshake } from '../support/handshake.ts';
import { type PostgresServer, startPostgres } from '../support/postgres.ts';
import { type PostgresProxy, startPostgresProxy } from '../support/postgres-proxy.ts';
import { until } from '../support/until.ts';

const fingerprint = (pem: string): string => new X509Certificate(pem).fingerprint256;
const settings = { pg_timeout: '5s', node_timeout: '6s' };

function nodeOf(cluster: Cluster, at: number): Gateway {
  const gateway = cluster.nodes[at];
  assert.ok(gateway !== undefined);
  return gateway;
}

async function upload(gateway: Gateway, name: string, query = ''): Promise<string> {
  const pair = makeSelfSigned({ names: [name] });
  await expectOk(gateway.admin, 'POST', `/certificates${query}`, { ...pair, snis: [name] });
  return fingerprint(pair.cert);
}

/** Until it is taken: it may have been when nobody could tell. */
async function writeAgain(gateway: Gateway, name: string): Promise<string> {
  const pair = makeSelfSigned({ names: [name] });
  await until('a write is taken', async () => {
    const { status, body } = await call(gateway.admin, 'PUT', `/certificates/${name}`, pair);
    assert.ok(status === 200 || status === 503, JSON.stringify(body));
    return status === 200;
  });
  return fingerprint(pair.cert);
}

async function serves(gateway: Gateway, name: string, wanted: string): Promise<boolean> {
  return (await handshake(gateway.tlsPort, name)).fingerprint256 === wanted;
}

describe('PostgreSQL goes away and comes back', () => {
  let server: PostgresServer;
  let cluster: Cluster;
  before(async () => {
    server = await startPostgres();
    cluster = await startCluster({ nodes: 2, port: server.port, settings });
  });
  after(async () => {
    await cluster?.[Symbol.asyncDispose]();
    await server?.[Symbol.asyncDispose]();
  });

  test('its sessions are terminated: the next write and its way to the other node work by themselves', async () => {
    await expectOk(nodeOf(cluster, 0).admin, 'GET', '/certificates');
    const { default: postgres } = await import('postgres');
    const sql = postgres(server.url, { max: 1 });
    await sql`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'`;
    await sql.end();
    const name = 'terminated.test';
    const print = await writeAgain(nodeOf(cluster, 0), name);
    await until('the other node serves it', () => serves(nodeOf(cluster, 1), name, print));
  });

  test('while it is stopped everything is served, also by a node that starts; writes answer 503; then all catch up', async () => {
    const names = ['warm.test', 'cold.test', 'coldest.test'];
    const prints = new Map<string, string>();
    for (const name of names) prints.set(name, await upload(nodeOf(cluster, 0), name, '?wait=cluster'));
    await until('node-1 has its whole replica', async () => {
      const { body } = await expectOk(nodeOf(cluster, 1).admin, 'GET', '/portunus/nodes');
      return body.data.every((each: { state: string }) => each.state === 'serving');
    });
    await server.stop('immediate');

    const check = async (gateway: Gateway): Promise<void> => {
      for (const [name, print] of prints) assert.ok(await serves(gateway, name, print), name);
      const refused = await call(gateway.admin, 'POST', '/certificates', {
        ...makeSelfSigned({ names: ['refused.test'] }),
        snis: ['refused.test'],
      });
      assert.equal(refused.status, 503);
      assert.match(JSON.stringify(refused.body), /STORE_UNAVAILABLE/);
      const read = await expectOk(gateway.admin, 'GET', '/snis/warm.test');
      assert.equal(read.body.name, 'warm.test');
      assert.equal(read.headers.get('portunus-stale'), 'yes');
      assert.equal((await fetch(`${gateway.status}/status/ready`)).status, 200);
      const { body } = await expectOk(gateway.admin, 'GET', '/status');
      assert.equal(body.database.reachable, false);
    };
    await check(nodeOf(cluster, 0));
    await check(nodeOf(cluster, 1));
    await check(await cluster.restart(1));

    await server.start();
    const print = await writeAgain(nodeOf(cluster, 0), 'again.test');
    await until('the node that started without PostgreSQL has it too', () =>
      serves(nodeOf(cluster, 1), 'again.test', print),
    );
    assert.equal((await call(nodeOf(cluster, 0).admin, 'GET', '/snis/refused.test')).status, 404, 'nothing by halves');
  });
});

describe('a node that does not keep up', () => {
  let server: PostgresServer;
  let cluster: Cluster;
  before(async () => {
    server = await startPostgres();
    cluster = await startCluster({ nodes: 2, port: server.port, settings });
  });
  after(async () => {
    await cluster?.[Symbol.asyncDispose]();
    await server?.[Symbol.asyncDispose]();
  });

  test('a frozen node is named, leaves the set when it is taken for dead, and catches up when it wakes', async () => {
    const frozen = nodeOf(cluster, 1);
    frozen.kill('SIGSTOP');
    const pair = makeSelfSigned({ names: ['frozen.test'] });
    const lagged = await call(nodeOf(cluster, 0).admin, 'POST', '/certificates?wait=2s', {
      ...pair,
      snis: ['frozen.test'],
    });
    assert.equal(lagged.status, 202);
    assert.deepEqual(
      lagged.body.cluster.lagging.map(({ name }: { name: string }) => name),
      ['node-1'],
    );
    assert.ok(await serves(nodeOf(cluster, 0), 'frozen.test', fingerprint(pair.cert)));
    await until('it is taken for dead', async () => {
      const { body } = await expectOk(nodeOf(cluster, 0).admin, 'GET', '/portunus/nodes');
      return body.data.some((each: { name: string; live: boolean }) => each.name === 'node-1' && !each.live);
    });
    const without = await expectOk(nodeOf(cluster, 0).admin, 'PATCH', `/certificates/${lagged.body.id}?wait=cluster`, {
      tags: ['later'],
    });
    assert.equal(without.status, 200);
    assert.deepEqual(
      without.body.cluster.applied.map(({ name }: { name: string }) => name),
      ['node-0'],
    );
    frozen.kill('SIGCONT');
    await until('it serves what it missed', () => serves(frozen, 'frozen.test', fingerprint(pair.cert)));
    await until('it counts again', async () => {
      const { body } = await expectOk(nodeOf(cluster, 0).admin, 'GET', '/portunus/nodes');
      return body.data.every((each: { live: boolean }) => each.live);
    });
  });

  test('a node frozen in the middle of its writes does not stop those of the others', async () => {
    const pair = makeSelfSigned({ names: ['*.stuck.test'] });
    const other = nodeOf(cluster, 1);
    let count = 0;
    let stopped = false;
    const writing = Array.from({ length: 8 }, async () => {
      for (let turn = 0; turn < 200 && !stopped; turn += 1) {
        await call(other.admin, 'POST', '/certificates', { ...pair, snis: [`w${(count += 1)}.stuck.test`] }).catch(
          () => undefined,
        );
      }
    });
    await until('it writes', () => count > 20);
    other.kill('SIGSTOP');
    await writeAgain(nodeOf(cluster, 0), 'goes-on.test');
    stopped = true;
    other.kill('SIGCONT');
    await Promise.all(writing);
  });
});

describe('the way to PostgreSQL is bad', () => {
  let server: PostgresServer;
  let proxy: PostgresProxy;
  let cluster: Cluster;
  before(async () => {
    server = await startPostgres();
    proxy = await startPostgresProxy(server);
    // node-0 has a good way, the others the bad one.
    cluster = await startCluster({
      nodes: 2,
      port: (node) => (node === 0 ? server.port : proxy.port),
      settings,
    });
  });
  after(async () => {
    await cluster?.[Symbol.asyncDispose]();
    await proxy?.[Symbol.asyncDispose]();
    await server?.[Symbol.asyncDispose]();
  });

  test('every notification is lost: changes arrive all the same', async () => {
    proxy.dropNotifications(true);
    const print = await upload(nodeOf(cluster, 0), 'silent.test');
    await until('the other node serves it', () => serves(nodeOf(cluster, 1), 'silent.test', print));
    // There are more than that of the write: signs of life.
    await until('there were notifications to lose', () => proxy.notificationsDropped > 0);
    proxy.dropNotifications(false);
  });

  test('every connection is cut, again and again, while both nodes write', async () => {
    const pair = makeSelfSigned({ names: ['*.cut.test'] });
    const acknowledged = new Set<string>();
    const unknown = new Set<string>();
    let running = true;
    const writers = cluster.nodes.flatMap(({ admin }, at) =>
      Array.from({ length: 2 }, async (_, writer) => {
        for (let count = 0; running; count += 1) {
          const name = `n${at}-w${writer}-c${count}.cut.test`;
          const answer = await call(admin, 'POST', '/certificates', { ...pair, snis: [name] });
          if (answer.status === 201) acknowledged.add(name);
          else {
            assert.equal(answer.status, 503, JSON.stringify(answer.body));
            if (JSON.stringify(answer.body).includes('STORE_OUTCOME_UNKNOWN')) unknown.add(name);
            else await until('the store is back', async () => (await statusOf(admin)).reachable);
          }
        }
      }),
    );
    for (let round = 0; round < 5; round += 1) {
      const target = acknowledged.size + 10;
      await until('writes are acknowledged', () => acknowledged.size >= target);
      proxy.cut();
    }
    running = false;
    await Promise.all(writers);
    const { body } = await expectOk(nodeOf(cluster, 0).admin, 'GET', '/snis?size=1000');
    const present = new Set(body.data.map(({ name }: { name: string }) => name));
    for (const name of acknowledged) assert.ok(present.has(name), `${name} was acknowledged and is lost`);
    for (const name of present) {
      if (!String(name).endsWith('.cut.test')) continue;
      assert.ok(
        acknowledged.has(String(name)) || unknown.has(String(name)),
        `${String(name)} was refused and is there`,
      );
    }
    const print = await upload(nodeOf(cluster, 0), 'after-cuts.test');
    await until('the other node serves it', () => serves(nodeOf(cluster, 1), 'after-cuts.test', print));
  });

  test('nothing arrives any more, and nobody says so: answers are bounded, serving goes on, and it recovers', async () => {
    const print = await upload(nodeOf(cluster, 1), 'swallowed.test', '?wait=cluster');
    proxy.swallow(true);
    const refused = await call(nodeOf(cluster, 1).admin, 'POST', '/certificates', {
      ...makeSelfSigned({ names: ['no.test'] }),
      snis: ['no.test'],
    });
    assert.equal(refused.status, 503);
    assert.ok(await serves(nodeOf(cluster, 1), 'swallowed.test', print));
    const later = await upload(nodeOf(cluster, 0), 'meanwhile.test');
    proxy.swallow(false);
    proxy.cut();
    await until('it catches up', () => serves(nodeOf(cluster, 1), 'meanwhile.test', later));
  });

  test('a new node serves while its replica is being filled, also what has not come yet', async () => {
    const print = await upload(nodeOf(cluster, 0), 'model.test');
    await copyCertificates(server, 'model.test', 8000);
    proxy.delay(60);
    const added = await cluster.add();
    assert.ok(await serves(added, 'n8000.fill.test', print));
    assert.equal((await handshake(added.tlsPort, 'unknown.test')).subject, 'localhost');
    const stateOf = async (): Promise<string> => (await expectOk(added.admin, 'GET', '/status')).body.state;
    assert.equal(await stateOf(), 'filling');
    proxy.delay(0);
    await until('it is complete', async () => (await stateOf()) === 'serving');
    assert.ok(await serves(added, 'n4000.fill.test', print));
  });

  test('a slow way is slow, and right', async () => {
    proxy.delay(20);
    const print = await upload(nodeOf(cluster, 1), 'slow.test', '?wait=cluster');
    for (const gateway of cluster.nodes) assert.ok(await serves(gateway, 'slow.test', print));
    proxy.delay(0);
  });
});

async function statusOf(admin: string): Promise<{ readonly reachable: boolean }> {
  return (await expectOk(admin, 'GET', '/status')).body.database;
}

describe('somebody holds the row that every write takes', () => {
  let server: PostgresServer;
  before(async () => {
    server = await startPostgres();
  });
  after(() => server?.[Symbol.asyncDispose]());

  for (const { what, drain, again } of [
    { what: 'a node that is stopped ends after drain_timeout', drain: '1s', again: false },
    { what: 'a node that is told a second time to stop ends at once', drain: '5m', again: true },
  ]) {
    test(`${what}, however many writes wait`, async () => {
      await using cluster = await startCluster({
        nodes: 1,
        port: server.port,
        settings: { pg_timeout: '1m', pg_schema: `held_${drain}`, drain_timeout: drain },
      });
      const node = nodeOf(cluster, 0);
      const { default: postgres } = await import('postgres');
      const sql = postgres(server.url, { max: 1 });
      await sql.unsafe(`BEGIN; SELECT revision FROM held_${drain}.revision FOR UPDATE`);
      let answered = 0;
      const pair = makeSelfSigned({ names: ['held.test'] });
      const writes = Array.from({ length: 20 }, () =>
        call(node.admin, 'POST', '/certificates', { ...pair, snis: ['held.test'] }).finally(() => (answered += 1)),
      );
      for (const write of writes) write.catch(() => undefined);
      const looker = postgres(server.url, { max: 1 });
      await until('one waits', async () => {
        const waiting = await looker`SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'`;
        return waiting.length > 0;
      });
      assert.equal(answered, 0);
      const askedAt = performance.now();
      node.kill('SIGTERM');
      await until('it has ended', () => {
        if (again) node.kill('SIGTERM');
        return !isAlive(node.pid);
      });
      const { code } = await node.exited;
      assert.equal(code, 0);
      // A second to drain or to be asked again, and one to close: far less than one write may wait, or twenty do.
      assert.ok(performance.now() - askedAt < 30_000, `${performance.now() - askedAt} ms`);
      await Promise.all([sql.end(), looker.end(), Promise.allSettled(writes)]);
    });
  }
});
