// The fields of a request body as a tree, whatever media type they came in: `config.cert`, `config[cert]`, `snis[]`,
// `snis[1]` and repeated keys nest here. Objects have no prototype, so a field named `__proto__` is only a field.
import { PortunusError } from '../../lib/errors.ts';
import { inputInvalid, invalid } from '../problems.ts';

export type RawValue = string | number | boolean | null | Uint8Array | readonly RawValue[] | RawObject;
export interface RawObject {
  readonly [name: string]: RawValue;
}

export interface RequestBody {
  readonly fields: RawObject;
  /** JSON: values have the type they were written with. Forms: everything is text. */
  readonly typed: boolean;
  /** Dotted names of plain fields that a form gave more than once; their value is an array. */
  readonly repeated: ReadonlySet<string>;
}

export const fieldsMax = 10_000;
const fieldNameMaxLength = 256;
export const fieldDepthMax = 8;

export const emptyBody: RequestBody = { fields: emptyObject(), typed: true, repeated: new Set() };

interface Leaf {
  readonly items: { readonly index: number | undefined; readonly value: string | Uint8Array }[];
  /** Written `name[]` or `name[1]` at least once. */
  listed: boolean;
}
type Branch = Map<string, Leaf | Branch>;

/** @throws INPUT_INVALID for a name that is a value and a parent at once, too many, too long or too deep names. */
export function nestForm(pairs: Iterable<readonly [name: string, value: string | Uint8Array]>): RequestBody {
  const root: Branch = new Map();
  let count = 0;
  for (const [name, value] of pairs) {
    count += 1;
    if (count > fieldsMax) throw tooMuch(`The body has more than ${fieldsMax} fields`);
    const { path, index, listed } = parseFieldName(name);
    const leaf = leafAt(root, path, name);
    leaf.items.push({ index, value });
    leaf.listed ||= listed;
  }
  const repeated = new Set<string>();
  return { fields: toObject(root, '', repeated), typed: false, repeated };
}

/** @throws INPUT_INVALID as `nestForm`. */
export function nestJson(parsed: Readonly<Record<string, unknown>>): RequestBody {
  const budget = { fields: fieldsMax };
  return { fields: copyObject(parsed, 1, budget), typed: true, repeated: new Set() };
}

function parseFieldName(name: string): { path: readonly string[]; index: number | undefined; listed: boolean } {
  if (name.length > fieldNameMaxLength) throw tooMuch(`A field name has more than ${fieldNameMaxLength} characters`);
  const shape = /^([^[\]]+)((?:\[[^[\]]*\])*)$/.exec(name);
  const path = (shape?.[1] ?? '').split('.');
  if (shape === null || path.includes('')) return { path: [name], index: undefined, listed: false };
  const brackets = [...(shape[2] ?? '').matchAll(/\[([^[\]]*)\]/g)].map((match) => match[1] ?? '');
  const last = brackets.at(-1);
  const listed = last !== undefined && /^\d{0,6}$/.test(last);
  const names = listed ? brackets.slice(0, -1) : brackets;
  if (names.includes('')) return { path: [name], index: undefined, listed: false };
  const whole = [...path, ...names];
  if (whole.length > fieldDepthMax) throw tooDeep();
  return { path: whole, index: listed && last !== '' ? Number(last) : undefined, listed };
}

function leafAt(root: Branch, path: readonly string[], name: string): Leaf {
  let branch = root;
  for (const part of path.slice(0, -1)) {
    const next = branch.get(part) ?? new Map();
    if (!(next instanceof Map)) throw givenTwice(name);
    branch.set(part, next);
    branch = next;
  }
  const key = path.at(-1) ?? '';
  const found = branch.get(key) ?? { items: [], listed: false };
  if (found instanceof Map) throw givenTwice(name);
  branch.set(key, found);
  return found;
}

function toObject(branch: Branch, prefix: string, repeated: Set<string>): RawObject {
  const object = emptyObject();
  for (const [name, child] of branch) {
    if (child instanceof Map) object[name] = toObject(child, `${prefix}${name}.`, repeated);
    else {
      if (child.items.length > 1 && !child.listed) repeated.add(prefix + name);
      const values = child.items
        .map((item, order) => ({ ...item, order }))
        .sort((a, b) => (a.index ?? a.order) - (b.index ?? b.order) || a.order - b.order)
        .map((item) => item.value);
      object[name] = values.length === 1 && !child.listed ? (values[0] ?? '') : values;
    }
  }
  return object;
}

function copyObject(source: Readonly<Record<string, unknown>>, depth: number, budget: { fields: number }): RawObject {
  if (depth > fieldDepthMax) throw tooDeep();
  const object = emptyObject();
  for (const [name, value] of Object.entries(source)) {
    const path = name.split('.');
    if (name.length > fieldNameMaxLength) throw tooMuch(`A field name has more than ${fieldNameMaxLength} characters`);
    if (path.length === 1 || path.includes('')) put(object, name, copyValue(value, depth, budget), name);
    else {
      if (depth + path.length > fieldDepthMax) throw tooDeep();
      const nested = path
        .slice(1)
        .reduceRight<RawValue>(
          (inner, part) => Object.assign(emptyObject(), { [part]: inner }),
          copyValue(value, depth + path.length - 1, budget),
        );
      put(object, path[0] ?? '', nested, name);
    }
  }
  return object;
}

function copyValue(value: unknown, depth: number, budget: { fields: number }): RawValue {
  budget.fields -= 1;
  if (budget.fields < 0) throw tooMuch(`The body has more than ${fieldsMax} fields`);
  if (Array.isArray(value)) {
    if (depth >= fieldDepthMax) throw tooDeep();
    return value.map((item) => copyValue(item, depth + 1, budget));
  }
  if (typeof value === 'object' && value !== null) {
    return copyObject(value as Readonly<Record<string, unknown>>, depth + 1, budget);
  }
  return value as string | number | boolean | null;
}

/** Joins objects given in two spellings, `{"config": {…}, "config.key": …}`; two values for one name are a conflict. */
function put(target: Record<string, RawValue>, name: string, value: RawValue, written: string): void {
  const present = target[name];
  if (present === undefined) {
    target[name] = value;
    return;
  }
  if (!isRawObject(present) || !isRawObject(value)) throw givenTwice(written);
  // In place: both are copies made here, and copying again for each name would take time that grows with its square.
  for (const [inner, innerValue] of Object.entries(value)) {
    put(present, inner, innerValue, written);
  }
}

export function isRawObject(value: RawValue | undefined): value is RawObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Uint8Array);
}

function emptyObject(): Record<string, RawValue> {
  return Object.create(null) as Record<string, RawValue>;
}

export function givenTwice(name: string): PortunusError {
  return inputInvalid([invalid(name, 'is given more than once', 'Send each field in one spelling only.')]);
}

function tooMuch(message: string): PortunusError {
  return new PortunusError('BODY_UNPARSABLE', message);
}

function tooDeep(): PortunusError {
  return new PortunusError('BODY_UNPARSABLE', `The body is nested deeper than ${fieldDepthMax} levels`);
}
