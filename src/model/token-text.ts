// What the holder of a token keeps: `ptn_<prefix>_<secret>`. The prefix finds the token, the secret proves it; of the secret
// only a hash is stored, which a plain SHA-256 is enough for, since nobody guesses 32 random bytes.
import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';

const form = /^ptn_([0-9a-f]{16})_([A-Za-z0-9_-]{43})$/;

export interface FreshToken {
  /** A secret, which is nowhere kept. */
  readonly text: string;
  readonly prefix: string;
  readonly hash: string;
}

export function makeTokenText(): FreshToken {
  const prefix = randomBytes(8).toString('hex');
  const secret = randomBytes(32).toString('base64url');
  return { text: `ptn_${prefix}_${secret}`, prefix, hash: hashOf(secret).toString('hex') };
}

/** Undefined when it is no token. */
export function parseTokenText(text: string): { readonly prefix: string; readonly secret: string } | undefined {
  const [, prefix, secret] = form.exec(text) ?? [];
  return prefix === undefined || secret === undefined ? undefined : { prefix, secret };
}

/** Takes the same time wherever they differ. @param hash hex, as it is stored */
export function isSecretOf(hash: string, secret: string): boolean {
  const stored = Buffer.from(hash, 'hex');
  const sent = hashOf(secret);
  return stored.length === sent.length && timingSafeEqual(stored, sent);
}

function hashOf(secret: string): Buffer {
  return createHash('sha256').update(secret).digest();
}
