// kill -9 of a node, of a worker and of PostgreSQL, at moments a seed decides, under a load of writes and handshakes. No
// acknowledged write is lost, and no handshake shows anything but one of the certificates its name had.
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { test } from 'node:test';
import { call, expectOk } from '../support/admin.ts';
import { makeSelfSigned } from '../support/certificates.ts';
import { startCluster } from '../support/cluster.ts';
import { handshake } from '../support/handshake.ts';
import { startPostgres } from '../support/postgres.ts';
import { createRandom } from '../support/random.ts';
import { seed } from '../support/seed.ts';
import { until } from '../support/until.ts';

const fingerprint = (pem: string): string => new X509Certificate(pem).fingerprint256;

test(`kill -9 of whatever, under load (seed ${seed})`, async () => {
  const random = createRandom(seed);
  await using server = await startPostgres();
  await using cluster = await startCluster({
    nodes: 3,
    port: server.port,
    settings: { pg_timeout: '2s', node_timeout: '3s' },
  });
  const wildcard = makeSelfSigned({ names: ['*.chaos.test'] });
  const acknowledged = new Set<string>();

  // One name whose certificate is replaced all the time: every one that it ever had.
  const turning = 'turning.test';
  const had = new Set<string>();
  const first = makeSelfSigned({ names: [turning] });
  had.add(fingerprint(first.cert));
  const { id } = (
    await expectOk(cluster.nodes[0]?.admin ?? '', 'POST', '/certificates?wait=cluster', { ...first, snis: [turning] })
  ).body;

  let running = true;
  let lastAcknowledged = fingerprint(first.cert);
  let shown = 0;
  const turner = (async () => {
    while (running) {
      const pair = makeSelfSigned({ names: [turning] });
      had.add(fingerprint(pair.cert));
      const answer = await call(cluster.nodes[0]?.admin ?? '', 'PATCH', `/certificates/${id}`, pair).catch(
        () => undefined,
      );
      if (answer?.status === 200) lastAcknowledged = fingerprint(pair.cert);
    }
  })();
  const writers = cluster.nodes.map(async (_, at) => {
    for (let count = 0; running; count += 1) {
      const name = `n${at}-c${count}.chaos.test`;
      const answer = await call(cluster.nodes[at]?.admin ?? '', 'POST', '/certificates', {
        ...wildcard,
        snis: [name],
      }).catch(() => undefined);
      if (answer?.status === 201) acknowledged.add(name);
      else await new Promise((resolve) => setImmediate(resolve));
    }
  });
  const watchers = cluster.nodes.map(async (_, at) => {
    while (running) {
      const seen = await handshake(cluster.nodes[at]?.tlsPort ?? 0, turning).catch(() => undefined);
      if (seen === undefined) await new Promise((resolve) => setImmediate(resolve));
      else {
        assert.ok(had.has(seen.fingerprint256), `a certificate the name never had: ${seen.subject}`);
        shown += 1;
      }
    }
  });

  for (let round = 0; round < 6; round += 1) {
    const target = acknowledged.size + 5 + Math.floor(random() * 20);
    await until('writes are acknowledged', () => acknowledged.size >= target);
    const kind = round % 3;
    if (kind === 0) {
      await server.stop('kill');
      await server.start();
    } else if (kind === 1) {
      await cluster.restart(Math.floor(random() * 3));
    } else {
      const [worker] = cluster.nodes[Math.floor(random() * 3)]?.workerPids() ?? [];
      if (worker !== undefined) process.kill(worker, 'SIGKILL');
    }
  }
  running = false;
  await Promise.all([turner, ...writers, ...watchers]);
  assert.ok(shown > 50, `only ${shown} handshakes were watched`);

  const last = cluster.nodes[1]?.admin ?? '';
  await until('writes are taken', async () => {
    const answer = await call(last, 'PATCH', `/certificates/${id}?wait=cluster`, { tags: ['end'] });
    return answer.status === 200 && answer.body.cluster.applied.length === 3;
  });
  const present = new Set<string>();
  for (let path: string | null = '/snis?size=1000'; path !== null;) {
    const { body } = await expectOk(last, 'GET', path);
    for (const { name } of body.data) present.add(name);
    path = body.next;
  }
  for (const name of acknowledged) assert.ok(present.has(name), `${name} was acknowledged and is lost`);
  const shownBy = await Promise.all(cluster.nodes.map(({ tlsPort }) => handshake(tlsPort, turning)));
  assert.equal(new Set(shownBy.map((each) => each.fingerprint256)).size, 1, 'all nodes agree');
  const final = shownBy[0]?.fingerprint256 ?? '';
  assert.ok(had.has(final) && [...had].indexOf(final) >= [...had].indexOf(lastAcknowledged), 'the last one or a later');
});
