// From BER to what read-der.ts reads: containers written as a stream (Firefox, Java, the Keychain) leave lengths open and cut
// octet strings into pieces (X.690 sections 8.1.3.6 and 8.7.3). What is definite already stays as it is, to the byte.
import { readElement } from './read-der.ts';
import { tagged } from './write-der.ts';

/** Levels of nesting. PKCS#12 around a certificate takes 20. */
const depthMax = 32;
const elementsMax = 20_000;

const constructed = 0x20;
const octetStringInPieces = 0x24;

interface Definite {
  readonly der: Uint8Array;
  /** Bytes of the original. */
  readonly length: number;
}

/** The element at the start of the bytes; undefined when it is malformed, too deep or too large. */
export function withDefiniteLengths(bytes: Uint8Array): Definite | undefined {
  return definite(bytes, depthMax, { elements: elementsMax });
}

function definite(bytes: Uint8Array, depth: number, budget: { elements: number }): Definite | undefined {
  budget.elements -= 1;
  if (depth === 0 || budget.elements < 0) return undefined;
  const element = readElement(bytes);
  const tag = bytes[0] ?? 0;
  if (element === undefined && !isOpen(bytes)) return undefined;
  const whole = element && { der: element.whole, length: element.whole.length };
  if ((tag & constructed) === 0) return whole;
  const inside = element === undefined ? bytes.subarray(2) : element.content;
  const children: Definite[] = [];
  let at = 0;
  while (element === undefined ? !isEnd(inside, at) : at < inside.length) {
    const child = definite(inside.subarray(at), depth - 1, budget);
    if (child === undefined) return whole;
    children.push(child);
    at += child.length;
  }
  const length = element === undefined ? at + 4 : element.whole.length;
  const parts = children.map(({ der }) => der);
  if (tag === octetStringInPieces) {
    const pieces = parts.map((part) => (part[0] === 0x04 ? (readElement(part)?.content ?? part) : part));
    return { der: tagged(0x04, Buffer.concat(pieces)), length };
  }
  const der = tagged(tag, Buffer.concat(parts));
  // A length may be spelled out longer than needed: only what had to change is written anew.
  const unchanged = element !== undefined && children.every((child) => child.der.length === child.length);
  return unchanged ? whole : { der, length };
}

function isOpen(bytes: Uint8Array): boolean {
  const tag = bytes[0] ?? 0;
  return (tag & constructed) !== 0 && (tag & 0x1f) !== 0x1f && bytes[1] === 0x80;
}

function isEnd(bytes: Uint8Array, at: number): boolean {
  return bytes[at] === 0 && bytes[at + 1] === 0;
}
