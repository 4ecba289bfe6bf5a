// What a crash, a disk or a hand has made of the files of an embedded store is said at the start, or does no harm.
import assert from 'node:assert/strict';
import {
  appendFileSync,
  cpSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { expectOk } from '../support/admin.ts';
import { makeSelfSigned } from '../support/certificates.ts';
import { command } from '../support/command.ts';
import { isAlive, main, startGateway } from '../support/gateway.ts';
import { handshake } from '../support/handshake.ts';
import { until } from '../support/until.ts';

describe('the files of a store', () => {
  let folder = '';
  const whole = (): string => path.join(folder, 'whole');

  before(async () => {
    folder = mkdtempSync(path.join(tmpdir(), 'portunus-damaged-'));
    {
      await using gateway = await startGateway({ workers: 1, prefix: whole() });
      await put(gateway.admin, 'early.test');
      gateway.kill('SIGTERM');
      await gateway.exited;
      assert.equal(
        statSync(path.join(whole(), 'portunus.db-wal'), { throwIfNoEntry: false })?.size ?? 0,
        0,
        'all is in the file',
      );
    }
    await using gateway = await startGateway({ workers: 1, prefix: whole() });
    for (let at = 0; at < 20; at += 1) await put(gateway.admin, `late-${at}.test`);
    const workers = gateway.workerPids();
    for (const pid of [gateway.pid, ...workers]) process.kill(pid, 'SIGKILL');
    await gateway.exited;
    await until('the workers have ended', () => !workers.some(isAlive));
    assert.ok(statSync(path.join(whole(), 'portunus.db-wal')).size > 50_000);
  });
  after(() => rmSync(folder, { recursive: true }));

  for (const [what, damage, says] of [
    ['whose header is garbage', (file: string) => overwrite(file, 0, 100), /is not an SQLite database/],
    ['whose first page is garbage', (file: string) => overwrite(file, 100, 4096), /is damaged/],
    ['that is text', (file: string) => writeFileSync(file, 'no database '.repeat(1000)), /is not an SQLite database/],
    ['that was emptied', (file: string) => truncateSync(file, 0), /is empty, and this gateway has run before/],
  ] as const) {
    test(`a store ${what} is refused, with what to do, and left as it is`, async () => {
      const prefix = path.join(folder, what.replaceAll(' ', '-'));
      copy(whole(), prefix);
      const file = path.join(prefix, 'portunus.db');
      // Nothing of the log makes up for it.
      for (const end of ['-wal', '-shm']) rmSync(file + end);
      damage(file);
      const left = readFileSync(file);
      const flags = { prefix, workers: '0', proxy_listen: '127.0.0.1:0', admin_listen: 'off', status_listen: 'off' };
      const { code, stderr } = await command(process.execPath, [
        main,
        'start',
        ...Object.entries(flags).flatMap(([name, value]) => ['--set', `${name}=${value}`]),
      ]);
      assert.equal(code, 1);
      assert.match(stderr, says);
      assert.match(stderr, /Put (it aside|a copy back)/);
      assert.doesNotMatch(stderr, /^ {4}at /m, 'no stack');
      assert.deepEqual(readFileSync(file), left);
    });
  }

  for (const [what, damage] of [
    ['a write-ahead log that is garbage', (file: string) => overwrite(`${file}-wal`, 0, statSync(`${file}-wal`).size)],
    ['one that was cut off', (file: string) => truncateSync(`${file}-wal`, 30_001)],
    ['one with garbage at its end', (file: string) => appendFileSync(`${file}-wal`, Buffer.alloc(10_000, 7))],
    ['an index of it that is garbage', (file: string) => overwrite(`${file}-shm`, 0, 32_768)],
  ] as const) {
    test(`${what} costs no more than what it held`, async () => {
      const prefix = path.join(folder, what.replaceAll(' ', '-'));
      copy(whole(), prefix);
      damage(path.join(prefix, 'portunus.db'));
      await using gateway = await startGateway({ workers: 1, prefix });
      assert.match((await handshake(gateway.tlsPort, 'early.test')).subject, /early/);
      await put(gateway.admin, 'next.test');
      assert.match((await handshake(gateway.tlsPort, 'next.test')).subject, /next/);
    });
  }
});

async function put(admin: string, name: string): Promise<void> {
  await expectOk(admin, 'POST', '/certificates', { ...makeSelfSigned({ names: [name] }), snis: [name] });
}

function copy(from: string, to: string): void {
  cpSync(from, to, { recursive: true, filter: (file) => !file.endsWith('compile-cache') });
}

function overwrite(file: string, from: number, to: number): void {
  const bytes = readFileSync(file);
  writeFileSync(file, bytes.fill(7, from, to));
}
