// PKCS#12 and PKCS#7 files as other programs write them, made while a test runs.
import { execFileSync } from 'node:child_process';
import { createCipheriv, createHmac, createPrivateKey, pbkdf2Sync, randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { context, integer, nullValue, objectIdentifier, octetString, sequence } from '../../src/x509/write-der.ts';
import type { Issued } from './certificates.ts';

/** Its folder is there for as long as `work` runs. */
export function inFolder<T>(work: (folder: string) => T): T {
  const folder = mkdtempSync(path.join(tmpdir(), 'portunus-containers-'));
  try {
    return work(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

export function run(command: string, ...args: readonly string[]): Buffer {
  return execFileSync(command, args, { stdio: ['ignore', 'pipe', 'pipe'], timeout: 60_000 });
}

export function isInstalled(command: string): boolean {
  try {
    return run('which', command).length > 0;
  } catch {
    return false;
  }
}

/** `openssl pkcs12 -export` of a chain and its key. */
export function pkcs12By(
  issued: Pick<Issued, 'chain' | 'key'>,
  passphrase: string,
  ...options: readonly string[]
): Buffer {
  return inFolder((folder) => {
    const all = path.join(folder, 'all.pem');
    const out = path.join(folder, 'out.p12');
    writeFileSync(all, issued.key + issued.chain);
    run(
      'openssl',
      'pkcs12',
      '-export',
      '-in',
      all,
      '-name',
      'ein Näme',
      '-passout',
      `pass:${passphrase}`,
      '-out',
      out,
      ...options,
    );
    return readFileSync(out);
  });
}

/** `openssl crl2pkcs7` of a chain. */
export function pkcs7By(chain: string, form: 'PEM' | 'DER'): Buffer {
  return inFolder((folder) => {
    const file = path.join(folder, 'chain.pem');
    writeFileSync(file, chain);
    return run('openssl', 'crl2pkcs7', '-nocrl', '-certfile', file, '-outform', form);
  });
}

export interface OwnPkcs12 {
  readonly passphrase: string;
  /** Rounds that its authentication is said to take; one is done. */
  readonly claims?: number;
  /** Certificate bags: the leaf's, that many times. */
  readonly repeat?: number;
}

/** With PBMAC1 (RFC 9579), which OpenSSL before 3.4 does not write; certificates in the clear, the key under PBES2. */
export function pkcs12WithPbmac1({ cert, key }: Issued, { passphrase, claims = 1, repeat = 1 }: OwnPkcs12): Buffer {
  const bag = (type: string, value: Buffer) => sequence(objectIdentifier(type), context(0, value));
  const der = Buffer.from(cert.replaceAll(/-----.*-----|\s/g, ''), 'base64');
  const certificate = bag(certificateBag, sequence(objectIdentifier(x509Certificate), context(0, octetString(der))));
  const pkcs8 = createPrivateKey(key).export({ type: 'pkcs8', format: 'der' });
  const bags = sequence(
    ...Array.from({ length: repeat }, () => certificate),
    bag(shroudedKeyBag, encrypted(pkcs8, passphrase)),
  );
  const safe = sequence(sequence(objectIdentifier(data), context(0, octetString(bags))));
  const salt = randomBytes(8);
  const mac = createHmac('sha512', pbkdf2Sync(passphrase, salt, 1, 32, 'sha256'))
    .update(safe)
    .digest();
  const hmac = sequence(objectIdentifier('1.2.840.113549.2.11'), nullValue());
  const algorithm = sequence(objectIdentifier('1.2.840.113549.1.5.14'), sequence(pbkdf2(salt, claims, 32), hmac));
  const macData = sequence(sequence(algorithm, octetString(mac)), octetString(Buffer.from('unused')), integer(1));
  return sequence(integer(3), sequence(objectIdentifier(data), context(0, octetString(safe))), macData);
}

const data = '1.2.840.113549.1.7.1';
const shroudedKeyBag = '1.2.840.113549.1.12.10.1.2';
const certificateBag = '1.2.840.113549.1.12.10.1.3';
const x509Certificate = '1.2.840.113549.1.9.22.1';

function encrypted(bytes: Buffer, passphrase: string): Buffer {
  const salt = randomBytes(8);
  const iv = randomBytes(16);
  const cipher = createCipheriv('aes-256-cbc', pbkdf2Sync(passphrase, salt, 1, 32, 'sha256'), iv);
  const scheme = sequence(objectIdentifier('2.16.840.1.101.3.4.1.42'), octetString(iv));
  const algorithm = sequence(objectIdentifier('1.2.840.113549.1.5.13'), sequence(pbkdf2(salt, 1), scheme));
  return sequence(algorithm, octetString(Buffer.concat([cipher.update(bytes), cipher.final()])));
}

function pbkdf2(salt: Buffer, rounds: number, length?: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(rounds);
  const count = bytes.subarray(bytes.findIndex((byte) => byte !== 0));
  const prf = sequence(objectIdentifier('1.2.840.113549.2.9'), nullValue());
  const stated = length === undefined ? [] : [integer(length)];
  return sequence(
    objectIdentifier('1.2.840.113549.1.5.12'),
    sequence(octetString(salt), integer(count), ...stated, prf),
  );
}
