// A certificate revocation list (RFC 5280 section 5): what one authority has revoked, and until when that may be believed.
// Lists that cover a part of what was issued, or change another list, are refused: to whoever asks they would be silent.
import { constants, verify, type KeyObject } from 'node:crypto';
import { nameKey } from './certificate.ts';
import { childrenOf, objectIdentifierOf, readElement, readElements, tags, timeOf, type Element } from './read-der.ts';

/** DER of one list. Some 100,000 entries. */
export const revocationListMaxBytes = 4 * 1024 * 1024;

export interface RevocationList {
  /** `nameKey` of who issued it. */
  readonly issuerKey: string;
  /** Milliseconds since the epoch. */
  readonly thisUpdate: number;
  /** Undefined: it says none, and holds until there is another. */
  readonly nextUpdate: number | undefined;
  /** How many it names. */
  readonly size: number;
  /** @param serial `serialKey` of a certificate */
  revokes(serial: string): boolean;
  /** Never throws. False too where it is signed in a way that is not known here, or with SHA-1. */
  isSignedBy(key: KeyObject): boolean;
}

type RevocationListProblem =
  | 'too-large'
  | 'malformed'
  /** It has a critical extension: it lists a part only, or for others, or changes to another list. */
  | 'partial';

export type RevocationListResult =
  | { readonly kind: 'list'; readonly list: RevocationList }
  | { readonly kind: 'refused'; readonly problem: RevocationListProblem };

/** Never throws. */
export function parseRevocationList(der: Uint8Array): RevocationListResult {
  if (der.length > revocationListMaxBytes) return refused('too-large');
  const outer = readElement(der);
  const [content, algorithm, signature, ...more] = childrenOf(outer);
  if (
    outer?.whole.length !== der.length ||
    content?.tag !== tags.sequence ||
    signature === undefined ||
    more.length > 0
  )
    return refused('malformed');
  const fields = [...childrenOf(content)];
  if (fields[0]?.tag === tags.integer) fields.shift();
  const [inner, issuer, thisUpdate, ...rest] = fields;
  const issuedAt = timeOf(thisUpdate);
  if (inner === undefined || issuer?.tag !== tags.sequence || issuedAt === undefined) return refused('malformed');
  // RFC 5280 section 5.1.1.2: both say how it is signed, and only one of them is signed.
  if (algorithm === undefined || !same(inner.whole, algorithm.whole)) return refused('malformed');
  let nextUpdate: number | undefined;
  if (isTime(rest[0])) {
    nextUpdate = timeOf(rest.shift());
    if (nextUpdate === undefined) return refused('malformed');
  }
  const entries = rest[0]?.tag === tags.sequence ? rest.shift() : undefined;
  const extensions = rest[0]?.tag === tags.context0 ? rest.shift() : undefined;
  if (rest.length > 0) return refused('malformed');
  if (extensions !== undefined && hasCritical(readElement(extensions.content) ?? extensions)) return refused('partial');
  const serials = entries === undefined ? new Set<string>() : readEntries(entries.content);
  if (typeof serials === 'string') return refused(serials);
  return {
    kind: 'list',
    list: {
      issuerKey: nameKey(issuer.whole),
      thisUpdate: issuedAt,
      nextUpdate,
      size: serials.size,
      revokes: (serial) => serials.has(serial),
      isSignedBy: (key) => isSigned(content.whole, algorithm, signature, key),
    },
  };
}

/** A serial number as lists and certificates are compared by: its octets in hex, without those that say nothing. */
export function serialKey(serial: Element | undefined): string {
  if (serial?.tag !== tags.integer) return '';
  const bytes = Buffer.from(serial.content.buffer, serial.content.byteOffset, serial.content.length);
  return serialText(bytes, 0, bytes.length);
}

function serialText(bytes: Buffer, from: number, to: number): string {
  let start = from;
  while (start + 1 < to && bytes[start] === 0) start += 1;
  return bytes.toString('hex', start, to);
}

/** One by one, without an object for each element: there may be a hundred thousand, and a worker waits for them. */
function readEntries(content: Uint8Array): Set<string> | RevocationListProblem {
  const bytes = Buffer.from(content.buffer, content.byteOffset, content.length);
  const serials = new Set<string>();
  for (let at = 0; at < bytes.length;) {
    // Those of less than 128 bytes, as nearly all are.
    const end = at + 2 + lengthAt(bytes, at, tags.sequence);
    const serialAt = at + 2;
    const dateAt = serialAt + 2 + lengthAt(bytes, serialAt, tags.integer);
    const extensionsAt = dateAt + 2 + lengthAt(bytes, dateAt, tags.utcTime);
    if (extensionsAt <= end && end <= bytes.length && isHarmless(bytes, extensionsAt, end)) {
      serials.add(serialText(bytes, serialAt + 2, dateAt));
      at = end;
      continue;
    }
    const entry = readElement(bytes.subarray(at));
    const [serial, date, extensions] = childrenOf(entry);
    const key = serialKey(serial);
    if (entry === undefined || key === '' || !isTime(date)) return 'malformed';
    // Of a certificate of another issuer, for one.
    if (hasCritical(extensions)) return 'partial';
    serials.add(key);
    at += entry.whole.length;
  }
  return serials;
}

/** Infinite where there is no such element with a length in one byte, and something in it. */
function lengthAt(bytes: Buffer, at: number, tag: number): number {
  const length = bytes[at + 1] ?? 0;
  return bytes[at] === tag && length > 0 && length < 0x80 ? length : Number.POSITIVE_INFINITY;
}

/** What most entries end with, if anything: a reason (RFC 5280 section 5.3.1), not critical. Its last byte says which. */
const reason = Buffer.from('300c300a0603551d1504030a0100', 'hex');

function isHarmless(bytes: Buffer, from: number, to: number): boolean {
  if (from === to) return true;
  const length = reason.length - 1;
  return to - from === reason.length && bytes.compare(reason, 0, length, from, from + length) === 0;
}

/** RFC 5280 section 5.2.4: critical always, but for CAs that forget it. */
const deltaIndicator = '2.5.29.27';

/** What cannot be read might be. */
function hasCritical(extensions: Element | undefined): boolean {
  if (extensions === undefined) return false;
  const list = extensions.tag === tags.sequence ? readElements(extensions.content) : undefined;
  if (list === undefined) return true;
  return list.some((extension) => {
    const [name, critical] = childrenOf(extension);
    return name === undefined || critical?.tag === tags.boolean || objectIdentifierOf(name) === deltaIndicator;
  });
}

function isTime(element: Element | undefined): boolean {
  return element?.tag === tags.utcTime || element?.tag === tags.generalizedTime;
}

/** By signature algorithm (RFC 4055, RFC 5758, RFC 8410); null: the key says which. */
const hashes: Readonly<Record<string, string | null>> = {
  '1.2.840.113549.1.1.11': 'sha256',
  '1.2.840.113549.1.1.12': 'sha384',
  '1.2.840.113549.1.1.13': 'sha512',
  '1.2.840.10045.4.3.2': 'sha256',
  '1.2.840.10045.4.3.3': 'sha384',
  '1.2.840.10045.4.3.4': 'sha512',
  '1.3.101.112': null,
  '1.3.101.113': null,
};
const pss = '1.2.840.113549.1.1.10';
const pssHashes: Readonly<Record<string, string>> = {
  '2.16.840.1.101.3.4.2.1': 'sha256',
  '2.16.840.1.101.3.4.2.2': 'sha384',
  '2.16.840.1.101.3.4.2.3': 'sha512',
};

function isSigned(content: Uint8Array, algorithm: Element, signature: Element, key: KeyObject): boolean {
  const [kind, parameters] = childrenOf(algorithm);
  const name = objectIdentifierOf(kind);
  const isPss = name === pss;
  const hash = isPss ? pssHash(parameters) : hashes[name];
  if (hash === undefined || signature.tag !== tags.bitString || signature.content[0] !== 0) return false;
  const padding = isPss
    ? { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: constants.RSA_PSS_SALTLEN_AUTO }
    : undefined;
  try {
    return verify(hash, content, { key, ...padding }, signature.content.subarray(1));
  } catch {
    // The key is of another kind.
    return false;
  }
}

/** RFC 4055 section 3.1: `[0] hashAlgorithm`, SHA-1 where there is none. */
function pssHash(parameters: Element | undefined): string | undefined {
  const stated = childrenOf(parameters).find(({ tag }) => tag === tags.context0);
  const algorithm = stated === undefined ? undefined : readElement(stated.content);
  return pssHashes[objectIdentifierOf(childrenOf(algorithm)[0])];
}

function same(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0;
}

function refused(problem: RevocationListProblem): RevocationListResult {
  return { kind: 'refused', problem };
}
