// `portunus migrate` killed at random moments, and run again each time: nothing is lost, nothing comes twice.
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { pagesOf } from '../../src/move/pages-of.ts';
import type { Collection } from '../../src/store/contract.ts';
import { fileURLToPath } from 'node:url';
import { createKeyringFile, loadKeyring } from '../../src/store/keyring.ts';
import { createSealer } from '../../src/store/sealing.ts';
import { openSqliteStore } from '../../src/store/sqlite/sqlite-store.ts';
import { fakeApi, fakeCertificate, fakeSni } from '../contracts/entities.ts';
import { temporaryPostgres } from '../store/temporary-postgres.ts';
import { command } from '../support/command.ts';
import { startGateway } from '../support/gateway.ts';
import { startPostgres } from '../support/postgres.ts';
import { createRandom } from '../support/random.ts';
import { seed } from '../support/seed.ts';
import { until } from '../support/until.ts';

const main = fileURLToPath(new URL('../../src/main.ts', import.meta.url));
const certificates = 6000;
const apis = 60;

test('killed at random moments and run again, it goes on until everything is there', async (t) => {
  t.diagnostic(`seed ${seed}`);
  const random = createRandom(seed);
  const prefix = mkdtempSync(path.join(os.tmpdir(), 'portunus-migrate-'));
  t.after(() => rmSync(prefix, { recursive: true, force: true }));
  const sealer = createSealer(await createKeyringFile(path.join(prefix, 'keyring')));
  await using source = await openSqliteStore({ path: path.join(prefix, 'portunus.db'), sealer });
  const ids = Array.from({ length: certificates }, (_, at) => `c${at}`);
  await source.transact('test', async (tx) => {
    await tx.insertCertificates(ids.map((id) => ({ certificate: fakeCertificate(id), snis: [] })));
    await tx.insertSnis(ids.toReversed().map((id) => fakeSni(`s-${id}`, `${id}.test`, id)));
    for (let at = 0; at < apis; at += 1) await tx.apis.insert(fakeApi(`a${at}`));
  });
  const secret = await source.secret('ticket');
  await using server = await startPostgres();
  await using target = await temporaryPostgres(server.port, { sealer });
  const { store } = target;
  const args = [main, 'migrate', '--from', 'sqlite', '--to', 'postgres', '--json', '--prefix', prefix];
  args.push('--set', `pg_url=${server.url}`, '--set', `pg_schema=${target.config.schema}`);

  let there = 0;
  let kills = 0;
  for (let round = 0; round < 6; round += 1) {
    const child = spawn(process.execPath, args, { stdio: 'ignore' });
    const ended = endOf(child);
    const moment = there + random() * (certificates * 2 + apis - there);
    const count = await until('so much is written, or it has ended', async () => {
      const written = await countWritten(store);
      return (written >= moment || hasEnded(child)) && written;
    });
    if (!hasEnded(child)) kills += 1;
    child.kill('SIGKILL');
    await ended;
    assert.ok(count >= there, 'what was written stays');
    there = count;
  }
  assert.ok(kills > 0, 'it was killed while it ran');

  const { code, stdout, stderr } = await command(process.execPath, args);
  assert.equal(code, 0, stderr);
  const equal = (count: number) => ({ from: count, to: count });
  assert.deepEqual(JSON.parse(stdout), {
    certificates: equal(certificates),
    snis: equal(certificates),
    ca_certificates: equal(0),
    apis: equal(apis),
    plugins: equal(0),
    host_policies: equal(0),
    tokens: equal(0),
    intermediates: equal(0),
    fingerprints_compared: certificates,
    ticket_secret: 'moved',
  });
  assert.deepEqual(await allOf(store.certificates), await allOf(source.certificates));
  assert.deepEqual(await allOf(store.snis), await allOf(source.snis));
  assert.deepEqual(await (await target.reopen()).secret('ticket'), secret);
});

test('a database that a node runs on is refused; once it has stopped, what it had made gives way', async (t) => {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'portunus-migrate-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const keys = `shared:${Buffer.alloc(32, 7).toString('base64')}`;
  const env = { PORTUNUS_KEYRING_KEYS: keys };
  const sealer = createSealer(await loadKeyring({ source: 'env', value: keys }));
  await using server = await startPostgres();
  await using target = await temporaryPostgres(server.port, { sealer });
  const settings = { keyring: 'env', pg_url: server.url, pg_schema: target.config.schema };
  {
    await using source = await openSqliteStore({ path: path.join(folder, 'portunus.db'), sealer });
    await source.transact('test', (tx) =>
      tx.certificates.insert(fakeCertificate('theirs', { owner: { kind: 'default' } })),
    );
    await source.secret('ticket');
  }
  const flags = Object.entries(settings).flatMap(([name, value]) => ['--set', `${name}=${value}`]);
  const migrate = () =>
    command(process.execPath, [main, 'migrate', '--from', 'sqlite', '--to', 'postgres', '--prefix', folder, ...flags], {
      env,
    });

  await using node = await startGateway({ env, settings: { ...settings, database: 'postgres', node_name: 'early' } });
  await until('the node is registered', async () => {
    return (await target.client.query('SELECT 1 FROM nodes')).length > 0;
  });
  const refused = await migrate();
  assert.equal(refused.code, 1);
  assert.match(refused.stderr, /in use by early/);
  node.kill('SIGTERM');
  await node.exited;
  const { code, stdout, stderr } = await migrate();
  assert.equal(code, 0, stderr);
  assert.match(stdout, /certificates +1 in sqlite, 1 in postgres: equal/);
  assert.match(stderr, /remove replica.db/);
  const { items } = await target.store.certificates.list({ size: 10 }, { owner: 'any' });
  assert.deepEqual(
    items.map(({ id }) => id),
    ['theirs'],
  );
});

async function countWritten(store: { readonly [K in 'certificates' | 'snis' | 'apis']: { count(): Promise<number> } }) {
  const counts = await Promise.all([store.certificates.count(), store.snis.count(), store.apis.count()]);
  return counts.reduce((sum, count) => sum + count, 0);
}

function hasEnded(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null;
}

function endOf(child: ChildProcess): Promise<unknown> {
  return new Promise((resolve) => child.once('exit', resolve));
}

/** Cursors are each store's own: numbers that a killed run had taken are not given out again. */
async function allOf<E, F>(collection: Collection<E, F>): Promise<readonly E[]> {
  const items: E[] = [];
  for await (const page of pagesOf(collection, {} as F)) items.push(...page);
  return items;
}
