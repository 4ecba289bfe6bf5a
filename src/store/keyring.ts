// The keyring: the master keys under which private keys are sealed, read from a file or an environment variable, and the
// file made at first start. What is sealed, and how, is in sealing.ts.
import { createSecretKey, randomBytes, type KeyObject } from 'node:crypto';
import { link, open, readFile, stat, unlink } from 'node:fs/promises';
import path from 'node:path';
import { isPortunusError, PortunusError } from '../lib/errors.ts';
import { ownerOfNew } from '../lib/owner-of.ts';
import { syncDirectory } from './sync-directory.ts';

/** The first key seals, all of them open. */
export interface Keyring {
  readonly keys: readonly [MasterKey, ...MasterKey[]];
}

export interface MasterKey {
  readonly id: string;
  /** 32 bytes. */
  readonly secret: KeyObject;
}

export type KeyringSource =
  | { readonly source: 'file'; readonly path: string }
  /** `id:base64` separated by commas or line breaks. */
  | { readonly source: 'env'; readonly value: string | undefined };

const keyBytes = 32;
const keysMax = 100;
const fileMaxBytes = 64 * 1024;

/**
 * The keyring in one line a key, `id:base64 of 32 bytes`; lines that begin with `#` are comments.
 * A file that others than its owner may change, or that everyone may read, is refused; reading by its group is allowed,
 * since mounted secrets need it.
 * @throws KEYRING_UNREADABLE facts: `{reason: 'missing' | 'mode' | 'unreadable' | 'malformed'}`
 */
export async function loadKeyring(from: KeyringSource): Promise<Keyring> {
  if (from.source === 'file') return parseKeyring(await readKeyringFile(from.path), from.path);
  const where = 'the environment';
  if (from.value === undefined || from.value.trim() === '') throw unreadable('missing', `${where} holds no keyring`);
  return parseKeyring(from.value.replaceAll(',', '\n'), where);
}

/**
 * Makes a keyring of one fresh key in a file of mode 0600, which is on the disk when this returns. Never replaces a file:
 * without the keys it held, nothing sealed under them opens again.
 * @throws KEYRING_UNREADABLE when the file exists (facts.reason `exists`) or cannot be written
 */
export async function createKeyringFile(file: string, line = freshLine()): Promise<Keyring> {
  const text =
    '# Master keys of this gateway, one a line. The first seals, all of them open. Without them the private keys in the\n' +
    '# store are lost: keep a copy in a safe place, apart from copies of the store.\n' +
    `${line}\n`;
  const draft = path.join(path.dirname(file), `.${path.basename(file)}.${randomBytes(6).toString('hex')}`);
  try {
    const handle = await open(draft, 'wx', 0o600);
    try {
      await handle.writeFile(text);
      const owner = ownerOfNew(file);
      if (owner !== undefined) await handle.chown(owner.uid, owner.gid);
      await handle.sync();
    } finally {
      await handle.close();
    }
    try {
      // A link, unlike a rename, never replaces a file; and the name never stands for half a keyring.
      await link(draft, file);
    } finally {
      await unlink(draft);
    }
    await syncDirectory(path.dirname(file));
  } catch (error) {
    const code = codeOf(error);
    if (code === 'EEXIST') throw unreadable('exists', `${file} exists already`, error);
    throw unreadable('unreadable', `${file} cannot be written (${code})`, error);
  }
  return parseKeyring(text, file);
}

/** As `PORTUNUS_KEYRING_KEYS` would hold it: a secret. */
export function keyringText({ keys }: Keyring): string {
  return keys.map(({ id, secret }) => `${id}:${secret.export().toString('base64')}`).join(',');
}

/** A key with a made-up id, in the form of the file. */
export function freshLine(id = `k${randomBytes(6).toString('hex')}`): string {
  return `${id}:${randomBytes(keyBytes).toString('base64')}`;
}

async function readKeyringFile(file: string): Promise<string> {
  try {
    const { mode, size } = await stat(file);
    if (process.platform !== 'win32' && (mode & 0o027) !== 0) {
      const shown = (mode & 0o777).toString(8).padStart(4, '0');
      throw unreadable(
        'mode',
        `${file} has mode ${shown}, which lets others read or change it; run: chmod 0600 ${file}`,
      );
    }
    if (size > fileMaxBytes) throw unreadable('malformed', `${file} is larger than ${fileMaxBytes} bytes`);
    return await readFile(file, 'utf8');
  } catch (error) {
    if (isPortunusError(error)) throw error;
    const code = codeOf(error);
    if (code === 'ENOENT') throw unreadable('missing', `${file} does not exist`, error, restoreHint);
    throw unreadable('unreadable', `${file} cannot be read (${code})`, error, ownerHint);
  }
}

/** Messages name the line, never what it holds. */
function parseKeyring(text: string, where: string): Keyring {
  const keys: MasterKey[] = [];
  for (const [index, raw] of text.split(/\r?\n/).entries()) {
    const line = raw.trim();
    if (line === '' || line.startsWith('#')) continue;
    const at = `${where}, line ${index + 1}`;
    const match = /^([A-Za-z0-9_-]{1,64}):([A-Za-z0-9+/]+={0,2})$/.exec(line);
    const secret = Buffer.from(match?.[2] ?? '', 'base64');
    const id = match?.[1];
    if (id === undefined || secret.length !== keyBytes) {
      throw unreadable('malformed', `${at}: expected id:base64 of ${keyBytes} bytes`);
    }
    if (keys.some((key) => key.id === id)) throw unreadable('malformed', `${at}: the key id ${id} is there twice`);
    keys.push({ id, secret: createSecretKey(secret) });
    secret.fill(0);
  }
  const [first, ...rest] = keys;
  if (first === undefined) throw unreadable('malformed', `${where} holds no key`);
  if (keys.length > keysMax) throw unreadable('malformed', `${where} holds more than ${keysMax} keys`);
  return { keys: [first, ...rest] };
}

const ownerHint = 'It belongs to the user that runs the gateway: chown it, and keep its mode.';
const restoreHint = 'Put back the copy you kept of it: no other keyring opens the store that is there.';

function unreadable(reason: string, message: string, cause?: unknown, hint?: string): PortunusError {
  return new PortunusError('KEYRING_UNREADABLE', `The keyring: ${message}.`, { facts: { reason }, cause, hint });
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : 'unknown error';
}
