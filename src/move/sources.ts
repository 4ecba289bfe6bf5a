// Where things to import come from: a file of JSON lines, a file in decK's format, a certificate with its key or a directory of those, or
// certbot's live/. Only reading; what an item holds is compose-entry.ts's to say.
import { readdir, readFile, stat } from 'node:fs/promises';
import path from 'node:path';
import { type DeckItem, itemMaxLength, parseYaml, readDeckItems } from './deck-items.ts';
import { readLines } from './read-lines.ts';

export interface ImportSource {
  readonly format: 'jsonl' | 'deck' | 'pem-pairs' | 'certbot';
  readonly items: AsyncIterable<SourceItem>;
}

export type SourceItem =
  /** A certificate with its names, still to be parsed. */
  | { readonly kind: 'text'; readonly where: string; readonly format: 'json' | 'yaml'; readonly text: string }
  /** The same, parsed with what was around it. */
  | { readonly kind: 'value'; readonly where: string; readonly value: unknown }
  | {
      readonly kind: 'pair';
      readonly where: string;
      readonly cert: Uint8Array;
      /** Undefined: `cert` must hold it too. */
      readonly key: Uint8Array | undefined;
    }
  /** Something else than a certificate, of a file in decK's format: an API, a global plugin, a service… */
  | { readonly kind: 'other'; readonly where: string; readonly section: string; readonly value: unknown }
  | { readonly kind: 'unreadable'; readonly where: string; readonly message: string };

const fileMaxBytes = 1024 * 1024;
const certificateEnding = /\.(crt|cert|cer|pem|der|p7b|p7c|p12|pfx)$/i;

/** Recognised by looking. @throws the system's error */
export async function openSource(place: string): Promise<ImportSource> {
  if (!(await stat(place)).isDirectory()) {
    if (certificateEnding.test(place)) {
      const key = keyFileOf(place);
      return { format: 'pem-pairs', items: readPairs((await isFile(key)) ? [place, key] : [place]) };
    }
    return (await isDeck(place))
      ? { format: 'deck', items: deckItems(place) }
      : { format: 'jsonl', items: lineItems(place) };
  }
  const names = (await readdir(place, { withFileTypes: true })).toSorted((a, b) => (a.name < b.name ? -1 : 1));
  const lineages: string[] = [];
  for (const each of names.filter((entry) => entry.isDirectory() || entry.isSymbolicLink())) {
    if (await isFile(path.join(place, each.name, 'fullchain.pem'))) lineages.push(path.join(place, each.name));
  }
  if (lineages.length > 0) return { format: 'certbot', items: readLineages(lineages) };
  const files = names.filter((each) => !each.isDirectory()).map(({ name }) => path.join(place, name));
  return { format: 'pem-pairs', items: readPairs(files) };
}

/** By its first line. */
async function isDeck(file: string): Promise<boolean> {
  for await (const { text } of readLines(file, itemMaxLength)) {
    const line = text.trim();
    if (line === '') continue;
    if (line.startsWith('{')) return line === '{' || /"((ca_)?certificates|_format_version)"\s*:/.test(line);
    return /^(---|%|#|"?[A-Za-z_][\w-]*"?\s*:)/.test(line);
  }
  return false;
}

async function* lineItems(file: string): AsyncIterable<SourceItem> {
  for await (const { number, text, isCut } of readLines(file, itemMaxLength)) {
    const where = `line ${number}`;
    if (isCut) {
      yield { kind: 'unreadable', where, message: `is longer than ${itemMaxLength} characters` };
    } else if (text.trim() !== '') yield { kind: 'text', where, format: 'json', text };
  }
}

async function* deckItems(file: string): AsyncIterable<SourceItem> {
  for await (const item of readDeckItems(file)) {
    if (item.kind === 'unreadable') yield item;
    else if (item.section === 'certificates') {
      const { where } = item;
      yield item.kind === 'value'
        ? { kind: 'value', where, value: item.value }
        : { kind: 'text', where, format: 'yaml', text: item.text };
    } else yield otherItem(item);
  }
}

function otherItem(item: Exclude<DeckItem, { readonly kind: 'unreadable' }>): SourceItem {
  const { section, where } = item;
  if (item.kind === 'value') return { kind: 'other', where, section, value: item.value };
  const parsed = parseYaml(item.text)?.value;
  return Array.isArray(parsed)
    ? { kind: 'other', where, section, value: parsed[0] as unknown }
    : { kind: 'unreadable', where, message: 'is not YAML that can be read by itself' };
}

async function* readLineages(directories: readonly string[]): AsyncIterable<SourceItem> {
  for (const directory of directories) {
    yield readPair(path.join(directory, 'fullchain.pem'), path.join(directory, 'privkey.pem'));
  }
}

/** A certificate goes with the `.key` of its name; without one it must hold its key itself. */
async function* readPairs(files: readonly string[]): AsyncIterable<SourceItem> {
  const keys = new Set(files.filter((file) => file.endsWith('.key')));
  for (const file of files.filter((each) => certificateEnding.test(each))) {
    const key = keyFileOf(file);
    yield readPair(file, keys.has(key) ? key : undefined);
  }
}

function keyFileOf(certFile: string): string {
  return certFile.replace(certificateEnding, '.key');
}

async function readPair(certFile: string, keyFile: string | undefined): Promise<SourceItem> {
  try {
    const cert = await readBounded(certFile);
    return { kind: 'pair', where: certFile, cert, key: keyFile === undefined ? undefined : await readBounded(keyFile) };
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
