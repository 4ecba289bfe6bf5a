// Certificates by the hundred thousand, each its own: a name, a serial number, dates and a signature that no other has,
// as a public authority would issue it. Written from a template, since composing each anew would take ten times as long.
import { createHash, createPublicKey, generateKeyPairSync, type KeyObject, randomBytes, sign } from 'node:crypto';
import { describeCertificate } from '../../src/x509/certificate.ts';
import { encodePem } from '../../src/x509/pem.ts';
import * as der from '../../src/x509/write-der.ts';
import type { KeyPair } from '../../src/model/entities.ts';
import { makeAuthority, makePrivateKey } from '../../test/support/certificates.ts';

/** Keys that the leaves share in turn: making one for each would take longer than all the rest. */
export const distinctKeys = 4096;
/** Leaves expire over as many days from now on. */
export const expireOverDays = 90;

const dayMs = 86_400_000;
const serialBytes = 16;
/** The same length for all, so that a template fits: `c0000001.scale.test`. */
export const nameOf = (number: number): string => `c${String(number).padStart(7, '0')}.scale.test`;

export interface Leaf {
  /** Without its sealed key. */
  readonly pair: Omit<KeyPair, 'sealedKey'>;
  /** PKCS#8 PEM. */
  readonly key: string;
}

interface Template {
  readonly bytes: Buffer;
  readonly namesAt: readonly number[];
  readonly serialAt: number;
  /** notBefore and notAfter, each a UTCTime of 13 characters. */
  readonly datesAt: readonly number[];
  readonly key: string;
  readonly publicKeySha256: string;
}

const ecdsaWithSha256 = der.sequence(der.objectIdentifier('1.2.840.10045.4.3.2'));

/** Leaves for `nameOf(number)`. @throws when what comes out is not what the product reads in it */
export function createLeaves(): (number: number) => Leaf {
  const root = makeAuthority({ keyType: 'rsa', bits: 4096, commonName: 'Scale Root' });
  const signer = makePrivateKey();
  const intermediate = root.intermediate({ privateKey: signer, commonName: 'Scale Intermediate' });
  const chainRest = intermediate.certificate;
  const templates: Template[] = [];
  let checked = false;

  return (number) => {
    const at = number % distinctKeys;
    const template = (templates[at] ??= makeTemplate(signer));
    const leaf = fill(template, number, signer, chainRest);
    if (!checked) check(leaf);
    checked = true;
    return leaf;
  };
}

function fill(template: Template, number: number, signer: KeyObject, chainRest: string): Leaf {
  const name = nameOf(number);
  const serial = randomBytes(serialBytes);
  serial[0] = 1 + ((serial[0] ?? 0) % 126);
  const notBefore = Math.floor(Date.now() / 1000) * 1000 - dayMs;
  // Not in the order of their numbers, as they would not be.
  const notAfter = notBefore + 2 * dayMs + (((number * 7919) % 1_000_000) / 1_000_000) * expireOverDays * dayMs;
  const dates = [notBefore, Math.floor(notAfter / 1000) * 1000] as const;

  const { bytes } = template;
  for (const at of template.namesAt) bytes.write(name, at, 'latin1');
  serial.copy(bytes, template.serialAt);
  for (const [index, at] of template.datesAt.entries()) {
    der
      .time(new Date(dates[index] ?? 0))
      .subarray(2)
      .copy(bytes, at);
  }
  const signed = der.sequence(bytes, ecdsaWithSha256, der.bitString(sign('sha256', bytes, signer)));
  return {
    key: template.key,
    pair: {
      chain: encodePem('CERTIFICATE', signed) + chainRest,
      publicKeySha256: template.publicKeySha256,
      fingerprint: sha256(signed),
      keyType: 'ec',
      keyBits: 256,
      subject: `CN=${name}`,
      issuer: 'O=Test Authority, CN=Scale Intermediate',
      serialNumber: serial.toString('hex').toUpperCase(),
      dnsNames: [name],
      notBefore: dates[0],
      notAfter: dates[1],
    },
  };
}

function makeTemplate(signer: KeyObject): Template {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
  const spki = publicKey.export({ type: 'spki', format: 'der' });
  const name = nameOf(9_999_999);
  const serial = Buffer.alloc(serialBytes, 0x55);
  const date = der.time(new Date('2049-12-31T23:59:59Z'));
  const bytes = der.sequence(
    der.context(0, der.integer(2)),
    der.integer(serial),
    ecdsaWithSha256,
    distinguishedName(['2.5.4.10', 'Test Authority'], ['2.5.4.3', 'Scale Intermediate']),
    der.sequence(date, date),
    distinguishedName(['2.5.4.3', name]),
    spki,
    der.context(3, der.sequence(...extensions(name, spki, signer))),
  );
  return {
    bytes,
    namesAt: positions(bytes, Buffer.from(name)),
    serialAt: positions(bytes, serial)[0] ?? 0,
    datesAt: positions(bytes, date.subarray(2)),
    key: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
    publicKeySha256: sha256(spki),
  };
}

/** What leaves of public authorities carry, of their sizes. */
function extensions(name: string, spki: Buffer, signer: KeyObject): readonly Buffer[] {
  const issuerSpki = createPublicKey(signer).export({ type: 'spki', format: 'der' });
  const uri = (text: string): Buffer => der.context(6, Buffer.from(text), 'primitive');
  const timestamps = randomBytes(358);
  return [
    extension('2.5.29.15', der.bitString(Buffer.from([0x80]), 7), true),
    extension(
      '2.5.29.37',
      der.sequence(der.objectIdentifier('1.3.6.1.5.5.7.3.1'), der.objectIdentifier('1.3.6.1.5.5.7.3.2')),
    ),
    extension('2.5.29.19', der.sequence(), true),
    extension('2.5.29.14', der.octetString(keyIdentifier(spki))),
    extension('2.5.29.35', der.sequence(der.context(0, keyIdentifier(issuerSpki), 'primitive'))),
    extension(
      '1.3.6.1.5.5.7.1.1',
      der.sequence(
        der.sequence(der.objectIdentifier('1.3.6.1.5.5.7.48.1'), uri('http://e5.o.authority.test/')),
        der.sequence(der.objectIdentifier('1.3.6.1.5.5.7.48.2'), uri('http://e5.i.authority.test/')),
      ),
    ),
    extension('2.5.29.17', der.sequence(der.context(2, Buffer.from(name), 'primitive'))),
    extension('2.5.29.32', der.sequence(der.sequence(der.objectIdentifier('2.23.140.1.2.1')))),
    extension(
      '2.5.29.31',
      der.sequence(der.sequence(der.context(0, der.context(0, uri('http://e5.c.authority.test/17.crl'))))),
    ),
    // Signed certificate timestamps, three of them, which nobody verifies here.
    extension('1.3.6.1.4.1.11129.2.4.2', der.octetString(timestamps)),
  ];
}

function extension(oid: string, value: Buffer, critical = false): Buffer {
  return der.sequence(der.objectIdentifier(oid), ...(critical ? [der.boolean(true)] : []), der.octetString(value));
}

function distinguishedName(...attributes: readonly (readonly [string, string])[]): Buffer {
  return der.sequence(
    ...attributes.map(([oid, text]) => der.set(der.sequence(der.objectIdentifier(oid), der.utf8String(text)))),
  );
}

function keyIdentifier(spki: Buffer): Buffer {
  return createHash('sha256').update(spki).digest().subarray(0, 20);
}

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

function positions(bytes: Buffer, wanted: Uint8Array): readonly number[] {
  const found: number[] = [];
  for (let at = bytes.indexOf(wanted); at !== -1; at = bytes.indexOf(wanted, at + 1)) found.push(at);
  return found;
}

function check({ pair }: Leaf): void {
  const { chain, ...facts } = pair;
  const read = describeCertificate(chain);
  for (const [name, value] of Object.entries(facts)) {
    const other = (read as Readonly<Record<string, unknown>> | undefined)?.[name];
    if (JSON.stringify(other) !== JSON.stringify(value)) {
      throw new Error(`a leaf was made whose ${name} reads ${JSON.stringify(other)}, not ${JSON.stringify(value)}`);
    }
  }
}
