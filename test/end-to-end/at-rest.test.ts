// The attacker with a copy of everything that is kept, but the keyring: no key is in it in any form, and nothing opens it.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import postgres from 'postgres';
import { loadKeyring } from '../../src/store/keyring.ts';
import { createSealer } from '../../src/store/sealing.ts';
import { call, expectOk } from '../support/admin.ts';
import { makeAuthority, makeSelfSigned } from '../support/certificates.ts';
import { command, succeed } from '../support/command.ts';
import { type Gateway, isAlive, main, startGateway } from '../support/gateway.ts';
import { startPostgres } from '../support/postgres.ts';
import { assertNoSecrets, filesUnder, type Haystack, rememberKey, rememberSecret } from '../support/secrets.ts';
import { servedCertificate } from '../support/served-certificate.ts';
import { until } from '../support/until.ts';

test('of an embedded gateway: store, write-ahead log, logs, run files, compiled code', async () => {
  await using gateway = await startGateway({
    workers: 1,
    settings: { proxy_access_log: 'access.log', log_level: 'debug' },
  });
  const { prefix } = gateway;
  const keys = await upload(gateway);
  // What was sealed under a key before, and sealed anew, is among it.
  for (const words of [['add'], ['rotate']]) {
    await succeed(process.execPath, [main, 'keyring', ...words, '--set', `prefix=${prefix}`]);
  }
  keys.push(...(await upload(gateway)));
  await killAll(gateway);
  using stolen = copyWithoutKeyring(prefix);
  const keyring = readFileSync(path.join(prefix, 'keyring'), 'utf8');
  const sealed = sealedTexts(path.join(stolen.prefix, 'portunus.db'));
  keys.push(...(await opened(sealed, path.join(prefix, 'keyring'))));
  assertNoKey(filesUnder(stolen.prefix), keys, keyring);
  assert.ok(existsSync(path.join(stolen.prefix, 'portunus.db-wal')));

  // Nothing of ours opens it for them, with no keyring or with one of their own that has the same ids.
  const flags = ['--set', `prefix=${stolen.prefix}`, '--set', 'admin_listen=127.0.0.1:0', '--set', 'status_listen=off'];
  const tries = async (): Promise<void> => {
    for (const words of [
      ['start', '--set', 'proxy_listen=127.0.0.1:0'],
      ['export', '--with-keys', path.join(stolen.prefix, 'out')],
    ]) {
      const { code, stderr } = await command(process.execPath, [main, ...words, ...flags]);
      assert.equal(code, 1);
      assert.match(stderr, /keyring/i);
    }
  };
  await tries();
  const forged = keyring.replaceAll(
    /^([\w-]+):.*$/gm,
    (_, id: string) => `${id}:${randomBytes(32).toString('base64')}`,
  );
  writeFileSync(path.join(stolen.prefix, 'keyring'), forged, { mode: 0o600 });
  await tries();
  assert.deepEqual(await opened(sealed, path.join(stolen.prefix, 'keyring')), []);
  assertNoKey(
    filesUnder(stolen.prefix).filter(({ where }) => where !== 'keyring'),
    keys,
    keyring,
  );
});

test('of a cluster: a dump of PostgreSQL, and the replica of a node', async () => {
  await using server = await startPostgres();
  const key = randomBytes(32).toString('base64');
  await using gateway = await startGateway({
    workers: 1,
    settings: { database: 'postgres', pg_url: server.url, keyring: 'env' },
    env: { PORTUNUS_KEYRING_KEYS: `k1:${key}` },
  });
  const keys = await upload(gateway);
  await killAll(gateway);
  const sealed = sealedTexts(path.join(gateway.prefix, 'replica.db'));
  const sealer = createSealer(await loadKeyring({ source: 'env', value: `k1:${key}` }));
  keys.push(...sealed.map(({ text, binding }) => sealer.open(text, binding).toString()));
  assertNoKey([...filesUnder(gateway.prefix), ...(await dumpOf(server.url))], keys, `k1:${key}`);
});

/** @returns the private keys in PEM */
async function upload({ admin, tlsPort }: Gateway): Promise<string[]> {
  const tag = randomBytes(4).toString('hex');
  const rsa = makeSelfSigned({ names: [`rsa-${tag}.test`], keyType: 'rsa', freshKey: true });
  const ec = makeSelfSigned({ names: [`rsa-${tag}.test`] });
  const issued = makeAuthority().issue({ names: [`plugin-${tag}.test`] });
  const replaced = makeSelfSigned({ names: [`rsa-${tag}.test`], keyType: 'rsa', freshKey: true });
  const pairs = { cert: rsa.cert, key: rsa.key, cert_alt: ec.cert, key_alt: ec.key };
  const { body } = await expectOk(admin, 'POST', '/certificates', { ...pairs, snis: [`rsa-${tag}.test`] });
  await expectOk(admin, 'PATCH', `/certificates/${body.id}`, { cert: replaced.cert, key: replaced.key });
  await expectOk(admin, 'POST', '/apis', {
    name: tag,
    request_host: `plugin-${tag}.test`,
    upstream_url: 'http://127.0.0.1:1',
  });
  await expectOk(admin, 'POST', `/apis/${tag}/plugins`, {
    name: 'ssl',
    config: { cert: issued.chain, key: issued.key },
  });
  // Refused, and perhaps logged.
  await call(admin, 'POST', '/certificates', { cert: rsa.cert, key: issued.key });
  await servedCertificate(tlsPort, `rsa-${tag}.test`);
  return [rsa.key, ec.key, issued.key, replaced.key];
}

/** Nothing is tidied up. */
async function killAll(gateway: Gateway): Promise<void> {
  const workers = gateway.workerPids();
  for (const pid of [gateway.pid, ...workers]) process.kill(pid, 'SIGKILL');
  await gateway.exited;
  await until('the workers have ended', () => !workers.some(isAlive));
}

function copyWithoutKeyring(prefix: string): Disposable & { readonly prefix: string } {
  const copy = mkdtempSync(path.join(tmpdir(), 'portunus-stolen-'));
  cpSync(prefix, copy, { recursive: true, filter: (file) => path.basename(file) !== 'keyring' });
  return { prefix: copy, [Symbol.dispose]: () => rmSync(copy, { recursive: true }) };
}

interface Sealed {
  readonly text: string;
  readonly binding: string;
}

function sealedTexts(file: string): readonly Sealed[] {
  const database = new DatabaseSync(file, { readOnly: true });
  try {
    return database
      .prepare(
        `SELECT sealed_key AS text, public_key_sha256 AS binding FROM certificates
         UNION ALL SELECT sealed_key_alt, public_key_sha256_alt FROM certificates WHERE sealed_key_alt IS NOT NULL
         UNION ALL SELECT value, 'meta ' || key FROM meta WHERE value LIKE 'v1.%'`,
      )
      .all() as unknown as Sealed[];
  } finally {
    database.close();
  }
}

/** What the keyring opens of it: private keys, and the store's secrets. */
async function opened(sealed: readonly Sealed[], keyring: string): Promise<string[]> {
  const sealer = createSealer(await loadKeyring({ source: 'file', path: keyring }));
  return sealed.flatMap(({ text, binding }) => {
    try {
      return sealer.open(text, binding).toString('latin1');
    } catch {
      return [];
    }
  });
}

/** Every row of every table, as text. */
async function dumpOf(url: string): Promise<readonly Haystack[]> {
  await using sql = Object.assign(postgres(url, { onnotice: () => undefined }), {
    async [Symbol.asyncDispose](this: ReturnType<typeof postgres>) {
      await this.end();
    },
  });
  const tables = await sql`SELECT table_name AS name FROM information_schema.tables WHERE table_schema = 'public'`;
  assert.ok(tables.length > 5);
  return await Promise.all(
    tables.map(async ({ name }) => {
      const rows = await sql`SELECT t::text AS row, to_json(t)::text AS json FROM ${sql(String(name))} t`;
      return { where: `table ${name}`, bytes: Buffer.from(rows.map(({ row, json }) => `${row}\n${json}`).join('\n')) };
    }),
  );
}

/** @param secrets private keys in PEM; of others their bytes, as latin1 */
function assertNoKey(haystacks: readonly Haystack[], secrets: readonly string[], keyring: string): void {
  assert.ok(
    haystacks.some(({ bytes }) => bytes.includes('BEGIN CERTIFICATE')),
    'the search looks in the right place',
  );
  const masters = [...keyring.matchAll(/^[\w-]+:(.+)$/gm)].map(([, key = '']) => key);
  const others = secrets.filter((each) => !isPem(each));
  assert.ok(masters.length > 0 && others.length > 0, 'secrets that are no private keys are looked for too');
  for (const key of masters) rememberSecret('a key of the keyring', Buffer.from(key, 'base64'));
  for (const secret of secrets) {
    if (isPem(secret)) rememberKey(secret);
    else rememberSecret('a secret of the store', Buffer.from(secret, 'latin1'));
  }
  assertNoSecrets(haystacks);
}

function isPem(text: string): boolean {
  return text.startsWith('-----BEGIN');
}
