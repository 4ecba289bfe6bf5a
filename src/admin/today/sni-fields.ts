// An SNI as today's dialect spells it; Kong 0.12's `ssl_certificate_id` is understood too.
import { Type, type Static } from 'typebox';
import type { Sni } from '../../model/entities.ts';
import { ignored, nullable, uuid } from '../schemas.ts';
import { tagList } from './certificate-fields.ts';

export const sniBody = Type.Object(
  {
    id: Type.Optional(uuid),
    name: Type.Optional(Type.String({ description: 'A host name, `*.example.com`, `example.*` or `*`.' })),
    certificate: Type.Optional(Type.Object({ id: uuid }, { additionalProperties: false })),
    ssl_certificate_id: Type.Optional(Type.String({ format: 'uuid', description: 'Kong 0.12: certificate.id.' })),
    tags: Type.Optional(nullable(tagList)),
    created_at: Type.Optional(ignored),
    updated_at: Type.Optional(ignored),
  },
  { additionalProperties: false },
);

const seconds = Type.Integer({ description: 'Seconds since the epoch.' });
export const sniAnswer = Type.Object({
  id: uuid,
  name: Type.String(),
  certificate: Type.Object({ id: uuid }),
  tags: nullable(tagList),
  created_at: seconds,
  updated_at: seconds,
});

export function showSni(sni: Sni): Static<typeof sniAnswer> {
  return {
    id: sni.id,
    name: sni.name,
    certificate: { id: sni.certificateId },
    tags: sni.tags.length === 0 ? null : [...sni.tags],
    created_at: Math.floor(sni.createdAt / 1000),
    updated_at: Math.floor(sni.updatedAt / 1000),
  };
}
