// A row that holds what no program of ours writes costs its own hosts, is named, and can be replaced or deleted.
import assert from 'node:assert/strict';
import path from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { describe, test } from 'node:test';
import postgres from 'postgres';
import { call, expectOk } from '../support/admin.ts';
import { makeAuthority, makeSelfSigned } from '../support/certificates.ts';
import { type Gateway, startGateway } from '../support/gateway.ts';
import { plainStatus } from '../support/plain-status.ts';
import { startPostgres } from '../support/postgres.ts';
import { servedCertificate } from '../support/served-certificate.ts';
import { startUpstream } from '../support/upstream.ts';
import { until } from '../support/until.ts';

/** What stands in a column of the row in the place of what was there; `id` finds it. */
interface Damage {
  readonly table: string;
  readonly id: string;
  readonly values: Readonly<Record<string, string>>;
}

interface Ids {
  readonly chain: string;
  readonly key: string;
  readonly lacked: string;
  readonly facts: string;
  readonly sni: string;
  readonly api: string;
  readonly plugin: string;
  readonly policy: string;
  readonly authority: string;
}

describe('damaged rows', () => {
  test('of the embedded store, at the start', async () => {
    await using upstream = await startUpstream();
    await using first = await startGateway({ workers: 1 });
    const ids = await fill(first, upstream.url);
    first.kill('SIGTERM');
    await first.exited;
    const database = new DatabaseSync(path.join(first.prefix, 'portunus.db'));
    for (const { table, id, values } of damages(ids)) {
      const columns = Object.keys(values).map((column) => `${column} = ?`);
      database.prepare(`UPDATE ${table} SET ${columns.join(', ')} WHERE id = ?`).run(...Object.values(values), id);
    }
    database.close();
    await using gateway = await startGateway({ workers: 1, prefix: first.prefix });
    assert.match(gateway.output(), /"key_ids":\["nobody-has-it"\],"certificates":1/);
    gateway.kill('SIGHUP');
    await until('the keyring is taken', () => gateway.output().includes('workers renewed'));
    await check(gateway, ids);
  });

  test('of PostgreSQL, on a node that runs and on one that starts without a replica', async () => {
    await using upstream = await startUpstream();
    await using server = await startPostgres();
    const settings = { database: 'postgres', pg_url: server.url, keyring: 'env' };
    const env = { PORTUNUS_KEYRING_KEYS: `k1:${Buffer.alloc(32, 1).toString('base64')}` };
    await using running = await startGateway({ workers: 1, settings, env });
    const ids = await fill(running, upstream.url);
    const sql = postgres(server.url, { onnotice: () => undefined });
    await sql.begin(async (tx) => {
      const [row] = await tx`UPDATE revision SET revision = revision + 1 RETURNING revision`;
      for (const [position, { table, id, values }] of damages(ids).entries()) {
        if (id === ids.lacked) {
          // Written with the key by a node that had it; whoever has followed until now has the one before.
          await tx`UPDATE ${tx(table)} SET ${tx(values)} WHERE id = ${id}`;
          continue;
        }
        await tx`UPDATE ${tx(table)} SET ${tx(values)}, revision = ${row?.['revision']} WHERE id = ${id}`;
        await tx`INSERT INTO changes VALUES (${row?.['revision']}, ${position}, ${entities[table] ?? table.slice(0, -1)}, ${id}, 'update', 'test', 1)`;
      }
    });
    await sql.end();
    await using started = await startGateway({ workers: 1, settings, env });
    await until('the node that runs has them', async () => {
      const { body } = await call(running.admin, 'GET', '/status');
      return body.unusable_plugins.length === 1;
    });
    assert.match(started.output(), new RegExp(`"certificate":"${ids.lacked}","key_ids":\\["nobody-has-it"\\]`));
    for (const gateway of [running, started]) await check(gateway, ids, gateway === running);
  });
});

const entities: Readonly<Record<string, string>> = { host_policies: 'host_policy' };

const policyLists = ['/ca_certificates', '/ca_certificates?tags=t', '/portunus/hosts'];

async function fill({ admin }: Gateway, upstream: string): Promise<Ids> {
  const certificate = async (name: string): Promise<string> => {
    const pair = makeSelfSigned({ names: [`${name}.test`] });
    const { body } = await expectOk(admin, 'POST', '/certificates', { ...pair, snis: [`${name}.test`], tags: ['t'] });
    return body.id;
  };
  const api = async (name: string): Promise<string> => {
    const fields = { name, hosts: `${name}.test`, upstream_url: upstream };
    return (await expectOk(admin, 'POST', '/apis', fields)).body.id;
  };
  await certificate('whole');
  await api('whole');
  await api('governed');
  await api('policy');
  const policy = await expectOk(admin, 'PUT', '/portunus/hosts/policy.test', {});
  const authority = await expectOk(admin, 'POST', '/ca_certificates', {
    cert: makeAuthority().certificate,
    tags: ['t'],
  });
  const plugin = await expectOk(admin, 'POST', '/apis/governed/plugins', {
    name: 'ssl',
    config: makeSelfSigned({ names: ['governed.test'] }),
  });
  const ids = {
    chain: await certificate('chain'),
    key: await certificate('key'),
    lacked: await certificate('lacked'),
    facts: await certificate('facts'),
    api: await api('api'),
    plugin: plugin.body.id,
    policy: policy.body.id,
    authority: authority.body.id,
  };
  return { ...ids, sni: (await expectOk(admin, 'GET', '/snis/facts.test')).body.id };
}

function damages({ chain, key, lacked, facts, sni, api, plugin, policy, authority }: Ids): readonly Damage[] {
  return [
    { table: 'certificates', id: chain, values: { chain: 'no chain' } },
    { table: 'certificates', id: key, values: { sealed_key: 'no key' } },
    { table: 'certificates', id: lacked, values: { sealed_key: 'v1.nobody-has-it.AAAA.AAAA' } },
    { table: 'certificates', id: facts, values: { facts: 'no facts', tags: '{"no":"tags"' } },
    { table: 'snis', id: sni, values: { tags: '[7' } },
    { table: 'apis', id: api, values: { doc: '{"hosts":5,"methods":["GET"],"uris":{}}' } },
    { table: 'plugins', id: plugin, values: { doc: '\u0001 no plugin' } },
    { table: 'host_policies', id: policy, values: { doc: '{"minVersion"' } },
    { table: 'ca_certificates', id: authority, values: { doc: '[]', tags: 'no tags' } },
  ];
}

/** @param hasFollowed whether it holds from before what others lack the key of; another one then repairs the rest */
async function check(gateway: Gateway, ids: Ids, hasFollowed = false): Promise<void> {
  const { admin, tlsPort, plainPort } = gateway;
  const plain = (host: string): Promise<number> => plainStatus(plainPort, `${host}.test`);
  // Others are served, and what can be of those.
  for (const name of ['whole', 'facts', 'governed']) {
    assert.match((await servedCertificate(tlsPort, `${name}.test`)).subject, new RegExp(`CN=${name}`));
  }
  assert.equal(await plain('whole'), 200);
  assert.equal(await plain('governed'), 426, 'what governs it cannot be read: HTTPS alone');
  assert.equal(await plain('api'), 404);
  assert.equal(await plain('policy'), 403, 'whom it may have kept out is not let in');
  const failing = (['chain', 'key', 'lacked'] as const).filter((name) => name !== 'lacked' || !hasFollowed);
  for (const name of failing) await assert.rejects(servedCertificate(tlsPort, `${name}.test`));
  if (hasFollowed) assert.match((await servedCertificate(tlsPort, 'lacked.test')).subject, /CN=lacked/);
  // They are named.
  const { body: status } = await expectOk(admin, 'GET', '/status');
  assert.deepEqual(status.unusable_certificates, failing.map((name) => ids[name]).toSorted());
  assert.deepEqual(status.unusable_apis, [ids.api]);
  assert.deepEqual(status.unusable_plugins, [ids.plugin]);
  assert.deepEqual(status.unusable_hosts, ['policy.test']);
  // They are listed.
  for (const list of ['/certificates', '/snis', '/apis', '/plugins', '/certificates?tags=t', ...policyLists]) {
    await expectOk(admin, 'GET', list);
  }
  assert.equal((await fetch(`${gateway.status}/metrics`)).status, 200);
  if (hasFollowed) return;
  // And replaced, or deleted.
  await expectOk(admin, 'PATCH', `/certificates/${ids.chain}`, makeSelfSigned({ names: ['chain.test'] }));
  assert.match((await servedCertificate(tlsPort, 'chain.test')).subject, /CN=chain/);
  await expectOk(admin, 'PATCH', `/certificates/${ids.lacked}`, makeSelfSigned({ names: ['lacked.test'] }));
  assert.match((await servedCertificate(tlsPort, 'lacked.test')).subject, /CN=lacked/);
  await expectOk(admin, 'PATCH', `/apis/${ids.api}`, { hosts: 'api.test', upstream_url: 'http://127.0.0.1:1' });
  assert.equal(await plain('api'), 502);
  await expectOk(admin, 'PATCH', `/plugins/${ids.plugin}`, { 'config.only_https': false });
  assert.equal(await plain('governed'), 200);
  await expectOk(admin, 'PUT', `/portunus/hosts/${ids.policy}`, { name: 'policy.test' });
  assert.equal(await plain('policy'), 200);
  for (const target of [
    `/certificates/${ids.key}`,
    `/snis/${ids.sni}`,
    `/certificates/${ids.facts}`,
    `/ca_certificates/${ids.authority}`,
  ]) {
    await expectOk(admin, 'DELETE', target);
  }
  for (const target of ['/apis/governed', '/apis/api']) await expectOk(admin, 'DELETE', target);
  const after = (await expectOk(admin, 'GET', '/status')).body;
  assert.deepEqual([...after.unusable_apis, ...after.unusable_plugins, ...after.unusable_hosts], []);
}
