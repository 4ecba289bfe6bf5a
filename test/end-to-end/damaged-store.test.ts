// Pages of the local file are damaged while it serves: what cannot be read fails alone, and a replica heals itself.
import assert from 'node:assert/strict';
import { closeSync, openSync, writeSync } from 'node:fs';
import path from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import { connect } from 'node:tls';
import { call, expectOk } from '../support/admin.ts';
import { makeSelfSigned } from '../support/certificates.ts';
import { type Gateway, startGateway } from '../support/gateway.ts';
import { startPostgres } from '../support/postgres.ts';
import { plainStatus } from '../support/plain-status.ts';
import { until } from '../support/until.ts';

const hosts = Array.from({ length: 80 }, (_, at) => `h${at}.test`);

test('of an embedded store: hosts on those pages fail, the others are served, also by workers that come later', async () => {
  await using gateway = await startGateway({ workers: 1 });
  await fill(gateway);
  damage(path.join(gateway.prefix, 'portunus.db'), ['certificates', 'apis']);
  const [first = assert.fail()] = gateway.workerPids();
  await assertPartlyServed(gateway);
  assert.deepEqual(gateway.workerPids(), [first], 'no worker ends of it');
  const told = 'the store is damaged: hosts that cannot be read from it fail; stop, put it aside';
  await until('it was said', () => gateway.output().includes(told));
  assert.equal((await fetch(`${gateway.status}/metrics`)).status, 200);

  process.kill(first, 'SIGKILL');
  await until('another worker serves', async () => {
    const { body } = await call(gateway.admin, 'GET', '/status');
    return body.ready === true && !gateway.workerPids().includes(first);
  });
  await assertPartlyServed(gateway);
  const { body } = await expectOk(gateway.admin, 'GET', '/status');
  const missing = (await Promise.all(hosts.map((host) => plainStatus(gateway.plainPort, host)))).filter(
    (status) => status === 404,
  );
  assert.ok(missing.length > 0);
  assert.equal(body.unusable_apis.length, missing.length, 'each API that has no route is named');
  const list = await call(gateway.admin, 'GET', '/certificates?size=1000');
  assert.equal(list.status, 503);
  assert.match(JSON.stringify(list.body), /is damaged/);
});

test('of a replica: another one is filled while it serves, and takes its place', async () => {
  await using server = await startPostgres();
  await using gateway = await startGateway({
    workers: 1,
    settings: { database: 'postgres', pg_url: server.url, keyring: 'env' },
    env: { PORTUNUS_KEYRING_KEYS: `k1:${Buffer.alloc(32, 1).toString('base64')}` },
  });
  await fill(gateway);
  const [worker] = gateway.workerPids();
  for (const tables of [
    ['certificates', 'apis'],
    ['bindings', 'changes', 'certificates'],
  ]) {
    const healed = countOf(gateway, /the replica is whole again/g);
    damage(path.join(gateway.prefix, 'replica.db'), tables);
    await until('it finds out, and is whole again', async () => {
      await Promise.all(hosts.map((host) => servedName(gateway.tlsPort, host)));
      return countOf(gateway, /the replica is whole again/g) > healed;
    });
    await until('every worker has what it holds', async () => {
      const names = await Promise.all(hosts.map((host) => servedName(gateway.tlsPort, host)));
      return names.every((name, at) => name === hosts[at]);
    });
    for (const host of hosts) assert.equal(await plainStatus(gateway.plainPort, host), 502, host);
    const { body } = await expectOk(gateway.admin, 'GET', '/status');
    assert.deepEqual([...body.unusable_apis, ...body.unusable_certificates], []);
    const late = `late-${tables.length}.test`;
    await expectOk(gateway.admin, 'POST', '/certificates', { ...makeSelfSigned({ names: [late] }), snis: [late] });
    assert.equal(await servedName(gateway.tlsPort, late), late, 'what comes later is followed');
  }
  assert.deepEqual(gateway.workerPids(), [worker]);
});

async function fill({ admin }: Gateway): Promise<void> {
  for (const host of hosts) {
    const pair = makeSelfSigned({ names: [host] });
    await expectOk(admin, 'POST', '/certificates', { ...pair, snis: [host] });
    // Long enough that few of them are on one page.
    const uris = Array.from({ length: 40 }, (_, at) => `/${host}/${at}/${'x'.repeat(30)}`).join(',');
    await expectOk(admin, 'POST', '/apis', {
      name: host,
      hosts: host,
      uris: `/,${uris}`,
      upstream_url: 'http://127.0.0.1:1',
    });
  }
}

/** One page in three of those that hold rows of these tables. */
function damage(file: string, tables: readonly string[]): void {
  const database = new DatabaseSync(file);
  database.exec('PRAGMA wal_checkpoint(TRUNCATE)');
  const { page_size: pageSize } = database.prepare('PRAGMA page_size').get() as { page_size: number };
  const pages = tables.flatMap((table) =>
    database
      .prepare("SELECT pageno FROM dbstat WHERE name = ? AND pagetype = 'leaf' ORDER BY pageno")
      .all(table)
      .filter((_, at) => at % 3 === 1)
      .map(({ pageno }) => Number(pageno)),
  );
  assert.ok(pages.length > tables.length, `${pages.length} pages`);
  database.close();
  const descriptor = openSync(file, 'r+');
  for (const page of pages) writeSync(descriptor, Buffer.alloc(pageSize, 7), 0, pageSize, (page - 1) * pageSize);
  closeSync(descriptor);
}

async function assertPartlyServed(gateway: Gateway): Promise<void> {
  const names = await Promise.all(hosts.map((host) => servedName(gateway.tlsPort, host)));
  const wrong = names.filter((name, at) => name !== undefined && name !== hosts[at]);
  assert.deepEqual(wrong, [], 'nobody gets the certificate of another');
  const served = names.filter((name) => name !== undefined).length;
  assert.ok(served > 0 && served < hosts.length, `${served} of ${hosts.length}`);
}

/** The name of the certificate that is served for it; undefined when the handshake fails. */
function servedName(port: number, servername: string): Promise<string | undefined> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1', servername, rejectUnauthorized: false }, () => {
      const { CN } = socket.getPeerCertificate().subject;
      socket.destroy();
      resolve(String(CN));
    });
    socket.on('error', () => resolve(undefined));
  });
}

function countOf(gateway: Gateway, pattern: RegExp): number {
  return [...gateway.output().matchAll(pattern)].length;
}
