// How long OpenSSL would take to verify a chain that somebody sent, estimated from its bytes alone: keys of tens of thousands
// of bits and names by the thousand make one worth seconds. Whether it would be found good is not asked here.
import { childrenOf, objectIdentifierOf, readElement, readElements, tags, type Element } from './read-der.ts';

/**
 * Milliseconds of one core of the kind that ADR 10 measured, rather too many than too few: each certificate's signature by the
 * key of another one of them, each name in the light of all constraints, and copies of issuers' names. Infinite where something cannot be read, which
 * may be anything to OpenSSL.
 *
 * @param chain DER, in any order
 * @param constraintsBytes name constraints of the authority above, as `constraintsLength` has them
 */
export function verificationWork(chain: readonly Uint8Array[], constraintsBytes: number): number {
  let signatures = 0;
  let names = 0;
  let constraints = constraintsBytes;
  let copies = 0;
  for (const der of chain) {
    const parts = partsOf(der);
    if (parts === undefined) return Number.POSITIVE_INFINITY;
    signatures += keyMs(parts.spki);
    names += parts.names;
    constraints += parts.constraints;
    copies += copyingMs(parts.issuer, parts.points);
  }
  return signatures + names * constraints * comparisonMs + copies;
}

/** Bytes that an authority's certificate says about the names below it. */
export function constraintsLength(der: Uint8Array): number {
  return partsOf(der)?.constraints ?? der.length;
}

/**
 * Milliseconds for what OpenSSL does when it first looks at a certificate's extensions: the issuer's name is copied, and read
 * again, for each distribution point of revocation lists that is named relative to it (RFC 5280 section 4.2.1.13).
 *
 * @param points bytes that all those points are in
 */
export function copyingMs(issuer: Element, points: Uint8Array): number {
  // Each has this tag, however it is written; that other bytes look like it makes little.
  const relative = points.reduce((count, byte) => (byte === relativeName ? count + 1 : count), 0);
  return relative * (issuer.whole.length + 20) * copiedByteMs;
}

const relativeName = 0xa1;
/** 1.3 µs for a part of a name in 9 bytes. */
const copiedByteMs = 1.5e-4;

/** URIs are compared slowest: 90 ns, for a name of 7 bytes and a constraint of 5. */
const comparisonMs = 90e-6 / (7 * 5);
/** DSA of 10,000 bits, and what OpenSSL has no use for. */
const otherKeyMs = 10;

/** By dotted name of the curve. Others take as long as those of binary fields, or are not known to OpenSSL. */
const curveMs: Readonly<Record<string, number>> = {
  '1.2.840.10045.3.1.7': 0.1,
  '1.3.132.0.34': 0.5,
  '1.3.132.0.35': 1.1,
  '1.3.132.0.10': 0.5,
  '1.3.36.3.3.2.8.1.1.7': 0.5,
  '1.3.36.3.3.2.8.1.1.11': 0.7,
  '1.3.36.3.3.2.8.1.1.13': 1,
};
const otherCurveMs = 2.5;

/** By dotted name of the algorithm: Ed25519, Ed448, ML-DSA of the three sizes. */
const keysMs: Readonly<Record<string, number>> = {
  '1.3.101.112': 0.2,
  '1.3.101.113': 0.5,
  '2.16.840.1.101.3.4.3.17': 0.5,
  '2.16.840.1.101.3.4.3.18': 0.5,
  '2.16.840.1.101.3.4.3.19': 0.5,
};

function keyMs(spki: Element): number {
  const [algorithm, key] = childrenOf(spki);
  const [kind, parameters] = childrenOf(algorithm);
  const name = objectIdentifierOf(kind);
  if (name === '') return Number.POSITIVE_INFINITY;
  if (name === '1.2.840.113549.1.1.1' || name === '1.2.840.113549.1.1.10') return rsaMs(key);
  if (name !== '1.2.840.10045.2.1') return keysMs[name] ?? otherKeyMs;
  const curve = objectIdentifierOf(parameters);
  // One that is spelled out may take a second before there is a key at all: a root of its point is looked for.
  return curve === '' ? Number.POSITIVE_INFINITY : (curveMs[curve] ?? otherCurveMs);
}

/** A square for each bit of the exponent, with some to begin and to end with; a square takes the square of the length. */
function rsaMs(key: Element | undefined): number {
  // OpenSSL also takes a string in pieces, and puts them together to another key than is read here.
  if (key?.tag !== tags.bitString) return Number.POSITIVE_INFINITY;
  const [modulus, exponent] = childrenOf(readElement(key.content.subarray(1)));
  if (modulus?.tag !== tags.integer || exponent?.tag !== tags.integer) return Number.POSITIVE_INFINITY;
  const kilobits = (modulus.content.length * 8) / 1024;
  return kilobits * kilobits * (exponent.content.length * 8 + 6) * 2e-4;
}

interface Parts {
  readonly issuer: Element;
  readonly spki: Element;
  /** Bytes of subject and alternative names, and of name constraints. */
  readonly names: number;
  readonly constraints: number;
  /** The extension that distribution points of revocation lists are in. */
  readonly points: Uint8Array;
}

const subjectAltName = '2.5.29.17';
const nameConstraints = '2.5.29.30';
const crlDistributionPoints = '2.5.29.31';

/** Undefined: not to be read to its end, and what is in it may be anything. As `outlineOf`, but nothing is passed over. */
function partsOf(der: Uint8Array): Parts | undefined {
  const certificate = readElement(der);
  const [body] = childrenOf(certificate);
  const fields = childrenOf(body);
  const offset = fields[0]?.tag === tags.context0 ? 1 : 0;
  const [issuer, , subject, spki, ...optional] = fields.slice(offset + 2);
  if (certificate?.whole.length !== der.length || issuer === undefined) return undefined;
  if (subject === undefined || spki === undefined) return undefined;
  let names = subject.content.length;
  let constraints = 0;
  let points: Uint8Array = new Uint8Array();
  for (const field of optional) {
    if (field.tag !== tags.context3) continue;
    const list = readElement(field.content);
    const extensions = list?.whole.length === field.content.length ? readElements(list.content) : undefined;
    if (extensions === undefined) return undefined;
    for (const extension of extensions) {
      const name = objectIdentifierOf(childrenOf(extension)[0]);
      if (name === '') return undefined;
      if (name === subjectAltName) names += extension.content.length;
      if (name === nameConstraints) constraints += extension.content.length;
      // Of several OpenSSL reads none.
      if (name === crlDistributionPoints && extension.content.length > points.length) points = extension.content;
    }
  }
  return { issuer, spki, names, constraints, points };
}
