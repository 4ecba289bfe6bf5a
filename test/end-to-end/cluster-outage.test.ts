// PostgreSQL stopped for a minute under load, and started again: no handshake and no request fails, every write that was
// acknowledged is there, and of one that was refused nothing is.
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import https from 'node:https';
import path from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { call, expectOk } from '../support/admin.ts';
import { makeSelfSigned } from '../support/certificates.ts';
import { startCluster } from '../support/cluster.ts';
import type { Gateway } from '../support/gateway.ts';
import { handshake } from '../support/handshake.ts';
import { startPostgres } from '../support/postgres.ts';
import { startUpstream } from '../support/upstream.ts';
import { until } from '../support/until.ts';

const outageMs = 60_000;
/** Between two turns of a loop, so that the load leaves the machine to others too. */
const paceMs = 15;
const namesServed = 60;
/** So many are asked for before the outage: the nodes look the others up for the first time while PostgreSQL is away. */
const namesWarm = 10;

/** An attempt to bind names of its own to one certificate, in the place of those that it had. */
interface Write {
  readonly names: readonly string[];
  readonly insteadOf: readonly string[];
  readonly fingerprint: string;
  readonly outcome: 'acknowledged' | 'refused' | 'unknown';
}

test('PostgreSQL is away for a minute under load: nothing fails but writes, and those as a whole', async (t) => {
  await using server = await startPostgres();
  await using upstream = await startUpstream();
  await using cluster = await startCluster({
    nodes: 3,
    port: server.port,
    settings: { pg_timeout: '2s', node_timeout: '3s' },
  });
  const admin = cluster.nodes[0]?.admin ?? '';
  await expectOk(admin, 'POST', '/apis', { name: 'served', hosts: ['*.served.test'], upstream_url: upstream.url });
  const served: string[] = [];
  for (let count = 0; count < namesServed; count += 1) served.push(await addServed(admin, count));
  await expectOk(admin, 'POST', '/apis?wait=cluster', { name: 'end', hosts: ['a.test'], upstream_url: upstream.url });

  const load = { running: true, away: false, handshakes: 0, requests: 0 };
  const writes: Write[] = [];
  const count = (outcome: Write['outcome']): number => writes.filter((write) => write.outcome === outcome).length;
  const loops = Promise.all(
    cluster.nodes.flatMap((node, at) => [shakeHands(node), sendRequests(node), write(node, `node${at}`)]),
  );
  try {
    await reached('the load runs', () => load.handshakes > namesServed && count('acknowledged') > 30);
    await server.stop('fast');
    load.away = true;
    const [before, refusedBefore, endsAt] = [{ ...load }, count('refused'), performance.now() + outageMs];
    const during = (): Record<string, number> => ({
      handshakes: load.handshakes - before.handshakes,
      requests: load.requests - before.requests,
      'writes refused': count('refused') - refusedBefore,
    });
    while (performance.now() < endsAt) await Promise.race([loops, pause(1000)]);
    await reached('enough was tried', () => Object.values(during()).every((many) => many > 500));
    t.diagnostic(JSON.stringify(during()));
    await server.start();
    load.away = false;
    const acknowledgedBefore = count('acknowledged');
    await reached('writes are taken again', () => count('acknowledged') > acknowledgedBefore + 50);
  } finally {
    load.running = false;
    await loops;
  }

  const revision = await until('all have applied a write', async () => {
    const answer = await call(admin, 'PATCH', '/apis/end?wait=cluster', { upstream_url: 'http://127.0.0.1:1' });
    return answer.status === 200 && answer.body.cluster.applied.length === 3 && answer.revision;
  });
  const replicas = cluster.nodes.map(readReplica);
  for (const replica of replicas) assert.deepEqual(replica, replicas[0], 'all nodes have the same');
  assert.equal(replicas[0]?.revision, revision);
  const bound = new Map(replicas[0]?.bindings);
  const left = new Set(writes.flatMap(({ insteadOf, outcome }) => (outcome === 'refused' ? [] : insteadOf)));
  for (const each of writes) checkWhole(each, bound, left);
  const last = writes.filter(({ names }) => bound.has(names[0] ?? '')).slice(-100);
  for (const { tlsPort } of cluster.nodes) {
    for (const { names, fingerprint } of last) {
      for (const name of names) assert.equal((await handshake(tlsPort, name)).fingerprint256, fingerprint, name);
    }
  }

  /** A loop that fails ends the wait for what it should have done. */
  async function reached(what: string, probe: () => boolean): Promise<void> {
    await Promise.race([loops, until(what, probe)]);
  }

  async function shakeHands({ tlsPort }: Gateway): Promise<void> {
    for (let turn = 0; load.running; turn += 1, await pause(paceMs)) {
      const at = turn % (load.away ? namesServed : namesWarm);
      const name = `n${at}.served.test`;
      assert.equal((await handshake(tlsPort, name)).fingerprint256, served[at], name);
      load.handshakes += 1;
    }
  }

  async function sendRequests({ tlsPort }: Gateway): Promise<void> {
    const agent = new https.Agent({ keepAlive: true, maxSockets: 1, rejectUnauthorized: false });
    const host = 'n0.served.test';
    for (; load.running; await pause(paceMs)) {
      const request = https.get({ port: tlsPort, servername: host, agent, headers: { host } });
      const [response] = (await once(request, 'response')) as [IncomingMessage];
      assert.equal(response.statusCode, 200);
      await once(response.resume(), 'end');
      load.requests += 1;
    }
    agent.destroy();
  }

  /** By turns a new certificate with two names, and two other names for the one before. */
  async function write(node: Gateway, label: string): Promise<void> {
    let known: { readonly id: string; readonly names: readonly string[]; readonly fingerprint: string } | undefined;
    for (let turn = 0; load.running; turn += 1, await pause(paceMs)) {
      const names = ['a', 'b'].map((each) => `${each}.${turn}.${label}.written.test`);
      const pair = makeSelfSigned({ names });
      const fingerprint = known?.fingerprint ?? new X509Certificate(pair.cert).fingerprint256;
      const { status, body } = known
        ? await call(node.admin, 'PATCH', `/certificates/${known.id}`, { snis: names })
        : await call(node.admin, 'POST', '/certificates', { ...pair, snis: names });
      writes.push({ names, insteadOf: known?.names ?? [], fingerprint, outcome: outcomeOf(status, body.code) });
      known = known === undefined && status === 201 ? { id: body.id, names, fingerprint } : undefined;
    }
  }
});

async function addServed(admin: string, at: number): Promise<string> {
  const name = `n${at}.served.test`;
  const pair = makeSelfSigned({ names: [name] });
  await expectOk(admin, 'POST', '/certificates', { ...pair, snis: [name] });
  return new X509Certificate(pair.cert).fingerprint256;
}

function outcomeOf(status: number, code: string | undefined): Write['outcome'] {
  if (status === 200 || status === 201) return 'acknowledged';
  assert.equal(status, 503, code);
  assert.ok(code === 'STORE_UNAVAILABLE' || code === 'STORE_OUTCOME_UNKNOWN', code);
  return code === 'STORE_UNAVAILABLE' ? 'refused' : 'unknown';
}

/**
 * @param bound ids of certificates by the names bound to them
 * @param left names that another write has put others in the place of, perhaps: that one tells where they are
 */
function checkWhole({ names, insteadOf, outcome }: Write, bound: ReadonlyMap<string, string>, left: Set<string>): void {
  const certificates = new Set(names.map((name) => bound.get(name)));
  assert.equal(certificates.size, 1, `${names.join()} are there by half`);
  const isThere = !certificates.has(undefined);
  if (outcome !== 'unknown' && !names.some((name) => left.has(name))) {
    assert.equal(isThere, outcome === 'acknowledged', `${names.join()} was ${outcome}`);
  }
  for (const name of insteadOf) assert.equal(bound.has(name), !isThere, `${name} was moved away by half`);
}

/** What a node's file holds, in one read transaction. */
function readReplica({ prefix }: Gateway) {
  const database = new DatabaseSync(path.join(prefix, 'replica.db'), { readOnly: true });
  try {
    database.exec('BEGIN');
    const all = (sql: string): string[][] =>
      database
        .prepare(sql)
        .all()
        .map((row) => Object.values(row).map(String));
    return {
      revision: Number(all('SELECT revision FROM revision')[0]?.[0]),
      bindings: all('SELECT name, certificate_id FROM bindings ORDER BY name') as [string, string][],
      rows: ['apis', 'plugins', 'certificates', 'snis'].map((table) => all(`SELECT * FROM ${table} ORDER BY sequence`)),
    };
  } finally {
    database.close();
  }
}
