// Entities ↔ rows. The columns and their values are those of the embedded store, so its encoding is used.
import {
  expiryOf,
  type Api,
  type Binding,
  type CaCertificate,
  type Certificate,
  type HostPolicy,
  type Plugin,
  type Sni,
  type Token,
} from '../../model/entities.ts';
import type { Expiry } from '../contract.ts';
import * as sqlite from '../sqlite/encoding.ts';
import type { PgRow } from './client.ts';

type StoredRow = Parameters<typeof sqlite.toApi>[0];

/** A row as an object for json_populate_recordset. */
export type NewRow = Readonly<Record<string, string | number | null>>;

export const toApi = (row: PgRow): Api => sqlite.toApi(row as StoredRow);
export const toPlugin = (row: PgRow): Plugin => sqlite.toPlugin(row as StoredRow);
export const toSni = (row: PgRow): Sni => sqlite.toSni(row as StoredRow);
export const toToken = (row: PgRow): Token => sqlite.toToken(row as StoredRow);
export const toCaCertificate = (row: PgRow): CaCertificate => sqlite.toCaCertificate(row as StoredRow);
export const toHostPolicy = (row: PgRow): HostPolicy => sqlite.toHostPolicy(row as StoredRow);
export const toBinding = (row: PgRow): Binding => sqlite.toBinding(row as StoredRow);
export const toCertificate = (row: PgRow): Certificate => sqlite.toCertificate(row as StoredRow);

export const toExpiry = (row: PgRow): Expiry => sqlite.toExpiry(row as StoredRow);

export function fromApi(api: Api): NewRow {
  return { id: api.id, name: api.name, doc: JSON.stringify(api) };
}

export function fromPlugin(plugin: Plugin): NewRow {
  const { id, name, apiId, certificateId, enabled } = plugin;
  return {
    id,
    name,
    api_id: apiId,
    certificate_id: certificateId,
    enabled: Number(enabled),
    doc: JSON.stringify(plugin),
  };
}

export function fromCertificate(certificate: Certificate): NewRow {
  const values = sqlite.fromCertificate(certificate) as readonly (string | number | null)[];
  return {
    id: certificate.id,
    ...Object.fromEntries(sqlite.certificateColumns.map((column, index) => [column, values[index] ?? null])),
  };
}

export function fromSni({ id, name, certificateId, tags, createdAt, updatedAt }: Sni): NewRow {
  return {
    id,
    name,
    certificate_id: certificateId,
    tags: JSON.stringify(tags),
    created_at: createdAt,
    updated_at: updatedAt,
  };
}

export function fromToken(token: Token): NewRow {
  const { id, name, prefix } = token;
  return { id, name, prefix, doc: JSON.stringify(token) };
}

export function fromCaCertificate(authority: CaCertificate): NewRow {
  const { id, fingerprint, subject, tags } = authority;
  return {
    id,
    fingerprint,
    subject,
    doc: JSON.stringify(authority),
    not_after: expiryOf(authority),
    tags: JSON.stringify(tags),
  };
}

export function fromHostPolicy(policy: HostPolicy): NewRow {
  return { id: policy.id, name: policy.name, doc: JSON.stringify(policy) };
}

export function fromBinding({ name, certificateId, holder }: Binding): NewRow {
  return { name, certificate_id: certificateId, holder: holder.kind, holder_id: holder.id };
}
