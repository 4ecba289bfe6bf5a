// The commands that move data, as people run them: import into a gateway that serves, and from one node into a cluster.
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { expectOk } from '../support/admin.ts';
import { makeSelfSigned } from '../support/certificates.ts';
import { command } from '../support/command.ts';
import { pkcs12By } from '../support/containers.ts';
import { startGateway } from '../support/gateway.ts';
import { handshake } from '../support/handshake.ts';
import { startPostgres } from '../support/postgres.ts';
import { until } from '../support/until.ts';

const main = fileURLToPath(new URL('../../src/main.ts', import.meta.url));

test('imported while it serves, then migrated into PostgreSQL and served from there', async () => {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'portunus-move-'));
  const prefix = path.join(folder, 'data');
  const file = path.join(folder, 'certificates.jsonl');
  writeFileSync(
    file,
    ['one', 'two'].map((name) => JSON.stringify(makeSelfSigned({ names: [`${name}.move.test`] }))).join('\n'),
  );
  await using server = await startPostgres();
  const portunus = async (...args: readonly string[]) =>
    command(process.execPath, [main, ...args, '--prefix', prefix, '--set', `pg_url=${server.url}`]);

  await using embedded = await startGateway({ prefix, workers: 1 });
  const imported = await portunus('import', file, '--json');
  const bundle = path.join(folder, 'bundle');
  const three = makeSelfSigned({ names: ['three.move.test'] });
  mkdirSync(bundle);
  writeFileSync(path.join(bundle, 'three.p12'), pkcs12By({ chain: three.cert, key: three.key }, 'sesame'));
  writeFileSync(path.join(folder, 'passphrase'), 'sesame\nanother line\n');
  const opened = await portunus('import', bundle, '--passphrase-file', path.join(folder, 'passphrase'), '--json');
  assert.equal(JSON.parse(opened.stdout).written, 1);
  const unread = await portunus('import', bundle, '--passphrase-file', path.join(folder, 'none'));
  assert.match(unread.stderr, /there is no .*\/none$/m);
  writeFileSync(path.join(folder, 'single.crt'), three.cert);
  const keyless = await portunus('import', path.join(folder, 'single.crt'));
  assert.match(keyless.stderr, /single\.crt: KEY_MISSING/);
  writeFileSync(path.join(folder, 'single.key'), three.key);
  const single = await portunus('import', path.join(folder, 'single.crt'), '--json');
  assert.equal(JSON.parse(single.stdout).unchanged, 1);
  const { per_second: perSecond, ...told } = JSON.parse(imported.stdout);
  assert.ok(perSecond > 0);
  assert.deepEqual(told, {
    read: 2,
    written: 2,
    replaced: 0,
    unchanged: 0,
    refused: 0,
    dry_run: false,
    left_out: {},
    problems: [],
  });
  await until('the running gateway notices', async () => {
    return (await handshake(embedded.tlsPort, 'two.move.test')).subject === 'two.move.test';
  });
  await expectOk(embedded.admin, 'POST', '/apis', { name: 'a', request_host: 'api.test', upstream_url: 'http://u' });
  const early = await portunus('migrate', '--from', 'sqlite', '--to', 'postgres');
  assert.match(early.stderr, /runs/, 'not while a gateway writes to it');
  embedded.kill('SIGTERM');
  await embedded.exited;

  const migrated = await portunus('migrate', '--from', 'sqlite', '--to', 'postgres', '--json');
  const { certificates, ticket_secret: ticketSecret } = JSON.parse(migrated.stdout);
  assert.deepEqual([certificates, ticketSecret], [{ from: 4, to: 4 }, 'moved']);
  await using node = await startGateway({ prefix, settings: { database: 'postgres', pg_url: server.url } });
  assert.equal((await handshake(node.tlsPort, 'one.move.test')).subject, 'one.move.test');
  assert.equal((await expectOk(node.admin, 'GET', '/apis/a')).body.name, 'a');
  rmSync(folder, { recursive: true, force: true });
});
