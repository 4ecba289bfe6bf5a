// Reads a ClientHello from the bytes a connection begins with, before TLS starts: record layer, handshake header, and
// the extensions that decide something here. What is chosen by it is select.ts's; TLS itself is OpenSSL's.

export type ClientHello =
  | {
      readonly kind: 'hello';
      /** The first host_name of server_name (RFC 6066 section 3) as it was sent, byte for byte; not yet checked. */
      readonly serverName: string | undefined;
      /** Protocols of ALPN (RFC 7301), most wanted first; empty when the extension is absent. */
      readonly alpn: readonly string[];
      /** Versions the client offers (RFC 8446 section 4.2.1), `0x0304` is TLS 1.3; else its legacy_version alone. */
      readonly versions: readonly number[];
      /** It sends data before it has heard anything, for the sake of a session that it had here or elsewhere (section 4.2.10). */
      readonly earlyData: boolean;
    }
  /** More is needed: nothing can be said before `needed` bytes, counted from the first, are there. */
  | { readonly kind: 'incomplete'; readonly needed: number }
  | { readonly kind: 'plain-http' }
  | { readonly kind: 'malformed'; readonly reason: ClientHelloProblem };

type ClientHelloProblem =
  /** The hello ends beyond the limit. */
  'too-large' | 'not-tls' | 'record-length' | 'not-client-hello' | 'length' | 'extension' | 'duplicate-extension';

const contentTypeHandshake = 22;
const handshakeTypeClientHello = 1;
const recordHeaderBytes = 5;
const handshakeHeaderBytes = 4;
/** RFC 8446 section 5.1. */
const recordMaxBytes = 16_384;
const randomBytes = 32;

const extensionServerName = 0;
const extensionAlpn = 16;
const extensionEarlyData = 42;
const extensionSupportedVersions = 43;
const nameTypeHostName = 0;

/**
 * Reads the ClientHello (RFC 8446 section 4.1.2) that `bytes` begin with. It may lie in one record or in many (section
 * 5.1). What follows it is not looked at. Never throws, and copies nothing when the hello lies in one record.
 *
 * The answer depends on the bytes alone, not on how they arrived: while `incomplete` is answered for a beginning, the
 * same answer comes for the whole whichever beginnings were tried before.
 *
 * @param maxBytes the end of the hello may lie this far, record headers included
 */
export function parseClientHello(bytes: Uint8Array, maxBytes: number): ClientHello {
  const first = bytes[0];
  if (first === undefined) return incomplete(recordHeaderBytes);
  if (first !== contentTypeHandshake) return isMethodLetter(first) ? plainHttp : malformed('not-tls');

  let record = 0;
  let fragments: Uint8Array[] | undefined;
  let collected = 0;
  let messageBytes = -1;
  for (;;) {
    const header = recordHeader(bytes, record);
    if (typeof header !== 'number') return header;
    const start = record + recordHeaderBytes;
    const end = start + header;
    // The handshake header may itself be spread over records.
    if (messageBytes === -1) {
      const wanted = Math.min(header, handshakeHeaderBytes - collected);
      if (start + wanted > maxBytes) return malformed('too-large');
      if (bytes.length < start + wanted) return incomplete(start + wanted);
      if (collected + wanted === handshakeHeaderBytes) {
        const head =
          fragments === undefined ? bytes.subarray(start, end) : concat(fragments, bytes.subarray(start, end));
        if (head[0] !== handshakeTypeClientHello) return malformed('not-client-hello');
        messageBytes = handshakeHeaderBytes + uint24(head, 1);
      } else if (collected === 0 && bytes[start] !== handshakeTypeClientHello) {
        return malformed('not-client-hello');
      }
    }
    const left = messageBytes === -1 ? Infinity : messageBytes - collected;
    if (start + Math.min(left, header) > maxBytes) return malformed('too-large');
    if (left <= header) {
      if (bytes.length < start + left) return incomplete(start + left);
      const last = bytes.subarray(start, start + left);
      return parseBody(fragments === undefined ? last : concat(fragments, last));
    }
    if (bytes.length < end) return incomplete(end);
    fragments ??= [];
    fragments.push(bytes.subarray(start, end));
    collected += header;
    record = end;
  }
}

/** @returns the fragment's length */
function recordHeader(bytes: Uint8Array, at: number): number | ClientHello {
  const available = bytes.length - at;
  if (available > 0 && bytes[at] !== contentTypeHandshake) return malformed('not-tls');
  // Every version so far sends 3 as its major version here, and the minor one means nothing.
  if (available > 1 && bytes[at + 1] !== 3) return malformed('not-tls');
  if (available < recordHeaderBytes) return incomplete(at + recordHeaderBytes);
  const length = uint16(bytes, at + 3);
  return length === 0 || length > recordMaxBytes ? malformed('record-length') : length;
}

/** @param message the whole handshake message, its header included */
function parseBody(message: Uint8Array): ClientHello {
  const end = message.length;
  let at = handshakeHeaderBytes;
  if (end < at + 2 + randomBytes + 1) return malformed('length');
  const legacyVersion = uint16(message, at);
  at += 2 + randomBytes;
  at += 1 + (message[at] ?? 0); // legacy_session_id
  if (at + 2 > end) return malformed('length');
  at += 2 + uint16(message, at); // cipher_suites
  if (at + 1 > end) return malformed('length');
  at += 1 + (message[at] ?? 0); // legacy_compression_methods
  if (at > end) return malformed('length');

  let serverName: string | undefined;
  let alpn: readonly string[] = none;
  let versions: readonly number[] | undefined;
  let earlyData = false;
  let seen = 0;
  if (at === end) return { kind: 'hello', serverName, alpn, versions: [legacyVersion], earlyData };
  if (at + 2 > end || at + 2 + uint16(message, at) !== end) return malformed('length');
  at += 2;
  while (at < end) {
    if (at + 4 > end) return malformed('extension');
    const type = uint16(message, at);
    const from = at + 4;
    const to = from + uint16(message, at + 2);
    if (to > end) return malformed('extension');
    at = to;
    if (type === extensionEarlyData) earlyData = true;
    const bit =
      type === extensionServerName ? 1 : type === extensionAlpn ? 2 : type === extensionSupportedVersions ? 4 : 0;
    if (bit === 0) continue;
    // Two of one kind could be read differently here and by OpenSSL (RFC 8446 section 4.2 forbids them).
    if ((seen & bit) !== 0) return malformed('duplicate-extension');
    seen |= bit;
    if (bit === 1) {
      const read = readServerName(message, from, to);
      if (read === broken) return malformed('extension');
      serverName = read;
    } else if (bit === 2) {
      const read = readAlpn(message, from, to);
      if (read === undefined) return malformed('extension');
      alpn = read;
    } else {
      versions = readVersions(message, from, to);
      if (versions === undefined) return malformed('extension');
    }
  }
  return { kind: 'hello', serverName, alpn, versions: versions ?? [legacyVersion], earlyData };
}

const broken = Symbol('broken');

/** RFC 6066 section 3: a list of names by type; of several host names the first counts. */
function readServerName(bytes: Uint8Array, from: number, to: number): string | undefined | typeof broken {
  if (from + 2 > to || from + 2 + uint16(bytes, from) !== to) return broken;
  let name: string | undefined;
  for (let at = from + 2; at < to;) {
    if (at + 3 > to) return broken;
    const start = at + 3;
    const end = start + uint16(bytes, at + 1);
    if (end > to) return broken;
    if (bytes[at] === nameTypeHostName) name ??= latin1(bytes, start, end);
    at = end;
  }
  return name;
}

/** RFC 7301 section 3.1: at least one protocol, none empty. */
function readAlpn(bytes: Uint8Array, from: number, to: number): readonly string[] | undefined {
  if (from + 4 > to || from + 2 + uint16(bytes, from) !== to) return undefined;
  const protocols: string[] = [];
  for (let at = from + 2; at < to;) {
    const start = at + 1;
    const end = start + (bytes[at] ?? 0);
    if (end > to || end === start) return undefined;
    protocols.push(latin1(bytes, start, end));
    at = end;
  }
  return protocols;
}

/** RFC 8446 section 4.2.1: two bytes each, at least one. */
function readVersions(bytes: Uint8Array, from: number, to: number): readonly number[] | undefined {
  const length = bytes[from] ?? 0;
  if (from + 1 + length !== to || length < 2 || length % 2 !== 0) return undefined;
  const versions: number[] = [];
  for (let at = from + 1; at < to; at += 2) versions.push(uint16(bytes, at));
  return versions;
}

const none: readonly string[] = [];
const plainHttp: ClientHello = { kind: 'plain-http' };

function incomplete(needed: number): ClientHello {
  return { kind: 'incomplete', needed };
}

function malformed(reason: ClientHelloProblem): ClientHello & { kind: 'malformed' } {
  return { kind: 'malformed', reason };
}

/** Every method of HTTP begins with a capital letter, and no TLS record does. */
function isMethodLetter(byte: number): boolean {
  return byte >= 0x41 && byte <= 0x5a;
}

function uint16(bytes: Uint8Array, at: number): number {
  return ((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0);
}

function uint24(bytes: Uint8Array, at: number): number {
  return ((bytes[at] ?? 0) << 16) | uint16(bytes, at + 1);
}

function latin1(bytes: Uint8Array, start: number, end: number): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset + start, end - start).toString('latin1');
}

function concat(fragments: readonly Uint8Array[], last: Uint8Array): Uint8Array {
  return Buffer.concat([...fragments, last]);
}
