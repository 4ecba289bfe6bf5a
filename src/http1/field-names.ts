// The field names that the codec or a proxy acts on, as small numbers found by a hash that the parser computes as it reads.
// What is done with each is decided where it is done.
import { foldedToken } from './octets.ts';

/** `other` is a name without a number here; `lookalike` is one that only an underscore, a dot or the like keeps apart from a known name. */
export const field = {
  other: 0,
  lookalike: 1,
  host: 2,
  contentLength: 3,
  transferEncoding: 4,
  connection: 5,
  keepAlive: 6,
  proxyConnection: 7,
  te: 8,
  trailer: 9,
  upgrade: 10,
  expect: 11,
  http2Settings: 12,
  proxyAuthorization: 13,
  proxyAuthenticate: 14,
  proxyAuthenticationInfo: 15,
  authorization: 16,
  userAgent: 17,
  via: 18,
  date: 19,
  forwarded: 20,
  xRealIp: 21,
  xForwardedFor: 22,
  xForwardedProto: 23,
  xForwardedHost: 24,
  xForwardedPort: 25,
  xForwardedPath: 26,
  xForwardedPrefix: 27,
  xPortunusRequestId: 28,
  xPortunusUpstreamLatency: 29,
  xPortunusProxyLatency: 30,
  cookie: 31,
  setCookie: 32,
  contentType: 33,
  contentEncoding: 34,
  contentRange: 35,
  cacheControl: 36,
  maxForwards: 37,
  range: 38,
  server: 39,
  proxy: 40,
  clientCert: 41,
  clientCertChain: 42,
  xClientCertDn: 43,
  xClientCertFingerprint: 44,
  xClientCertSerial: 45,
  xClientCertSan: 46,
  strictTransportSecurity: 47,
} as const;

/** Their names in lower case, by number; `` for the first two. */
const fieldNames: readonly string[] = Object.entries(field)
  .sort(([, a], [, b]) => a - b)
  .map(([key, id]) => (id <= field.lookalike ? '' : key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)));

const hyphen = 0x2d;
const slots = 4096;
/** The number in each slot of the hash: no two names share one, which the loop below makes sure of. */
const slotIds = new Uint8Array(slots);
/** The names' octets, one after the other, and where each begins. */
const nameOctets = Buffer.from(fieldNames.join(''), 'latin1');
const nameStarts = new Uint16Array(fieldNames.length + 1);
for (const [id, name] of fieldNames.entries()) {
  nameStarts[id + 1] = (nameStarts[id] ?? 0) + name.length;
  if (id <= field.lookalike) continue;
  const slot = hashOf(name) & (slots - 1);
  if (slotIds[slot] !== 0) throw new TypeError(`two field names in one slot, one of them ${name}`);
  slotIds[slot] = id;
}

/** Continues the hash of a name by one octet of `foldedToken`. Begin with 0. */
export function hashStep(hash: number, folded: number): number {
  return (Math.imul(hash, 31) + folded) | 0;
}

/** @param hash over the name's octets, folded */
export function identify(hash: number, bytes: Uint8Array, start: number, end: number): number {
  const id = slotIds[hash & (slots - 1)] as number;
  if (id === field.other) return field.other;
  const nameStart = nameStarts[id] as number;
  const length = end - start;
  if ((nameStarts[id + 1] as number) - nameStart !== length) return field.other;
  let found = id;
  for (let index = 0; index < length; index += 1) {
    const octet = bytes[start + index] as number;
    const folded = foldedToken[octet];
    if (folded !== nameOctets[nameStart + index]) return field.other;
    if (folded === hyphen && octet !== hyphen) found = field.lookalike;
  }
  return found;
}

/** A set of these numbers as a table: 1 where a number is in it. */
export function fieldSet(ids: readonly number[]): Uint8Array {
  const table = new Uint8Array(256);
  for (const id of ids) table[id] = 1;
  return table;
}

/** The number of a name given as text, in any case. */
export function identifyName(text: string): number {
  const bytes = Buffer.from(text, 'latin1');
  return identify(hashOf(text), bytes, 0, bytes.length);
}

function hashOf(name: string): number {
  let hash = 0;
  for (let index = 0; index < name.length; index += 1) {
    hash = hashStep(hash, foldedToken[name.charCodeAt(index) & 0xff] ?? 0);
  }
  return hash;
}
