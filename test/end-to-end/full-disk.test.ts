// The disk of the data directory is full: writes are refused and leave nothing half done, all else goes on, and it passes.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, test } from 'node:test';
import { call, expectOk } from '../support/admin.ts';
import { makeSelfSigned } from '../support/certificates.ts';
import { main, startGateway } from '../support/gateway.ts';
import { command } from '../support/command.ts';
import { startPostgres } from '../support/postgres.ts';
import { servedCertificate } from '../support/served-certificate.ts';
import { until } from '../support/until.ts';

/** A small disk of its own; undefined where none may be mounted. */
function mountDisk(): (Disposable & { readonly folder: string }) | undefined {
  const folder = mkdtempSync(path.join(tmpdir(), 'portunus-disk-'));
  const { status } = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=12m,mode=0700', 'tmpfs', folder]);
  if (status !== 0) {
    rmSync(folder, { recursive: true });
    return undefined;
  }
  return {
    folder,
    [Symbol.dispose]() {
      spawnSync('umount', ['--lazy', folder]);
      rmSync(folder, { recursive: true });
    },
  };
}

using probe = mountDisk();
const skip = probe === undefined;

describe('the disk is full', { skip }, () => {
  test('of an embedded gateway', async () => {
    using disk = mountDisk() ?? assert.fail();
    const prefix = path.join(disk.folder, 'data');
    await using gateway = await startGateway({
      workers: 1,
      prefix,
      settings: { proxy_access_log: path.join(disk.folder, 'access.log') },
      env: { NODE_DISABLE_COMPILE_CACHE: '1' },
    });
    const pair = makeSelfSigned({ names: ['full.test'] });
    await expectOk(gateway.admin, 'POST', '/certificates', { ...pair, snis: ['full.test'] });
    const before = await contentsOf(gateway.admin);
    const ballast = fill(disk.folder);
    const refused = await until('the log of the store has no room left', async () => {
      const answer = await call(gateway.admin, 'POST', '/certificates', { ...large(), snis: ['next.test'] });
      if (answer.status !== 201) return answer;
      await expectOk(gateway.admin, 'DELETE', `/certificates/${answer.body.id}`);
      return false;
    });
    assert.equal(refused.status, 503);
    assert.match(JSON.stringify(refused.body), /STORE_UNAVAILABLE.*|disk is full/);
    assert.deepEqual(await contentsOf(gateway.admin), before, 'nothing of it is there');
    for (let times = 0; times < 3; times += 1) {
      assert.match((await servedCertificate(gateway.tlsPort, 'full.test')).subject, /CN=full/);
      assert.equal((await fetch(`http://127.0.0.1:${gateway.plainPort}/`)).status, 404);
    }
    // Another one cannot start, and says what it lacks.
    const other = ['start', '--set', `prefix=${path.join(disk.folder, 'other')}`, '--set', 'proxy_listen=127.0.0.1:0'];
    const { code, stderr } = await command(process.execPath, [main, ...other]);
    assert.equal(code, 1);
    assert.match(stderr, /full|ENOSPC|no space/i);

    rmSync(ballast);
    await expectOk(gateway.admin, 'POST', '/certificates', { ...pair, snis: ['after.test'] });
    assert.match((await servedCertificate(gateway.tlsPort, 'after.test')).subject, /CN=full/);
    gateway.kill('SIGTERM');
    assert.equal((await gateway.exited).code, 0);
  });

  test('of a node of a cluster: it says that it does not follow, serves what it has, and catches up', async () => {
    using disk = mountDisk() ?? assert.fail();
    await using server = await startPostgres();
    const settings = { database: 'postgres', pg_url: server.url, keyring: 'env' };
    const env = {
      PORTUNUS_KEYRING_KEYS: `k1:${Buffer.alloc(32, 1).toString('base64')}`,
      NODE_DISABLE_COMPILE_CACHE: '1',
    };
    await using writer = await startGateway({ workers: 1, settings, env });
    await using gateway = await startGateway({ workers: 1, settings, env, prefix: path.join(disk.folder, 'data') });
    const post = (name: string): Promise<unknown> =>
      expectOk(writer.admin, 'POST', '/certificates', { ...makeSelfSigned({ names: [name] }), snis: [name] });
    await post('first.test');
    await until('it has the first one', async () =>
      (await servedCertificate(gateway.tlsPort, 'first.test')).subject.includes('first'),
    );
    const ballast = fill(disk.folder);
    let posted = 0;
    await until('it says so', async () => {
      await post(`n${(posted += 1)}.test`);
      return /the disk is full.*the replica does not follow the store/.test(gateway.output());
    });
    assert.match((await servedCertificate(gateway.tlsPort, 'first.test')).subject, /CN=first/);
    rmSync(ballast);
    const last = `n${posted}.test`;
    await until('it has caught up', async () =>
      (await servedCertificate(gateway.tlsPort, last)).subject.includes(last),
    );
  });
});

function fill(folder: string): string {
  const file = path.join(folder, 'ballast');
  const { bavail, bsize } = statfsSync(folder);
  try {
    writeFileSync(file, Buffer.alloc(bavail * bsize));
  } catch (error) {
    // The gateway has taken some of it meanwhile.
    if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
  }
  return file;
}

/** Certificates that take room. */
function large(): { readonly cert: string; readonly key: string } {
  const { cert, key } = makeSelfSigned({
    names: Array.from({ length: 300 }, (_, at) => `a-rather-long-name-${at}.next.test`),
  });
  return { cert, key };
}

async function contentsOf(admin: string): Promise<unknown> {
  const lists = ['/certificates', '/snis', '/apis', '/plugins'].map(
    async (list) => (await expectOk(admin, 'GET', list)).body,
  );
  return Promise.all(lists);
}
