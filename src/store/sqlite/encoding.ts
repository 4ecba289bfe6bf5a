// Entities ↔ rows of the tables in schema.ts. Every row has its entity, whatever its documents hold, so that it can be listed,
// replaced and deleted.
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
import {
  readApi,
  readCaCertificate,
  readDoc,
  readHostPolicy,
  readPlugin,
  readTexts,
  readToken,
} from '../../model/stored-doc.ts';
import type { Expiry } from '../contract.ts';
import type { SqlRow } from './connection.ts';

/** Each table has those of them that tell its rows apart. */
interface DocRow {
  readonly id: string;
  readonly name: string;
  readonly fingerprint: string;
  readonly prefix: string;
  readonly doc: string;
}

interface SniRow {
  readonly id: string;
  readonly name: string;
  readonly certificate_id: string;
  readonly tags: string;
  readonly created_at: number;
  readonly updated_at: number;
}

interface PluginRow {
  readonly id: string;
  readonly api_id: string | null;
  readonly enabled: number;
  readonly certificate_id: string;
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
  readonly not_after: number;
  readonly tags: string;
  readonly created_at: number;
  readonly updated_at: number;
}

type KeyPairFacts = Omit<KeyPair, 'chain' | 'sealedKey' | 'publicKeySha256' | 'fingerprint'>;

export function toApi(row: SqlRow): Api {
  const { id, name, doc } = row as unknown as DocRow;
  return readApi(doc, { id, name }).entity;
}

export function toCaCertificate(row: SqlRow): CaCertificate {
  const { id, fingerprint, doc } = row as unknown as DocRow;
  return readCaCertificate(doc, { id, fingerprint }).entity;
}

export function toHostPolicy(row: SqlRow): HostPolicy {
  const { id, name, doc } = row as unknown as DocRow;
  return readHostPolicy(doc, { id, name }).entity;
}

export function toPlugin(row: SqlRow): Plugin {
  return readPlugin(row['doc'] as string, pluginColumns(row)).entity;
}

export function toToken(row: SqlRow): Token {
  const { id, name, prefix, doc } = row as unknown as DocRow;
  return readToken(doc, { id, name, prefix });
}

/** @param row with `facts` beside the columns of an Expiry, of which `name` may be null */
export function toExpiry(row: SqlRow): Expiry {
  const { id, notAfter, name, facts } = row as unknown as {
    id: string;
    notAfter: number;
    name: string | null;
    facts: string;
  };
  return { id, notAfter, name: name ?? readFacts(facts, notAfter).subject };
}

function pluginColumns(row: SqlRow): Pick<Plugin, 'id' | 'apiId' | 'enabled' | 'certificateId'> {
  const { id, api_id, enabled, certificate_id } = row as unknown as PluginRow;
  return { id, apiId: api_id, enabled: enabled !== 0, certificateId: certificate_id };
}

export function toSni(sqlRow: SqlRow): Sni {
  const row = sqlRow as unknown as SniRow;
  return {
    id: row.id,
    name: row.name,
    certificateId: row.certificate_id,
    tags: readTexts(row.tags),
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
    primary: toKeyPair(row, row.chain, row.sealed_key, row.public_key_sha256, row.fingerprint, row.facts),
    alternative:
      row.chain_alt === null
        ? null
        : toKeyPair(
            row,
            row.chain_alt,
            row.sealed_key_alt ?? '',
            row.public_key_sha256_alt ?? '',
            row.fingerprint_alt ?? '',
            row.facts_alt ?? '{}',
          ),
    tags: readTexts(row.tags),
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

const emptyFacts: KeyPairFacts = {
  keyType: 'ec',
  keyBits: 0,
  subject: '',
  issuer: '',
  serialNumber: '',
  dnsNames: [],
  notBefore: 0,
  notAfter: 0,
};

function toKeyPair(
  row: Pick<CertificateRow, 'not_after'>,
  chain: string,
  sealedKey: string,
  publicKeySha256: string,
  fingerprint: string,
  facts: string,
): KeyPair {
  return { chain, sealedKey, publicKeySha256, fingerprint, ...readFacts(facts, row.not_after) };
}

function readFacts(facts: string, notAfter: number): KeyPairFacts {
  return readDoc<KeyPairFacts>(facts, { ...emptyFacts, notAfter }).entity;
}

function fromKeyPair(pair: KeyPair): readonly SQLInputValue[] {
  const { chain, sealedKey, publicKeySha256, fingerprint, ...facts } = pair;
  return [chain, sealedKey, publicKeySha256, fingerprint, JSON.stringify(facts)];
}
