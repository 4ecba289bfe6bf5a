// Building blocks of the TypeBox schemas that bodies are decoded with and /openapi.json is made of.
import { Type, type TSchema } from 'typebox';

export const uuid = Type.String({ format: 'uuid' });

/** PEM text, or base64 of DER; in a multipart part the bytes of a file too. */
export const certificateBytes = Type.Unsafe<string | Uint8Array>({
  type: 'string',
  'x-bytes': true,
  description:
    'The certificate and its intermediates, in any order: PEM, DER, PKCS#7 (.p7b) or PKCS#12 (.p12, .pfx), which holds the key too. What is binary: as a file of multipart/form-data, or in base64.',
});
export const keyBytes = Type.Unsafe<string | Uint8Array>({
  type: 'string',
  'x-bytes': true,
  description:
    'PKCS#8, PKCS#1 or SEC1, plain or encrypted: PEM or DER. What is binary: as a file of multipart/form-data, or in base64. `{sealed:sha256:…}` keeps the stored key.',
});
export const passphrase = Type.String({
  description: 'Opens an encrypted key or a PKCS#12 file. Never stored, never answered.',
});

export function nullable<S extends TSchema>(schema: S) {
  return Type.Union([schema, Type.Null()]);
}

/** A field that is answered and may be sent back, and has no effect when it is. */
export const ignored = Type.Unsafe<unknown>({ 'x-ignored': true, description: 'Answered; ignored when sent.' });
