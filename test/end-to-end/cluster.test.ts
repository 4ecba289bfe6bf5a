// Three gateways and one PostgreSQL: a change made on one is live on all when its answer says so, and what one node knows
// the others know. What happens when parts of it fail is in cluster-faults.test.ts.
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import path from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { after, before, describe, test } from 'node:test';
import { openSqliteCatalog } from '../../src/catalog/sqlite-catalog.ts';
import { policyOrder } from '../../src/model/host-name.ts';
import { call, expectOk } from '../support/admin.ts';
import { makeAuthority, makeSelfSigned } from '../support/certificates.ts';
import { type Cluster, startCluster } from '../support/cluster.ts';
import { type Gateway } from '../support/gateway.ts';
import { handshake } from '../support/handshake.ts';
import { plainStatus } from '../support/plain-status.ts';
import { type PostgresServer, startPostgres } from '../support/postgres.ts';
import { startUpstream, type Upstream } from '../support/upstream.ts';
import { until } from '../support/until.ts';

const fingerprint = (pem: string): string => new X509Certificate(pem).fingerprint256;

describe('three nodes', () => {
  let server: PostgresServer;
  let upstream: Upstream;
  let cluster: Cluster;
  const node = (at: number): Gateway => {
    const gateway = cluster.nodes[at];
    assert.ok(gateway !== undefined);
    return gateway;
  };

  before(async () => {
    [server, upstream] = await Promise.all([startPostgres(), startUpstream()]);
    // Tickets are not to change their keys while it is tried whether they resume.
    cluster = await startCluster({ nodes: 3, port: server.port, settings: { ssl_session_ticket_rotation: '7d' } });
  });
  after(async () => {
    await cluster?.[Symbol.asyncDispose]();
    await upstream?.[Symbol.asyncDispose]();
    await server?.[Symbol.asyncDispose]();
  });

  test('with wait=cluster the next handshake on every node shows the certificate', async () => {
    const first = makeSelfSigned({ names: ['everywhere.test'] });
    const created = await expectOk(node(0).admin, 'POST', '/certificates?wait=cluster', {
      ...first,
      snis: ['everywhere.test'],
    });
    assert.equal(created.status, 201);
    const names = created.body.cluster.applied.map(({ name }: { name: string }) => name).sort();
    assert.deepEqual(names, ['node-0', 'node-1', 'node-2']);
    assert.deepEqual(created.body.cluster.lagging, []);
    assert.equal(created.body.cluster.revision, created.revision);
    for (const { tlsPort } of cluster.nodes) {
      assert.equal((await handshake(tlsPort, 'everywhere.test')).fingerprint256, fingerprint(first.cert));
    }
    const second = makeSelfSigned({ names: ['everywhere.test'] });
    await expectOk(node(2).admin, 'PATCH', `/certificates/${created.body.id}?wait=5s`, second);
    for (const { tlsPort } of cluster.nodes) {
      assert.equal((await handshake(tlsPort, 'everywhere.test')).fingerprint256, fingerprint(second.cert));
    }
    const deleted = await expectOk(node(1).admin, 'DELETE', `/certificates/${created.body.id}?wait=cluster`);
    assert.equal(deleted.body.cluster.applied.length, 3);
    for (const { tlsPort } of cluster.nodes) {
      assert.equal((await handshake(tlsPort, 'everywhere.test')).subject, 'localhost');
    }
  });

  test('APIs and the ssl plugin reach every node, and leave it', async () => {
    const pair = makeSelfSigned({ names: ['api.test'] });
    await expectOk(node(1).admin, 'POST', '/apis', {
      name: 'far',
      request_host: 'api.test',
      upstream_url: upstream.url,
    });
    await expectOk(node(2).admin, 'POST', '/apis/far/plugins?wait=cluster', { name: 'ssl', config: pair });
    for (const { tlsPort, plainPort } of cluster.nodes) {
      assert.equal((await handshake(tlsPort, 'api.test')).fingerprint256, fingerprint(pair.cert));
      assert.equal(await plainStatus(plainPort, 'api.test'), 200);
    }
    await expectOk(node(0).admin, 'DELETE', '/apis/far?wait=cluster');
    for (const { plainPort } of cluster.nodes) assert.equal(await plainStatus(plainPort, 'api.test'), 404);
  });

  test('what hosts and APIs demand of clients is known on every node by the time that the write is answered', async () => {
    const { certificate: cert } = makeAuthority();
    const { body: authority } = await expectOk(node(0).admin, 'POST', '/ca_certificates', { cert });
    const rule = { client_certificate: 'required', ca_certificates: [authority.id], client_verify_depth: 2 };
    await expectOk(node(1).admin, 'PUT', '/portunus/hosts/demanding.test', rule);
    const api = { name: 'demanding', request_host: 'demanding.test', upstream_url: upstream.url, ...rule };
    await expectOk(node(2).admin, 'POST', '/apis?wait=cluster', api);
    const wanted = { mode: 'required', authorities: [authority.id], depth: 2 };
    for (const { prefix, admin } of cluster.nodes) {
      using catalog = openSqliteCatalog(path.join(prefix, 'replica.db'));
      assert.deepEqual(catalog.findHostPolicy(policyOrder('demanding.test'))?.clientCertificate, wanted);
      assert.deepEqual(catalog.clientCertificateRules('demanding.test'), [wanted]);
      assert.equal(catalog.findAuthority(authority.id)?.certificate, cert);
      assert.equal((await call(admin, 'DELETE', `/ca_certificates/${authority.id}`)).status, 400);
    }
    await expectOk(node(0).admin, 'DELETE', '/apis/demanding');
    await expectOk(node(1).admin, 'DELETE', '/portunus/hosts/demanding.test');
    await expectOk(node(2).admin, 'DELETE', `/ca_certificates/${authority.id}?wait=cluster`);
    for (const { prefix } of cluster.nodes) {
      using catalog = openSqliteCatalog(path.join(prefix, 'replica.db'));
      assert.equal(catalog.hasPolicies, false);
    }
  });

  test('the list of nodes says who they are and what each has applied', async () => {
    const { revision } = await expectOk(node(0).admin, 'POST', '/apis?wait=cluster', {
      name: 'listed',
      request_host: 'listed.test',
      upstream_url: upstream.url,
    });
    const { body } = await expectOk(node(1).admin, 'GET', '/portunus/nodes');
    assert.deepEqual(
      body.data.map((each: { name: string; live: boolean; this_node: boolean; applied_revision: number }) => [
        each.name,
        each.live,
        each.this_node,
        each.applied_revision,
      ]),
      [
        ['node-0', true, false, revision],
        ['node-1', true, true, revision],
        ['node-2', true, false, revision],
      ],
    );
  });

  test('hundreds of writes through all nodes at once: one order of revisions, and one state everywhere', async () => {
    const pair = makeSelfSigned({ names: ['*.load.test'] });
    const revisions: number[] = [];
    await Promise.all(
      cluster.nodes.flatMap((gateway, at) =>
        Array.from({ length: 4 }, async (_, writer) => {
          for (let count = 0; count < 25; count += 1) {
            const name = `n${at}-w${writer}-c${count}.load.test`;
            const answer = await expectOk(gateway.admin, 'POST', '/certificates', { ...pair, snis: [name] });
            revisions.push(answer.revision ?? 0);
            if (count % 5 === 4) {
              const gone = await expectOk(gateway.admin, 'DELETE', `/certificates/${answer.body.id}`);
              revisions.push(gone.revision ?? 0);
            }
          }
        }),
      ),
    );
    const sorted = revisions.toSorted((a, b) => a - b);
    const [first = 0] = sorted;
    assert.deepEqual(
      sorted,
      sorted.map((_, index) => first + index),
      'no revision is missing, none is there twice',
    );
    await expectOk(node(0).admin, 'POST', '/certificates?wait=cluster', { ...pair, snis: ['last.load.test'] });
    const [one, two, three] = cluster.nodes.map((gateway) => contentOf(gateway));
    assert.equal(one?.filter((row) => row.startsWith('snis ')).length, 12 * 20 + 1);
    assert.deepEqual(two, one);
    assert.deepEqual(three, one);
  });

  test('one name is given once, whoever asks at the same moment', async () => {
    const pair = makeSelfSigned({ names: ['wanted.test'] });
    const answers = await Promise.all(
      cluster.nodes.map(({ admin }) => call(admin, 'POST', '/certificates', { ...pair, snis: ['wanted.test'] })),
    );
    assert.deepEqual(
      answers.map(({ status }) => status).toSorted((a, b) => a - b),
      [201, 400, 400],
    );
  });

  for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
    test(`a ticket of one node resumes on the others, and for no other name (${version})`, async () => {
      const short = version.replace('.', '').toLowerCase();
      for (const name of [`${short}-a.test`, `${short}-b.test`]) {
        const pair = makeSelfSigned({ names: [name] });
        await expectOk(node(0).admin, 'POST', '/certificates?wait=cluster', { ...pair, snis: [name] });
      }
      const { session } = await handshake(node(0).tlsPort, `${short}-a.test`, { version, ticket: true });
      assert.ok(session !== undefined);
      for (const { tlsPort } of cluster.nodes) {
        assert.equal((await handshake(tlsPort, `${short}-a.test`, { version, session })).resumed, true);
        assert.equal((await handshake(tlsPort, `${short}-b.test`, { version, session })).resumed, false);
      }
    });
  }

  test('a node that comes later serves what was there before it', async () => {
    const pair = makeSelfSigned({ names: ['before.test'] });
    await expectOk(node(0).admin, 'POST', '/certificates', { ...pair, snis: ['before.test'] });
    const late = await cluster.add();
    assert.equal((await handshake(late.tlsPort, 'before.test')).fingerprint256, fingerprint(pair.cert));
    await until('its replica is complete', async () => {
      const { body } = await expectOk(late.admin, 'GET', '/portunus/nodes');
      return body.data.find((each: { name: string }) => each.name === 'node-3')?.state === 'serving';
    });
    assert.deepEqual(contentOf(late), contentOf(node(0)));
  });
});

/** Every row of a node's replica, in words. */
function contentOf({ prefix }: Gateway): readonly string[] {
  const database = new DatabaseSync(path.join(prefix, 'replica.db'), { readOnly: true });
  try {
    return ['revision', 'apis', 'plugins', 'certificates', 'snis', 'bindings'].flatMap((table) =>
      database
        .prepare(`SELECT * FROM ${table} ORDER BY 1`)
        .all()
        .map((row) => `${table} ${JSON.stringify(row)}`),
    );
  } finally {
    database.close();
  }
}
