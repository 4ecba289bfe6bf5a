// No private key leaves: every key that a test process makes or sends is remembered here, and whatever its gateways,
// commands and PostgreSQL said and wrote is searched for all of them, as each is put away.
import { createPrivateKey, KeyObject } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';

export interface Haystack {
  readonly where: string;
  readonly bytes: Buffer;
}

interface Needle {
  readonly what: string;
  readonly bytes: Buffer;
}

/** Of a secret number so many bytes in a row betray it; a part of a key that was cut is found too. */
const windowBytes = 24;
/** So many at least of a line of PEM that is encoded once more. */
const lineMin = 20;

const known = new Set<string>();
const needles: Needle[] = [];
/** By the first four bytes. */
const byAnchor = new Map<number, Needle[]>();
const anchors = new Uint8Array(65_536);
let keys: (string | KeyObject)[] = [];
let heard: Haystack[] = [];

/** PEM, plain: what is none, or is encrypted, is let be. */
export function rememberKey(key: string | KeyObject): void {
  keys.push(key);
}

/** Tests that make many and never search do not wait for this. */
function learnKeys(): void {
  for (const key of keys) learnKey(key);
  keys = [];
}

function learnKey(key: string | KeyObject): void {
  let object: KeyObject;
  try {
    object = key instanceof KeyObject ? key : createPrivateKey(key);
  } catch {
    return;
  }
  if (object.type !== 'private') return;
  const der = object.export({ type: 'pkcs8', format: 'der' });
  const name = der.subarray(-32).toString('hex');
  if (known.has(name)) return;
  known.add(name);
  for (const [part, secret] of secretNumbersOf(object)) rememberNumber(`${part} of a private key`, secret, der);
}

/** Bytes that nobody may see: a token's secret, a key of the keyring, a passphrase. */
export function rememberSecret(what: string, secret: Buffer): void {
  const name = secret.toString('hex');
  // One byte over and over is everywhere, and no secret.
  if (known.has(name) || new Set(secret).size < 8) return;
  known.add(name);
  rememberNumber(what, secret, undefined);
}

/** Every PEM of a private key in a text that is sent. */
export function rememberKeysIn(text: string): void {
  for (const [pem] of text.matchAll(/-----BEGIN [A-Z ]*PRIVATE KEY-----[^-]+-----END [A-Z ]*PRIVATE KEY-----/g)) {
    rememberKey(pem.replaceAll(String.raw`\n`, '\n').replaceAll(String.raw`\r`, ''));
  }
}

/** Keeps what was answered or printed until the next search. */
export function hear(where: string, text: string): void {
  heard.push({ where, bytes: Buffer.from(text) });
}

/** All files under a folder. @param isOpen whether a file may hold keys, by its path in the folder */
export function filesUnder(folder: string, isOpen: (name: string) => boolean = () => false): readonly Haystack[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { recursive: true, encoding: 'utf8', withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => path.relative(folder, path.join(entry.parentPath, entry.name)))
    .filter((name) => !isOpen(name))
    .flatMap((name) => {
      try {
        return [{ where: name, bytes: readFileSync(path.join(folder, name)) }];
      } catch {
        // A file of a process that is ending.
        return [];
      }
    });
}

/** Searches these and what was heard since the last time. @throws naming where a secret is, and in which form */
export function assertNoSecrets(haystacks: readonly Haystack[]): void {
  learnKeys();
  const all = [...haystacks, ...heard];
  heard = [];
  const found = all.flatMap(({ where, bytes }) => find(bytes).map((what) => `${where} holds ${what}`));
  if (found.length > 0) throw new Error(`secrets left: ${[...new Set(found)].slice(0, 20).join('; ')}`);
}

/** How many secrets are looked for, in how many forms. */
export function secretsKnown(): { readonly secrets: number; readonly forms: number } {
  learnKeys();
  return { secrets: known.size, forms: needles.length };
}

function find(bytes: Buffer): readonly string[] {
  return [...search(bytes), ...search(joined(bytes))];
}

/** What stands between the pieces of a text that is broken into lines, quoted or spelled otherwise is taken out. */
function joined(bytes: Buffer): Buffer {
  const text = bytes
    .toString('latin1')
    .replaceAll(/%2B|-/gi, '+')
    .replaceAll(/%2F|_/gi, '/')
    .replaceAll(/\\+[nrt]|%0[AD]|%20|\\+(?=\/)|[\s:]/gi, '');
  return Buffer.from(text, 'latin1');
}

function search(bytes: Buffer): readonly string[] {
  const found: string[] = [];
  let word = bytes.length < 4 ? 0 : bytes.readUInt32BE(0);
  for (let at = 0; at + 4 <= bytes.length; at += 1) {
    if (anchors[(word ^ (word >>> 16)) & 0xffff] === 1) {
      for (const needle of byAnchor.get(word >>> 0) ?? []) {
        if (bytes.subarray(at, at + needle.bytes.length).equals(needle.bytes)) found.push(needle.what);
      }
    }
    word = (word << 8) | (bytes[at + 4] ?? 0);
  }
  return found;
}

function secretNumbersOf(key: KeyObject): readonly (readonly [string, Buffer])[] {
  try {
    const { d, p, q, dp, dq, qi } = key.export({ format: 'jwk' });
    return Object.entries({ d, p, q, dp, dq, qi }).flatMap(([part, text]) =>
      text === undefined ? [] : [[part, Buffer.from(text, 'base64url')] as const],
    );
  } catch {
    // Of a kind that JWK has no word for: it ends with its secret.
    return [['the end', key.export({ type: 'pkcs8', format: 'der' }).subarray(-windowBytes)]];
  }
}

function rememberNumber(what: string, secret: Buffer, der: Buffer | undefined): void {
  for (const window of windowsOf(secret)) {
    add(what, 'bytes', window);
    add(what, 'hex', Buffer.from(window.toString('hex')));
    add(what, 'HEX', Buffer.from(window.toString('hex').toUpperCase()));
    for (const text of base64Of(window)) add(what, 'base64', Buffer.from(text));
  }
  const decimal = BigInt(`0x0${secret.toString('hex')}`).toString();
  if (decimal.length >= 40)
    for (const part of [decimal.slice(0, 40), decimal.slice(-40)]) add(what, 'decimal', Buffer.from(part));
  if (der !== undefined)
    for (const line of pemLinesOf(secret, der))
      for (const text of base64Of(Buffer.from(line))) add(what, 'base64 of PEM', Buffer.from(text));
}

function windowsOf(secret: Buffer): readonly Buffer[] {
  if (secret.length <= windowBytes) return [secret];
  const count = Math.ceil(secret.length / windowBytes);
  return Array.from({ length: count }, (_, at) => {
    const from = Math.min(at * windowBytes, secret.length - windowBytes);
    return secret.subarray(from, from + windowBytes);
  });
}

/** As it stands in the base64 of something longer, wherever it begins there. */
function base64Of(bytes: Buffer): readonly string[] {
  return [0, 1, 2].map((before) => {
    const text = Buffer.concat([Buffer.alloc(before), bytes])
      .toString('base64')
      .replaceAll('=', '');
    // Characters at the ends have bits of the neighbours too.
    return text.slice(before === 0 ? 0 : before + 1, (before + bytes.length) % 3 === 0 ? undefined : -1);
  });
}

/** What of the lines of the PEM is the secret's alone. */
function pemLinesOf(secret: Buffer, der: Buffer): readonly string[] {
  const from = der.indexOf(secret);
  if (from === -1) return [];
  const text = der.toString('base64').slice(Math.ceil((from * 4) / 3), Math.floor(((from + secret.length) * 4) / 3));
  const first = 64 - (Math.ceil((from * 4) / 3) % 64);
  const lines = [text.slice(0, first), ...(text.slice(first).match(/.{1,64}/g) ?? [])];
  return lines.filter((line) => line.length >= lineMin);
}

function add(what: string, form: string, bytes: Buffer): void {
  const anchor = bytes.readUInt32BE(0);
  const needle = { what: `${what} (${form})`, bytes };
  needles.push(needle);
  anchors[(anchor ^ (anchor >>> 16)) & 0xffff] = 1;
  byAnchor.set(anchor, [...(byAnchor.get(anchor) ?? []), needle]);
}
