import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test, type TestContext } from 'node:test';
import { isPortunusError } from '../src/lib/errors.ts';
import { loadIdentity } from '../src/replica/node-identity.ts';
import { openRunDirectory, takeRunDirectory } from '../src/run-file.ts';

test('a data directory belongs to one gateway at a time', (t) => {
  const prefix = directory(t);
  {
    using _first = openRunDirectory(prefix);
    assert.throws(
      () => openRunDirectory(prefix),
      (error) => isPortunusError(error, 'ALREADY_RUNNING'),
    );
  }
  using _next = openRunDirectory(prefix);
});

test('a successor that waits goes on beside the workers of a gateway that is killed while it leaves', async (t) => {
  const prefix = directory(t);
  const leaving = await startLeaving(t, prefix);
  const held = openRunDirectory(prefix);
  const taking = takeRunDirectory(prefix);
  leaving.kill('SIGKILL');
  await once(leaving, 'exit');
  held[Symbol.dispose]();
  const { directory: taken, besideOther } = await taking;
  taken[Symbol.dispose]();
  assert.equal(besideOther, true);
});

test('one that stops while it takes over leaves word of the gateway before it', async (t) => {
  const prefix = directory(t);
  const leaving = await startLeaving(t, prefix);
  const running = openRunDirectory(prefix);
  running.leave();
  assert.equal(readFileSync(path.join(prefix, 'portunus.leaving'), 'utf8'), `${leaving.pid}\n${process.pid}\n`);
  running[Symbol.dispose]();
  const { directory: taken, besideOther } = await takeRunDirectory(prefix);
  taken[Symbol.dispose]();
  assert.equal(besideOther, true);
});

for (const [what, below] of [
  ['is a file', ''],
  ['is below a file', 'data'],
] as const) {
  test(`a data directory that ${what} is refused by its name, with what to do`, (t) => {
    const file = path.join(directory(t), 'file');
    writeFileSync(file, '');
    const prefix = path.join(file, below);
    assert.throws(
      () => openRunDirectory(prefix),
      (error) =>
        isPortunusError(error, 'STORE_UNAVAILABLE') &&
        error.message.includes(`the data directory ${prefix}`) &&
        error.hint !== undefined,
    );
  });
}

test('a lock that cannot be opened is not taken for another gateway', (t) => {
  const prefix = directory(t);
  writeFileSync(path.join(prefix, 'portunus.lock'), 'what SQLite does not read: '.repeat(100));
  assert.throws(
    () => openRunDirectory(prefix),
    (error) => isPortunusError(error, 'STORE_UNAVAILABLE') && error.message.includes(prefix),
  );
});

test('a data directory that every user can write is refused, and nothing is made in it', (t) => {
  const prefix = directory(t);
  chmodSync(prefix, 0o1777);
  assert.throws(
    () => openRunDirectory(prefix),
    (error) => isPortunusError(error, 'STORE_UNAVAILABLE') && error.hint?.includes(`chmod 0700 ${prefix}`) === true,
  );
  assert.equal(existsSync(path.join(prefix, 'portunus.lock')), false);
});

test('what is written goes into no file that a link in the data directory leads to', (t) => {
  const prefix = directory(t);
  const victim = path.join(directory(t), 'victim');
  writeFileSync(victim, 'untouched');
  const written = ['portunus.pid', 'portunus.json', 'node-id'];
  for (const name of written) {
    symlinkSync(victim, path.join(prefix, name));
    symlinkSync(victim, path.join(prefix, `${name}.new`));
  }
  using running = openRunDirectory(prefix);
  running.publish({ pid: process.pid, version: '0', proxy: [], admin: [], status: [] });
  loadIdentity(prefix, { name: '', address: '', version: '0' });
  assert.equal(readFileSync(victim, 'utf8'), 'untouched');
  for (const name of written) assert.equal(statSync(path.join(prefix, name)).mode & 0o777, 0o600, name);
});

/** A process with the command line of a gateway, by which one is known. */
async function startLeaving(t: TestContext, prefix: string): Promise<ChildProcess> {
  const leaving = spawn(process.execPath, ['-e', 'setInterval(() => 0, 1000)', 'main.ts', 'start'], {
    stdio: 'ignore',
  });
  t.after(() => leaving.kill('SIGKILL'));
  await once(leaving, 'spawn');
  writeFileSync(path.join(prefix, 'portunus.leaving'), `${leaving.pid}\n`);
  return leaving;
}

function directory(t: { after(done: () => void): void }): string {
  const made = mkdtempSync(path.join(tmpdir(), 'portunus-run-'));
  t.after(() => rmSync(made, { recursive: true }));
  return made;
}
