// What a client says after its ClientHello when it was asked for a certificate, read before OpenSSL gets it: Node lets OpenSSL
// verify whatever chain comes, and tells nobody until that is done. In TLS 1.2 the chain is in the clear, in TLS 1.3 it is under
// keys that this side has too. Nothing is changed; what OpenSSL would refuse anyway is `malformed` here.
import { createDecipheriv, createHmac } from 'node:crypto';

export type FlightVerdict =
  /** All that was whole is passed on. */
  | 'more'
  /** The certificates may be verified, and are the first of `rest`. Nothing is to be read any more. */
  | 'done'
  /** They may not. */
  | 'refused'
  | 'malformed';

export interface HandshakeSecret {
  /** OpenSSL's name of the suite. */
  readonly cipher: string;
  /** `client_handshake_traffic_secret` (RFC 8446 section 7.1). */
  readonly secret: Uint8Array;
}

export interface ClientFlight {
  /** From the ClientHello on, in any pieces. Not to be called again after another verdict than `more`. */
  read(bytes: Uint8Array): FlightVerdict;
  /** What is not passed on. */
  readonly rest: Uint8Array;
}

export interface ClientFlightOptions {
  /** Gives OpenSSL a record. */
  readonly pass: (bytes: Uint8Array) => void;
  /** Undefined: TLS 1.2, or the ClientHello is not yet with OpenSSL. */
  readonly secret: () => HandshakeSecret | undefined;
  /** The client said that it sends data at once. OpenSSL passes over it: the session it is meant for is not resumed here. */
  readonly earlyData: boolean;
  /** @param chain DER, the client's own first. Empty: it has none */
  readonly mayVerify: (chain: readonly Uint8Array[]) => boolean;
}

const recordHeader = 5;
/** RFC 8446 section 5.2, which is more than RFC 5246 allows without encryption. */
const recordMax = 16_384 + 256;
/** Many more than anybody needs for what OpenSSL takes: with the smallest fragments of RFC 6066 they are 200. */
const recordsMax = 512;
const messageHeader = 4;
/** What OpenSSL takes of a ClientHello (1) and of certificates. Nothing else comes before these. */
const certificate = 11;
const messageMax: Readonly<Record<number, number>> = { 1: 131_396, [certificate]: 102_400 };
const types = { changeCipherSpec: 20, alert: 21, handshake: 22, applicationData: 23 } as const;

interface Inner {
  readonly type: number;
  readonly content: Uint8Array;
}

export function createClientFlight({ pass, secret, earlyData, mayVerify }: ClientFlightOptions): ClientFlight {
  let rest: Uint8Array = new Uint8Array();
  let records = 0;
  /** What is there of a message that is not whole. */
  let pieces: Uint8Array[] = [];
  let received = 0;
  let needed = messageHeader;
  let open: ((record: Uint8Array) => Inner | undefined) | undefined;
  let mayBeEarly = earlyData;

  return {
    read(bytes) {
      rest = rest.length === 0 ? bytes : Buffer.concat([rest, bytes]);
      while (rest.length >= recordHeader) {
        const length = recordHeader + numberAt(rest, 3, 2);
        if (length > recordHeader + recordMax) return 'malformed';
        if (rest.length < length) break;
        const record = rest.subarray(0, length);
        const verdict = readRecord(record);
        if (verdict !== 'more') return verdict;
        rest = rest.subarray(length);
        pass(record);
      }
      // It may be the end of something long.
      rest = Buffer.from(rest);
      return 'more';
    },
    get rest() {
      return rest;
    },
  };

  function readRecord(record: Uint8Array): FlightVerdict {
    records += 1;
    if (records > recordsMax) return 'malformed';
    const type = record[0];
    if (type === types.changeCipherSpec || type === types.alert) return 'more';
    if (type === types.handshake) return open === undefined ? readMessages(record.subarray(recordHeader)) : 'malformed';
    if (type !== types.applicationData) return 'malformed';
    if (open === undefined) {
      // The last message in the clear was whole.
      if (received > 0) return 'malformed';
      const known = secret();
      // Before a second ClientHello OpenSSL has no keys either.
      if (known === undefined) return mayBeEarly ? 'more' : 'malformed';
      open = recordOpener(known);
      if (open === undefined) return 'malformed';
    }
    const inner = open(record);
    // It is under other keys, which nobody has here. Behind the first record that is not there is none (RFC 8446 section 4.2.10).
    if (inner === undefined) return mayBeEarly ? 'more' : 'malformed';
    mayBeEarly = false;
    if (inner.type === types.alert) return 'more';
    return inner.type === types.handshake ? readMessages(inner.content) : 'malformed';
  }

  function readMessages(content: Uint8Array): FlightVerdict {
    pieces.push(content);
    received += content.length;
    while (received >= needed) {
      const bytes = Buffer.concat(pieces);
      const type = bytes[0] ?? 0;
      const end = messageHeader + numberAt(bytes, 1, 3);
      if (end > messageHeader + (messageMax[type] ?? -1)) return 'malformed';
      const isWhole = bytes.length >= end;
      if (isWhole && type === certificate)
        return judge(readCertificates(bytes.subarray(messageHeader, end), isTls13()));
      if (isWhole && isTls13()) return 'malformed';
      pieces = [isWhole ? bytes.subarray(end) : bytes];
      received = isWhole ? bytes.length - end : bytes.length;
      needed = isWhole ? messageHeader : end;
    }
    return 'more';
  }

  function isTls13(): boolean {
    return open !== undefined;
  }

  function judge(chain: readonly Uint8Array[] | undefined): FlightVerdict {
    if (chain === undefined) return 'malformed';
    return mayVerify(chain) ? 'done' : 'refused';
  }
}

/** The body of a Certificate message: RFC 5246 section 7.4.2, RFC 8446 section 4.4.2. */
function readCertificates(body: Uint8Array, tls13: boolean): readonly Uint8Array[] | undefined {
  // The context of a request in the handshake is empty; one that is not is OpenSSL's to refuse.
  const start = tls13 ? 1 + (body[0] ?? 0) : 0;
  if (body.length < start + 3 || body.length !== start + 3 + numberAt(body, start, 3)) return undefined;
  const chain: Uint8Array[] = [];
  for (let at = start + 3; at < body.length;) {
    const end = at + 3 + numberAt(body, at, 3);
    if (end > body.length) return undefined;
    chain.push(body.subarray(at + 3, end));
    at = tls13 ? end + 2 + numberAt(body, end, 2) : end;
    if (at > body.length) return undefined;
  }
  return chain;
}

/** Past the end there are zeros. */
function numberAt(bytes: Uint8Array, at: number, length: number): number {
  let value = 0;
  for (let index = at; index < at + length; index += 1) value = value * 256 + (bytes[index] ?? 0);
  return value;
}

interface Aead {
  readonly cipher: string;
  readonly keyLength: number;
  readonly tagLength: number;
  readonly hash: string;
}

const aeads: Readonly<Record<string, Aead>> = {
  TLS_AES_128_GCM_SHA256: { cipher: 'aes-128-gcm', keyLength: 16, tagLength: 16, hash: 'sha256' },
  TLS_AES_256_GCM_SHA384: { cipher: 'aes-256-gcm', keyLength: 32, tagLength: 16, hash: 'sha384' },
  TLS_CHACHA20_POLY1305_SHA256: { cipher: 'chacha20-poly1305', keyLength: 32, tagLength: 16, hash: 'sha256' },
  TLS_AES_128_CCM_SHA256: { cipher: 'aes-128-ccm', keyLength: 16, tagLength: 16, hash: 'sha256' },
  TLS_AES_128_CCM_8_SHA256: { cipher: 'aes-128-ccm', keyLength: 16, tagLength: 8, hash: 'sha256' },
};

/**
 * Opens records in their order (RFC 8446 section 5.2), and passes over those that are under another key. Undefined: of this
 * suite nothing is known.
 */
function recordOpener({
  cipher: suite,
  secret,
}: HandshakeSecret): ((record: Uint8Array) => Inner | undefined) | undefined {
  const aead = aeads[suite];
  if (aead === undefined) return undefined;
  const { cipher, keyLength, tagLength, hash } = aead;
  const key = expandLabel(hash, secret, 'key', keyLength);
  const iv = expandLabel(hash, secret, 'iv', 12);
  let sequence = 0;
  return (record) => {
    const end = record.length - tagLength;
    if (end < recordHeader) return undefined;
    const nonce = Buffer.from(iv);
    nonce.writeUInt32BE((nonce.readUInt32BE(8) ^ sequence) >>> 0, 8);
    const decipher = createDecipheriv(cipher as 'aes-128-ccm', key, nonce, { authTagLength: tagLength });
    decipher.setAuthTag(record.subarray(end));
    decipher.setAAD(record.subarray(0, recordHeader), { plaintextLength: end - recordHeader });
    try {
      const opened = Buffer.concat([decipher.update(record.subarray(recordHeader, end)), decipher.final()]);
      sequence += 1;
      // Zeros after the type are padding.
      const at = opened.findLastIndex((byte) => byte !== 0);
      return { type: opened[at] ?? 0, content: opened.subarray(0, Math.max(at, 0)) };
    } catch {
      return undefined;
    }
  };
}

/** HKDF-Expand-Label (RFC 8446 section 7.1) of no more than the hash is long. */
function expandLabel(hash: string, secret: Uint8Array, label: string, length: number): Buffer {
  const name = `tls13 ${label}`;
  const info = Buffer.from([0, length, name.length, ...Buffer.from(name), 0, 1]);
  return createHmac(hash, secret).update(info).digest().subarray(0, length);
}
