// Certificates that nobody's CA would make: parts of one that signs itself, replaced by what should not be there.
import { createPublicKey, generateKeyPairSync, type KeyObject, randomBytes, sign } from 'node:crypto';
import {
  bitString,
  boolean,
  context,
  integer,
  objectIdentifier,
  octetString,
  sequence,
  set,
  tagged,
  time,
  utf8String,
} from '../../src/x509/write-der.ts';

/** The key of each. */
export const hostileKey = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;
const ecdsa = sequence(objectIdentifier('1.2.840.10045.4.3.2'));
const day = 86_400_000;

/** Parts of a certificate for a.test that signs itself, to be replaced. */
export interface Parts {
  readonly version?: readonly Buffer[];
  readonly serial?: Buffer;
  readonly algorithm?: Buffer;
  readonly issuer?: Buffer;
  readonly subject?: Buffer;
  readonly validity?: Buffer;
  readonly spki?: Buffer;
  readonly extensions?: readonly Buffer[];
  readonly signature?: Buffer;
  readonly key?: KeyObject;
}

export function hostileCertificate(parts: Parts): Buffer {
  const { key = hostileKey, algorithm = ecdsa } = parts;
  const now = Date.now();
  const body = sequence(
    ...(parts.version ?? [context(0, integer(2))]),
    parts.serial ?? integer(7),
    algorithm,
    parts.issuer ?? named(utf8String('a.test')),
    parts.validity ?? sequence(time(new Date(now - day)), time(new Date(now + day))),
    parts.subject ?? named(utf8String('a.test')),
    parts.spki ?? createPublicKey(key).export({ type: 'spki', format: 'der' }),
    context(3, sequence(...(parts.extensions ?? [names(dns('a.test'))]))),
  );
  return sequence(body, algorithm, parts.signature ?? bitString(sign('sha256', body, key)));
}

export function named(value: Buffer, type = '2.5.4.3'): Buffer {
  return sequence(set(sequence(objectIdentifier(type), value)));
}

export function extension(type: string, value: Buffer, ...critical: readonly Buffer[]): Buffer {
  return sequence(objectIdentifier(type), ...critical, octetString(value));
}

export function names(...each: readonly Buffer[]): Buffer {
  return extension('2.5.29.17', sequence(...each));
}

export function dns(name: string): Buffer {
  return context(2, Buffer.from(name, 'latin1'), 'primitive');
}

/** Odd, with its top bit set. */
export function large(bytes: number): Buffer {
  const number = randomBytes(bytes);
  number.writeUInt8(number.readUInt8(0) | 0x80, 0);
  number.writeUInt8(number.readUInt8(bytes - 1) | 1, bytes - 1);
  return number;
}

export function deep(levels: number): Buffer {
  let nested = integer(1);
  for (let level = 0; level < levels; level += 1) nested = sequence(nested);
  return nested;
}

/** Those that are taken all the same, and served. */
export const servedAllTheSame: Readonly<Record<string, Parts>> = {
  'a negative serial': { serial: tagged(0x02, Buffer.from([0x80, 1])) },
  'a serial of five thousand bytes': { serial: integer(large(5000)) },
  'NUL and line breaks in its subject': { subject: named(utf8String('a.test\0.evil.test\r\nX-Evil: yes')) },
  'a subject in UTF-16': { subject: named(tagged(0x1e, Buffer.from('a.test', 'utf16le').swap16())) },
  'a subject of fifty thousand letters': { subject: named(utf8String('x'.repeat(50_000))) },
  'no subject': { subject: sequence() },
  'a subject of an odd type': { subject: named(utf8String('x'), '1.2.4294967296.18446744073709551615') },
  'six thousand names': { extensions: [names(...Array.from({ length: 6000 }, (_, at) => dns(`n${at}.a`)))] },
  'NUL, line breaks and stars in its names': {
    extensions: [
      names(dns('a.test\0.evil.test'), dns('a.test\r\nX: y'), dns('a*.test'), dns('*.*.test'), dns('*'), dns('')),
    ],
  },
  'a name that looks like another': { extensions: [names(dns('xn--pple-43d.test'), dns('\u0430pple.test'))] },
  'an address of three bytes': {
    extensions: [names(context(7, Buffer.from([1, 2, 3]), 'primitive'))],
  },
  'an extension ten thousand levels deep': { extensions: [extension('1.2.3.4', deep(10_000))] },
  'three thousand extensions': {
    extensions: Array.from({ length: 3000 }, (_, at) => extension(`1.2.3.${at}`, integer(1))),
  },
  'an extension that must be understood and is not': { extensions: [extension('1.2.3.4', integer(1), boolean(true))] },
  'version 100': { version: [context(0, integer(99))] },
  'a signature of an unknown kind': { algorithm: sequence(objectIdentifier('1.2.3.4.5')) },
  'an empty signature': { signature: bitString(Buffer.alloc(0)) },
  'dates from year 0 to 9999': {
    validity: sequence(tagged(0x18, Buffer.from('00000101000000Z')), tagged(0x18, Buffer.from('99991231235959Z'))),
  },
};
