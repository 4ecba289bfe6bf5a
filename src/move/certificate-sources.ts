// Where certificates to import come from: a file of JSON lines, a directory of PEM pairs, or certbot's live/. Only reading;
// whether they are any good is import-certificates.ts's to say.
import { createReadStream } from 'node:fs';
import { readdir, readFile, stat } from 'node:fs/promises';
import path from 'node:path';
import { createInterface } from 'node:readline';

export interface CertificateSource {
  readonly format: 'jsonl' | 'pem-pairs' | 'certbot';
  readonly entries: AsyncIterable<SourceEntry>;
}

export type SourceEntry =
  | {
      readonly kind: 'entry';
      /** For messages: a line, or a file. */
      readonly where: string;
      readonly cert: string | Uint8Array;
      readonly key: string | Uint8Array | undefined;
      readonly snis: readonly string[] | undefined;
      readonly tags: readonly string[];
      readonly id: string | undefined;
    }
  | { readonly kind: 'unreadable'; readonly where: string; readonly message: string };

const fileMaxBytes = 1024 * 1024;
const certificateEnding = /\.(crt|cert|cer|pem)$/i;
const uuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

/** Recognised by looking: a file is JSON lines; a directory with `*\/fullchain.pem` is certbot's. @throws the system's error */
export async function openCertificateSource(place: string): Promise<CertificateSource> {
  if (!(await stat(place)).isDirectory()) return { format: 'jsonl', entries: readLines(place) };
  const names = (await readdir(place, { withFileTypes: true })).toSorted((a, b) => (a.name < b.name ? -1 : 1));
  const lineages: string[] = [];
  for (const each of names.filter((entry) => entry.isDirectory() || entry.isSymbolicLink())) {
    if (await isFile(path.join(place, each.name, 'fullchain.pem'))) lineages.push(path.join(place, each.name));
  }
  if (lineages.length > 0) return { format: 'certbot', entries: readLineages(lineages) };
  const files = names.filter((each) => !each.isDirectory()).map(({ name }) => path.join(place, name));
  return { format: 'pem-pairs', entries: readPairs(files) };
}

async function* readLines(file: string): AsyncIterable<SourceEntry> {
  let number = 0;
  for await (const line of createInterface({ input: createReadStream(file), crlfDelay: Infinity })) {
    number += 1;
    if (line.trim() !== '') yield readLine(line, `line ${number}`);
  }
}

function readLine(line: string, where: string): SourceEntry {
  const unreadable = (message: string): SourceEntry => ({ kind: 'unreadable', where, message });
  if (line.length > fileMaxBytes) return unreadable(`is longer than ${fileMaxBytes} characters`);
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    // What it holds may be a key: the parser's words are not repeated.
    return unreadable('is not JSON');
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return unreadable('is not a JSON object');
  const { cert, key, snis, tags = [], id, ...others } = value as Readonly<Record<string, unknown>>;
  const [other] = Object.keys(others);
  if (other !== undefined) return unreadable('has fields besides cert, key, snis, tags and id');
  if (typeof cert !== 'string') return unreadable('has no cert');
  if (key !== undefined && typeof key !== 'string') return unreadable('has a key that is no text');
  if (snis !== undefined && !isTexts(snis)) return unreadable('has snis that are no list of texts');
  if (!isTexts(tags)) return unreadable('has tags that are no list of texts');
  if (id !== undefined && (typeof id !== 'string' || !uuid.test(id))) return unreadable('has an id that is no UUID');
  return { kind: 'entry', where, cert, key, snis, tags, id: id?.toLowerCase() };
}

function isTexts(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((each) => typeof each === 'string');
}

async function* readLineages(directories: readonly string[]): AsyncIterable<SourceEntry> {
  for (const directory of directories) {
    yield readPair(path.join(directory, 'fullchain.pem'), path.join(directory, 'privkey.pem'));
  }
}

/** A certificate goes with the `.key` of its name; without one it must hold its key itself. */
async function* readPairs(files: readonly string[]): AsyncIterable<SourceEntry> {
  const keys = new Set(files.filter((file) => file.endsWith('.key')));
  for (const file of files.filter((each) => certificateEnding.test(each))) {
    const key = file.replace(certificateEnding, '.key');
    yield readPair(file, keys.has(key) ? key : undefined);
  }
}

async function readPair(certFile: string, keyFile: string | undefined): Promise<SourceEntry> {
  try {
    const cert = await readBounded(certFile);
    const key = keyFile === undefined ? undefined : await readBounded(keyFile);
    return { kind: 'entry', where: certFile, cert, key, snis: undefined, tags: [], id: undefined };
  } catch (error) {
    const reason = error instanceof Error && 'code' in error ? String(error.code) : 'it is too large';
    return { kind: 'unreadable', where: certFile, message: `cannot be read with its key (${reason})` };
  }
}

async function readBounded(file: string): Promise<Uint8Array> {
  if ((await stat(file)).size > fileMaxBytes) throw new Error('too large');
  return readFile(file);
}

async function isFile(file: string): Promise<boolean> {
  return stat(file).then(
    (found) => found.isFile(),
    () => false,
  );
}
