// Entities ↔ rows of the tables in schema.ts.
import type { SQLInputValue } from 'node:sqlite';
import type {
  Api,
  Binding,
  CaCertificate,
  Certificate,
  CertificateOwner,
  HostPolicy,
  KeyPair,
  Plugin,
  Sni,
  Token,
} from '../../model/entities.ts';
import type { SqlRow } from './connection.ts';

interface SniRow {
  readonly id: string;
  readonly name: string;
  readonly certificate_id: string;
  readonly tags: string;
  readonly created_at: number;
  readonly updated_at: number;
}

interface BindingRow {
  readonly name: string;
  readonly certificate_id: string;
  readonly holder: 'sni' | 'plugin';
  readonly holder_id: string;
}

interface CertificateRow {
  readonly id: string;
  readonly owner: CertificateOwner['kind'];
  readonly plugin_id: string | null;
  readonly chain: string;
  readonly sealed_key: string;
  readonly public_key_sha256: string;
  readonly fingerprint: string;
  readonly facts: string;
  readonly chain_alt: string | null;
  readonly sealed_key_alt: string | null;
  readonly public_key_sha256_alt: string | null;
  readonly fingerprint_alt: string | null;
  readonly facts_alt: string | null;
  readonly tags: string;
  readonly created_at: number;
  readonly updated_at: number;
}

/** Those of earlier versions lack what was not known then. */
type StoredApi = Omit<Api, 'clientCertificate' | 'hsts'> & Partial<Pick<Api, 'clientCertificate' | 'hsts'>>;

type KeyPairFacts = Omit<KeyPair, 'chain' | 'sealedKey' | 'publicKeySha256' | 'fingerprint'>;

export function toApi(row: SqlRow): Api {
  const { clientCertificate = null, hsts = null, ...rest } = JSON.parse(row['doc'] as string) as StoredApi;
  return { ...rest, clientCertificate, hsts };
}

export function toCaCertificate(row: SqlRow): CaCertificate {
  return JSON.parse(row['doc'] as string) as CaCertificate;
}

export function toHostPolicy(row: SqlRow): HostPolicy {
  return JSON.parse(row['doc'] as string) as HostPolicy;
}

export function toPlugin(row: SqlRow): Plugin {
  return JSON.parse(row['doc'] as string) as Plugin;
}

export function toToken(row: SqlRow): Token {
  return JSON.parse(row['doc'] as string) as Token;
}

export function toSni(sqlRow: SqlRow): Sni {
  const row = sqlRow as unknown as SniRow;
  return {
    id: row.id,
    name: row.name,
    certificateId: row.certificate_id,
    tags: JSON.parse(row.tags) as string[],
    createdAt: row.created_at,
    updatedAt: row.updated_at,
  };
}

export function toBinding(sqlRow: SqlRow): Binding {
  const row = sqlRow as unknown as BindingRow;
  return { name: row.name, certificateId: row.certificate_id, holder: { kind: row.holder, id: row.holder_id } };
}

export function toCertificate(sqlRow: SqlRow): Certificate {
  const row = sqlRow as unknown as CertificateRow;
  return {
    id: row.id,
    owner: toOwner(row),
    primary: toKeyPair(row.chain, row.sealed_key, row.public_key_sha256, row.fingerprint, row.facts),
    alternative:
      row.chain_alt === null
        ? null
        : toKeyPair(
            row.chain_alt,
            row.sealed_key_alt ?? '',
            row.public_key_sha256_alt ?? '',
            row.fingerprint_alt ?? '',
            row.facts_alt ?? '{}',
          ),
    tags: JSON.parse(row.tags) as string[],
    createdAt: row.created_at,
    updatedAt: row.updated_at,
  };
}

/** The columns that `fromCertificate` gives values for, in its order. */
export const certificateColumns: readonly string[] = `
  owner plugin_id
  chain sealed_key public_key_sha256 fingerprint facts
  chain_alt sealed_key_alt public_key_sha256_alt fingerprint_alt facts_alt
  not_after tags created_at updated_at
`
  .trim()
  .split(/\s+/);

export function fromCertificate(certificate: Certificate): readonly SQLInputValue[] {
  const { owner, primary, alternative } = certificate;
  return [
    owner.kind,
    owner.kind === 'plugin' ? owner.pluginId : null,
    ...fromKeyPair(primary),
    ...(alternative === null ? [null, null, null, null, null] : fromKeyPair(alternative)),
    Math.min(primary.notAfter, alternative?.notAfter ?? Infinity),
    JSON.stringify(certificate.tags),
    certificate.createdAt,
    certificate.updatedAt,
  ];
}

function toOwner(row: CertificateRow): CertificateOwner {
  return row.owner === 'plugin' ? { kind: 'plugin', pluginId: row.plugin_id ?? '' } : { kind: row.owner };
}

function toKeyPair(
  chain: string,
  sealedKey: string,
  publicKeySha256: string,
  fingerprint: string,
  facts: string,
): KeyPair {
  return { chain, sealedKey, publicKeySha256, fingerprint, ...(JSON.parse(facts) as KeyPairFacts) };
}

function fromKeyPair(pair: KeyPair): readonly SQLInputValue[] {
  const { chain, sealedKey, publicKeySha256, fingerprint, ...facts } = pair;
  return [chain, sealedKey, publicKeySha256, fingerprint, JSON.stringify(facts)];
}
