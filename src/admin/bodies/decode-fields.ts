// Checks a body's fields against the TypeBox schema of the route, which the OpenAPI document shows too, and turns the
// text of forms into the types the schema names. Rules that need more than one field or the store are the resource's.
import type { Static, TObject } from 'typebox';
import { invalid, type Problem } from '../problems.ts';
import { isRawObject, type RawObject, type RawValue, type RequestBody } from './fields.ts';
import type { Phrases } from './phrases.ts';

/** What the decoder reads of a schema; TypeBox schemas are JSON Schema objects. */
interface Shape {
  readonly type?: string;
  readonly anyOf?: readonly Shape[];
  readonly items?: Shape;
  /** A set: what is sent twice is there once. */
  readonly uniqueItems?: boolean;
  readonly properties?: Readonly<Record<string, Shape>>;
  readonly required?: readonly string[];
  readonly format?: string;
  readonly enum?: readonly unknown[];
  readonly minimum?: number;
  readonly maximum?: number;
  /** Takes bytes too: a DER file in a multipart part. */
  readonly 'x-bytes'?: boolean;
  /** A comma separates the items of a text that stands for an array. */
  readonly 'x-comma-separated'?: boolean;
  /** Answered, and without effect when it is sent back. */
  readonly 'x-ignored'?: boolean;
}

export interface Decoded<T> {
  /** Only the fields that were sent and are sound. `null` where the schema allows it and the body says so. */
  readonly values: Partial<T>;
  readonly problems: readonly Problem[];
}

/** All problems at once, in the order of the schema's fields, unknown ones last. */
export function decodeFields<S extends TObject>(schema: S, body: RequestBody, phrases: Phrases): Decoded<Static<S>> {
  const problems: Problem[] = [];
  const values = decodeObject(schema, body.fields, '', { body, phrases, problems });
  return { values: values as Partial<Static<S>>, problems };
}

interface Context {
  readonly body: RequestBody;
  readonly phrases: Phrases;
  readonly problems: Problem[];
}

function decodeObject(shape: Shape, fields: RawObject, prefix: string, context: Context): Record<string, unknown> {
  const { phrases, problems } = context;
  const values: Record<string, unknown> = {};
  const properties = shape.properties ?? {};
  for (const [name, property] of Object.entries(properties)) {
    const field = prefix + name;
    const raw = property['x-ignored'] === true ? undefined : fields[name];
    const value = raw === undefined ? undefined : decodeValue(property, raw, field, name, context);
    if (value !== undefined && value !== failed) values[name] = value;
    // `null` for a required field of the seed dialect means as little as leaving it out.
    if ((value === undefined || (value === null && !nullable(property))) && shape.required?.includes(name) === true) {
      problems.push(invalid(field, phrases.required(name)));
    }
  }
  for (const name of Object.keys(fields)) {
    if (!Object.hasOwn(properties, name)) problems.push(invalid(prefix + name, phrases.unknown(name)));
  }
  return values;
}

/** Not a value: the problem is reported. */
const failed = Symbol('failed');

function decodeValue(property: Shape, raw: RawValue, field: string, name: string, context: Context): unknown {
  const { phrases, problems, body } = context;
  const fail = (message: string, hint?: string): typeof failed => {
    problems.push(invalid(field, message, hint));
    return failed;
  };
  const shape = property.anyOf?.find((option) => option.type !== 'null') ?? property;
  if (raw === null || (raw === '' && shape.type !== 'array' && phrases.emptyIsNull(body.typed))) {
    if (nullable(property) || phrases.nullIsAbsent) return nullable(property) ? null : undefined;
    return fail(phrases.required(name));
  }
  if (raw instanceof Uint8Array && shape['x-bytes'] !== true) return fail('is not valid UTF-8');
  if (body.repeated.has(field) && shape.type !== 'array') return fail('is given more than once');

  switch (shape.type) {
    case 'string':
      return decodeString(shape, raw, name, fail, phrases);
    case 'boolean': {
      if (typeof raw === 'boolean') return raw;
      const word = phrases.coerces(body.typed) && typeof raw === 'string' ? raw.trim().toLowerCase() : '';
      return word === 'true' ? true : word === 'false' ? false : fail(phrases.wrongType(name, 'boolean'));
    }
    case 'integer': {
      const number = phrases.coerces(body.typed) && typeof raw === 'string' ? numberFrom(raw) : raw;
      if (typeof number !== 'number') return fail(phrases.wrongType(name, 'number'));
      const { minimum = -Infinity, maximum = Infinity } = shape;
      if (Number.isInteger(number) && number >= minimum && number <= maximum) return number;
      return fail(phrases.outOfRange(minimum, maximum));
    }
    case 'array':
      return decodeArray(shape, raw, field, name, context, fail);
    case 'object':
      if (!isRawObject(raw)) return fail(phrases.wrongType(name, 'object'));
      return decodeObject(shape, raw, `${field}.`, context);
    case undefined:
    default:
      throw new TypeError(`schema of ${field}: no decoder for type ${shape.type ?? 'none'}`);
  }
}

function decodeString(
  shape: Shape,
  raw: RawValue,
  name: string,
  fail: (message: string) => typeof failed,
  phrases: Phrases,
): unknown {
  if (raw instanceof Uint8Array) return raw;
  if (typeof raw !== 'string') return fail(phrases.wrongType(name, 'string'));
  const text = phrases.trims ? raw.trim() : raw;
  if (text === '') return fail(phrases.emptyString);
  if (shape.format === 'uuid') return isUuid(text) ? text.toLowerCase() : fail(phrases.notUuid(text));
  if (shape.enum !== undefined && !shape.enum.includes(text)) return fail(phrases.notOneOf(shape.enum.map(String)));
  return text;
}

function decodeArray(
  shape: Shape,
  raw: RawValue,
  field: string,
  name: string,
  context: Context,
  fail: (message: string) => typeof failed,
): unknown {
  const { phrases, body } = context;
  const splits = phrases.splitsCommas || shape['x-comma-separated'] === true;
  let items: readonly RawValue[];
  if (Array.isArray(raw)) items = raw as readonly RawValue[];
  else if (typeof raw === 'string' && (splits || !body.typed)) items = raw === '' ? [] : [raw];
  else return fail(phrases.wrongType(name, 'array'));
  if (splits && (!Array.isArray(raw) || !body.typed)) {
    items = items.flatMap((item): readonly RawValue[] =>
      typeof item === 'string' ? item.split(',').map((part) => part.trim()) : [item],
    );
    items = items.filter((item) => item !== '');
  }
  const values = items.map((item, index) => {
    const place = `${field}.${index + 1}`;
    const value = decodeValue(shape.items ?? {}, item, place, name, context);
    if (value !== undefined) return value;
    // An item cannot be absent, as a field can.
    context.problems.push(invalid(place, phrases.emptyString));
    return failed;
  });
  if (values.includes(failed)) return failed;
  return shape.uniqueItems === true ? [...new Set(values)] : values;
}

function numberFrom(text: string): number | undefined {
  return /^\s*-?\d{1,15}(\.\d+)?\s*$/.test(text) ? Number(text) : undefined;
}

function nullable(shape: Shape): boolean {
  return shape.anyOf?.some((option) => option.type === 'null') === true;
}

export function isUuid(text: string): boolean {
  return /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i.test(text);
}
