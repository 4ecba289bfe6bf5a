// Reads the structure of DER (X.690 section 10): elements, their tags and contents, within bounds. It knows no types of
// certificates, and node:crypto stays the judge of what is valid.

export interface Element {
  readonly tag: number;
  /** Tag, length and content. */
  readonly whole: Uint8Array;
  readonly content: Uint8Array;
}

/** Tags that x509 asks about. */
export const tags = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  null: 0x05,
  objectIdentifier: 0x06,
  utcTime: 0x17,
  generalizedTime: 0x18,
  sequence: 0x30,
  set: 0x31,
  context0: 0xa0,
  context3: 0xa3,
} as const;

/** The element at the start of the bytes, or undefined when it is malformed or goes past their end. */
export function readElement(bytes: Uint8Array): Element | undefined {
  const tag = bytes[0];
  const first = bytes[1];
  // Multi-byte tags and indefinite lengths do not occur in what we read.
  if (tag === undefined || first === undefined || (tag & 0x1f) === 0x1f || first === 0x80) return undefined;
  let start = 2;
  let length = first;
  if (first > 0x80) {
    const count = first & 0x7f;
    if (count > 4 || bytes.length < 2 + count) return undefined;
    length = 0;
    for (let index = 0; index < count; index += 1) length = length * 256 + (bytes[2 + index] ?? 0);
    start += count;
  }
  const end = start + length;
  if (end > bytes.length) return undefined;
  return { tag, whole: bytes.subarray(0, end), content: bytes.subarray(start, end) };
}

/** The elements that fill the bytes, at most `limit`; undefined when something else is among them. */
export function readElements(bytes: Uint8Array, limit = 4096): readonly Element[] | undefined {
  const elements: Element[] = [];
  for (let rest = bytes; rest.length > 0;) {
    const element = readElement(rest);
    if (element === undefined || elements.length === limit) return undefined;
    elements.push(element);
    rest = rest.subarray(element.whole.length);
  }
  return elements;
}

/** The elements inside an element of that tag; none when it is another one or malformed. */
export function childrenOf(element: Element | undefined, tag: number = tags.sequence): readonly Element[] {
  return element?.tag === tag ? (readElements(element.content) ?? []) : [];
}

/** `1.2.840.113549.1.1.1`; the empty string when the element is no object identifier. */
export function objectIdentifierOf(element: Element | undefined): string {
  if (element?.tag !== tags.objectIdentifier || element.content.length > 64) return '';
  const arcs: number[] = [];
  let value = 0;
  for (const byte of element.content) {
    value = value * 128 + (byte & 0x7f);
    if (byte < 0x80) {
      arcs.push(value);
      value = 0;
    }
  }
  const [head = 0, ...rest] = arcs;
  const first = Math.min(Math.floor(head / 40), 2);
  return [first, head - first * 40, ...rest].join('.');
}

/** A non-negative INTEGER as a number; infinite when it has more than six bytes, undefined when it is none. */
export function integerOf(element: Element | undefined): number | undefined {
  if (element?.tag !== tags.integer) return undefined;
  if (element.content.length > 6) return Number.POSITIVE_INFINITY;
  return element.content.reduce((value, byte) => value * 256 + byte, 0);
}

const utcTime = /^(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/;
const generalizedTime = /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/;

/** Milliseconds since the epoch of a UTCTime or GeneralizedTime as RFC 5280 section 4.1.2.5 has them; undefined when it is none. */
export function timeOf(element: Element | undefined): number | undefined {
  if (element?.tag !== tags.utcTime && element?.tag !== tags.generalizedTime) return undefined;
  const form = element.tag === tags.utcTime ? utcTime : generalizedTime;
  const parts = form.exec(Buffer.from(element.content).toString('latin1'))?.slice(1).map(Number);
  if (parts === undefined) return undefined;
  const [first = 0, month = 0, day = 0, hours = 0, minutes = 0, seconds = 0] = parts;
  const year = element.tag === tags.generalizedTime ? first : first < 50 ? 2000 + first : 1900 + first;
  const at = new Date(0);
  at.setUTCFullYear(year, month - 1, day);
  at.setUTCHours(hours, minutes, seconds);
  const same = at.getUTCMonth() === month - 1 && at.getUTCDate() === day && at.getUTCHours() === hours;
  return same && minutes < 60 && seconds < 60 ? at.getTime() : undefined;
}
