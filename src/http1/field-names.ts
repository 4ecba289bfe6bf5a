// The field names that the codec or a proxy acts on, as small numbers found by a hash that the parser computes as it reads.
// What is done with each is decided where it is done.
import { foldedToken } from './octets.ts';

/** `other` is a name without a number here; `lookalike` is one that only an underscore keeps apart from a known name. */
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
} as const;

/** Their names in lower case, by number; `` for the first two. */
export const fieldNames: readonly string[] = Object.entries(field)
  .sort(([, a], [, b]) => a - b)
  .map(([key, id]) => (id <= field.lookalike ? '' : key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)));

const buckets: (readonly number[] | undefined)[] = Array.from({ length: 512 });
for (let id = field.lookalike + 1; id < fieldNames.length; id += 1) {
  const slot = hashOf(fieldNames[id] ?? '') & 511;
  buckets[slot] = [...(buckets[slot] ?? []), id];
}

/** Continues the hash of a name by one octet of `foldedToken`. Begin with 0. */
export function hashStep(hash: number, folded: number): number {
  return (Math.imul(hash, 31) + folded) | 0;
}

/** @param hash over the name's octets, folded */
export function identify(hash: number, bytes: Uint8Array, start: number, end: number): number {
  const candidates = buckets[hash & 511];
  if (candidates === undefined) return field.other;
  for (let index = 0; index < candidates.length; index += 1) {
    const id = compare(candidates[index] ?? 0, bytes, start, end);
    if (id !== field.other) return id;
  }
  return field.other;
}

/** The number of a name given as text, in any case. */
export function identifyName(text: string): number {
  const bytes = Buffer.from(text, 'latin1');
  return identify(hashOf(text), bytes, 0, bytes.length);
}

function compare(id: number, bytes: Uint8Array, start: number, end: number): number {
  const name = fieldNames[id] ?? '';
  if (name.length !== end - start) return field.other;
  let found = id;
  for (let index = 0; index < name.length; index += 1) {
    const octet = bytes[start + index] ?? 0;
    if (foldedToken[octet] !== name.charCodeAt(index)) return field.other;
    if (octet === 0x5f) found = field.lookalike;
  }
  return found;
}

function hashOf(name: string): number {
  let hash = 0;
  for (let index = 0; index < name.length; index += 1) {
    hash = hashStep(hash, foldedToken[name.charCodeAt(index) & 0xff] ?? 0);
  }
  return hash;
}
