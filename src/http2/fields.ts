// Fields as node:http2 gives and takes them, names and values in turn in one array, to and from field lines. What HTTP/1.1
// could not carry is refused here, whatever the library let through (RFC 9113 section 8.2).
import { field, identifyName } from '../http1/field-names.ts';
import type { FieldLines } from '../http1/field-lines.ts';
import type { HttpCode } from '../http1/codes.ts';

const fieldName = /^[!#$%&'*+\-.^_`|~0-9a-z]+$/;
const fieldValue = /^[\t\x20-\x7e\x80-\xff]*$/;
const paddedValue = /^[ \t]|[ \t]$/;

/** Of names without a number that are known to be names. */
const otherNames = new Set<string>();
const otherNamesMax = 1000;
const otherNameMaxLength = 64;
const numbers = new Map<string, number>();
for (const [key, id] of Object.entries(field)) {
  if (id > field.lookalike)
    numbers.set(
      key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`),
      id,
    );
}

/** The number of a name, -1 when it is none. */
function numberOf(name: string): number {
  const id = numbers.get(name);
  if (id !== undefined) return id;
  if (otherNames.has(name)) return field.other;
  if (!fieldName.test(name)) return -1;
  if (name.includes('_')) return identifyName(name);
  if (name.length <= otherNameMaxLength && otherNames.size < otherNamesMax) otherNames.add(name);
  return field.other;
}

/** RFC 9113 section 8.2.2: of a connection, which HTTP/2 has no fields for. */
const ofConnection: ReadonlySet<number> = new Set<number>([
  field.connection,
  field.keepAlive,
  field.proxyConnection,
  field.transferEncoding,
  field.upgrade,
]);

/**
 * Fills `into` with all fields but pseudo-header fields, in the form in which they are forwarded; the pieces of Cookie
 * become one (RFC 9113 section 8.2.3).
 *
 * @param raw names and values in turn
 * @returns why they are refused
 */
export function readFields(raw: readonly string[], into: FieldLines): HttpCode | undefined {
  into.clear();
  let text = '';
  let cookies: string | undefined;
  for (let index = 0; index + 1 < raw.length; index += 2) {
    const name = raw[index] as string;
    const value = raw[index + 1] as string;
    if (name.charCodeAt(0) === 0x3a) continue;
    const id = numberOf(name);
    if (id === -1) return 'HTTP_FIELD_NAME_INVALID';
    if (!fieldValue.test(value) || paddedValue.test(value)) return 'HTTP_FIELD_VALUE_INVALID';
    if (ofConnection.has(id)) return 'HTTP_CONNECTION_FIELD';
    if (id === field.cookie) {
      cookies = cookies === undefined ? value : `${cookies}; ${value}`;
      continue;
    }
    text = addField(into, text, name, value, id);
  }
  if (cookies !== undefined) text = addField(into, text, 'cookie', cookies, field.cookie);
  into.text = text;
  return undefined;
}

/** @param text of the fields before it @returns the text with it */
export function addField(into: FieldLines, text: string, name: string, value: string, id: number): string {
  const valueStart = text.length + name.length + 2;
  into.add(text.length, text.length + name.length, valueStart, valueStart + value.length, id, true);
  return `${text}${name}: ${value}\r\n`;
}

/**
 * @param text field lines as `FieldLines.serialize` writes them
 * @param onto names and values in turn
 */
export function pushFields(text: string, onto: string[]): string[] {
  for (let at = 0; at < text.length;) {
    const colon = text.indexOf(': ', at);
    const end = text.indexOf('\r\n', colon);
    onto.push(text.slice(at, colon), text.slice(colon + 2, end));
    at = end + 2;
  }
  return onto;
}

/** The same as an object, which is what node:http2 takes for interim responses and trailers. */
export function fieldsObject(text: string): Record<string, string | string[]> {
  const object: Record<string, string | string[]> = Object.create(null) as Record<string, string | string[]>;
  const all = pushFields(text, []);
  for (let index = 0; index < all.length; index += 2) {
    const name = (all[index] as string).toLowerCase();
    const value = all[index + 1] as string;
    const before = object[name];
    if (before === undefined) object[name] = value;
    else if (typeof before === 'string') object[name] = [before, value];
    else before.push(value);
  }
  return object;
}
