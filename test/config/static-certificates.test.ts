// The default certificates of the configuration: forms, pairs, and what is wrong with them.
import assert from 'node:assert/strict';
import { createPrivateKey } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, test } from 'node:test';
import { tmpdir } from 'node:os';
import { loadConfig } from '../../src/config/load-config.ts';
import { makeAuthority } from '../support/certificates.ts';

const folder = mkdtempSync(path.join(tmpdir(), 'portunus-static-certificates-'));
after(() => rmSync(folder, { recursive: true, force: true }));

const authority = makeAuthority();
const ec = authority.issue({ names: ['a.test'] });
const rsa = authority.issue({ names: ['a.test'], keyType: 'rsa' });
const emptyFile = write('none.yaml', '');

test('a certificate and its key are given as paths, PEM text, or base64 of PEM text', () => {
  const forms = {
    path: (pem: string, name: string) => write(`${name}.pem`, pem),
    text: (pem: string) => pem,
    'text on one line': (pem: string) => pem.replaceAll('\n', String.raw`\n`),
    base64: (pem: string) => Buffer.from(pem).toString('base64'),
  };
  for (const [form, give] of Object.entries(forms)) {
    const config = loaded({ ssl_cert: give(ec.chain, 'cert'), ssl_cert_key: give(ec.key, 'key') });
    assert.deepEqual(config.sslCertificates, [{ chain: ec.chain, key: ec.key }], form);
  }
});

test('two certificates of different key types pair by position', () => {
  const config = loaded({ ssl_cert: `${ec.chain},${rsa.chain}`, ssl_cert_key: `${ec.key}, ${rsa.key}` });
  assert.deepEqual(
    config.sslCertificates.map(({ key }) => key.trim()),
    [ec.key.trim(), rsa.key.trim()],
  );
});

test('a chain in any order is put in order, its own certificate first', () => {
  const lower = authority.intermediate();
  const pair = lower.issue({ names: ['a.test'] });
  const issued = pair.cert;
  const config = loaded({
    ssl_cert: authority.certificate + lower.certificate + issued,
    ssl_cert_key: pair.key,
  });
  assert.equal(config.sslCertificates[0]?.chain, issued + lower.certificate + authority.certificate);
});

test('an RSA key under the floor is refused, since no handshake would succeed with it', () => {
  const short = authority.issue({ names: ['a.test'], keyType: 'rsa', bits: 1024 });
  const given = { ssl_cert: short.chain, ssl_cert_key: short.key };
  assert.match(messages(given)[0] ?? '', /is RSA 1024, shorter than ssl_min_rsa_bits$/);
  assert.equal(loaded({ ...given, ssl_min_rsa_bits: '1024' }).sslCertificates.length, 1);
});

test('both or none', () => {
  assert.deepEqual(messages({ ssl_cert: ec.chain }), ['ssl_cert_key must be specified']);
  assert.deepEqual(messages({ ssl_cert_key: ec.key }), ['ssl_cert must be specified']);
});

test('the counts must match', () => {
  assert.deepEqual(messages({ ssl_cert: `${ec.chain},${rsa.chain}`, ssl_cert_key: ec.key }), [
    'ssl_cert was specified 2 times while ssl_cert_key was specified 1 times',
  ]);
});

test('two certificates with keys of one type, and three, are refused', () => {
  const other = authority.issue({ names: ['b.test'] });
  assert.match(
    messages({ ssl_cert: `${ec.chain},${other.chain}`, ssl_cert_key: `${ec.key},${other.key}` })[0] ?? '',
    /one type of key/,
  );
  const three = [ec, rsa, other];
  assert.match(
    messages({
      ssl_cert: three.map(({ chain }) => chain).join(','),
      ssl_cert_key: three.map(({ key }) => key).join(','),
    })[0] ?? '',
    /3 times, and 2 is the most/,
  );
});

test('what cannot be loaded is named by its path', () => {
  const absent = path.join(folder, 'absent.pem');
  const noKey = write('no-key.pem', ec.chain);
  assert.deepEqual(messages({ ssl_cert: absent, ssl_cert_key: noKey }), [
    `ssl_cert: failed loading certificate from ${absent}`,
    `ssl_cert_key: failed loading key from ${noKey}`,
  ]);
});

test('the key of another certificate is refused', () => {
  const messagesFound = messages({ ssl_cert: write('ec.pem', ec.chain), ssl_cert_key: write('rsa.key', rsa.key) });
  assert.match(messagesFound[0] ?? '', /rsa\.key does not belong to the certificate .*ec\.pem/);
});

test('a key with a passphrase is refused', () => {
  for (const options of [
    { type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: 'x' },
    { type: 'sec1', format: 'pem', cipher: 'aes-256-cbc', passphrase: 'x' },
  ] as const) {
    const encrypted = createPrivateKey(ec.key).export(options).toString();
    assert.deepEqual(messages({ ssl_cert: ec.chain, ssl_cert_key: encrypted }), [
      'ssl_cert_key: failed loading key from (hidden)',
    ]);
  }
});

test('no part of a key is in any problem, whichever setting it is given to', () => {
  const body = ec.key.split('\n')[1] ?? '';
  const base64 = Buffer.from(ec.key).toString('base64');
  const broken = [ec.key.slice(0, 90), base64.slice(0, 90), body, `${body}.${body}`, ec.key];
  for (const value of broken) {
    for (const name of ['ssl_cert', 'ssl_cert_key', 'upstream_trusted_certificates']) {
      const result = loadConfig({ file: emptyFile, env: {}, flags: { [name]: value } });
      assert.equal(result.kind, 'refused', name);
      assert.ok(!JSON.stringify(result).includes(body.slice(0, 20)), JSON.stringify(result));
      assert.ok(!JSON.stringify(result).includes(base64.slice(0, 20)), JSON.stringify(result));
    }
  }
  const misplaced = loadConfig({
    file: emptyFile,
    env: {},
    flags: { trusted_ips: ec.key, unknown: ec.key, log_level: ec.key },
  });
  assert.ok(!JSON.stringify(misplaced).includes(body.slice(0, 20)));
});

test('roots for upstreams are the system ones or those given', () => {
  assert.equal(loaded({}).upstreamTrustedCertificates, undefined);
  const roots = loaded({ upstream_trusted_certificates: authority.certificate });
  assert.equal(roots.upstreamTrustedCertificates?.trim(), authority.certificate.trim());
  assert.match(
    messages({ upstream_trusted_certificates: '/absent.pem' })[0] ?? '',
    /failed loading certificate from \/absent\.pem/,
  );
});

function loaded(flags: Readonly<Record<string, string>>) {
  const result = loadConfig({ file: emptyFile, env: {}, flags });
  assert.ok(result.kind === 'loaded', JSON.stringify(result));
  return result.config;
}

function messages(flags: Readonly<Record<string, string>>): readonly string[] {
  const result = loadConfig({ file: emptyFile, env: {}, flags });
  assert.ok(result.kind === 'refused');
  return result.problems.map(({ message }) => message);
}

function write(name: string, text: string): string {
  const file = path.join(folder, name);
  writeFileSync(file, text);
  return file;
}
