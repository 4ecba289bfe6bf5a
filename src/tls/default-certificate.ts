// The default certificate of the configuration (`ssl_cert`, `ssl_cert_key`) as a record like any other. Its keys come
// in the clear, so they are kept here and opened by the pair they belong to.
import { createHash, createPrivateKey, X509Certificate } from 'node:crypto';
import type { CertificateRecord, SealedPair } from '../catalog/contract.ts';
import { PortunusError } from '../lib/errors.ts';
import type { TlsSettings } from './settings.ts';

export interface DefaultCertificate {
  /** undefined when the configuration gives none. */
  readonly record: CertificateRecord | undefined;
  /** The key of one of the record's own pairs, undefined for all others. */
  openKey(pair: SealedPair): Buffer | undefined;
}

/** No id of the store has this form. */
const configuredCertificateId = 'ssl_cert';

/** @throws DEFAULT_CERTIFICATE_UNUSABLE when a certificate or key cannot be read or they do not belong together */
export function readDefaultCertificate(certificates: TlsSettings['sslCertificates']): DefaultCertificate {
  const keys = new Map<SealedPair, string>();
  for (const [index, { chain, key }] of certificates.entries()) {
    const leaf = readPair(chain, key, index + 1);
    const publicKey = leaf.publicKey.export({ type: 'spki', format: 'der' });
    const pair = { chain, sealedKey: '', publicKeySha256: sha256(publicKey), fingerprint: sha256(leaf.raw) };
    keys.set(pair, key);
  }
  const pairs = [...keys.keys()];
  return {
    record: pairs.length === 0 ? undefined : { id: configuredCertificateId, revision: 0, pairs },
    openKey(pair) {
      const key = keys.get(pair);
      return key === undefined ? undefined : Buffer.from(key);
    },
  };
}

function readPair(chain: string, key: string, position: number): X509Certificate {
  let matches: boolean;
  let leaf: X509Certificate;
  try {
    leaf = new X509Certificate(chain);
    matches = leaf.checkPrivateKey(createPrivateKey(key));
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown';
    throw unusable(position, `cannot be read (${code})`);
  }
  if (!matches) throw unusable(position, 'has a key that does not belong to it');
  return leaf;
}

function unusable(position: number, problem: string): PortunusError {
  return new PortunusError('DEFAULT_CERTIFICATE_UNUSABLE', `Certificate ${position} of ssl_cert ${problem}.`, {
    field: 'ssl_cert',
    hint: 'Give one unencrypted key in ssl_cert_key for each certificate of ssl_cert, in the same order.',
  });
}

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}
