// Client certificates on a real gateway, set by the Admin API and shown by curl and openssl: a write that was answered holds,
// also for workers that start after it, and no certificate ends a worker.
import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { expectOk } from '../support/admin.ts';
import { type Authority, type Issued, makeAuthority, makeSelfSigned } from '../support/certificates.ts';
import { command } from '../support/command.ts';
import { type Client, connectHttp2, connectTls } from '../support/data-plane.ts';
import { type Gateway, startGateway } from '../support/gateway.ts';
import { until } from '../support/until.ts';
import { startUpstream, type Upstream } from '../support/upstream.ts';

const host = 'bank.test';
const root = makeAuthority();
const alice = root.issue({ names: [], commonName: 'Alice' });

describe('client certificates', () => {
  let gateway: Gateway;
  let upstream: Upstream;
  let directory: string;
  let authority: string;
  const server = makeSelfSigned({ names: [host, 'open.test'] });

  before(async () => {
    directory = await mkdtemp(path.join(tmpdir(), 'portunus-clients-'));
    const settings = { proxy_listen: '127.0.0.1:0, 127.0.0.1:0 ssl http2' };
    [gateway, upstream] = await Promise.all([startGateway({ workers: 2, settings }), startUpstream()]);
    await expectOk(gateway.admin, 'POST', '/certificates', { ...server, snis: [host, 'open.test'] });
    await expectOk(gateway.admin, 'POST', '/apis', { name: 'bank', request_host: host, upstream_url: upstream.url });
    await expectOk(gateway.admin, 'POST', '/apis', { name: 'open', hosts: ['open.test'], upstream_url: upstream.url });
    authority = await addAuthority(root);
  });
  after(async () => {
    await gateway[Symbol.asyncDispose]();
    await upstream[Symbol.asyncDispose]();
    await rm(directory, { recursive: true });
    assert.doesNotMatch(gateway.output(), /worker fails|TypeError|RangeError/);
  });

  async function addAuthority({ certificate: cert }: Authority): Promise<string> {
    return String((await expectOk(gateway.admin, 'POST', '/ca_certificates', { cert })).body.id);
  }

  async function rule(fields: object): Promise<void> {
    await expectOk(gateway.admin, 'PUT', `/portunus/hosts/${host}`, fields);
  }

  const required = (): object => ({ client_certificate: 'required', ca_certificates: [authority] });

  /** @returns the status, and what came */
  async function curl(certificate: Issued | undefined, ...options: string[]): Promise<readonly [number, string]> {
    const proof = certificate === undefined ? [] : await filesOf('curl', certificate);
    const { stdout } = await command('curl', [
      ...['-sk', '--resolve', `${host}:${gateway.tlsPort}:127.0.0.1`, '-w', '\n%{http_code}'],
      ...(proof.length === 0 ? [] : ['--cert', proof[0] ?? '', '--key', proof[1] ?? '']),
      ...options,
      `https://${host}:${gateway.tlsPort}/`,
    ]);
    const end = stdout.lastIndexOf('\n');
    return [Number(stdout.slice(end + 1)), stdout.slice(0, end)];
  }

  async function filesOf(name: string, { chain, key }: Pick<Issued, 'chain' | 'key'>): Promise<readonly string[]> {
    const files = [path.join(directory, `${name}.crt`), path.join(directory, `${name}.key`)];
    await writeFile(files[0] ?? '', chain);
    await writeFile(files[1] ?? '', key);
    return files;
  }

  test('curl is let in with a certificate and not without, over HTTP/1.1 and HTTP/2', async () => {
    await rule(required());
    for (const version of ['--http1.1', '--http2']) {
      const [status, body] = await curl(alice, version);
      assert.equal(status, 200);
      assert.match(body, /"x-client-cert-dn":"CN=Alice"/);
      const [refused, why] = await curl(undefined, version);
      assert.equal(refused, 403);
      assert.match(why, /"message":"No required TLS certificate was sent"/);
    }
  });

  test('a write that was answered holds for every connection there is, on every worker', async () => {
    await expectOk(gateway.admin, 'DELETE', `/portunus/hosts/${host}`);
    const clients: Client[] = [];
    for (let count = 0; count < 8; count += 1) {
      clients.push(await connectTls(gateway.tlsPort, { sni: host, certificate: alice }));
    }
    try {
      for (const client of clients) assert.equal((await client.get(host)).status, 200);
      await rule(required());
      for (const client of clients) assert.equal((await client.get(host)).status, 421);
    } finally {
      for (const client of clients) client[Symbol.dispose]();
    }
    using proven = await connectTls(gateway.tlsPort, { sni: host, certificate: alice });
    assert.equal((await proven.get(host)).status, 200);
    const crl = root.revoke([alice.cert]);
    await expectOk(gateway.admin, 'PATCH', `/ca_certificates/${authority}`, { crl });
    assert.equal((await proven.get(host)).json.hint, 'revoked');
    await expectOk(gateway.admin, 'PATCH', `/ca_certificates/${authority}`, { crl: null });
    assert.equal((await proven.get(host)).status, 200);
  });

  test('an API’s rule, in either dialect, beside the host’s', async () => {
    await expectOk(gateway.admin, 'DELETE', `/portunus/hosts/${host}`);
    for (const api of ['bank', 'open']) {
      await expectOk(gateway.admin, 'PATCH', `/apis/${api}`, required());
    }
    for (const name of [host, 'open.test']) {
      using without = await connectTls(gateway.tlsPort, { sni: name });
      assert.equal((await without.get(name)).status, 403);
      using proven = await connectTls(gateway.tlsPort, { sni: name, certificate: alice });
      assert.equal((await proven.get(name)).status, 200);
    }
    await expectOk(gateway.admin, 'PATCH', '/apis/bank', { client_certificate: 'off' });
    await expectOk(gateway.admin, 'PATCH', '/apis/open', { client_certificate: 'off' });
    using without = await connectTls(gateway.tlsPort, { sni: host });
    assert.equal((await without.get(host)).status, 200);
  });

  test('a host that is served by the global ssl plugin’s certificate is protected as any other', async () => {
    const config = makeSelfSigned({ names: ['any.test'] });
    await expectOk(gateway.admin, 'POST', '/plugins', { name: 'ssl', config });
    await expectOk(gateway.admin, 'POST', '/apis', {
      name: 'any',
      hosts: ['any.test'],
      upstream_url: upstream.url,
    });
    await expectOk(gateway.admin, 'PUT', '/portunus/hosts/any.test', required());
    for (const [sni, certificate, status] of [
      ['any.test', alice, 200],
      ['any.test', undefined, 403],
      [undefined, alice, 421],
      ['other.test', alice, 421],
    ] as const) {
      using client = await connectTls(gateway.tlsPort, { sni, certificate });
      assert.equal((await client.get('any.test')).status, status, String(sni));
    }
  });

  test('workers that take the place of others protect from their first connection on', async () => {
    await rule(required());
    const before = gateway.workerPids();
    let asked = 0;
    let running = true;
    const statuses = new Set<number>();
    const knocking = (async () => {
      while (running) {
        const client = await connectTls(gateway.tlsPort, { sni: host }).catch(() => undefined);
        const answer = await client?.get(host).catch(() => undefined);
        if (answer !== undefined) statuses.add(answer.status);
        asked += Number(answer !== undefined);
        client?.[Symbol.dispose]();
      }
    })();
    try {
      gateway.kill('SIGHUP');
      const [victim = assert.fail()] = await until('other workers', () => {
        const pids = gateway.workerPids();
        return pids.length === 2 && pids.every((pid) => !before.includes(pid)) && pids;
      });
      process.kill(victim, 'SIGKILL');
      await until('another worker', () => {
        const pids = gateway.workerPids();
        return pids.length === 2 && !pids.includes(victim);
      });
      const enough = asked + 10;
      await until('it serves', () => asked >= enough);
    } finally {
      running = false;
      await knocking;
    }
    assert.deepEqual([...statuses], [403]);
    using proven = await connectHttp2(gateway.tlsPort, { sni: host, certificate: alice });
    assert.equal((await proven.get(host)).status, 200);
  });

  test('no certificate ends a worker, whatever its key', async () => {
    await rule(required());
    const workers = gateway.workerPids();
    const keys = [
      ['-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:secp256k1'],
      ['-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:brainpoolP256r1'],
      ['-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:brainpoolP512t1'],
      ['-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:sect571k1'],
      ['-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-256', '-pkeyopt', 'ec_param_enc:explicit'],
      ['-algorithm', 'RSA-PSS', '-pkeyopt', 'rsa_keygen_bits:2048'],
      ['-algorithm', 'RSA', '-pkeyopt', 'rsa_keygen_bits:512'],
      ['-algorithm', 'ED25519'],
      ['-algorithm', 'ED448'],
      ['-algorithm', 'SM2'],
    ];
    const [caFile = '', caKey = ''] = await filesOf('ca', { chain: root.certificate, key: root.key });
    const answers: string[] = [];
    for (const [index, options] of keys.entries()) {
      const at = (suffix: string): string => path.join(directory, `odd-${index}.${suffix}`);
      await command('openssl', ['genpkey', ...options, '-out', at('key')]);
      await command('openssl', ['req', '-new', '-key', at('key'), '-subj', '/CN=odd', '-out', at('csr')]);
      const sign = ['x509', '-req', '-in', at('csr'), '-CA', caFile, '-CAkey', caKey, '-set_serial', `${index + 1}`];
      await command('openssl', [...sign, '-days', '9', '-out', at('crt')]);
      for (const version of ['-tls1_2', '-tls1_3']) {
        const { stdout } = await command(
          'openssl',
          [
            ...['s_client', '-connect', `127.0.0.1:${gateway.tlsPort}`, '-servername', host, version, '-ign_eof'],
            ...['-cert', at('crt'), '-key', at('key'), '-cipher', 'ALL:@SECLEVEL=0'],
            ...['-curves', 'X25519:P-256:secp256k1:brainpoolP256r1:brainpoolP512r1'],
          ],
          { input: `GET / HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n` },
        );
        answers.push(/HTTP\/1\.1 (\d+)/.exec(stdout)?.[1] ?? 'no connection');
      }
    }
    // Which are taken is OpenSSL's to say; those of today's TLS are.
    assert.ok(answers.filter((answer) => answer === '200').length >= 4, answers.join());
    assert.ok(
      answers.every((answer) => ['200', '403', 'no connection'].includes(answer)),
      answers.join(),
    );
    assert.equal((await curl(alice))[0], 200);
    assert.deepEqual(gateway.workerPids(), workers);
  });
});
