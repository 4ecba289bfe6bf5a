// Sealing of private keys: AES-256-GCM under a fresh data key for each record, which is itself sealed under a master key of
// the keyring. Where keyrings come from is in keyring.ts.
import { createCipheriv, createDecipheriv, createSecretKey, randomBytes, type KeyObject } from 'node:crypto';
import { PortunusError } from '../lib/errors.ts';
import type { Keyring } from './keyring.ts';
import type { Sealer } from './sealer.ts';

const version = 'v1';
const nonceBytes = 12;
const tagBytes = 16;
const keyBytes = 32;

/**
 * The sealed form is text: `v1.<master key id>.<data key>.<content>`, the last two base64url of nonce, ciphertext and tag.
 * Version, key id and binding are authenticated with both. A master key may seal 2^32 records before its random nonces
 * come too close (NIST SP 800-38D, section 8.3).
 */
export function createSealer(keyring: Keyring): Sealer {
  const [current] = keyring.keys;
  const secrets = new Map(keyring.keys.map((key) => [key.id, key.secret]));

  return {
    keyIds: [current.id, ...keyring.keys.slice(1).map((key) => key.id)],
    keyIdOf: (sealed) => /^v1\.([^.]*)\./.exec(sealed)?.[1],
    seal(plain, binding) {
      const context = contextOf(current.id, binding);
      const dataKey = randomBytes(keyBytes);
      const bytes = Buffer.from(plain);
      try {
        const wrapped = encrypt(current.secret, dataKey, `key\0${context}`);
        const content = encrypt(createSecretKey(dataKey), bytes, `content\0${context}`);
        return [version, current.id, wrapped.toString('base64url'), content.toString('base64url')].join('.');
      } finally {
        dataKey.fill(0);
        bytes.fill(0);
      }
    },
    open(sealed, binding) {
      const [form, keyId, wrapped, content, ...rest] = sealed.split('.');
      if (
        form !== version ||
        keyId === undefined ||
        wrapped === undefined ||
        content === undefined ||
        rest.length > 0
      ) {
        throw mismatch('Sealed content is not in a form that this version knows.');
      }
      const secret = secrets.get(keyId);
      if (secret === undefined) {
        throw mismatch(
          `The keyring has no key ${printable(keyId)}, under which the store's private keys are sealed; it holds ${[...secrets.keys()].join(', ')}.`,
          { keyId: printable(keyId) },
        );
      }
      const context = contextOf(keyId, binding);
      const dataKey = decrypt(secret, wrapped, `key\0${context}`);
      try {
        if (dataKey?.length === keyBytes) {
          const plain = decrypt(createSecretKey(dataKey), content, `content\0${context}`);
          if (plain !== undefined) return plain;
        }
      } finally {
        dataKey?.fill(0);
      }
      throw mismatch(
        `Content sealed under the key ${keyId} does not open: it was altered, or the key is another one.`,
        {
          keyId,
        },
      );
    },
  };
}

function contextOf(keyId: string, binding: string): string {
  return `portunus ${version}\0${keyId}\0${binding}`;
}

function encrypt(key: KeyObject, plain: Uint8Array, context: string): Buffer {
  const nonce = randomBytes(nonceBytes);
  const cipher = createCipheriv('aes-256-gcm', key, nonce, { authTagLength: tagBytes });
  cipher.setAAD(Buffer.from(context));
  return Buffer.concat([nonce, cipher.update(plain), cipher.final(), cipher.getAuthTag()]);
}

/** @returns undefined when the text is not exactly what `encrypt` made with this key and context */
function decrypt(key: KeyObject, text: string, context: string): Buffer | undefined {
  const bytes = Buffer.from(text, 'base64url');
  // The decoder forgives stray characters and unused bits; altered text must not open.
  if (bytes.length < nonceBytes + tagBytes || bytes.toString('base64url') !== text) return undefined;
  const decipher = createDecipheriv('aes-256-gcm', key, bytes.subarray(0, nonceBytes), { authTagLength: tagBytes });
  decipher.setAAD(Buffer.from(context));
  decipher.setAuthTag(bytes.subarray(-tagBytes));
  // All of it: GCM keeps nothing back for the end. So no second copy of a key is left anywhere.
  const plain = decipher.update(bytes.subarray(nonceBytes, -tagBytes));
  try {
    decipher.final();
    return plain;
  } catch {
    plain.fill(0);
    return undefined;
  }
}

function mismatch(message: string, facts: Readonly<Record<string, unknown>> = {}): PortunusError {
  return new PortunusError('KEYRING_MISMATCH', message, {
    facts,
    hint: 'Give the keyring that was in use when the store was written.',
  });
}

function printable(keyId: string): string {
  return /^[A-Za-z0-9_-]{1,64}$/.test(keyId) ? keyId : '(unreadable id)';
}
