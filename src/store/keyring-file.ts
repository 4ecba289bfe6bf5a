// Changes to the keyring's file: a key more, or another one first. No line is ever lost: the new text is whole and on the
// disk before it takes the place of the old one, with the same owner and mode. Reading is keyring.ts's.
import { randomBytes } from 'node:crypto';
import { open, readFile, realpath, rename, stat, unlink } from 'node:fs/promises';
import path from 'node:path';
import { PortunusError } from '../lib/errors.ts';
import { freshLine, loadKeyring } from './keyring.ts';
import { syncDirectory } from './sync-directory.ts';

export interface FreshKey {
  readonly id: string;
  /** `id:base64`, as in the file: a secret. */
  readonly line: string;
}

/** @param id 1 to 64 letters, digits, `_` and `-`; made up by default */
export function makeKey(id = `k${randomBytes(6).toString('hex')}`): FreshKey {
  if (!/^[A-Za-z0-9_-]{1,64}$/.test(id)) {
    throw new PortunusError('KEYRING_UNREADABLE', 'The id of a key has 1 to 64 letters, digits, _ and -.');
  }
  return { id, line: freshLine(id) };
}

/** Puts the key last, where it opens and does not seal, with the time in a comment before it. @throws KEYRING_UNREADABLE */
export async function addKey(file: string, key: FreshKey, now: number): Promise<void> {
  const { keys } = await loadKeyring({ source: 'file', path: file });
  if (keys.some(({ id }) => id === key.id)) {
    throw new PortunusError('KEYRING_UNREADABLE', `The keyring ${file} has a key ${key.id} already.`);
  }
  await edit(file, (text) => {
    const ended = text === '' || text.endsWith('\n') ? text : `${text}\n`;
    return `${ended}${addedMark}${new Date(now).toISOString()}\n${key.line}\n`;
  });
}

/** Makes this key the first one, which seals. True when the file was changed. @throws KEYRING_UNREADABLE */
export async function putFirst(file: string, keyId: string): Promise<boolean> {
  const { keys } = await loadKeyring({ source: 'file', path: file });
  if (keys[0].id === keyId) return false;
  if (!keys.some(({ id }) => id === keyId)) {
    throw new PortunusError('KEYRING_UNREADABLE', `The keyring ${file} has no key ${keyId}.`, {
      hint: `It has ${keys.map(({ id }) => id).join(', ')}; "portunus keyring add" makes a new one.`,
    });
  }
  await edit(file, (text) => {
    const lines = text.split('\n');
    const from = lines.findIndex((line) => idOf(line) === keyId);
    const start = isMark(lines[from - 1]) ? from - 1 : from;
    const moved = lines.splice(start, from - start + 1);
    const first = lines.findIndex((line) => idOf(line) !== undefined);
    lines.splice(isMark(lines[first - 1]) ? first - 1 : first, 0, ...moved);
    return lines.join('\n');
  });
  return true;
}

/** The key added last, as the comments tell; the one that seals when they tell nothing. @throws KEYRING_UNREADABLE */
export async function newestKey(file: string): Promise<string> {
  const { keys } = await loadKeyring({ source: 'file', path: file });
  const lines = (await readFile(file, 'utf8')).split('\n');
  const added = lines.flatMap((line, index) => {
    const id = idOf(line);
    const mark = lines[index - 1];
    return id === undefined || !isMark(mark) ? [] : [{ id, at: Date.parse(mark.trim().slice(addedMark.length)) }];
  });
  return added.filter(({ at }) => !Number.isNaN(at)).sort((a, b) => b.at - a.at)[0]?.id ?? keys[0].id;
}

const addedMark = '# added ';

function isMark(line: string | undefined): line is string {
  return line?.trim().startsWith(addedMark) === true;
}

function idOf(line: string): string | undefined {
  return /^([A-Za-z0-9_-]+):/.exec(line.trim())?.[1];
}

/** The draft keeps a second change away until this one is over. */
async function edit(given: string, change: (text: string) => string): Promise<void> {
  const file = await realpath(given);
  const draft = path.join(path.dirname(file), `.${path.basename(file)}.new`);
  try {
    const { mode, uid, gid } = await stat(file);
    const handle = await open(draft, 'wx', 0o600);
    try {
      try {
        await handle.writeFile(change(await readFile(file, 'utf8')));
        if (process.getuid?.() !== uid || process.getgid?.() !== gid) await handle.chown(uid, gid);
        await handle.chmod(mode & 0o777);
        await handle.sync();
      } finally {
        await handle.close();
      }
      await loadKeyring({ source: 'file', path: draft });
      await rename(draft, file);
    } catch (error) {
      await unlink(draft);
      throw error;
    }
    await syncDirectory(path.dirname(file));
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown error';
    if (error instanceof PortunusError) throw error;
    throw new PortunusError('KEYRING_UNREADABLE', `The keyring ${file} cannot be changed (${code}).`, {
      cause: error,
      hint:
        code === 'EEXIST'
          ? `Another change of it is under way, or was cut off: then remove ${draft}.`
          : 'Run the command as the user who owns it.',
    });
  }
}
