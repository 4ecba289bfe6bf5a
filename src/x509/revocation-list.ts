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
  let start = 0;
  while (start + 1 < serial.content.length && serial.content[start] === 0) start += 1;
  return Buffer.from(serial.content.subarray(start)).toString('hex');
}

/** One by one: there may be a hundred thousand. */
function readEntries(bytes: Uint8Array): Set<string> | RevocationListProblem {
  const serials = new Set<string>();
  for (let rest = bytes; rest.length > 0;) {
    const entry = readElement(rest);
    const [serial, date, extensions] = childrenOf(entry);
    const key = serialKey(serial);
    if (entry === undefined || key === '' || !isTime(date)) return 'malformed';
    // Of a certificate of another issuer, for one.
    if (hasCritical(extensions)) return 'partial';
    serials.add(key);
    rest = rest.subarray(entry.whole.length);
  }
  return serials;
}

/** What cannot be read might be. */
function hasCritical(extensions: Element | undefined): boolean {
  if (extensions === undefined) return false;
  const list = extensions.tag === tags.sequence ? readElements(extensions.content) : undefined;
  if (list === undefined) return true;
  return list.some((extension) => {
    const [name, critical] = childrenOf(extension);
    return name === undefined || critical?.tag === tags.boolean;
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
