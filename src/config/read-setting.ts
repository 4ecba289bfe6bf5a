// From the text of one setting to its value, by kind. What holds between settings is check-settings.ts's.
import { availableParallelism } from 'node:os';
import path from 'node:path';
import type { ListenAddress } from './config.ts';
import { parseIpRange } from './ip-range.ts';
import { parseListeners } from './listeners.ts';
import { readPemSource, splitPemSources } from './pem-source.ts';
import type { PemSource } from './pem-source.ts';
import { formatDuration, formatSize, parseDuration, parseSize } from './quantities.ts';
import type { Setting, SettingName, settings } from './settings.ts';

/** A setting as one source gives it. A list comes from YAML; a text may be a list with commas. */
export interface RawSetting {
  readonly value: string | readonly string[];
  readonly source: string;
  /** The folder that relative paths start from. */
  readonly base: string;
}

interface KindValues {
  readonly switch: boolean;
  readonly path: string;
  readonly output: string;
  readonly 'header-name': string;
  readonly 'host-names': readonly string[];
  readonly 'ip-ranges': readonly string[];
  readonly text: string;
  readonly secret: string;
  readonly integer: number;
  readonly workers: number;
  readonly size: number;
  readonly duration: number;
  readonly listeners: readonly ListenAddress[];
  readonly 'pem-sources': readonly PemSource[];
}

type ValueOf<S extends Setting> = S extends { readonly kind: 'choice'; readonly choices: readonly (infer C)[] }
  ? C
  : S extends { readonly kind: 'choices'; readonly choices: readonly (infer C)[] }
    ? readonly C[]
    : S extends { readonly kind: keyof KindValues }
      ? KindValues[S['kind']]
      : never;

/** Every setting by its name, with the type that its kind gives. */
export type Values = { readonly [Name in SettingName]: ValueOf<(typeof settings)[Name]> };

/** A setting of one kind. */
type SettingOf<Kind extends Setting['kind']> = Setting & { readonly kind: Kind };

export type Reading =
  | { readonly kind: 'read'; readonly value: Values[SettingName] }
  /** `value`: the part at fault, when it is not the whole; `(hidden)` when it may be private. */
  | { readonly kind: 'wrong'; readonly expected: string; readonly value?: string };

/** A limit on lists: listeners, addresses, certificates. */
const itemsMax = 1000;

/** @param raw what one source gives, or the default */
export function readSetting(setting: Setting, raw: RawSetting): Reading {
  // The table is indexed by the kind that the setting has.
  return (readers[setting.kind] as (setting: Setting, raw: RawSetting) => Reading)(setting, raw);
}

const readers: { readonly [Kind in Setting['kind']]: (setting: SettingOf<Kind>, raw: RawSetting) => Reading } = {
  switch: single((_, text) => {
    const word = text.toLowerCase();
    if (['on', 'true', 'yes'].includes(word)) return read(true);
    return ['off', 'false', 'no'].includes(word) ? read(false) : wrong('on or off');
  }),
  choice: single(({ choices, aliases }, text) => {
    const word = text.toLowerCase();
    const alias = aliases !== undefined && Object.hasOwn(aliases, word) ? aliases[word] : undefined;
    const choice = alias ?? choices.find((candidate) => candidate === word);
    return choice === undefined ? wrong(oneOf(choices)) : read(choice);
  }),
  choices: ({ choices }, { value }) => {
    const texts = items(value, /[\s,]+/);
    const unknown = texts.find((text) => !choices.includes(text));
    if (unknown !== undefined) return wrong(`${choices.join(', ')}, or some of them`, unknown);
    return read(choices.filter((choice) => texts.includes(choice)));
  },
  integer: single(({ min, max }, text) =>
    bounded(parseInteger(text), min, max, `a whole number from ${min} to ${max}`),
  ),
  workers: single(({ min, max }, text) => {
    if (text === 'auto') return read(Math.min(availableParallelism(), max));
    return bounded(parseInteger(text), min, max, `auto, or a whole number from ${min} to ${max}`);
  }),
  size: single(({ min, max }, text) => {
    const range = `from ${formatSize(min)}${max === Number.MAX_SAFE_INTEGER ? '' : ` to ${formatSize(max)}`}`;
    const example = within(['8k', '10m', '1g'], parseSize, min, max);
    return bounded(parseSize(text), min, max, `a size ${range}, such as ${example}`);
  }),
  duration: single(({ min, max }, text) => {
    const range = `from ${formatDuration(min)} to ${formatDuration(max)}`;
    const example = within(['500ms', '5s', '5m', '12h'], parseDuration, min, max);
    return bounded(parseDuration(text), min, max, `a duration ${range}, such as ${example}`);
  }),
  path: single((_, text, base) => read(path.resolve(base, text))),
  output: single((_, text, base) => read(text === 'stdout' || text === 'off' ? text : path.resolve(base, text))),
  // RFC 9110 section 5.6.2
  'header-name': single((_, text) =>
    /^[\w!#$%&'*+.^`|~-]{1,100}$/.test(text) ? read(text) : wrong('the name of a header'),
  ),
  text: single((_, text) => read(text)),
  secret: single((_, text) => read(text)),
  listeners: ({ flags }, { value }) => {
    const parsed = parseListeners(items(value), flags);
    return parsed.kind === 'listeners' ? read(parsed.listeners) : wrong(parsed.expected, parsed.part);
  },
  'host-names': (_, { value }) => {
    const names = items(value).map((text) => text.toLowerCase().replace(/\.$/, ''));
    const wrongName = names.find((name) => name.length > 253 || !/^[a-z0-9_-]+(\.[a-z0-9_-]+)*$/.test(name));
    return wrongName === undefined ? read(names) : wrong('host names without ports, commas between them', wrongName);
  },
  'ip-ranges': (_, { value }) => readIpRanges(items(value)),
  'pem-sources': ({ word }, { value, base }) => {
    const texts = typeof value === 'string' ? splitPemSources(value) : value;
    return read(texts.filter((text) => text !== '' && text !== word).map((text) => readPemSource(text, base)));
  },
};

function single<S extends Setting>(
  readText: (setting: S, text: string, base: string) => Reading,
): (setting: S, raw: RawSetting) => Reading {
  return (setting, { value, base }) =>
    typeof value === 'string' ? readText(setting, value, base) : wrong('one value, not a list');
}

/** Examples that the setting would take, two at most. */
function within(
  texts: readonly string[],
  parse: (text: string) => number | undefined,
  min: number,
  max: number,
): string {
  const fitting = texts.filter((text) => {
    const value = parse(text) ?? Number.NaN;
    return value >= min && value <= max;
  });
  return fitting.slice(0, 2).join(' or ');
}

function readIpRanges(texts: readonly string[]): Reading {
  const ranges = new Set<string>();
  for (const text of texts) {
    const range = parseIpRange(text);
    if (range === undefined) {
      return wrong('a comma separated list of IPv4 and IPv6 addresses and CIDR ranges, such as 10.0.0.0/8, ::1', text);
    }
    ranges.add(range);
  }
  return read([...ranges]);
}

function bounded(value: number | undefined, min: number, max: number, expected: string): Reading {
  return value === undefined || value < min || value > max ? wrong(expected) : read(value);
}

function parseInteger(text: string): number | undefined {
  return /^\d{1,15}$/.test(text) ? Number(text) : undefined;
}

function items(value: string | readonly string[], separator: RegExp = /,/): readonly string[] {
  const parts = typeof value === 'string' ? value.split(separator) : value;
  return parts
    .map((part) => part.trim())
    .filter((part) => part !== '')
    .slice(0, itemsMax);
}

function oneOf(choices: readonly string[]): string {
  return choices.length === 1 ? (choices[0] ?? '') : `${choices.slice(0, -1).join(', ')} or ${choices.at(-1) ?? ''}`;
}

function read(value: Values[SettingName]): Reading {
  return { kind: 'read', value };
}

function wrong(expected: string, value?: string): Reading {
  return value === undefined ? { kind: 'wrong', expected } : { kind: 'wrong', expected, value };
}
