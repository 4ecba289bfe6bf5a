// The page everything comes from, step by step, with the real openssl and curl against the real gateway.
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { command, succeed } from '../support/command.ts';
import { type Gateway, startGateway } from '../support/gateway.ts';
import { rememberKey } from '../support/secrets.ts';
import { servedCertificate } from '../support/served-certificate.ts';
import { startUpstream, type Upstream } from '../support/upstream.ts';

describe('the walk-through', () => {
  let folder: string;
  let gateway: Gateway;
  let upstream: Upstream;

  before(async () => {
    folder = mkdtempSync(path.join(os.tmpdir(), 'portunus-walk-'));
    [gateway, upstream] = await Promise.all([startGateway({ workers: 2 }), startUpstream()]);
  });
  after(async () => {
    await gateway[Symbol.asyncDispose]();
    await upstream[Symbol.asyncDispose]();
    rmSync(folder, { recursive: true, force: true });
  });

  const file = (name: string): string => path.join(folder, name);

  async function makeCertificate(bits: number): Promise<string> {
    const passphrase = ['-passout', 'pass:secret'];
    await succeed('openssl', ['genrsa', '-aes256', ...passphrase, '-out', file('server.key.org'), String(bits)]);
    await succeed('openssl', [
      'rsa',
      '-in',
      file('server.key.org'),
      '-passin',
      'pass:secret',
      '-out',
      file('server.key'),
    ]);
    await succeed('openssl', [
      'req',
      '-new',
      '-key',
      file('server.key'),
      '-subj',
      '/CN=mockbin.test',
      '-out',
      file('server.csr'),
    ]);
    writeFileSync(file('san.ext'), 'subjectAltName=DNS:mockbin.test\n');
    await succeed('openssl', [
      ...['x509', '-req', '-in', file('server.csr'), '-signkey', file('server.key')],
      ...['-extfile', file('san.ext'), '-days', '30', '-out', file('server.crt')],
    ]);
    rememberKey(readFileSync(file('server.key'), 'utf8'));
    return new X509Certificate(readFileSync(file('server.crt'))).fingerprint256;
  }

  test('a certificate uploaded with curl is served by SNI, and the API answers over it', async () => {
    const fingerprint = await makeCertificate(2048);
    const created = await succeed('curl', [
      ...['-sS', '-f', '-X', 'POST', `${gateway.admin}/apis`],
      ...['--data', 'name=mockbin', '--data', 'request_host=mockbin.test', '--data', `upstream_url=${upstream.url}`],
    ]);
    assert.equal((JSON.parse(created) as { request_host: string }).request_host, 'mockbin.test');

    const plugin = await command('curl', [
      ...['-sS', '-i', '-X', 'POST', `${gateway.admin}/apis/mockbin/plugins`, '--form', 'name=ssl'],
      ...['--form', `config.cert=@${file('server.crt')}`, '--form', `config.key=@${file('server.key')}`],
      ...['--form', 'config.only_https=true'],
    ]);
    assert.match(plugin.stdout, /^HTTP\/1\.1 201 /m);
    assert.match(plugin.stdout, /^portunus-revision: \d+\r$/im);
    assert.ok(!plugin.stdout.includes('PRIVATE KEY'), 'the answer shows no key');

    assert.equal((await servedCertificate(gateway.tlsPort, 'mockbin.test')).fingerprint256, fingerprint);

    const answer = await succeed('curl', [
      ...['-sS', '-f', '--cacert', file('server.crt'), '--resolve', `mockbin.test:${gateway.tlsPort}:127.0.0.1`],
      `https://mockbin.test:${gateway.tlsPort}/some/path?q=1`,
    ]);
    const seen = JSON.parse(answer) as { url: string; headers: Record<string, string> };
    assert.equal(seen.url, '/some/path?q=1');
    assert.equal(seen.headers['x-forwarded-proto'], 'https');

    const plain = await command('curl', [
      ...['-sS', '-i', '-H', 'Host: mockbin.test', `http://127.0.0.1:${gateway.plainPort}/`],
    ]);
    assert.match(plain.stdout, /^HTTP\/1\.1 426 /);
    assert.match(plain.stdout, /^upgrade: TLS\/1\.2, HTTP\/1\.1\r$/im);
    assert.match(plain.stdout, /^connection: upgrade\r$/im);
    assert.match(plain.stdout, /"message":"Please use HTTPS protocol"/);
  });

  test('other names, and no name, get the default certificate', async () => {
    for (const name of ['unknown.test', undefined]) {
      assert.match((await servedCertificate(gateway.tlsPort, name)).subject, /CN=localhost/);
    }
  });

  test('the certificate is served again after a restart that nobody announced', async () => {
    const fingerprint = new X509Certificate(readFileSync(file('server.crt'))).fingerprint256;
    gateway.kill('SIGKILL');
    await gateway.exited;
    await using again = await startGateway({ prefix: gateway.prefix });
    assert.equal((await servedCertificate(again.tlsPort, 'mockbin.test')).fingerprint256, fingerprint);
  });
});

test('a key of 1024 bits, as the old page made it, is refused, and let in when the configuration says so', async () => {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'portunus-walk-'));
  const [key, cert] = [path.join(folder, 'server.key'), path.join(folder, 'server.crt')];
  await succeed('openssl', [
    'req',
    '-x509',
    '-newkey',
    'rsa:1024',
    '-nodes',
    '-subj',
    '/CN=old.test',
    '-keyout',
    key,
    '-out',
    cert,
  ]);
  rememberKey(readFileSync(key, 'utf8'));
  const upload = (admin: string) =>
    command('curl', [
      ...[
        '-sS',
        '-i',
        `${admin}/certificates`,
        '--form',
        `cert=@${cert}`,
        '--form',
        `key=@${key}`,
        '--form',
        'snis[]=old.test',
      ],
    ]);
  {
    await using strict = await startGateway({ workers: 0 });
    const refused = await upload(strict.admin);
    assert.match(refused.stdout, /^HTTP\/1\.1 400 /);
    assert.match(refused.stdout, /1024/);
  }
  await using lenient = await startGateway({ workers: 1, settings: { ssl_min_rsa_bits: '1024' } });
  assert.match((await upload(lenient.admin)).stdout, /^HTTP\/1\.1 201 /);
  const served = await servedCertificate(lenient.tlsPort, 'old.test', ['-cipher', 'DEFAULT@SECLEVEL=0']);
  assert.equal(served.fingerprint256, new X509Certificate(readFileSync(cert)).fingerprint256);
  assert.match((await servedCertificate(lenient.tlsPort, 'other.test')).subject, /CN=localhost/);
  rmSync(folder, { recursive: true, force: true });
});
