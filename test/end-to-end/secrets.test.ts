// Private keys and tokens never leave: everything the gateway says and writes is searched for those it was given.
import assert from 'node:assert/strict';
import { createPrivateKey } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { call } from '../support/admin.ts';
import { makeAuthority, makeSelfSigned } from '../support/certificates.ts';
import { succeed } from '../support/command.ts';
import { pkcs12By } from '../support/containers.ts';
import { main, startGateway } from '../support/gateway.ts';
import { filesUnder, needlesOf } from '../support/key-needles.ts';
import { servedCertificate } from '../support/served-certificate.ts';

const passphrase = 'a passphrase that nobody would write by chance';

test('no answer, log, metric or file holds a private key or a passphrase, whatever was sent', async () => {
  const admin = makeSelfSigned({ names: ['admin.test'] });
  await using gateway = await startGateway({
    workers: 2,
    settings: { log_level: 'debug', admin_ssl_cert: admin.cert, admin_ssl_cert_key: admin.key },
  });
  const rsa = makeSelfSigned({ names: ['rsa.test'], keyType: 'rsa' });
  const ec = makeSelfSigned({ names: ['ec.test'] });
  const alternative = makeSelfSigned({ names: ['rsa.test'] });
  const other = makeSelfSigned({ names: ['other.test'] });
  const issued = makeAuthority().issue({ names: ['plugin.test'] });
  const encrypted = createPrivateKey(ec.key)
    .export({ type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase })
    .toString();
  const bundled = makeSelfSigned({ names: ['bundle.test'] });
  const bundle = pkcs12By({ chain: bundled.cert, key: bundled.key }, passphrase);
  const keys = [bundled.key, admin.key, rsa.key, ec.key, alternative.key, other.key, issued.key];
  const said: string[] = [];
  const send = async (method: string, target: string, body?: object): Promise<void> => {
    const { status, body: answer, headers } = await call(gateway.admin, method, target, body);
    said.push(`${status} ${JSON.stringify(answer)} ${JSON.stringify([...headers])}`);
  };

  // What is taken.
  await send('POST', '/certificates', {
    cert: rsa.cert,
    key: rsa.key,
    cert_alt: alternative.cert,
    key_alt: alternative.key,
    snis: ['rsa.test'],
  });
  await send('POST', '/certificates', { cert: ec.cert, key: encrypted, passphrase, snis: ['ec.test'] });
  await send('POST', '/certificates', { cert: bundle.toString('base64'), passphrase, snis: ['bundle.test'] });
  await send('POST', '/apis', { name: 'p', request_host: 'plugin.test', upstream_url: 'http://127.0.0.1:1' });
  await send('POST', '/apis/p/plugins', { name: 'ssl', config: { cert: issued.chain, key: issued.key } });
  // What is refused, and may be quoted in the refusal.
  await send('POST', '/certificates', { cert: rsa.cert, key: other.key });
  await send('POST', '/certificates', { cert: rsa.key, key: rsa.cert });
  await send('POST', '/certificates', { cert: rsa.cert, key: `${other.key.slice(0, 200)}\n` });
  await send('POST', '/certificates', { cert: rsa.cert, key: rsa.key, [other.key]: other.key });
  await send('POST', '/certificates', { cert: rsa.cert, key: [rsa.key], snis: [other.key] });
  await send('POST', '/certificates', { cert: ec.cert, key: encrypted, passphrase: `${passphrase}!` });
  await send('POST', '/certificates', { cert: bundle.toString('base64'), passphrase: `${passphrase}!` });
  await send('POST', '/certificates', { cert: bundle.toString('base64'), key: passphrase, passphrase: [passphrase] });
  await send('POST', '/apis', { name: other.key, request_host: other.key, upstream_url: other.key });
  await send('POST', '/apis/p/plugins', { name: other.key, config: { key: other.key } });
  await send('POST', '/certificates?dry_run=true', { cert: other.cert, key: other.key });
  // Tokens: one that is let in, one that is revoked, one that is none; in headers, and where none belongs.
  const portunus = (...args: string[]): Promise<string> =>
    succeed(process.execPath, [main, 'token', ...args, '--set', `prefix=${gateway.prefix}`], { cwd: gateway.prefix });
  const tokens = [(await portunus('create', 'ops')).trim(), (await portunus('create', 'gone')).trim()];
  await portunus('revoke', 'gone');
  said.push(await portunus('list'), await portunus('list', '--json'));
  for (const token of [...tokens, `${tokens[0]?.slice(0, 20)}_${'x'.repeat(43)}`]) {
    for (const headers of [
      { authorization: `Bearer ${token}` },
      { 'kong-admin-token': token },
      { authorization: token },
    ]) {
      const response = await fetch(`${gateway.admin}/`, { headers: headers as Record<string, string> });
      said.push(`${response.status} ${await response.text()} ${JSON.stringify([...response.headers])}`);
    }
  }
  // What is read.
  for (const target of [
    '/',
    '/status',
    '/apis',
    '/plugins',
    '/apis/p/plugins',
    '/certificates',
    '/snis',
    '/openapi.json',
    '/portunus/audit',
  ]) {
    await send('GET', target);
  }
  for (const target of ['/metrics', '/status', '/status/ready']) {
    said.push(await (await fetch(`${gateway.status}${target}`)).text());
  }
  for (const name of ['rsa.test', 'ec.test', 'bundle.test', 'plugin.test']) {
    assert.match((await servedCertificate(gateway.tlsPort, name)).subject, new RegExp(`CN=${name}`));
  }

  const files = filesUnder(gateway.prefix);
  const haystacks = [
    ...said.map((text, at) => ({ where: `answer ${at}`, bytes: Buffer.from(text) })),
    { where: 'output', bytes: Buffer.from(gateway.output()) },
    ...files.map((file) => ({ where: path.relative(gateway.prefix, file), bytes: readFileSync(file) })),
  ];
  const store = haystacks.find(({ where }) => where === 'portunus.db');
  assert.ok(
    store !== undefined && haystacks.some(({ bytes }) => bytes.includes('rsa.test')),
    'the search looks in the right place',
  );
  for (const { where, bytes } of haystacks) {
    assert.ok(!bytes.includes(passphrase), `${where} holds the passphrase`);
    for (const [at, token] of tokens.entries()) {
      const secret = token.slice(-43);
      const forms = [secret, Buffer.from(secret, 'base64url'), Buffer.from(secret, 'base64url').toString('hex')];
      for (const form of forms) assert.ok(!bytes.includes(form), `${where} holds token ${at}`);
    }
    for (const [at, key] of keys.entries()) {
      for (const [form, needle] of needlesOf(key))
        assert.ok(!bytes.includes(needle), `${where} holds key ${at} as ${form}`);
    }
  }
});

test('the data directory and what is in it are for their owner alone', async () => {
  await using gateway = await startGateway({ workers: 1 });
  const { key, cert } = makeSelfSigned({ names: ['mode.test'] });
  await call(gateway.admin, 'POST', '/certificates', { key, cert, snis: ['mode.test'] });
  assert.equal(statSync(gateway.prefix).mode & 0o077, 0);
  const open = /portunus\.(pid|json)$|compile-cache/;
  const secret = filesUnder(gateway.prefix).filter((file) => !open.test(file));
  assert.ok(secret.some((file) => file.endsWith('keyring')));
  for (const file of secret) assert.equal(statSync(file).mode & 0o077, 0, path.basename(file));
});
