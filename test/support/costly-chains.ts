// Chains that cost nothing to make and OpenSSL long to verify: each certificate names the next one as its issuer, and no
// signature need be one.
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import {
  bitString,
  boolean,
  context,
  integer,
  nullValue,
  objectIdentifier,
  octetString,
  sequence,
  set,
  tagged,
  utf8String,
} from '../../src/x509/write-der.ts';
import {
  dns,
  extension,
  hostileCertificate,
  hostileKey,
  large,
  named,
  names,
  type Parts,
} from './hostile-certificates.ts';

const sha256WithRsa = sequence(objectIdentifier('1.2.840.113549.1.1.11'), nullValue());
const dsaWithSha256 = sequence(objectIdentifier('2.16.840.1.101.3.4.3.2'));
const anAuthority = extension('2.5.29.19', sequence(boolean(true)), boolean(true));

/** DER, the client's own first. Its key is `hostileKey`. */
export function linked(count: number, partsOf: (index: number) => Parts): readonly Buffer[] {
  return Array.from({ length: count }, (_, index) =>
    hostileCertificate({
      subject: named(utf8String(`n${index}`)),
      issuer: named(utf8String(`n${index + 1}`)),
      extensions: index === 0 ? [] : [anAuthority],
      ...partsOf(index),
      ...(index === 0 ? { key: hostileKey } : {}),
    }),
  );
}

export function rsaKey(bits: number, exponent: Buffer): Buffer {
  const kind = sequence(objectIdentifier('1.2.840.113549.1.1.1'), nullValue());
  return sequence(kind, bitString(sequence(integer(large(bits / 8)), integer(exponent))));
}

export function rsaChain(count: number, bits: number, exponent: Buffer): readonly Buffer[] {
  return linked(count, (index) => ({
    ...(index === 0 ? {} : { spki: rsaKey(bits, exponent) }),
    algorithm: sha256WithRsa,
    signature: bitString(lessThan(bits / 8)),
  }));
}

export function curveChain(count: number, namedCurve: string): readonly Buffer[] {
  const spki = generateKeyPairSync('ec', { namedCurve }).publicKey.export({ type: 'spki', format: 'der' });
  return linked(count, (index) => (index === 0 ? {} : { spki }));
}

/** Modulo this prime a root takes some 90,000 squares: 50 ms. */
const slowPrime = (2n ** 60n + 45n) * 2n ** 600n + 1n;

/** On a curve that is spelled out instead of named, with points of which OpenSSL has to find the other half. */
export function spelledOutKey(): Buffer {
  const bytes = 83;
  const field = sequence(objectIdentifier('1.2.840.10045.1.1'), integer(fromNumber(slowPrime)));
  const curve = sequence(octetString(fromNumber(1n, bytes)), octetString(fromNumber(1n, bytes)));
  const point = Buffer.concat([Buffer.of(2), fromNumber(2n, bytes)]);
  const order = integer(fromNumber(slowPrime - 12_345n));
  const parameters = sequence(integer(1), field, curve, octetString(point), order, integer(1));
  return sequence(sequence(objectIdentifier('1.2.840.10045.2.1'), parameters), bitString(point));
}

/**
 * In a bit string of pieces, which OpenSSL puts together to a key of 3,032 bits with an exponent of 1,063. Whoever reads on over
 * the heads of the pieces finds numbers of four and of eight bytes.
 */
function keyInPieces(): Buffer {
  const key = sequence(integer(large(379)), integer(Buffer.alloc(133, 0x7f)));
  const head = tagged(0x10, Buffer.concat([Buffer.of(4), key.subarray(0, 1)]));
  const pieces = [
    tagged(0x23, Buffer.concat([head, tagged(0x03, key.subarray(1, 43))])),
    tagged(0x03, key.subarray(43)),
  ];
  return sequence(sequence(objectIdentifier('1.2.840.113549.1.1.1'), nullValue()), tagged(0x23, Buffer.concat(pieces)));
}

function fromNumber(value: bigint, bytes = 83): Buffer {
  return Buffer.from(value.toString(16).padStart(bytes * 2, '0'), 'hex');
}

export function dsaChain(count: number, bits: number): readonly Buffer[] {
  const parameters = sequence(integer(large(bits / 8)), integer(large(32)), integer(lessThan(bits / 8)));
  const kind = sequence(objectIdentifier('1.2.840.10040.4.1'), parameters);
  return linked(count, (index) => ({
    ...(index === 0 ? {} : { spki: sequence(kind, bitString(integer(lessThan(bits / 8)))) }),
    algorithm: dsaWithSha256,
    signature: bitString(sequence(integer(lessThan(32)), integer(lessThan(32)))),
  }));
}

/** The lower half has names, the upper half says which are none. */
export function namesChain(count: number, each: number): readonly Buffer[] {
  const name = Array.from({ length: each }, () => uri('a://b'));
  const excluded = Array.from({ length: each }, () => sequence(uri('y')));
  const constraints = extension('2.5.29.30', sequence(context(1, Buffer.concat(excluded))), boolean(true));
  return linked(count, (index) => ({
    extensions: [...(index === 0 ? [] : [anAuthority]), index < count / 2 ? names(dns('a'), ...name) : constraints],
  }));
}

function uri(text: string): Buffer {
  return context(6, Buffer.from(text), 'primitive');
}

/** Points where revocation lists are, each named relative to a long name of the issuer. */
export function relativePoints(parts: number, points: number): Parts {
  const part = sequence(objectIdentifier('2.5.4.3'), utf8String(''));
  const point = sequence(context(0, context(1, part)));
  return {
    issuer: sequence(...Array.from({ length: parts }, () => set(part))),
    extensions: [extension('2.5.29.31', sequence(...Array.from({ length: points }, () => point)))],
  };
}

function lessThan(bytes: number): Buffer {
  const number = randomBytes(bytes);
  number.writeUInt8(1, 0);
  return number;
}

const longest = Buffer.alloc(8, 0xff);

/** Within the 100 KiB that OpenSSL takes; milliseconds that they took it are in ADR 10. */
export const costlyChains: Readonly<Record<string, () => readonly Buffer[]>> = {
  'RSA of 3,072 bits with exponents as long': () => rsaChain(70, 3072, Buffer.alloc(384, 0x7f)),
  'ten of them': () => rsaChain(11, 3072, Buffer.alloc(384, 0x7f)),
  'RSA of 16,384 bits with exponents of 64': () => rsaChain(22, 16_384, longest),
  'curves over binary fields': () => curveChain(100, 'sect571r1'),
  'a hundred keys on P-521': () => curveChain(100, 'P-521'),
  'six thousand URIs under six thousand constraints': () => namesChain(12, 1000),
  'a thousand of each': () => namesChain(2, 1000),
};

/** And some that Node's own clients would not send. */
export const costlyToRead: Readonly<Record<string, () => readonly Buffer[]>> = {
  'a curve that is spelled out': () => linked(2, (index) => (index === 0 ? {} : { spki: spelledOutKey() })),
  'points that are named relative to a long name': () => linked(1, () => relativePoints(700, 300)),
  'RSA keys in pieces': () =>
    linked(90, (index) => ({
      ...(index === 0 ? {} : { spki: keyInPieces() }),
      algorithm: sha256WithRsa,
      signature: bitString(lessThan(379)),
    })),
};

/** A Certificate message of TLS 1.2 (RFC 5246 section 7.4.2) in records. */
export function certificateRecords(chain: readonly Buffer[]): Buffer {
  const list = Buffer.concat(chain.flatMap((der) => [number(der.length, 3), der]));
  const message = Buffer.concat([Buffer.of(11), number(list.length + 3, 3), number(list.length, 3), list]);
  const records: Buffer[] = [];
  for (let at = 0; at < message.length; at += 16_384) {
    const content = message.subarray(at, at + 16_384);
    records.push(Buffer.concat([Buffer.of(22, 3, 3), number(content.length, 2), content]));
  }
  return Buffer.concat(records);
}

function number(value: number, bytes: number): Buffer {
  const written = Buffer.alloc(bytes);
  written.writeUIntBE(value, 0, bytes);
  return written;
}
