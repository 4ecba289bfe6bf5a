// `portunus keyring …` from the command line to the file and the store.
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { runCommandLine } from '../src/cli/command-line.ts';
import { keyringCommands } from '../src/keyring-commands.ts';
import { isPortunusError } from '../src/lib/errors.ts';
import { lockRotation, type RotationLock } from '../src/rotation-lock.ts';
import { createPgClient } from '../src/store/postgres/postgres-client.ts';
import { createNodeRegistry } from '../src/store/postgres/node-registry.ts';
import { loadKeyring } from '../src/store/keyring.ts';
import { createSealer } from '../src/store/sealing.ts';
import { openSqliteStore } from '../src/store/sqlite/sqlite-store.ts';
import { fakeCertificate, fakeKeyPair } from './contracts/entities.ts';
import { postgresConfig } from './store/temporary-postgres.ts';
import { type PostgresServer, startPostgres } from './support/postgres.ts';
import { until } from './support/until.ts';

const folder = mkdtempSync(path.join(tmpdir(), 'portunus-keyring-'));
after(() => rmSync(folder, { recursive: true }));
let server: PostgresServer | undefined;
before(async () => {
  server = await startPostgres();
});
after(() => server?.[Symbol.asyncDispose]());

interface Listed {
  readonly store: boolean;
  readonly keys: readonly { readonly id: string; readonly seals: boolean; readonly certificates: number }[];
  readonly missing: readonly { readonly keyId: string }[];
}

test('a first key is made where there is none, with a directory, and never shown', async () => {
  const prefix = path.join(folder, 'first');
  const neither = await run(['list', '-p', prefix]);
  assert.deepEqual([neither.code, neither.err], [1, [`Error: There is no store in ${prefix} yet.`]]);
  const { code, out, err } = await run(['add', '-p', prefix, '--id', 'k1']);
  assert.deepEqual([code, out], [0, ['added the key k1, which seals']]);
  assert.equal(statSync(path.join(prefix, 'keyring')).mode & 0o777, 0o600);
  const [, secret = ''] = /^k1:(.+)$/m.exec(readFileSync(path.join(prefix, 'keyring'), 'utf8')) ?? [];
  assert.equal(secret.length, 44);
  assert.ok(![...out, ...err].join('\n').includes(secret));
  const listed = await list(prefix);
  assert.deepEqual([listed.store, listed.keys.map(({ id, seals }) => [id, seals])], [false, [['k1', true]]]);
});

test('beside a store whose keyring is gone no other is made', async () => {
  const prefix = await site('gone', 1);
  rmSync(path.join(prefix, 'keyring'));
  const { code, err } = await run(['add', '-p', prefix]);
  assert.equal(code, 1);
  assert.match(err.join('\n'), /does not exist[^]*Put back the copy/);
});

test('with the keyring in the environment a key is printed when it is asked for, and only then', async () => {
  const env = { PORTUNUS_KEYRING: 'env', PORTUNUS_KEYRING_KEYS: `k1:${Buffer.alloc(32, 1).toString('base64')}` };
  const refused = await run(['add', '-p', path.join(folder, 'none')], env);
  assert.equal(refused.code, 1);
  assert.match(refused.err.join('\n'), /--print-key/);
  const { code, out } = await run(['add', '-p', path.join(folder, 'none'), '--id', 'k2', '--print-key'], env);
  assert.equal(code, 0);
  assert.match(out.join('\n'), /^k2:[A-Za-z0-9+/]{43}=$/);
});

test('a key is added, everything sealed anew under it, and the old one no longer used', async () => {
  const prefix = await site('rotation', 250);
  await run(['add', '-p', prefix, '--id', 'fresh']);
  const [old] = (await list(prefix)).keys;
  assert.deepEqual([old?.seals, old?.certificates], [true, 250]);
  const shown: string[] = [];
  const { code, out } = await run(['rotate', '-p', prefix, '--json'], {}, (text) => shown.push(text));
  assert.equal(code, 0);
  assert.deepEqual(JSON.parse(out.join('\n')), {
    keyId: 'fresh',
    certificates: 250,
    unopened: [],
    stillUsed: [],
    unused: [old?.id],
    behind: [],
    reload: null,
  });
  assert.match(shown.join('\n'), /sealed anew 100 of 250 certificates, \d+ a second/);
  assert.deepEqual(
    (await list(prefix)).keys.map(({ id, seals, certificates }) => [id, seals, certificates]),
    [
      ['fresh', true, 250],
      [old?.id, false, 0],
    ],
  );
  // Again: there is nothing to do, and nothing is turned back.
  const again = await run(['rotate', '-p', prefix, '--json']);
  assert.equal((JSON.parse(again.out.join('\n')) as { certificates: number }).certificates, 0);
  // The old key is removed from the file: the store opens all the same.
  const file = path.join(prefix, 'keyring');
  const text = readFileSync(file, 'utf8');
  writeFileSync(file, text.replace(new RegExp(`^${old?.id}:.*$`, 'm'), ''));
  assert.deepEqual((await list(prefix)).missing, []);
  await using store = await openSqliteStore({ path: path.join(prefix, 'portunus.db'), sealer: await sealerOf(prefix) });
  const kept = await store.certificates.get('c7');
  assert.ok(kept);
  assert.equal((await sealerOf(prefix)).open(kept.primary.sealedKey, kept.primary.publicKeySha256).toString(), 'key 7');
});

test('a key that the store needs and the keyring lacks is listed, and nothing is sealed anew', async () => {
  const prefix = await site('missing', 3);
  const file = path.join(prefix, 'keyring');
  const [old] = (await list(prefix)).keys;
  writeFileSync(file, `other:${Buffer.alloc(32, 7).toString('base64')}\n`);
  const listed = await run(['list', '-p', prefix]);
  assert.equal(listed.code, 1);
  assert.match(listed.err.join('\n'), new RegExp(`needs the key ${old?.id} \\(3 certificates\\)`));
  const { code, err } = await run(['rotate', '-p', prefix]);
  assert.equal(code, 1);
  assert.match(err.join('\n'), new RegExp(`lacks the key ${old?.id}`));
});

test('in a cluster nothing is sealed under a key that a live node lacks', async () => {
  const config = postgresConfig(server?.port ?? 0);
  const env = {
    PORTUNUS_DATABASE: 'postgres',
    PORTUNUS_PG_URL: server?.url ?? '',
    PORTUNUS_PG_SCHEMA: config.schema,
  };
  const prefix = path.join(folder, 'cluster');
  await run(['add', '-p', prefix, '--id', 'k1'], env);
  assert.equal((await list(prefix, env)).keys[0]?.id, 'k1');
  assert.equal((await run(['rotate', '-p', prefix], env)).code, 0);
  await using client = createPgClient(config);
  const nodes = createNodeRegistry({ client, schema: config.schema, store: { ready: () => Promise.resolve() } });
  const identity = { id: 'n', instance: 'i', name: 'node-b', address: '', version: '1' };
  await nodes.register(identity, { applied: 0, state: 'serving', keyIds: ['k1'] });
  await run(['add', '-p', prefix, '--id', 'k2'], env);
  const refused = await run(['rotate', '-p', prefix], env);
  assert.equal(refused.code, 1);
  assert.match(refused.err.join('\n'), /do not hold the key k2: node-b[^]*Nothing was changed/);
  assert.equal((await list(prefix, env)).keys[0]?.id, 'k1');
  await nodes.report(identity, { applied: 0, state: 'serving', keyIds: ['k1', 'k2'] });
  const { code, out } = await run(['rotate', '-p', prefix, '--json'], env);
  assert.equal(code, 0);
  const { keyId, behind, unused } = JSON.parse(out.join('\n')) as Record<string, unknown>;
  assert.deepEqual([keyId, behind, unused], ['k2', ['node-b'], ['k1']]);
});

test('while one rotation is under way another is refused, and then it is taken', async () => {
  const prefix = await site('rotating', 3);
  await run(['add', '-p', prefix, '--id', 'next']);
  const before = (await list(prefix)).keys;
  await whileLocked({ prefix, postgres: undefined }, async () => {
    const { code, err } = await run(['rotate', '-p', prefix]);
    assert.equal(code, 1);
    assert.match(err.join('\n'), /A rotation of the keyring is under way[^]*Nothing was changed/);
    assert.deepEqual((await list(prefix)).keys, before);
  });
  assert.equal((await run(['rotate', '-p', prefix])).code, 0);
  assert.equal((await list(prefix)).keys[0]?.id, 'next');
});

test('in a cluster one rotation keeps out those of other nodes, and notices that it no longer does', async () => {
  const config = postgresConfig(server?.port ?? 0);
  const env = {
    PORTUNUS_DATABASE: 'postgres',
    PORTUNUS_PG_URL: server?.url ?? '',
    PORTUNUS_PG_SCHEMA: config.schema,
  };
  const prefix = path.join(folder, 'rotating-cluster');
  await run(['add', '-p', prefix, '--id', 'k1'], env);
  await whileLocked({ prefix: 'another machine', postgres: config }, async (lock) => {
    const { code, err } = await run(['rotate', '-p', prefix], env);
    assert.equal(code, 1);
    assert.match(err.join('\n'), /A rotation of the keyring is under way/);
    lock.check();
    await using client = createPgClient(postgresConfig(server?.port ?? 0));
    await client.query(
      'SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = $1',
      `portunus ${config.schema}`,
    );
    await until('the loss is noticed', () => {
      try {
        lock.check();
        return false;
      } catch (error) {
        return isPortunusError(error, 'STORE_UNAVAILABLE');
      }
    });
  });
  assert.equal((await run(['rotate', '-p', prefix], env)).code, 0);
  assert.equal((await run(['rotate', '-p', prefix], env)).code, 0);
});

async function whileLocked(
  where: Parameters<typeof lockRotation>[0],
  work: (lock: RotationLock) => Promise<void>,
): Promise<void> {
  await using lock = await lockRotation(where);
  await work(lock);
}

/** A data directory with a store of certificates. */
async function site(name: string, certificates: number): Promise<string> {
  const prefix = path.join(folder, name);
  await run(['add', '-p', prefix]);
  const sealer = await sealerOf(prefix);
  await using store = await openSqliteStore({ path: path.join(prefix, 'portunus.db'), sealer });
  await store.transact('test', async (tx) => {
    for (let index = 0; index < certificates; index += 1) {
      const publicKeySha256 = `public ${index}`;
      const sealedKey = sealer.seal(`key ${index}`, publicKeySha256);
      await tx.certificates.insert(
        fakeCertificate(`c${index}`, { primary: fakeKeyPair(`c${index}`, { publicKeySha256, sealedKey }) }),
      );
    }
  });
  return prefix;
}

async function sealerOf(prefix: string) {
  return createSealer(await loadKeyring({ source: 'file', path: path.join(prefix, 'keyring') }));
}

async function list(prefix: string, env: NodeJS.ProcessEnv = {}): Promise<Listed> {
  return JSON.parse((await run(['list', '-p', prefix, '--json'], env)).out.join('\n')) as Listed;
}

async function run(args: readonly string[], env: NodeJS.ProcessEnv = {}, progress?: (text: string) => void) {
  writeFileSync(path.join(folder, 'portunus.yaml'), '');
  const out: string[] = [];
  const err: string[] = [];
  const code = await runCommandLine(['keyring', ...args], {
    terminal: { out: (line) => out.push(line), err: (line) => err.push(line), progress },
    env,
    cwd: folder,
    runGateway: () => Promise.reject(new Error('not asked for')),
    runExport: () => Promise.reject(new Error('not here')),
    runImport: () => Promise.reject(new Error('not here')),
    runMigration: () => Promise.reject(new Error('not here')),
    keyringCommands: () => Promise.resolve(keyringCommands),
    tokenCommands: () => Promise.reject(new Error('not asked for')),
  });
  return { code, out, err };
}
