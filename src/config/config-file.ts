// Finds and reads the configuration file: YAML, or Kong's `key = value` lines. Names and texts come out; what they mean is
// read elsewhere.
import { existsSync, readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import { isMap, isScalar, LineCounter, parseDocument } from 'yaml';
import { createProblem } from './problem.ts';
import type { Problem } from './problem.ts';

interface FileEntry {
  readonly name: string;
  readonly value: string | readonly string[];
}

export interface FileReading {
  readonly entries: readonly FileEntry[];
  readonly problems: readonly Problem[];
}

const sizeMax = 1024 * 1024;
const entriesMax = 1000;
/** More of one file help nobody. */
const problemsMax = 100;

/** Where a configuration file is looked for, relative to the working directory. */
const searchedFiles = [
  'portunus.yaml',
  'portunus.conf',
  '/etc/portunus/portunus.yaml',
  '/etc/portunus/portunus.conf',
] as const;

export function findConfigFile(cwd: string): string | undefined {
  return searchedFiles.map((name) => path.resolve(cwd, name)).find((file) => existsSync(file));
}

export function readConfigFile(file: string): FileReading {
  try {
    if (statSync(file).isDirectory()) return failed(file, 'a file, and this is a directory');
    const text = readFileSync(file, 'utf8');
    if (text.length > sizeMax) return failed(file, 'a file of at most 1 MiB');
    const { entries, problems } = isYaml(file, text) ? parseYaml(file, text) : parseLines(file, text);
    if (entries.length > entriesMax) return failed(file, `no more than ${entriesMax} settings`);
    return { entries, problems: problems.slice(0, problemsMax) };
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? 'unreadable';
    return failed(file, code === 'ENOENT' ? 'a file, and there is none' : `a file that can be read (${code})`);
  }
}

function isYaml(file: string, text: string): boolean {
  if (/\.ya?ml$/i.test(file)) return true;
  if (/\.conf$/i.test(file)) return false;
  return !/^[ \t]*\w+[ \t]*=/m.test(text);
}

/** One mapping of names to texts, numbers, booleans, or lists of them. YAML 1.2: `on` and `off` are texts. */
function parseYaml(file: string, text: string): FileReading {
  const lines = new LineCounter();
  // Messages with the text around them would show private keys.
  // Its search for names given twice takes the square of their number.
  // What it warns of (names that are lists, say) is no setting, and told as such.
  const options = { prettyErrors: false, lineCounter: lines, uniqueKeys: false, logLevel: 'error' } as const;
  const document = parseDocument(text, options);
  const errors = document.errors.slice(0, problemsMax).map(({ message, pos }) => {
    const { line } = lines.linePos(pos[0]);
    return fileProblem(file, `YAML, and line ${line} is not: ${plain(message)}`);
  });
  const repeated = errors.length > 0 ? [] : repeatedNames(file, document, lines);
  if (errors.length + repeated.length > 0) return { entries: [], problems: [...errors, ...repeated] };
  const content = toValue(document);
  if (content === undefined) return failed(file, 'YAML with few aliases');
  if (content === null) return { entries: [], problems: [] };
  if (typeof content !== 'object' || Array.isArray(content))
    return failed(file, 'YAML with a line "name: value" for each setting');
  const entries: FileEntry[] = [];
  const problems: Problem[] = [];
  for (const [name, value] of Object.entries(content)) {
    const texts = Array.isArray(value) ? listTexts(value) : scalarText(value);
    if (texts === undefined) {
      problems.push(createProblem({ name, source: file, expected: 'a text, a number, on or off, or a list of them' }));
    } else {
      entries.push({ name, value: texts });
    }
  }
  return { entries, problems };
}

function repeatedNames(file: string, { contents }: ReturnType<typeof parseDocument>, lines: LineCounter): Problem[] {
  const names = new Set<string>();
  const problems: Problem[] = [];
  for (const { key } of isMap(contents) ? contents.items : []) {
    if (!isScalar(key)) continue;
    const name = String(key.value);
    const { line } = lines.linePos(key.range?.[0] ?? 0);
    if (names.has(name)) problems.push(repeatedName(file, name, line));
    names.add(name);
  }
  return problems;
}

function repeatedName(file: string, name: string, line: number): Problem {
  return createProblem({ name, source: file, expected: `it once; line ${line} has it again` });
}

/** Kong's form: comments start with `#`, at the start of a line or after a space; `\#` is a `#`. */
function parseLines(file: string, text: string): FileReading {
  const entries = new Map<string, FileEntry>();
  const problems: Problem[] = [];
  for (const [index, line] of text.split(/\r?\n/).entries()) {
    const bare = line.replace(/(^|\s)#.*$/, '').trim();
    if (bare === '') continue;
    const [, name = '', value = ''] = /^(\w+)\s*=\s*(.*)$/.exec(bare) ?? [];
    if (name === '') {
      problems.push(fileProblem(file, `"name = value" in line ${index + 1}`));
    } else if (entries.has(name)) {
      problems.push(repeatedName(file, name, index + 1));
    } else {
      entries.set(name, { name, value: unquoted(value.replaceAll(String.raw`\#`, '#')) });
    }
  }
  return { entries: [...entries.values()], problems };
}

function toValue(document: ReturnType<typeof parseDocument>): unknown {
  try {
    return document.toJS({ maxAliasCount: 100 }) as unknown;
  } catch {
    return undefined;
  }
}

function scalarText(value: unknown): string | undefined {
  if (value === null) return '';
  if (typeof value === 'string') return value.trim();
  return typeof value === 'number' || typeof value === 'boolean' ? String(value) : undefined;
}

function listTexts(values: readonly unknown[]): readonly string[] | undefined {
  const texts = values.map(scalarText).filter((text) => text !== undefined);
  return texts.length === values.length ? texts : undefined;
}

function unquoted(value: string): string {
  return /^(["']).*\1$/.test(value) && value.length > 1 ? value.slice(1, -1) : value;
}

/** A parser's message without the text that it quotes. */
function plain(message: string): string {
  return (message.split(/[:\n]/)[0] ?? '').replaceAll(/(["'`]).*\1/g, '…');
}

function failed(file: string, expected: string): FileReading {
  return { entries: [], problems: [fileProblem(file, expected)] };
}

function fileProblem(file: string, expected: string): Problem {
  return createProblem({ name: 'configuration file', source: file, expected });
}
