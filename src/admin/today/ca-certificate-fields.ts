// A CA certificate as today's dialect spells it, and its revocation list, which Kong has no field for.
import { Type, type Static } from 'typebox';
import { expiryOf, type CaCertificate } from '../../model/entities.ts';
import { certificateBytes, ignored, nullable, uuid } from '../schemas.ts';
import { tagList } from './certificate-fields.ts';

const crlBytes = Type.Unsafe<string | Uint8Array>({
  type: 'string',
  'x-bytes': true,
  description: 'PEM: what it has revoked, signed by it. In multipart/form-data also DER.',
});

export const caCertificateBody = Type.Object(
  {
    id: Type.Optional(uuid),
    cert: certificateBytes,
    crl: Type.Optional(nullable(crlBytes)),
    tags: Type.Optional(nullable(tagList)),
    cert_digest: Type.Optional(ignored),
    expires_at: Type.Optional(ignored),
    created_at: Type.Optional(ignored),
    updated_at: Type.Optional(ignored),
  },
  { additionalProperties: false },
);
export const caCertificatePatch = Type.Partial(caCertificateBody, { additionalProperties: false });
export type CaCertificateFields = Partial<Static<typeof caCertificateBody>>;

const seconds = Type.Integer({ description: 'Seconds since the epoch.' });
export const caCertificateAnswer = Type.Object({
  id: uuid,
  cert: Type.String(),
  cert_digest: Type.String({ description: 'SHA-256 of its DER, hex.' }),
  crl: nullable(Type.String()),
  tags: nullable(tagList),
  created_at: seconds,
  updated_at: seconds,
  expires_at: Type.Integer({ description: 'When it, or its list, runs out: seconds since the epoch.' }),
});

export function showCaCertificate(authority: CaCertificate): Static<typeof caCertificateAnswer> {
  const { id, certificate, fingerprint, crl, tags, createdAt, updatedAt } = authority;
  return {
    id,
    cert: certificate,
    cert_digest: fingerprint,
    crl,
    tags: tags.length === 0 ? null : [...tags],
    created_at: Math.floor(createdAt / 1000),
    updated_at: Math.floor(updatedAt / 1000),
    expires_at: Math.floor(expiryOf(authority) / 1000),
  };
}
