// Building blocks of the TypeBox schemas that bodies are decoded with and /openapi.json is made of.
import { Type, type TSchema } from 'typebox';

export const uuid = Type.String({ format: 'uuid' });

/** PEM text; in a multipart part DER too. */
export const certificateBytes = Type.Unsafe<string | Uint8Array>({
  type: 'string',
  'x-bytes': true,
  description: 'PEM: the certificate and its intermediates, in any order. In multipart/form-data also DER.',
});
export const keyBytes = Type.Unsafe<string | Uint8Array>({
  type: 'string',
  'x-bytes': true,
  description:
    'PEM: PKCS#8, PKCS#1 or SEC1, plain or encrypted. In multipart/form-data also DER. `{sealed:sha256:…}` keeps the stored key.',
});
export const passphrase = Type.String({ description: 'Opens an encrypted key. Never stored, never answered.' });

export function nullable<S extends TSchema>(schema: S) {
  return Type.Union([schema, Type.Null()]);
}

/** A field that is answered and may be sent back, and has no effect when it is. */
export const ignored = Type.Unsafe<unknown>({ 'x-ignored': true, description: 'Answered; ignored when sent.' });
