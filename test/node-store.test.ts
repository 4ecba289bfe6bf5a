// A node that cannot start on a shared store says what is wrong with it, and one that can help itself does.
import assert from 'node:assert/strict';
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { expectOk } from './support/admin.ts';
import { makeSelfSigned } from './support/certificates.ts';
import { command } from './support/command.ts';
import { startGateway } from './support/gateway.ts';
import { startPostgres } from './support/postgres.ts';
import { servedCertificate } from './support/served-certificate.ts';
import { temporaryPostgres } from './store/temporary-postgres.ts';
import { temporaryDirectory } from './store/temporary-store.ts';

const main = fileURLToPath(new URL('../src/main.ts', import.meta.url));

test('a new node whose keyring lacks the key of the store names it; one that cannot reach the store says so', async () => {
  await using server = await startPostgres();
  await using opened = await temporaryPostgres(server.port);
  await using temporary = await temporaryDirectory();
  const start = (port: number, database = 'postgres') =>
    command(
      process.execPath,
      [
        main,
        'start',
        ...Object.entries({
          prefix: temporary.directory,
          database: 'postgres',
          pg_port: String(port),
          pg_database: database,
          pg_schema: opened.config.schema,
          keyring: 'env',
          workers: '0',
          proxy_listen: '127.0.0.1:0',
          admin_listen: '127.0.0.1:0',
          status_listen: '127.0.0.1:0',
        }).flatMap(([name, value]) => ['--set', `${name}=${value}`]),
      ],
      { env: { PORTUNUS_KEYRING_KEYS: `other:${Buffer.alloc(32, 1).toString('base64')}` } },
    );
  const mismatch = await start(server.port);
  assert.equal(mismatch.code, 1);
  assert.match(mismatch.stderr, /keyring has no key k1/);
  const nowhere = await start(server.port, 'misspelt');
  assert.match(nowhere.stderr, /the database does not exist .*\n +Create it: .* A node needs PostgreSQL for its first/);
  await server.stop();
  const away = await start(server.port);
  assert.equal(away.code, 1);
  assert.match(away.stderr, /no replica yet, and PostgreSQL is not available: the connection was refused/);
});

test('a damaged replica is put aside and filled anew', async () => {
  await using server = await startPostgres();
  await using temporary = await temporaryDirectory();
  const prefix = temporary.directory;
  const settings = { database: 'postgres', pg_url: server.url, keyring: 'env' };
  const env = { PORTUNUS_KEYRING_KEYS: `k1:${Buffer.alloc(32, 1).toString('base64')}` };
  const pair = makeSelfSigned({ names: ['damaged.test'] });
  {
    await using gateway = await startGateway({ prefix, settings, env });
    await expectOk(gateway.admin, 'POST', '/certificates', { ...pair, snis: ['damaged.test'] });
  }
  const file = path.join(prefix, 'replica.db');
  for (const damage of [
    (whole: Buffer) => whole.fill(7, 4096),
    (whole: Buffer) => whole.subarray(0, 20_000),
    () => Buffer.alloc(9000, 7),
  ]) {
    const database = new DatabaseSync(file);
    database.exec('PRAGMA wal_checkpoint(TRUNCATE)');
    database.close();
    writeFileSync(file, damage(readFileSync(file)));
    for (const end of ['-wal', '-shm']) rmSync(file + end, { force: true });
    writeFileSync(`${file}.new`, 'of a node that ended while it filled another one');
    await using gateway = await startGateway({ prefix, settings, env });
    assert.match((await servedCertificate(gateway.tlsPort, 'damaged.test')).subject, /CN=damaged\.test/);
    assert.match(gateway.output(), /the replica is damaged: it is put aside/);
    assert.ok(existsSync(`${file}.damaged`));
    assert.ok(!existsSync(`${file}.new`));
  }
});
