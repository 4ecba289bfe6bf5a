// Private keys and tokens never leave. Each gateway of the end-to-end tests is searched for them at its end; here they are sent
// to wherever they do not belong.
import assert from 'node:assert/strict';
import { createPrivateKey } from 'node:crypto';
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import { test } from 'node:test';
import { call } from '../support/admin.ts';
import { makeAuthority, makeSelfSigned } from '../support/certificates.ts';
import { startCluster } from '../support/cluster.ts';
import { command, succeed } from '../support/command.ts';
import { pkcs12By } from '../support/containers.ts';
import { type Gateway, main, startGateway } from '../support/gateway.ts';
import { startPostgres } from '../support/postgres.ts';
import { assertNoSecrets, filesUnder, hear, rememberSecret, secretsKnown } from '../support/secrets.ts';
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
  rememberSecret('the passphrase', Buffer.from(passphrase));
  const keys = [bundled.key, admin.key, rsa.key, ec.key, alternative.key, other.key, issued.key];
  const send = async (method: string, target: string, body?: object): Promise<void> => {
    await call(gateway.admin, method, target, body);
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
  // They are shown once, to who made them.
  assertNoSecrets([]);
  for (const token of tokens) rememberSecret('a token', Buffer.from(token.slice(-43), 'base64url'));
  await portunus('list');
  await portunus('list', '--json');
  for (const token of [...tokens, `${tokens[0]?.slice(0, 20)}_${'x'.repeat(43)}`]) {
    for (const headers of [
      { authorization: `Bearer ${token}` },
      { 'kong-admin-token': token },
      { authorization: token },
    ]) {
      const response = await fetch(`${gateway.admin}/`, { headers: headers as Record<string, string> });
      hear('an answer to a token', `${await response.text()} ${JSON.stringify([...response.headers])}`);
    }
  }
  for (const name of ['rsa.test', 'ec.test', 'bundle.test', 'plugin.test']) {
    assert.match((await servedCertificate(gateway.tlsPort, name)).subject, new RegExp(`CN=${name}`));
  }

  // The search itself is with the end of the gateway; this is that it looks in the right places.
  const files = filesUnder(gateway.prefix);
  assert.ok(files.some(({ where }) => where === 'portunus.db'));
  assert.ok(files.some(({ bytes }) => bytes.includes('rsa.test')));
  assert.ok(secretsKnown().secrets >= keys.length + tokens.length + 1);
});

test('the data directory and what is in it are for their owner alone', async () => {
  await using gateway = await startGateway({ workers: 1 });
  const { key, cert } = makeSelfSigned({ names: ['mode.test'] });
  await call(gateway.admin, 'POST', '/certificates', { key, cert, snis: ['mode.test'] });
  assert.equal(statSync(gateway.prefix).mode & 0o077, 0);
  const open = /portunus\.(pid|json)$|compile-cache/;
  const secret = filesUnder(gateway.prefix, (name) => open.test(name));
  assert.ok(secret.some(({ where }) => where === 'keyring'));
  for (const { where } of secret) assert.equal(statSync(path.join(gateway.prefix, where)).mode & 0o077, 0, where);
});

test('nor does a key that is sent where none belongs, in any spelling, whole or cut', async () => {
  await using gateway = await startGateway({ workers: 1, settings: { log_level: 'debug' } });
  await misplaceKeys(gateway, 'also to look for');
});

test('nor in a cluster: not to PostgreSQL, which logs every statement with its values, and not into replicas', async () => {
  await using server = await startPostgres({
    settings: { log_statement: 'all', log_min_duration_statement: '0', log_parameter_max_length_on_error: '-1' },
  });
  await using cluster = await startCluster({ nodes: 2, port: server.port, settings: { log_level: 'debug' } });
  const [first] = cluster.nodes;
  assert.ok(first !== undefined);
  // What is looked for is a value of a statement, and whoever logs those logs it.
  await misplaceKeys(first, 'not to look for');
  const { cert, key } = makeSelfSigned({ names: ['cluster.test'] });
  const made = await call(first.admin, 'POST', '/certificates?wait=cluster', { cert, key, snis: ['cluster.test'] });
  assert.equal(made.status, 201);
  // What breaks in PostgreSQL is told with the values that broke it.
  const id = (made.body as { id: string }).id;
  await call(first.admin, 'POST', '/certificates', { id, cert, key });
  await call(first.admin, 'POST', '/certificates', { cert, key, snis: ['cluster.test'] });
  await call(first.admin, 'POST', '/certificates', { cert, key, tags: [`\0${key}`] });
  await cluster.portunus(['export', '--json']);
  assert.match(server.log(), /certificates/);
});

test('nor what import refuses', async (t) => {
  await using gateway = await startGateway({ workers: 1 });
  const [one, other] = [
    makeSelfSigned({ names: ['one.test'] }),
    makeSelfSigned({ names: ['other.test'], keyType: 'rsa' }),
  ];
  const inputs = {
    'mismatch.jsonl': JSON.stringify({ cert: one.cert, key: other.key, snis: ['one.test'] }),
    'broken.jsonl': `{"cert": ${JSON.stringify(one.cert)}, "key": ${JSON.stringify(one.key)}, "snis": [`,
    'fields.jsonl': JSON.stringify({ cert: one.cert, key: { pem: one.key }, snis: [other.key], [one.key]: one.key }),
    'nothing.jsonl': one.key,
    'deck.yaml': `_format_version: "3.0"\ncertificates:\n- cert: ${JSON.stringify(one.key)}\n  key: ${JSON.stringify(other.key)}\n  snis: ${JSON.stringify(one.key)}\n`,
    'broken.yaml': `certificates: [{key: ${JSON.stringify(one.key)}, ${one.key}`,
  };
  const folder = mkdtempSync(path.join(os.tmpdir(), 'portunus-secrets-'));
  t.after(() => rmSync(folder, { recursive: true }));
  for (const [name, content] of Object.entries(inputs)) {
    const file = path.join(folder, name);
    writeFileSync(file, content);
    const flags = ['--set', `prefix=${gateway.prefix}`];
    const { code } = await command(process.execPath, [main, 'import', file, ...flags], { cwd: gateway.prefix });
    assert.notEqual(code, 0, name);
  }
});

/** Everything that may be quoted in a refusal, a log or a crash. */
async function misplaceKeys(gateway: Gateway, how: 'also to look for' | 'not to look for'): Promise<void> {
  const { port } = new URL(gateway.admin);
  const ec = makeSelfSigned({ names: ['misplaced.test'] });
  const rsa = makeSelfSigned({ names: ['misplaced.test'], keyType: 'rsa' });
  for (const { cert, key } of [ec, rsa]) {
    const flat = key.replaceAll('\n', '');
    const body = key.split('\n').slice(1, -2).join('');
    const der = createPrivateKey(key).export({ type: 'pkcs8', format: 'der' });
    const hex = der.toString('hex');
    const all = [
      key,
      flat,
      body,
      key.split('\n').slice(1, -2).join('\n'),
      hex,
      der.toString('base64url'),
      encodeURIComponent(key),
    ];
    const spellings = how === 'also to look for' ? all : [key, body];
    for (const spelled of spellings) {
      const inPath = encodeURIComponent(spelled).slice(0, 3000);
      for (const target of [
        `/${inPath}`,
        `/certificates?offset=${inPath}`,
        `/certificates?size=${inPath}`,
        `/portunus/audit?offset=${inPath}`,
        `/portunus/audit?actor=${inPath}&entity=${inPath}`,
        ...(how === 'not to look for' ? [] : lookingFor(inPath)),
      ]) {
        await call(gateway.admin, 'GET', target);
      }
      const json = { 'content-type': 'application/json' };
      const fields: readonly object[] = [
        { cert: spelled, key: spelled },
        { cert, key: `${spelled}x` },
        { cert, key, snis: [spelled], tags: [spelled] },
        { cert, key: [spelled] },
        { cert, key: { [spelled.slice(0, 200)]: spelled } },
        { [spelled.slice(0, 250)]: 1 },
        { cert, key, id: spelled },
        { cert, key, passphrase: spelled, cert_alt: spelled, key_alt: spelled },
        { cert, key: `${spelled}${'A'.repeat(300_000)}` },
        { name: spelled, certificate: { id: spelled } },
      ];
      for (const each of fields) {
        await call(gateway.admin, 'POST', '/certificates', each);
        await call(gateway.admin, 'PUT', `/certificates/${inPath}`, each);
        await call(gateway.admin, 'POST', '/snis', each);
        await call(gateway.admin, 'POST', '/plugins', { name: 'ssl', config: each });
        await call(gateway.admin, 'POST', '/ca_certificates', each);
        await call(gateway.admin, 'POST', '/apis', each);
      }
      const texts: readonly (readonly [Record<string, string>, string])[] = [
        [json, `{"key": ${JSON.stringify(spelled)}`],
        [json, `{"key": "${spelled}`],
        [json, spelled],
        [{ 'content-type': spelled.replaceAll('\n', '').slice(0, 2000) }, spelled],
        [{ 'content-type': `multipart/form-data; boundary=${flat.slice(40, 100)}` }, spelled],
        [
          { 'content-type': 'multipart/form-data; boundary=b' },
          `--b\r\nContent-Disposition: form-data; name="${flat}"; filename="${flat}"\r\n\r\n${spelled}\r\n--b--\r\n`,
        ],
        [
          { 'content-type': 'multipart/form-data; boundary=b' },
          `--b\r\nContent-Disposition: ${flat}\r\n\r\n${spelled}`,
        ],
        [{ 'content-type': 'application/x-www-form-urlencoded' }, `${spelled}=${spelled}&key=${spelled}`],
        [{ ...json, authorization: `Bearer ${flat}`, 'kong-admin-token': flat }, '{}'],
        [{ ...json, 'x-key': flat, cookie: flat, origin: flat, referer: flat, 'user-agent': flat }, '{}'],
        [{ ...json, 'content-encoding': flat }, '{}'],
      ];
      for (const [headers, sent] of texts) {
        const answer = await fetch(`${gateway.admin}/certificates`, { method: 'POST', headers, body: sent });
        hear('an answer to a bent request', `${JSON.stringify([...answer.headers])} ${await answer.text()}`);
      }
      const raw = [
        `${flat} ${flat} ${flat}\r\n\r\n`,
        `POST /certificates HTTP/1.1\r\nHost: ${flat}\r\n\r\n`,
        `POST /certificates HTTP/1.1\r\nHost: x\r\n${flat}: ${flat}\r\n\r\n`,
        `POST /certificates HTTP/1.1\r\nHost: x\r\nContent-Length: ${flat}\r\n\r\n`,
        `POST /certificates HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n${flat}\r\n${flat}`,
        // Cut in the middle.
        `POST /certificates HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 9999\r\n\r\n{"key":${JSON.stringify(key)}`,
      ];
      for (const bytes of raw) {
        const socket = connect(Number(port), '127.0.0.1');
        socket.end(bytes);
        hear('an answer to what is no request', await text(socket));
      }
    }
  }
}

const lookingFor = (text: string): readonly string[] => [
  `/apis/${text}`,
  `/certificates/${text}`,
  `/snis/${text}`,
  `/apis?host=${text}`,
  `/certificates?tags=${text}`,
  `/portunus/audit?actor=${text}`,
];
