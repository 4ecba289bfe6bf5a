// A file in decK's format, cut into its items without being held in memory: certificates one by one, smaller sections whole.
// What stands in an item is not looked at here.
import { parse } from 'yaml';
import { readLines, type Line } from './read-lines.ts';

export type DeckItem =
  /** One item of `section`: YAML text of a sequence with this item alone. */
  | { readonly kind: 'item'; readonly section: string; readonly where: string; readonly text: string }
  /** One that was read with its section, or with the whole file. */
  | { readonly kind: 'value'; readonly section: string; readonly where: string; readonly value: unknown }
  | { readonly kind: 'unreadable'; readonly where: string; readonly message: string };

/** Characters of one certificate with all its names. */
export const itemMaxLength = 1024 * 1024;
/** … of one authority with the list of what it has revoked. */
const authorityMaxLength = 8 * 1024 * 1024;
/** Characters of a file in flow style, which JSON is too, and of a section that is no list of block style. */
const wholeMaxLength = 64 * 1024 * 1024;

/**
 * YAML in block style is cut at the lines where an item begins: what belongs to an item is indented further than its dash.
 * Anchors do not reach from one item to another. @throws the system's error
 */
export async function* readDeckItems(file: string): AsyncIterable<DeckItem> {
  const cut = createCut();
  for await (const line of readLines(file, wholeMaxLength)) {
    yield* cut.line(line);
    if (cut.ended) return;
  }
  yield* cut.end();
}

interface Section {
  readonly name: string;
  readonly startsAt: number;
  /** Columns before the dash of an item; undefined before the first one, and where the section is no such list. */
  indent: number | undefined;
  items: number;
}

interface Piece {
  readonly startsAt: number;
  readonly lines: string[];
  length: number;
  fault: string | undefined;
}

function createCut() {
  let section: Section | undefined;
  let piece: Piece | undefined;
  let flow = false;
  let documents = 0;
  let ended = false;

  return {
    get ended() {
      return ended;
    },
    line,
    end: flush,
  };

  function* line({ number, text, isCut }: Line): Iterable<DeckItem> {
    yield* take(number, text);
    if (!isCut) return;
    piece ??= pieceAt(number);
    piece.fault ??= `has a line of more than ${wholeMaxLength} characters`;
  }

  function* take(number: number, text: string): Iterable<DeckItem> {
    if (flow) {
      append(text);
      return;
    }
    if (/^---(\s|$)/.test(text)) {
      documents += 1;
      if (documents > 1 || section !== undefined || !/^---\s*(#.*)?$/.test(text)) {
        yield* flush();
        yield { kind: 'unreadable', where: `line ${number}`, message: 'begins another document; a file holds one' };
        ended = true;
      }
      return;
    }
    if (/^\.\.\.(\s|$)/.test(text)) {
      yield* flush();
      ended = true;
      return;
    }
    if (/^[[{]/.test(text) && section === undefined) {
      flow = true;
      piece = pieceAt(number);
      append(text);
      return;
    }
    const dash = /^( *)-(?:\s|$)/.exec(text);
    if (dash !== null && section !== undefined && startsItem(section, dash[1]?.length ?? 0)) {
      yield* flushItem(section);
      section.indent = dash[1]?.length ?? 0;
      section.items += 1;
      piece = pieceAt(number);
      append(text);
      return;
    }
    const key = /^(?:"([^"]+)"|'([^']+)'|([A-Za-z_][\w-]*))\s*:(?:\s(.*))?$/.exec(text);
    if (key !== null) {
      yield* flush();
      section = { name: key[1] ?? key[2] ?? key[3] ?? '', startsAt: number, indent: undefined, items: 0 };
      const rest = (key[4] ?? '').replace(/(^|\s)#.*$/, '').trim();
      if (rest !== '') {
        piece = pieceAt(number);
        append(text);
      }
      return;
    }
    if (/^\s*(#.*)?$/.test(text)) {
      if (piece !== undefined) append(text);
      return;
    }
    if (section === undefined || (/^\S/.test(text) && piece === undefined)) {
      if (text.startsWith('%')) return;
      yield { kind: 'unreadable', where: `line ${number}`, message: 'is not YAML in the shape of decK' };
      ended = true;
      return;
    }
    // A section that is a mapping goes on under its name.
    piece ??= pieceAt(section.startsAt, `${section.name}:`);
    append(text);
  }

  function startsItem({ indent }: Section, column: number): boolean {
    return indent === undefined ? piece === undefined : column === indent;
  }

  function append(text: string): void {
    if (piece === undefined) return;
    piece.length += text.length + 1;
    const ofItem = section?.name === 'ca_certificates' ? authorityMaxLength : itemMaxLength;
    const max = flow || section?.indent === undefined ? wholeMaxLength : ofItem;
    if (piece.length > max) {
      piece.fault ??= `is longer than ${max} characters`;
      piece.lines.length = 0;
    } else piece.lines.push(text);
  }

  function* flush(): Iterable<DeckItem> {
    if (section !== undefined && section.indent !== undefined) yield* flushItem(section);
    else if (piece !== undefined) yield* flushWhole(piece);
    piece = undefined;
    section = undefined;
  }

  function* flushItem({ name, items }: Section): Iterable<DeckItem> {
    if (piece === undefined || items === 0) return;
    const where = `${name}[${items - 1}], line ${piece.startsAt}`;
    if (piece.fault !== undefined) yield { kind: 'unreadable', where, message: piece.fault };
    else yield { kind: 'item', section: name, where, text: `${piece.lines.join('\n')}\n` };
    piece = undefined;
  }

  function* flushWhole({ startsAt, fault, lines }: Piece): Iterable<DeckItem> {
    const where = section === undefined ? `line ${startsAt}` : `${section.name}, line ${startsAt}`;
    if (fault !== undefined) {
      yield { kind: 'unreadable', where, message: fault };
      return;
    }
    const parsed = parseYaml(lines.join('\n'));
    if (parsed === undefined || typeof parsed.value !== 'object' || parsed.value === null) {
      yield { kind: 'unreadable', where, message: 'is not YAML or JSON in the shape of decK' };
      return;
    }
    for (const [name, value] of Object.entries(parsed.value)) {
      if (!Array.isArray(value)) yield { kind: 'value', section: name, where: name, value };
      else {
        for (const [at, item] of value.entries()) {
          yield { kind: 'value', section: name, where: `${name}[${at}]`, value: item as unknown };
        }
      }
    }
  }
}

/** What it holds may be a key: the parser's words are not repeated. Undefined: it is not YAML by itself. */
export function parseYaml(text: string): { readonly value: unknown } | undefined {
  try {
    return { value: parse(text, { prettyErrors: false, logLevel: 'error' }) as unknown };
  } catch {
    return undefined;
  }
}

function pieceAt(startsAt: number, ...lines: string[]): Piece {
  return { startsAt, lines, length: 0, fault: undefined };
}
