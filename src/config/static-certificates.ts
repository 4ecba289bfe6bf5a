// The default certificates of `ssl_cert` and `ssl_cert_key`: read, paired by position, matched. Whether a chain is
// complete, and what clients think of it, is not looked at here.
import { createPrivateKey, X509Certificate } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import type { StaticCertificate } from './config.ts';
import type { PemSource } from './pem-source.ts';

export type StaticCertificates =
  | { readonly kind: 'read'; readonly certificates: readonly StaticCertificate[] }
  | { readonly kind: 'wrong'; readonly problems: readonly StaticCertificateProblem[] };

export interface StaticCertificateProblem {
  readonly name: 'ssl_cert' | 'ssl_cert_key';
  readonly message: string;
  readonly expected: string;
}

/** One of each key type, which is what a client can choose between. */
const certificatesMax = 2;

export function readStaticCertificates(certs: readonly PemSource[], keys: readonly PemSource[]): StaticCertificates {
  const missing = checkCounts(certs.length, keys.length);
  if (missing !== undefined) return { kind: 'wrong', problems: [missing] };
  const problems: StaticCertificateProblem[] = [];
  const certificates: StaticCertificate[] = [];
  const keyTypes = new Set<string | undefined>();
  certs.forEach((cert, index) => {
    const key = keys[index];
    const chain = readChain(cert.pem);
    const privateKey = readKey(key?.pem);
    if (chain === undefined) {
      const message = `ssl_cert: failed loading certificate from ${cert.shown}`;
      problems.push({ name: 'ssl_cert', message, expected: 'the path of a PEM file, PEM text, or base64 of PEM text' });
    }
    if (privateKey === undefined) {
      const message = `ssl_cert_key: failed loading key from ${key?.shown ?? ''}`;
      problems.push({
        name: 'ssl_cert_key',
        message,
        expected: 'a PEM key without a passphrase: its path, text, or base64',
      });
    }
    if (chain === undefined || privateKey === undefined || cert.pem === undefined || key?.pem === undefined) return;
    if (!chain.some((certificate) => certificate.checkPrivateKey(privateKey))) {
      const message = `ssl_cert_key: the key ${key.shown} does not belong to the certificate ${cert.shown}`;
      problems.push({ name: 'ssl_cert_key', message, expected: 'the keys in the order of the certificates' });
    }
    keyTypes.add(privateKey.asymmetricKeyType);
    certificates.push({ chain: cert.pem, key: key.pem });
  });
  if (problems.length === 0 && keyTypes.size < certificates.length) {
    const message = 'ssl_cert: two certificates with the same type of key, of which one would never be served';
    problems.push({
      name: 'ssl_cert',
      message,
      expected: 'one certificate, or one with an RSA and one with an EC key',
    });
  }
  return problems.length > 0 ? { kind: 'wrong', problems } : { kind: 'read', certificates };
}

function checkCounts(certs: number, keys: number): StaticCertificateProblem | undefined {
  const expected = 'as many keys in ssl_cert_key as certificates in ssl_cert, in the same order';
  if (certs > 0 && keys === 0) return { name: 'ssl_cert_key', message: 'ssl_cert_key must be specified', expected };
  if (keys > 0 && certs === 0) return { name: 'ssl_cert', message: 'ssl_cert must be specified', expected };
  if (certs !== keys) {
    const message = `ssl_cert was specified ${certs} times while ssl_cert_key was specified ${keys} times`;
    return { name: 'ssl_cert_key', message, expected };
  }
  if (certs > certificatesMax) {
    const message = `ssl_cert was specified ${certs} times, and ${certificatesMax} is the most`;
    return { name: 'ssl_cert', message, expected: 'one certificate, or one with an RSA and one with an EC key' };
  }
  return undefined;
}

function readChain(pem: string | undefined): readonly X509Certificate[] | undefined {
  const blocks = pem?.match(/-----BEGIN (?:TRUSTED |X509 )?CERTIFICATE-----[^-]+-----END[^-]+-----/g) ?? [];
  try {
    return blocks.length === 0 ? undefined : blocks.map((block) => new X509Certificate(block));
  } catch {
    return undefined;
  }
}

function readKey(pem: string | undefined): KeyObject | undefined {
  try {
    return pem === undefined ? undefined : createPrivateKey(pem);
  } catch {
    return undefined;
  }
}
