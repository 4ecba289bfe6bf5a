// A certificate as today's dialect spells it.
import { Type, type Static } from 'typebox';
import type { Certificate, Sni } from '../../model/entities.ts';
import { shownKey } from '../certificate-input.ts';
import type { AdminDeps } from '../contract.ts';
import { certificateBytes, ignored, keyBytes, nullable, passphrase, uuid } from '../schemas.ts';

export const tagList = Type.Array(Type.String(), { uniqueItems: true });

export const certificateBody = Type.Object(
  {
    id: Type.Optional(uuid),
    cert: certificateBytes,
    key: Type.Optional(keyBytes),
    cert_alt: Type.Optional(nullable(certificateBytes)),
    key_alt: Type.Optional(nullable(keyBytes)),
    passphrase: Type.Optional(nullable(passphrase)),
    passphrase_alt: Type.Optional(nullable(passphrase)),
    tags: Type.Optional(nullable(tagList)),
    snis: Type.Optional(
      nullable(
        Type.Array(Type.String(), {
          'x-comma-separated': true,
          description: 'Host names and wildcards. A text with commas, as Kong 0.12 took it, works too.',
        }),
      ),
    ),
    created_at: Type.Optional(ignored),
    updated_at: Type.Optional(ignored),
    expires_at: Type.Optional(ignored),
  },
  { additionalProperties: false },
);
export const certificatePatch = Type.Partial(certificateBody, { additionalProperties: false });
export type CertificateFields = Partial<Static<typeof certificateBody>>;

const seconds = Type.Integer({ description: 'Seconds since the epoch.' });
export const certificateAnswer = Type.Object({
  id: uuid,
  cert: Type.String(),
  key: Type.String({ description: '`{sealed:sha256:…}` unless admin_private_keys is visible.' }),
  cert_alt: nullable(Type.String()),
  key_alt: nullable(Type.String()),
  snis: Type.Array(Type.String()),
  tags: nullable(tagList),
  created_at: seconds,
  updated_at: seconds,
  expires_at: Type.Integer({ description: 'Of the sooner of its pairs, seconds since the epoch.' }),
});

/** Every field is there, unset ones as null; times are seconds. */
export function showCertificate(
  deps: AdminDeps,
  certificate: Certificate,
  snis: readonly Pick<Sni, 'name'>[],
): Static<typeof certificateAnswer> {
  const { id, primary, alternative, tags, createdAt, updatedAt } = certificate;
  return {
    id,
    cert: primary.chain,
    key: shownKey(deps, primary),
    cert_alt: alternative?.chain ?? null,
    key_alt: alternative === null ? null : shownKey(deps, alternative),
    snis: snis.map(({ name }) => name).sort(),
    tags: tags.length === 0 ? null : [...tags],
    created_at: Math.floor(createdAt / 1000),
    updated_at: Math.floor(updatedAt / 1000),
    expires_at: Math.floor(Math.min(primary.notAfter, alternative?.notAfter ?? Infinity) / 1000),
  };
}
