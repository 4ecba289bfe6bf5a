// A gateway that root starts: it listens where only root may, and is root no more.
import assert from 'node:assert/strict';
import { randomInt } from 'node:crypto';
import { chmodSync, chownSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, test } from 'node:test';
import { expectOk } from '../support/admin.ts';
import { makeSelfSigned } from '../support/certificates.ts';
import { command, succeed } from '../support/command.ts';
import { main, startGateway } from '../support/gateway.ts';
import { servedCertificate } from '../support/served-certificate.ts';
import { until } from '../support/until.ts';

const skip = process.platform !== 'linux' || process.getuid?.() !== 0;
const uid = 65_534;
const user = `${uid}:${uid}`;

describe('started as root with a user', { skip }, () => {
  test('it listens on a low port, its processes have no privilege, and all it makes is the user’s', async () => {
    await using folder = temporaryFolder();
    const { prefix } = folder;
    const port = await freeLowPort();
    await using gateway = await startGateway({
      workers: 2,
      prefix,
      settings: { user, proxy_listen: `127.0.0.1:${port} ssl` },
    });
    await expectOk(gateway.admin, 'POST', '/certificates', {
      ...makeSelfSigned({ names: ['low.test'] }),
      snis: ['low.test'],
    });
    const serves = async (): Promise<void> =>
      assert.match((await servedCertificate(port, 'low.test')).subject, /CN=low\.test/);
    await serves();
    for (const pid of [gateway.pid, ...gateway.workerPids()]) assertUnprivileged(pid);

    // What takes the place of a worker has the port from the primary, which could not bind it any more.
    const [first = assert.fail()] = gateway.workerPids();
    process.kill(first, 'SIGKILL');
    await until('another worker is there', () => {
      const pids = gateway.workerPids();
      return pids.length === 2 && !pids.includes(first);
    });
    gateway.kill('SIGHUP');
    await until('it has reloaded', () => gateway.output().includes('the workers renewed'));
    await serves();
    for (const pid of [gateway.pid, ...gateway.workerPids()]) assertUnprivileged(pid);
    // A command that root runs makes nothing that the gateway could not read.
    await succeed(process.execPath, [
      main,
      'token',
      'create',
      'ops',
      '--set',
      `prefix=${prefix}`,
      '--set',
      `user=${user}`,
    ]);
    assertOwned(prefix);
    assert.doesNotMatch(gateway.output(), /runs as root/);
  });

  test('a data directory of somebody else is refused with what to do', async () => {
    await using folder = temporaryFolder();
    const { prefix } = folder;
    chownSync(prefix, 0, 0);
    const args = Object.entries({
      prefix,
      user,
      proxy_listen: '127.0.0.1:0',
      admin_listen: 'off',
      status_listen: 'off',
    });
    const { code, stderr } = await command(process.execPath, [
      main,
      'start',
      ...args.flatMap(([name, value]) => ['--set', `${name}=${value}`]),
    ]);
    assert.equal(code, 1);
    assert.match(stderr, new RegExp(`data directory ${prefix} cannot be used[^]*chown -R ${uid} ${prefix}`));
  });

  test('what root makes in its data directory by commands that name no user is the user’s', async () => {
    await using folder = temporaryFolder();
    const { prefix } = folder;
    const run = (...words: string[]): Promise<unknown> => succeed(process.execPath, [main, ...words, '-p', prefix]);
    await run('token', 'create', 'ops');
    await run('keyring', 'add');
    await run('keyring', 'rotate');
    assert.ok(readdirSync(prefix).includes('rotation.lock'));
    assertOwned(prefix);
    await using gateway = await startGateway({ workers: 1, prefix, settings: { user } });
    assertUnprivileged(gateway.pid);
  });

  test('root does not start as itself on the data directory of a user', async () => {
    await using folder = temporaryFolder();
    const { prefix } = folder;
    await assert.rejects(
      startGateway({ workers: 0, prefix }),
      new RegExp(`belongs to another user \\(${uid}\\)[^]*user = ${user}`),
    );
    assert.deepEqual(readdirSync(prefix), []);
  });

  test('without one it says so', async () => {
    await using gateway = await startGateway({ workers: 0 });
    assert.match(gateway.output(), /this gateway runs as root/);
  });
});

/** The user in all its ids, no other group, no capability, and none to be had. */
function assertUnprivileged(pid: number): void {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  const field = (name: string): string => new RegExp(`^${name}:\\s*(.*?)\\s*$`, 'm').exec(status)?.[1] ?? '';
  const ids = Array.from({ length: 4 }, () => uid).join('\t');
  assert.deepEqual([field('Uid'), field('Gid'), field('Groups')], [ids, ids, String(uid)]);
  for (const set of ['CapInh', 'CapPrm', 'CapEff', 'CapAmb']) assert.match(field(set), /^0+$/, set);
}

function assertOwned(prefix: string): void {
  for (const entry of readdirSync(prefix, { recursive: true, encoding: 'utf8' })) {
    // A draft of compiled code may be in its place by now.
    const found = statSync(path.join(prefix, entry), { throwIfNoEntry: false });
    if (found !== undefined) assert.equal(found.uid, uid, entry);
  }
}

function temporaryFolder(): AsyncDisposable & { readonly prefix: string } {
  const folder = mkdtempSync(path.join(tmpdir(), 'portunus-unprivileged-'));
  chmodSync(folder, 0o755);
  const prefix = path.join(folder, 'data');
  mkdirSync(prefix, { mode: 0o700 });
  chownSync(prefix, uid, uid);
  return { prefix, [Symbol.asyncDispose]: async () => rmSync(folder, { recursive: true }) };
}

/** Any of them, so that runs beside each other have one each. */
async function freeLowPort(): Promise<number> {
  for (;;) {
    const port = randomInt(600, 1024);
    const server = createServer();
    const isFree = await new Promise<boolean>((resolve) => {
      server.on('error', () => resolve(false)).listen(port, '127.0.0.1', () => resolve(true));
    });
    await new Promise((resolve) => server.close(resolve));
    if (isFree) return port;
  }
}
