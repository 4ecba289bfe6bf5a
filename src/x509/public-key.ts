// What a key is, from its public half: type, size, hash; and whether TLS servers can use it. The private half is
// private-key.ts's. Size and curve are read from the DER: asked for those of a hostile key, Node leaves an error of OpenSSL's
// behind, and whatever the thread does next fails of it, be it somebody else's connection.
import { createHash, createPublicKey, type KeyObject } from 'node:crypto';
import { childrenOf, integerOf, objectIdentifierOf, readElement, tags, type Element } from './read-der.ts';

export type KeyType = 'rsa' | 'ec' | 'ed25519' | 'ed448';

/** RSA: a longer modulus makes every handshake a burden, on us alone. */
export const rsaMaxBits = 8192;

export interface PublicKeyFacts {
  /** Undefined: a kind that TLS servers do not use, named by `kind`. */
  readonly type: KeyType | undefined;
  /** As a person would say it: `RSA 2048`, `EC P-256`, `EC secp256k1`, `DSA`. */
  readonly kind: string;
  /** RSA and DSA: modulus bits. EC: curve bits. 0: a kind or a curve that is not known. */
  readonly bits: number;
  /** SHA-256 of the DER SubjectPublicKeyInfo, hex. */
  readonly sha256: string;
  /** Dotted. Undefined: no curve, or one that is spelled out instead of named. */
  readonly curve: string | undefined;
  /** RSA: infinite when it has more than six bytes. */
  readonly exponent: number | undefined;
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
  const [algorithm, bits] = childrenOf(readElement(spki));
  const common = { sha256, curve: undefined, exponent: undefined };
  const name = key.asymmetricKeyType ?? 'unknown';
  if (name === 'rsa' || name === 'rsa-pss') {
    const [modulus, exponent] = childrenOf(readElement(bits?.content.subarray(1) ?? new Uint8Array()));
    const facts = { ...common, bits: bitsOf(modulus), exponent: integerOf(exponent) };
    return name === 'rsa'
      ? { ...facts, type: 'rsa', kind: `RSA ${facts.bits}` }
      : { ...facts, type: undefined, kind: 'RSA-PSS' };
  }
  if (name === 'ec') {
    // RFC 5480 section 2.1.1: parameters spelled out are forbidden, even when they are those of a known curve.
    const curve = objectIdentifierOf(childrenOf(algorithm)[1]) || undefined;
    const known = curves[curve ?? ''];
    const kind = `EC ${known?.name ?? curve ?? 'with its curve spelled out instead of named'}`;
    return { ...common, type: 'ec', kind, curve, bits: known?.bits ?? 0 };
  }
  if (name === 'ed25519') return { ...common, type: 'ed25519', kind: 'Ed25519', bits: 256 };
  if (name === 'ed448') return { ...common, type: 'ed448', kind: 'Ed448', bits: 456 };
  const [prime] = name === 'dsa' ? childrenOf(childrenOf(algorithm)[1]) : [];
  return { ...common, type: undefined, kind: name.toUpperCase(), bits: bitsOf(prime) };
}

/** Whether a server may use it: RFC 8446 section 4.2.3 for the curves, `minRsaBits` for RSA. */
export function strengthOf(facts: PublicKeyFacts, minRsaBits: number): Strength {
  if (facts.type === 'rsa') {
    if (facts.bits < minRsaBits) return { kind: 'weak', floor: `RSA ${minRsaBits}` };
    if ((facts.exponent ?? 0) < 3) return { kind: 'weak', floor: 'a public exponent of 3' };
    return { kind: facts.bits > rsaMaxBits ? 'unsupported' : 'enough' };
  }
  if (facts.type === 'ec') {
    const known = curves[facts.curve ?? ''];
    if (known !== undefined && known.bits < 256) return { kind: 'weak', floor: 'P-256' };
    // Beside being useless to most clients: Node 24 crashes where it describes a peer that has a Brainpool key.
    return { kind: known?.use ?? 'unsupported' };
  }
  return { kind: facts.type === undefined ? 'unsupported' : 'rare' };
}

interface Curve {
  readonly name: string;
  readonly bits: number;
  readonly use?: 'enough' | 'rare';
}

/** Those that TLS servers use, and those that people have keys on all the same. */
const curves: Readonly<Record<string, Curve>> = {
  '1.2.840.10045.3.1.7': { name: 'P-256', bits: 256, use: 'enough' },
  '1.3.132.0.34': { name: 'P-384', bits: 384, use: 'enough' },
  '1.3.132.0.35': { name: 'P-521', bits: 521, use: 'rare' },
  '1.2.840.10045.3.1.1': { name: 'P-192', bits: 192 },
  '1.3.132.0.33': { name: 'P-224', bits: 224 },
  '1.3.132.0.10': { name: 'secp256k1', bits: 256 },
  '1.3.36.3.3.2.8.1.1.7': { name: 'brainpoolP256r1', bits: 256 },
  '1.3.36.3.3.2.8.1.1.11': { name: 'brainpoolP384r1', bits: 384 },
  '1.3.36.3.3.2.8.1.1.13': { name: 'brainpoolP512r1', bits: 512 },
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

/** Of a number's magnitude. */
function bitsOf(number: Element | undefined): number {
  if (number?.tag !== tags.integer) return 0;
  const start = number.content.findIndex((byte) => byte !== 0);
  return start === -1 ? 0 : (number.content.length - start) * 8 - Math.clz32(number.content[start] ?? 0) + 24;
}
