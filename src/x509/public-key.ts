// What a key is, from its public half: type, size, hash; and whether TLS servers can use it. The private half is
// private-key.ts's.
import { createHash, createPublicKey, type KeyObject } from 'node:crypto';
import { childrenOf, objectIdentifierOf, readElement, tags } from './read-der.ts';

export type KeyType = 'rsa' | 'ec' | 'ed25519' | 'ed448';

/** RSA: a longer modulus makes every handshake a burden, on us alone. */
export const rsaMaxBits = 8192;

export interface PublicKeyFacts {
  /** Undefined: a kind that TLS servers do not use, named by `kind`. */
  readonly type: KeyType | undefined;
  /** As a person would say it: `RSA 2048`, `EC P-256`, `EC secp256k1`, `DSA`. */
  readonly kind: string;
  /** RSA: modulus bits. EC: curve bits. */
  readonly bits: number;
  /** SHA-256 of the DER SubjectPublicKeyInfo, hex. */
  readonly sha256: string;
  readonly curve: string | undefined;
  readonly exponent: bigint | undefined;
}

export type Strength =
  | { readonly kind: 'enough' }
  /** Fine, but few clients take it. */
  | { readonly kind: 'rare' }
  | { readonly kind: 'weak'; readonly floor: string }
  | { readonly kind: 'unsupported' };

/**
 * @param encoded the key as a certificate holds it: it need not be encoded again where there is one way only
 * @throws what node:crypto throws for keys that it cannot export
 */
export function publicKeyFacts(key: KeyObject, encoded?: Uint8Array): PublicKeyFacts {
  const spki = encoded !== undefined && isUsualForm(encoded) ? encoded : encode(key);
  const sha256 = createHash('sha256').update(spki).digest('hex');
  const details = key.asymmetricKeyDetails ?? {};
  const curve = namesItsCurve(spki) ? details.namedCurve : undefined;
  const common = { sha256, curve, exponent: details.publicExponent };
  const name = key.asymmetricKeyType ?? 'unknown';
  if (name === 'rsa') {
    const bits = details.modulusLength ?? 0;
    return { ...common, type: 'rsa', kind: `RSA ${bits}`, bits };
  }
  if (name === 'ec') {
    const kind = `EC ${curves[curve ?? '']?.name ?? curve ?? 'with its curve spelled out instead of named'}`;
    return { ...common, type: 'ec', kind, bits: curveBits(details.namedCurve ?? '') };
  }
  if (name === 'ed25519') return { ...common, type: 'ed25519', kind: 'Ed25519', bits: 256 };
  if (name === 'ed448') return { ...common, type: 'ed448', kind: 'Ed448', bits: 456 };
  return { ...common, type: undefined, kind: name.toUpperCase(), bits: details.modulusLength ?? 0 };
}

/** Whether a server may use it: RFC 8446 section 4.2.3 for the curves, `minRsaBits` for RSA. */
export function strengthOf(facts: PublicKeyFacts, minRsaBits: number): Strength {
  if (facts.type === 'rsa') {
    if (facts.bits < minRsaBits) return { kind: 'weak', floor: `RSA ${minRsaBits}` };
    if ((facts.exponent ?? 0n) < 3n) return { kind: 'weak', floor: 'a public exponent of 3' };
    return { kind: facts.bits > rsaMaxBits ? 'unsupported' : 'enough' };
  }
  if (facts.type === 'ec') {
    if (facts.bits < 256) return { kind: 'weak', floor: 'P-256' };
    // Beside being useless to most clients: Node 24 crashes where it describes a peer that has a Brainpool key.
    return { kind: curves[facts.curve ?? '']?.use ?? 'unsupported' };
  }
  return { kind: facts.type === undefined ? 'unsupported' : 'rare' };
}

const curves: Readonly<Record<string, { readonly name: string; readonly use: 'enough' | 'rare' }>> = {
  prime256v1: { name: 'P-256', use: 'enough' },
  secp384r1: { name: 'P-384', use: 'enough' },
  secp521r1: { name: 'P-521', use: 'rare' },
};

function encode(key: KeyObject): Uint8Array {
  const publicKey = key.type === 'private' ? createPublicKey(key) : key;
  return publicKey.export({ type: 'spki', format: 'der' });
}

/** RSA with NULL for parameters (RFC 3279 section 2.3.1), or an uncompressed point of a named curve (RFC 5480 section 2). */
function isUsualForm(spki: Uint8Array): boolean {
  const [algorithm, key] = childrenOf(readElement(spki));
  const [kind, parameters] = childrenOf(algorithm);
  const name = objectIdentifierOf(kind);
  if (name === '1.2.840.113549.1.1.1') return parameters?.tag === tags.null && parameters.content.length === 0;
  const isUncompressed = key?.tag === tags.bitString && key.content[0] === 0 && key.content[1] === 4;
  return name === '1.2.840.10045.2.1' && parameters?.tag === tags.objectIdentifier && isUncompressed;
}

/** RFC 5480 section 2.1.1: explicit parameters are forbidden, even when they are those of a known curve. */
function namesItsCurve(spki: Uint8Array): boolean {
  return childrenOf(childrenOf(readElement(spki))[0])[1]?.tag === tags.objectIdentifier;
}

/** OpenSSL's names hold the size: `prime192v1`, `secp224r1`, `brainpoolP256r1`. Explicit parameters have none. */
function curveBits(curve: string): number {
  return Number(/\d{3}/.exec(curve)?.[0] ?? 256);
}
