// The way to PostgreSQL: TLS, what is said when it cannot be gone, and that nothing secret is in it.
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import net, { type AddressInfo } from 'node:net';
import { after, before, test } from 'node:test';
import { isPortunusError, type PortunusError } from '../../src/lib/errors.ts';
import type { PostgresConfig } from '../../src/config/config.ts';
import { createPgClient } from '../../src/store/postgres/postgres-client.ts';
import { type Authority, makeAuthority } from '../support/certificates.ts';
import { type PostgresServer, startPostgres } from '../support/postgres.ts';
import { until } from '../support/until.ts';
import { postgresConfig } from './temporary-postgres.ts';

const authority: Authority = makeAuthority();
let server: PostgresServer;
before(async () => {
  const issued = authority.issue({ names: ['localhost'] });
  server = await startPostgres({ tls: { certificate: issued.cert, key: issued.key } });
});
after(() => server[Symbol.asyncDispose]());

test('TLS is spoken to a server whose certificate is of a trusted root and of its name', async () => {
  const tls = { verify: true, trustedCertificates: authority.certificate };
  await using client = createPgClient(postgresConfig(server.port, { host: 'localhost', tls }));
  const [row] = await client.query('SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()');
  assert.equal(row?.['ssl'], true);
});

test('without verification TLS is spoken to any server', async () => {
  const tls = { verify: false, trustedCertificates: undefined };
  await using client = createPgClient(postgresConfig(server.port, { tls }));
  const [row] = await client.query('SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()');
  assert.equal(row?.['ssl'], true);
});

const refusals: readonly (readonly [what: string, fields: () => Partial<PostgresConfig>, message: RegExp])[] = [
  [
    'a certificate of another name',
    () => ({ tls: { verify: true, trustedCertificates: authority.certificate } }),
    /certificate is not trusted \(ERR_TLS_CERT_ALTNAME_INVALID\)/,
  ],
  [
    'a certificate of a root that is not trusted',
    () => ({ host: 'localhost', tls: { verify: true, trustedCertificates: makeAuthority().certificate } }),
    /certificate is not trusted/,
  ],
  ['a database that is not there', () => ({ database: 'nowhere' }), /the database does not exist/],
  ['a role that is not there', () => ({ user: 'nobody' }), /refuses the login/],
  ['a host name that is not known', () => ({ host: 'nowhere.invalid' }), /host name is not known|connection was lost/],
];
for (const [what, fields, message] of refusals) {
  test(`${what}: the store is not available, and the message says why, without the password`, async () => {
    await using client = createPgClient(postgresConfig(server.port, { password: 'swordfish', ...fields() }));
    const error = await failureOf(client.query('SELECT 1'));
    assert.match(error.message, message);
    assert.ok(!JSON.stringify([error.message, error.facts, error.hint, String(error.cause)]).includes('swordfish'));
    assert.equal(client.state.kind, 'unreachable');
  });
}

test('a password is proven, never sent, and a wrong one is refused', async () => {
  await using admin = createPgClient(postgresConfig(server.port));
  await admin.query(`CREATE ROLE keeper LOGIN PASSWORD 'swordfish'`);
  const [row] = await admin.query('SHOW hba_file');
  const file = String(row?.['hba_file']);
  writeFileSync(file, `host all keeper all scram-sha-256\n${readFileSync(file, 'utf8')}`);
  await admin.query('SELECT pg_reload_conf()');
  const wrong = await until('the rule is in force', async () => {
    await using client = createPgClient(postgresConfig(server.port, { user: 'keeper', password: 'swordfisch' }));
    return client.query('SELECT 1').then(
      () => undefined,
      (error: unknown) => error as PortunusError,
    );
  });
  assert.match(wrong.message, /refuses the login/);
  await using client = createPgClient(postgresConfig(server.port, { user: 'keeper', password: 'swordfish' }));
  assert.equal((await client.query('SELECT current_user AS name'))[0]?.['name'], 'keeper');
});

test('a server that refuses connections is not available, and neither is one that speaks no TLS when TLS is asked for', async () => {
  const closed = net.createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => closed.once('listening', resolve));
  const { port } = closed.address() as AddressInfo;
  await new Promise((resolve) => closed.close(resolve));
  await using client = createPgClient(postgresConfig(port));
  assert.match((await failureOf(client.query('SELECT 1'))).message, /the connection was refused/);

  await using plain = await startPostgres();
  const tls = { verify: false, trustedCertificates: undefined };
  await using asking = createPgClient(postgresConfig(plain.port, { tls }));
  assert.match((await failureOf(asking.query('SELECT 1'))).message, /it does not speak TLS as asked/);
});

test('a server that takes connections and says nothing is given up in time', async () => {
  const sockets: net.Socket[] = [];
  const mute = net.createServer((socket) => sockets.push(socket)).listen(0, '127.0.0.1');
  await new Promise((resolve) => mute.once('listening', resolve));
  for (const tls of [undefined, { verify: false, trustedCertificates: undefined }]) {
    const { port } = mute.address() as AddressInfo;
    await using client = createPgClient(postgresConfig(port, { tls, timeoutMs: 100 }));
    assert.match((await failureOf(client.query('SELECT 1'))).message, /did not answer within/);
  }
  for (const socket of sockets) socket.destroy();
  mute.close();
});

test('a statement that PostgreSQL refuses is an error of the program, and quotes no value', async () => {
  await using client = createPgClient(postgresConfig(server.port));
  await assert.rejects(client.query('SELECT $1::int', 'swordfish'), (error: Error) => {
    assert.ok(!isPortunusError(error));
    assert.match(error.message, /22P02/);
    return !error.message.includes('swordfish');
  });
});

test('numbers of 64 bits, arrays, quotes, backslashes and null arrive as they were sent', async () => {
  await using client = createPgClient(postgresConfig(server.port));
  const texts = ['a', '', '"', '\\', '\\"', '{x,y}', 'NULL', 'ünï', null];
  const rows = await client.query(
    'SELECT n, t FROM unnest($1::bigint[], $2::text[]) u (n, t)',
    [1, 9_007_199_254_740_991, null],
    texts,
  );
  assert.deepEqual(
    rows.map((row) => row['t']),
    texts,
  );
  assert.deepEqual(
    rows.slice(0, 3).map((row) => row['n']),
    [1, 9_007_199_254_740_991, null],
  );
});

test('what a savepoint wrote is undone when its work throws, and the transaction goes on', async () => {
  await using client = createPgClient(postgresConfig(server.port));
  const values = await client.transact('write', async (tx) => {
    await tx.query('CREATE TEMPORARY TABLE t (n int)');
    await tx.savepoint(async () => tx.query('INSERT INTO t VALUES ($1)', 1));
    await assert.rejects(
      tx.savepoint(async () => {
        await tx.query('INSERT INTO t VALUES ($1)', 2);
        await tx.query('SELECT 1 / $1::int', 0);
      }),
    );
    return (await tx.query('SELECT n FROM t')).map((row) => row['n']);
  });
  assert.deepEqual(values, [1]);
});

test('all that a snapshot reads is of one moment', async () => {
  await using client = createPgClient(postgresConfig(server.port, { schema: 'public' }));
  const table = `t${process.pid}`;
  await client.query(`CREATE TABLE ${table} (n int)`);
  const counts = await client.transact('snapshot', async (tx) => {
    const first = await tx.query(`SELECT count(*) AS n FROM ${table}`);
    await client.query(`INSERT INTO ${table} VALUES ($1)`, 1);
    return [...first, ...(await tx.query(`SELECT count(*) AS n FROM ${table}`))].map((row) => row['n']);
  });
  assert.deepEqual(counts, [0, 0]);
});

test('a listener hears again after its connection was ended', async () => {
  await using client = createPgClient(postgresConfig(server.port));
  await using other = createPgClient(postgresConfig(server.port));
  const heard: string[] = [];
  let begun = 0;
  client.listen(
    'news',
    (payload) => heard.push(payload),
    () => (begun += 1),
  );
  await until('it listens', () => begun === 1);
  await other.query('SELECT pg_notify($1, $2)', 'news', 'one');
  await until('it hears', () => heard.includes('one'));
  await other.query(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query = 'LISTEN "news"'`);
  await until('it listens again', () => begun === 2);
  await other.query('SELECT pg_notify($1, $2)', 'news', 'two');
  await until('it hears', () => heard.includes('two'));
});

async function failureOf(work: Promise<unknown>): Promise<PortunusError> {
  try {
    await work;
  } catch (error) {
    if (isPortunusError(error, 'STORE_UNAVAILABLE')) return error;
    throw error;
  }
  throw new Error('it did not fail');
}
