// A node that cannot start on a shared store says what is wrong with it.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { command } from './support/command.ts';
import { startPostgres } from './support/postgres.ts';
import { temporaryPostgres } from './store/temporary-postgres.ts';
import { temporaryDirectory } from './store/temporary-store.ts';

const main = fileURLToPath(new URL('../src/main.ts', import.meta.url));

test('a new node whose keyring lacks the key of the store names it; one that cannot reach the store says so', async () => {
  await using server = await startPostgres();
  await using opened = await temporaryPostgres(server.port);
  await using temporary = await temporaryDirectory();
  const start = (port: number) =>
    command(
      process.execPath,
      [
        main,
        'start',
        ...Object.entries({
          prefix: temporary.directory,
          database: 'postgres',
          pg_port: String(port),
          pg_database: 'postgres',
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
  await server.stop();
  const away = await start(server.port);
  assert.equal(away.code, 1);
  assert.match(away.stderr, /no replica yet, and PostgreSQL is not available: the connection was refused/);
});
