// Makes a self-signed server certificate: the one that is served until there is a better one. Certificates that come
// in are intake's.
import { createPublicKey, generateKeyPairSync, randomBytes, sign, type KeyObject } from 'node:crypto';
import { encodePem } from './pem.ts';
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
  time,
  utf8String,
} from './write-der.ts';

export interface SelfSignedOptions {
  readonly commonName: string;
  /** subjectAltName, in A-labels. */
  readonly dnsNames: readonly string[];
  /** P-256 or RSA 2048. */
  readonly keyType: 'ec' | 'rsa';
  /** Milliseconds since the epoch. */
  readonly now: number;
  readonly days: number;
}

export interface SelfSigned {
  /** One PEM block. */
  readonly chain: string;
  /** PKCS#8 PEM, plain. */
  readonly key: string;
}

const dayMs = 86_400_000;
/** Clients whose clock is behind should take it too. */
const clockSkewMs = dayMs;

/** The certificate (RFC 5280 section 4.1) is no CA, names O=Portunus, and is valid from a day ago. RSA takes a moment. */
export function selfSigned(options: SelfSignedOptions): SelfSigned {
  const privateKey = makeKey(options.keyType);
  const algorithm = signatureAlgorithms[options.keyType];
  const name = sequence(attribute('2.5.4.10', 'Portunus'), attribute('2.5.4.3', options.commonName));
  const toBeSigned = sequence(
    context(0, integer(2)),
    integer(serialNumber()),
    algorithm,
    name,
    sequence(time(new Date(options.now - clockSkewMs)), time(new Date(options.now + options.days * dayMs))),
    name,
    createPublicKey(privateKey).export({ type: 'spki', format: 'der' }),
    context(3, extensions(options.dnsNames)),
  );
  const certificate = sequence(toBeSigned, algorithm, bitString(sign('sha256', toBeSigned, privateKey)));
  return {
    chain: encodePem('CERTIFICATE', certificate),
    key: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
  };
}

function makeKey(keyType: SelfSignedOptions['keyType']): KeyObject {
  return keyType === 'ec'
    ? generateKeyPairSync('ec', { namedCurve: 'prime256v1' }).privateKey
    : generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey;
}

/** ecdsa-with-SHA256 and sha256WithRSAEncryption. */
const signatureAlgorithms = {
  ec: sequence(objectIdentifier('1.2.840.10045.4.3.2')),
  rsa: sequence(objectIdentifier('1.2.840.113549.1.1.11'), nullValue()),
} as const;

/** 127 random bits: positive, and no leading zero byte that DER forbids. */
function serialNumber(): Buffer {
  const bytes = randomBytes(16);
  bytes[0] = ((bytes[0] ?? 0) & 0x3f) | 0x40;
  return bytes;
}

function extensions(dnsNames: readonly string[]): Buffer {
  const digitalSignature = bitString(Buffer.from([0x80]), 7);
  const serverAuthentication = objectIdentifier('1.3.6.1.5.5.7.3.1');
  const names = dnsNames.map((name) => context(2, Buffer.from(name, 'latin1'), 'primitive'));
  return sequence(
    sequence(objectIdentifier('2.5.29.19'), boolean(true), octetString(sequence())),
    sequence(objectIdentifier('2.5.29.15'), boolean(true), octetString(digitalSignature)),
    sequence(objectIdentifier('2.5.29.37'), octetString(sequence(serverAuthentication))),
    ...(names.length > 0 ? [sequence(objectIdentifier('2.5.29.17'), octetString(sequence(...names)))] : []),
  );
}

function attribute(type: string, value: string): Buffer {
  return set(sequence(objectIdentifier(type), utf8String(value)));
}
