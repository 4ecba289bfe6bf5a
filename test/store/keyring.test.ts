// Keyrings from files and from the environment, and what is refused of them.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { chmod, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';
import { isPortunusError } from '../../src/lib/errors.ts';
import { createKeyringFile, loadKeyring, type KeyringSource } from '../../src/store/keyring.ts';
import { temporaryDirectory } from './temporary-store.ts';

const key = randomBytes(32);
const line = `k1:${key.toString('base64')}`;

test('a keyring that was made loads again, and only its owner may read it', async () => {
  await using temporary = await temporaryDirectory();
  const file = path.join(temporary.directory, 'keyring');
  const made = await createKeyringFile(file);
  const loaded = await loadKeyring({ source: 'file', path: file });
  assert.equal(made.keys.length, 1);
  assert.equal(loaded.keys[0].id, made.keys[0].id);
  assert.ok(loaded.keys[0].secret.equals(made.keys[0].secret));
  assert.equal((await stat(file)).mode & 0o777, 0o600);
  assert.deepEqual(await readdir(temporary.directory), ['keyring']);
});

test('a keyring that is there is never replaced, not even by two that come at once', async () => {
  await using temporary = await temporaryDirectory();
  const file = path.join(temporary.directory, 'keyring');
  const outcomes = await Promise.allSettled([createKeyringFile(file), createKeyringFile(file)]);
  assert.equal(outcomes.filter((outcome) => outcome.status === 'fulfilled').length, 1);
  const before = await readFile(file);
  await assert.rejects(
    createKeyringFile(file),
    (error) => isPortunusError(error, 'KEYRING_UNREADABLE') && error.facts['reason'] === 'exists',
  );
  assert.deepEqual(await readFile(file), before);
  assert.deepEqual(await readdir(temporary.directory), ['keyring']);
});

test('comments, blank lines and line ends of either kind are fine; the first key comes first', async () => {
  await using temporary = await temporaryDirectory();
  const file = path.join(temporary.directory, 'keyring');
  await writeFile(file, `# comment\r\n\r\n  k0:${randomBytes(32).toString('base64')}  \r\n${line}\n`, { mode: 0o600 });
  const keyring = await loadKeyring({ source: 'file', path: file });
  assert.deepEqual(
    keyring.keys.map(({ id }) => id),
    ['k0', 'k1'],
  );
  assert.deepEqual(keyring.keys[1]?.secret.export(), key);
});

test('the environment gives keys separated by commas', async () => {
  const value = `${line}, k2:${randomBytes(32).toString('base64')}`;
  assert.deepEqual(
    (await loadKeyring({ source: 'env', value })).keys.map(({ id }) => id),
    ['k1', 'k2'],
  );
});

test('a file that others may read or change is refused, with what to do', async () => {
  await using temporary = await temporaryDirectory();
  const file = path.join(temporary.directory, 'keyring');
  await writeFile(file, `${line}\n`);
  for (const mode of [0o644, 0o604, 0o620, 0o602, 0o666]) {
    await chmod(file, mode);
    await refused({ source: 'file', path: file }, 'mode', /chmod 0600/);
  }
  for (const mode of [0o600, 0o400, 0o440, 0o640]) {
    await chmod(file, mode);
    await loadKeyring({ source: 'file', path: file });
  }
});

test('what is missing is told apart from what is malformed', async () => {
  await using temporary = await temporaryDirectory();
  const file = path.join(temporary.directory, 'keyring');
  await refused({ source: 'file', path: file }, 'missing', /does not exist/);
  await refused({ source: 'file', path: temporary.directory }, /mode|unreadable/, /keyring/);
  await refused({ source: 'env', value: undefined }, 'missing', /environment/);
  await refused({ source: 'env', value: ' ' }, 'missing', /environment/);
  const malformed: readonly [string, RegExp][] = [
    ['', /no key/],
    ['# only a comment\n', /no key/],
    ['no colon', /line 1/],
    [`${line}\nk2:${randomBytes(31).toString('base64')}`, /line 2.*32 bytes/],
    [`k 2:${randomBytes(32).toString('base64')}`, /line 1/],
    [`${line}\n\n${line}`, /line 3.*k1 is there twice/],
    [`${line}é`, /line 1/],
    ['#\n'.repeat(50_000), /larger than/],
  ];
  for (const [text, message] of malformed) {
    await writeFile(file, text, { mode: 0o600 });
    await refused({ source: 'file', path: file }, 'malformed', message);
  }
});

async function refused(source: KeyringSource, reason: string | RegExp, message: RegExp): Promise<void> {
  await assert.rejects(loadKeyring(source), (error) => {
    assert.ok(isPortunusError(error, 'KEYRING_UNREADABLE'), String(error));
    assert.match(String(error.facts['reason']), typeof reason === 'string' ? new RegExp(`^${reason}$`) : reason);
    assert.match(error.message, message);
    assert.ok(!error.message.includes(key.toString('base64')));
    return true;
  });
}
