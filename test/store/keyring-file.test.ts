// Changes to a keyring's file: which key seals, what stays, and that no key is ever lost.
import assert from 'node:assert/strict';
import { chmodSync, readdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { isPortunusError } from '../../src/lib/errors.ts';
import { addKey, makeKey, newestKey, putFirst } from '../../src/store/keyring-file.ts';
import { createKeyringFile, loadKeyring } from '../../src/store/keyring.ts';
import { temporaryDirectory } from './temporary-store.ts';

test('a key that is added comes last, opens, and does not seal', async () => {
  await using site = await keyring();
  const [first = ''] = await ids(site.file);
  await addKey(site.file, makeKey('one'), 1000);
  await addKey(site.file, makeKey('two'), 2000);
  assert.deepEqual(await ids(site.file), [first, 'one', 'two']);
  assert.match(readFileSync(site.file, 'utf8'), /^# Master keys/);
  assert.deepEqual(readdirSync(site.directory), ['keyring']);
});

test('the key that is put first seals; all others stay, in their order, with the comments', async () => {
  await using site = await keyring();
  const [first = ''] = await ids(site.file);
  for (const id of ['one', 'two']) await addKey(site.file, makeKey(id), Date.now());
  const before = readFileSync(site.file, 'utf8').split('\n');
  assert.equal(await putFirst(site.file, 'two'), true);
  assert.deepEqual(await ids(site.file), ['two', first, 'one']);
  assert.equal(await putFirst(site.file, 'two'), false);
  assert.deepEqual(readFileSync(site.file, 'utf8').split('\n').sort(), before.sort());
});

test('the newest key is the one added last, wherever it stands, and without any the one that seals', async () => {
  await using site = await keyring();
  const [first = ''] = await ids(site.file);
  assert.equal(await newestKey(site.file), first);
  await addKey(site.file, makeKey('one'), 1000);
  await addKey(site.file, makeKey('two'), 2000);
  assert.equal(await newestKey(site.file), 'two');
  await putFirst(site.file, 'two');
  assert.equal(await newestKey(site.file), 'two');
  await putFirst(site.file, 'one');
  assert.equal(await newestKey(site.file), 'two');
});

test('the mode is kept, and so is a link', async () => {
  await using site = await keyring();
  const link = path.join(site.directory, 'link');
  symlinkSync(site.file, link);
  chmodSync(site.file, 0o640);
  await addKey(link, makeKey('one'), 1000);
  assert.equal(statSync(site.file).mode & 0o777, 0o640);
  assert.equal((await ids(site.file)).length, 2);
  assert.deepEqual(readdirSync(site.directory).sort(), ['keyring', 'link']);
});

test('two changes at once lose neither key: the second is done, or refused', async () => {
  await using site = await keyring();
  const wanted = Array.from({ length: 8 }, (_, index) => `k${index}`);
  const settled = await Promise.allSettled(wanted.map((id) => addKey(site.file, makeKey(id), Date.now())));
  const added = wanted.filter((_id, index) => settled[index]?.status === 'fulfilled');
  assert.ok(added.length > 0);
  assert.deepEqual((await ids(site.file)).slice(1).sort(), added);
  for (const result of settled) {
    if (result.status === 'rejected') assert.match(String(result.reason), /cannot be changed \(EEXIST\)/);
  }
});

test('a draft that was left by a crash is told of, and removing it is enough', async () => {
  await using site = await keyring();
  writeFileSync(path.join(site.directory, '.keyring.new'), 'half');
  await assert.rejects(addKey(site.file, makeKey('one'), 1000), (error) => {
    assert.ok(isPortunusError(error, 'KEYRING_UNREADABLE'));
    assert.match(error.hint ?? '', /remove .*\.keyring\.new/);
    return true;
  });
  assert.equal((await ids(site.file)).length, 1);
});

test('an id that is there, is unknown or has other signs is refused, and the file stays as it is', async () => {
  await using site = await keyring();
  const text = readFileSync(site.file, 'utf8');
  const [first = ''] = await ids(site.file);
  await assert.rejects(addKey(site.file, makeKey(first), 1000), /already/);
  await assert.rejects(putFirst(site.file, 'unknown'), /has no key unknown/);
  for (const id of ['', 'a:b', 'a b', 'x'.repeat(65)]) assert.throws(() => makeKey(id), /1 to 64/);
  assert.equal(readFileSync(site.file, 'utf8'), text);
});

test('a file without a newline at its end, or with those of Windows, keeps every key', async () => {
  await using site = await keyring();
  const text = readFileSync(site.file, 'utf8');
  for (const given of [text.trimEnd(), text.replaceAll('\n', '\r\n')]) {
    writeFileSync(site.file, given);
    await addKey(site.file, makeKey('one'), 1000);
    await putFirst(site.file, 'one');
    assert.equal((await ids(site.file)).length, 2);
    assert.equal((await ids(site.file))[0], 'one');
  }
});

async function keyring() {
  const { directory, ...temporary } = await temporaryDirectory();
  const file = path.join(directory, 'keyring');
  await createKeyringFile(file);
  return { file, directory, ...temporary };
}

async function ids(file: string): Promise<readonly string[]> {
  return (await loadKeyring({ source: 'file', path: file })).keys.map(({ id }) => id);
}
