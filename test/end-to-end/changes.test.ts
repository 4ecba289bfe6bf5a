// What changes while it serves: the first handshake after the answer shows it, and what is in flight is left alone.
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import http from 'node:http';
import https from 'node:https';
import { after, before, describe, test } from 'node:test';
import tls from 'node:tls';
import { expectOk } from '../support/admin.ts';
import { makeSelfSigned } from '../support/certificates.ts';
import { type Gateway, startGateway } from '../support/gateway.ts';
import { startUpstream, type Upstream } from '../support/upstream.ts';
import { until } from '../support/until.ts';

const defaultSubject = /CN=localhost/;

describe('a change is live when its answer arrives', () => {
  let gateway: Gateway;
  let upstream: Upstream;

  before(async () => {
    [gateway, upstream] = await Promise.all([startGateway({ workers: 2 }), startUpstream()]);
  });
  after(async () => {
    await gateway[Symbol.asyncDispose]();
    await upstream[Symbol.asyncDispose]();
  });

  const fingerprint = (pem: string): string => new X509Certificate(pem).fingerprint256;

  /** Of several handshakes, so that each worker has its turn. */
  async function served(name: string): Promise<X509Certificate> {
    const all = await Promise.all(Array.from({ length: 8 }, () => peerCertificate(gateway.tlsPort, name)));
    const first = all[0];
    assert.ok(first !== undefined);
    for (const each of all) assert.equal(each.fingerprint256, first.fingerprint256, 'all workers show the same');
    return first;
  }

  test('the ssl plugin: added, replaced, disabled, enabled, deleted', async () => {
    const [old, fresh] = [makeSelfSigned({ names: ['plugin.test'] }), makeSelfSigned({ names: ['plugin.test'] })];
    await expectOk(gateway.admin, 'POST', '/apis', {
      name: 'plugin',
      request_host: 'plugin.test',
      upstream_url: upstream.url,
    });
    assert.match((await served('plugin.test')).subject, defaultSubject);

    const { body } = await expectOk(gateway.admin, 'POST', '/apis/plugin/plugins', {
      name: 'ssl',
      config: { cert: old.cert, key: old.key },
    });
    const path = `/apis/plugin/plugins/${body.id}`;
    assert.equal((await served('plugin.test')).fingerprint256, fingerprint(old.cert));

    await expectOk(gateway.admin, 'PATCH', path, { config: { cert: fresh.cert, key: fresh.key } });
    assert.equal((await served('plugin.test')).fingerprint256, fingerprint(fresh.cert));

    await expectOk(gateway.admin, 'PATCH', path, { enabled: false });
    assert.match((await served('plugin.test')).subject, defaultSubject);

    await expectOk(gateway.admin, 'PATCH', path, { enabled: true });
    assert.equal((await served('plugin.test')).fingerprint256, fingerprint(fresh.cert));

    await expectOk(gateway.admin, 'DELETE', path);
    assert.match((await served('plugin.test')).subject, defaultSubject);
  });

  test('the API: its host moves and the certificate follows, then both are deleted', async () => {
    const pair = makeSelfSigned({ names: ['first.test', 'second.test'] });
    await expectOk(gateway.admin, 'POST', '/apis', {
      name: 'moving',
      hosts: ['first.test'],
      upstream_url: upstream.url,
    });
    await expectOk(gateway.admin, 'POST', '/apis/moving/plugins', { name: 'ssl', config: pair });
    assert.equal((await served('first.test')).fingerprint256, fingerprint(pair.cert));

    await expectOk(gateway.admin, 'PATCH', '/apis/moving', { hosts: ['second.test'] });
    assert.match((await served('first.test')).subject, defaultSubject);
    assert.equal((await served('second.test')).fingerprint256, fingerprint(pair.cert));
    assert.equal((await get(gateway.plainPort, 'first.test')).status, 404);
    assert.equal((await get(gateway.plainPort, 'second.test')).status, 200);

    await expectOk(gateway.admin, 'DELETE', '/apis/moving');
    assert.match((await served('second.test')).subject, defaultSubject);
    assert.equal((await get(gateway.plainPort, 'second.test')).status, 404);
  });

  test('certificates and SNIs: a wildcard, an exact name before it, a moved name, a deleted certificate', async () => {
    const [wide, exact] = [makeSelfSigned({ names: ['*.sni.test'] }), makeSelfSigned({ names: ['a.sni.test'] })];
    const first = await expectOk(gateway.admin, 'POST', '/certificates', { ...wide, snis: ['*.sni.test'] });
    assert.equal((await served('a.sni.test')).fingerprint256, fingerprint(wide.cert));

    const second = await expectOk(gateway.admin, 'POST', '/certificates', { ...exact, snis: ['a.sni.test'] });
    assert.equal((await served('a.sni.test')).fingerprint256, fingerprint(exact.cert));
    assert.equal((await served('b.sni.test')).fingerprint256, fingerprint(wide.cert));
    assert.match((await served('a.b.sni.test')).subject, defaultSubject);

    await expectOk(gateway.admin, 'PATCH', '/snis/a.sni.test', { certificate: { id: first.body.id } });
    assert.equal((await served('a.sni.test')).fingerprint256, fingerprint(wide.cert));

    await expectOk(gateway.admin, 'DELETE', `/certificates/${first.body.id}`);
    await expectOk(gateway.admin, 'DELETE', `/certificates/${second.body.id}`);
    assert.match((await served('a.sni.test')).subject, defaultSubject);
  });

  test("a global ssl plugin's certificate serves names that have none of their own, and clients that send none", async () => {
    const pair = makeSelfSigned({ names: ['everywhere.test'] });
    const { body } = await expectOk(gateway.admin, 'POST', '/plugins', { name: 'ssl', config: pair });
    assert.equal((await served('nobody-knows.test')).fingerprint256, fingerprint(pair.cert));
    assert.equal((await served('')).fingerprint256, fingerprint(pair.cert));
    await expectOk(gateway.admin, 'DELETE', `/plugins/${body.id}`);
    assert.match((await served('nobody-knows.test')).subject, defaultSubject);
  });

  test('only_https holds from the next request on, also on a connection that is open', async () => {
    const pair = makeSelfSigned({ names: ['policy.test'] });
    await expectOk(gateway.admin, 'POST', '/apis', {
      name: 'policy',
      request_host: 'policy.test',
      upstream_url: upstream.url,
    });
    const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
    assert.equal((await get(gateway.plainPort, 'policy.test', agent)).status, 200);
    await expectOk(gateway.admin, 'POST', '/apis/policy/plugins', {
      name: 'ssl',
      config: { ...pair, only_https: true },
    });
    assert.equal((await get(gateway.plainPort, 'policy.test', agent)).status, 426);
    agent.destroy();
  });

  test('a request in flight, and its connection, outlive the certificate they came by', async () => {
    const [old, fresh] = [makeSelfSigned({ names: ['flight.test'] }), makeSelfSigned({ names: ['flight.test'] })];
    const held = Promise.withResolvers<http.ServerResponse>();
    await using slow = await startUpstream((_request, response) => {
      response.writeHead(200, { 'content-type': 'text/plain' });
      response.write('first half, ');
      held.resolve(response);
    });
    await expectOk(gateway.admin, 'POST', '/apis', {
      name: 'flight',
      request_host: 'flight.test',
      upstream_url: slow.url,
    });
    const { body } = await expectOk(gateway.admin, 'POST', '/apis/flight/plugins', { name: 'ssl', config: old });

    const answered = new Promise<string>((resolve, reject) => {
      const request = https.get(
        {
          host: '127.0.0.1',
          port: gateway.tlsPort,
          servername: 'flight.test',
          headers: { host: 'flight.test' },
          ca: old.cert,
        },
        (response) => {
          let text = '';
          response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
          response.on('end', () => resolve(text)).on('error', reject);
        },
      );
      request.on('error', reject);
    });
    const response = await held.promise;
    await expectOk(gateway.admin, 'PATCH', `/plugins/${body.id}`, { config: { cert: fresh.cert, key: fresh.key } });
    assert.equal((await served('flight.test')).fingerprint256, fingerprint(fresh.cert));
    await expectOk(gateway.admin, 'DELETE', '/apis/flight');
    response.end('second half');
    assert.equal(await answered, 'first half, second half');
  });

  test('under handshakes all the while, a replaced certificate is seen whole, and never the old one after the answer', async () => {
    const pairs = Array.from({ length: 6 }, () => makeSelfSigned({ names: ['busy.test'] }));
    const fingerprints = pairs.map((pair) => fingerprint(pair.cert));
    const [first, ...others] = pairs;
    const { body } = await expectOk(gateway.admin, 'POST', '/certificates', { ...first, snis: ['busy.test'] });
    let least = 0;
    let running = true;
    let handshakes = 0;
    const clients = Array.from({ length: 4 }, async () => {
      while (running) {
        const before = least;
        const seen = fingerprints.indexOf((await peerCertificate(gateway.tlsPort, 'busy.test')).fingerprint256);
        assert.ok(seen >= before, `certificate ${seen} after ${before} was acknowledged`);
        handshakes += 1;
      }
    });
    for (const [at, pair] of others.entries()) {
      const target = handshakes + 8;
      await until('some handshakes', () => handshakes >= target);
      await expectOk(gateway.admin, 'PATCH', `/certificates/${body.id}`, pair);
      least = at + 1;
    }
    running = false;
    await Promise.all(clients);
  });
});

function peerCertificate(port: number, name: string): Promise<X509Certificate> {
  return new Promise((resolve, reject) => {
    const socket = tls.connect({ host: '127.0.0.1', port, servername: name, rejectUnauthorized: false }, () => {
      const certificate = socket.getPeerX509Certificate();
      socket.destroy();
      if (certificate === undefined) reject(new Error('no certificate'));
      else resolve(certificate);
    });
    socket.on('error', reject);
  });
}

function get(port: number, host: string, agent?: http.Agent): Promise<{ readonly status: number }> {
  return new Promise((resolve, reject) => {
    http
      .get({ host: '127.0.0.1', port, path: '/', headers: { host }, ...(agent && { agent }) }, (response) => {
        response.resume().on('end', () => resolve({ status: response.statusCode ?? 0 }));
      })
      .on('error', reject);
  });
}
