// The Admin API over TLS: what it proves itself with, how that is renewed, and what it takes no tokens over.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { type Authority, makeAuthority, makeSelfSigned } from '../support/certificates.ts';
import { command, succeed } from '../support/command.ts';
import { type Gateway, main, startGateway } from '../support/gateway.ts';
import { servedCertificate } from '../support/served-certificate.ts';
import { until } from '../support/until.ts';

const tlsOnly = { admin_listen: '0.0.0.0:0 ssl', proxy_listen: '127.0.0.1:0, 127.0.0.1:0 ssl' };

test('without a certificate of its own it has the one that was made for clients who name none', async () => {
  await using site = temporarySite();
  const token = await site.token();
  await using gateway = await startGateway({ prefix: site.prefix, settings: tlsOnly });
  const served = await servedCertificate(adminPort(gateway), 'localhost');
  assert.equal(served.fingerprint256, (await servedCertificate(gateway.tlsPort, undefined)).fingerprint256);
  writeFileSync(site.file('ca.crt'), served.toString());
  const url = `https://localhost:${adminPort(gateway)}/apis`;
  const status = async (...args: string[]) =>
    succeed('curl', [
      '-s',
      '-o',
      site.file('answer'),
      '-w',
      '%{http_code}',
      '--cacert',
      site.file('ca.crt'),
      ...args,
      url,
    ]);
  assert.equal(await status(), '401');
  assert.equal(await status('-H', `Authorization: Bearer ${token}`), '200');
  const plain = await command('curl', ['-s', url.replace('https', 'http')]);
  assert.notEqual(plain.code, 0);
  const old = await command('curl', ['-s', '--tls-max', '1.1', '--cacert', site.file('ca.crt'), url]);
  assert.notEqual(old.code, 0);
  const offering = async (...args: readonly string[]) =>
    (await command('openssl', ['s_client', '-connect', `localhost:${adminPort(gateway)}`, ...args])).code;
  assert.equal(await offering('-groups', 'P-256'), 0);
  for (const group of ['ffdhe2048', 'P-521', 'X448']) assert.notEqual(await offering('-groups', group), 0, group);
});

test('its own certificate is read again on SIGHUP, and one that cannot be read changes nothing', async () => {
  await using site = temporarySite();
  await site.token();
  const write = (name: string): void => {
    const { cert, key } = makeSelfSigned({ names: [name] });
    writeFileSync(site.file('admin.crt'), cert);
    writeFileSync(site.file('admin.key'), key);
  };
  write('one.test');
  await using gateway = await startGateway({
    prefix: site.prefix,
    settings: { ...tlsOnly, admin_ssl_cert: site.file('admin.crt'), admin_ssl_cert_key: site.file('admin.key') },
  });
  const subject = async (): Promise<string> => (await servedCertificate(adminPort(gateway), 'x.test')).subject;
  assert.match(await subject(), /CN=one\.test/);
  writeFileSync(site.file('admin.crt'), 'no certificate');
  gateway.kill('SIGHUP');
  await until('it says so', () => /failed loading certificate/.test(gateway.output()));
  assert.match(await subject(), /CN=one\.test/);
  write('two.test');
  gateway.kill('SIGHUP');
  await until('the new one is served', async () => /CN=two\.test/.test(await subject()));
});

test('callers are let in by certificates, whose authorities are read again on SIGHUP, and no token is needed to start', async () => {
  await using site = temporarySite();
  const [first, second] = [makeAuthority(), makeAuthority()];
  writeFileSync(site.file('ca.crt'), first.certificate);
  await using gateway = await startGateway({
    prefix: site.prefix,
    settings: { ...tlsOnly, admin_ssl_client_ca: site.file('ca.crt'), admin_ssl_verify_client: 'on' },
  });
  const status = async (authority: Authority): Promise<string> => {
    const { chain, key } = authority.issue({ names: ['ops.test'] });
    writeFileSync(site.file('ops.crt'), chain);
    writeFileSync(site.file('ops.key'), key);
    const proof = ['--cert', site.file('ops.crt'), '--key', site.file('ops.key')];
    const out = ['-sk', '-o', site.file('answer'), '-w', '%{http_code}'];
    // 000 where the connection is cut: one whose handshake is under way when the authorities change is.
    return (await command('curl', [...out, ...proof, `https://localhost:${adminPort(gateway)}/apis`])).stdout;
  };
  assert.equal(await status(first), '200');
  assert.equal(await status(second), '403');
  writeFileSync(site.file('ca.crt'), second.certificate);
  gateway.kill('SIGHUP');
  await until('the other authority is taken', async () => (await status(second)) === '200');
  assert.equal(await status(first), '403');
});

const adminPort = (gateway: Gateway): number => Number(new URL(gateway.admin).port);

function temporarySite() {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'portunus-admin-tls-'));
  const prefix = path.join(folder, 'data');
  return {
    prefix,
    file: (name: string) => path.join(folder, name),
    token: async () =>
      (
        await succeed(process.execPath, [main, 'token', 'create', 'ops', '--set', `prefix=${prefix}`], { cwd: folder })
      ).trim(),
    [Symbol.asyncDispose]: async () => rmSync(folder, { recursive: true, force: true }),
  };
}
