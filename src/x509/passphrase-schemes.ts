// What a passphrase does in a PKCS#12 file: it becomes keys, over many rounds, for ciphers (RFC 7292 appendix B and C, RFC 8018) and
// for the check of integrity. Each caller has a budget of rounds, and what would go over it is refused before it is begun.
import { createDecipheriv, createHash, createHmac, pbkdf2Sync, timingSafeEqual } from 'node:crypto';
import { decryptRc2 } from './rc2.ts';
import { childrenOf, integerOf, objectIdentifierOf, tags, type Element } from './read-der.ts';

/** One way to write a passphrase down: as UTF-8 for PBES2, and as UTF-16 with a zero behind it for what is older. */
export interface Passphrase {
  readonly utf8: Buffer;
  readonly utf16: Buffer;
}

export function passphraseOf(text: string): Passphrase {
  return { utf8: Buffer.from(text, 'utf8'), utf16: Buffer.from(`${text}\0`, 'utf16le').swap16() };
}

/** What some write where there is no passphrase; others write the empty one. */
export const noPassphrase: Passphrase = { utf8: Buffer.alloc(0), utf16: Buffer.alloc(0) };

/** The derivation of PBES2 is OpenSSL's; that of PKCS#12 is done here, and takes four times as long. */
export type Derivation = 'pbkdf2' | 'pkcs12';

/** Takes that many rounds from what is left. @throws when there are not as many */
export type SpendRounds = (derivation: Derivation, rounds: number) => void;

/** What is left to do once the passphrase is there. */
type Scheme<Result> = (passphrase: Passphrase, bytes: Uint8Array, spend: SpendRounds) => Result;

/**
 * How an AlgorithmIdentifier says bytes were encrypted; undefined when it is no way that we know. Decrypting gives undefined when
 * the passphrase is wrong or the bytes are damaged.
 */
export function decryptionOf(algorithm: Element | undefined): Scheme<Buffer | undefined> | undefined {
  const [scheme, parameters] = childrenOf(algorithm);
  const name = objectIdentifierOf(scheme);
  if (name === pbes2) return pbes2Of(childrenOf(parameters));
  const cipher = pkcs12Ciphers[name];
  const [salt, rounds] = saltAndRounds(childrenOf(parameters));
  if (cipher === undefined || salt === undefined || rounds === undefined) return undefined;
  return ({ utf16 }, cipherText, spend) => {
    const derive = (purpose: Purpose, length: number) =>
      derivePkcs12('sha1', { purpose, utf16, salt, rounds, length }, spend);
    return cipher.decrypt(derive('key', cipher.keyBytes), derive('iv', 8), cipherText);
  };
}

/** How the MacData of a file says it was authenticated: does this passphrase give that authentication for these bytes? */
export function authenticationOf(macData: Element | undefined): Scheme<boolean> | undefined {
  const [digestInfo, salt, rounds] = childrenOf(macData);
  const [algorithm, digest] = childrenOf(digestInfo);
  const [scheme, parameters] = childrenOf(algorithm);
  const name = objectIdentifierOf(scheme);
  if (digest?.tag !== tags.octetString || salt?.tag !== tags.octetString) return undefined;
  const expected = digest.content;
  if (name === pbmac1) {
    const [derivation, mac] = childrenOf(parameters);
    const hash = hmacHashes[objectIdentifierOf(childrenOf(mac)[0])];
    const derive = hash && pbkdf2Of(childrenOf(derivation));
    return derive && ((passphrase, bytes, spend) => isHmac(hash, derive(passphrase, spend), bytes, expected));
  }
  const hash = hashes[name];
  const count = rounds === undefined ? 1 : positive(rounds);
  if (hash === undefined || count === undefined) return undefined;
  return ({ utf16 }, bytes, spend) => {
    const facts = { purpose: 'mac', utf16, salt: salt.content, rounds: count, length: hashBytes[hash] } as const;
    return isHmac(hash, derivePkcs12(hash, facts, spend), bytes, expected);
  };
}

function isHmac(hash: Hash, key: Buffer, bytes: Uint8Array, expected: Uint8Array): boolean {
  const found = createHmac(hash, key).update(bytes).digest();
  return found.length === expected.length && timingSafeEqual(found, expected);
}

const pbes2 = '1.2.840.113549.1.5.13';
const pbmac1 = '1.2.840.113549.1.5.14';
const pbkdf2 = '1.2.840.113549.1.5.12';

type Hash = keyof typeof hashBytes;

const hashBytes = { sha1: 20, sha224: 28, sha256: 32, sha384: 48, sha512: 64 } as const;
const hashes: Readonly<Record<string, Hash>> = {
  '1.3.14.3.2.26': 'sha1',
  '2.16.840.1.101.3.4.2.4': 'sha224',
  '2.16.840.1.101.3.4.2.1': 'sha256',
  '2.16.840.1.101.3.4.2.2': 'sha384',
  '2.16.840.1.101.3.4.2.3': 'sha512',
};
const hmacHashes: Readonly<Record<string, Hash>> = {
  '1.2.840.113549.2.7': 'sha1',
  '1.2.840.113549.2.8': 'sha224',
  '1.2.840.113549.2.9': 'sha256',
  '1.2.840.113549.2.10': 'sha384',
  '1.2.840.113549.2.11': 'sha512',
};

interface Pkcs12Cipher {
  readonly keyBytes: number;
  readonly decrypt: (key: Buffer, iv: Buffer, cipherText: Uint8Array) => Buffer | undefined;
}

/** RFC 7292 appendix C, without RC4. */
const pkcs12Ciphers: Readonly<Record<string, Pkcs12Cipher>> = {
  '1.2.840.113549.1.12.1.3': { keyBytes: 24, decrypt: nodeCipher('des-ede3-cbc') },
  '1.2.840.113549.1.12.1.4': {
    keyBytes: 16,
    // Of two keys the first is the third too.
    decrypt: (key, iv, text) => nodeCipher('des-ede3-cbc')(Buffer.concat([key, key.subarray(0, 8)]), iv, text),
  },
  '1.2.840.113549.1.12.1.5': { keyBytes: 16, decrypt: decryptRc2 },
  '1.2.840.113549.1.12.1.6': { keyBytes: 5, decrypt: decryptRc2 },
};

const pbes2Ciphers: Readonly<
  Record<string, { readonly name: string; readonly keyBytes: number; readonly ivBytes: number }>
> = {
  '2.16.840.1.101.3.4.1.2': { name: 'aes-128-cbc', keyBytes: 16, ivBytes: 16 },
  '2.16.840.1.101.3.4.1.22': { name: 'aes-192-cbc', keyBytes: 24, ivBytes: 16 },
  '2.16.840.1.101.3.4.1.42': { name: 'aes-256-cbc', keyBytes: 32, ivBytes: 16 },
  '1.2.840.113549.3.7': { name: 'des-ede3-cbc', keyBytes: 24, ivBytes: 8 },
};

/** RFC 8018 section 6.2. */
function pbes2Of([derivation, encryption]: readonly Element[]): ReturnType<typeof decryptionOf> {
  const [scheme, iv] = childrenOf(encryption);
  const cipher = pbes2Ciphers[objectIdentifierOf(scheme)];
  const derive = pbkdf2Of(childrenOf(derivation));
  if (cipher === undefined || derive === undefined || iv?.tag !== tags.octetString) return undefined;
  if (iv.content.length !== cipher.ivBytes) return undefined;
  return (passphrase, cipherText, spend) =>
    nodeCipher(cipher.name)(derive(passphrase, spend, cipher.keyBytes), iv.content, cipherText);
}

type Derive = (passphrase: Passphrase, spend: SpendRounds, length?: number) => Buffer;

/** RFC 8018 appendix A.2: `salt, rounds, length?, hash = HMAC with SHA-1`. */
function pbkdf2Of([name, parameters]: readonly Element[]): Derive | undefined {
  const values = childrenOf(parameters);
  const [salt, rounds] = saltAndRounds(values);
  const stated = values[2]?.tag === tags.integer ? positive(values[2]) : undefined;
  const prf = values.slice(2).find(({ tag }) => tag === tags.sequence);
  const hash = prf === undefined ? 'sha1' : hmacHashes[objectIdentifierOf(childrenOf(prf)[0])];
  if (objectIdentifierOf(name) !== pbkdf2 || hash === undefined || salt === undefined || rounds === undefined)
    return undefined;
  return ({ utf8 }, spend, length = stated ?? hashBytes[hash]) => {
    spend('pbkdf2', rounds * Math.ceil(length / hashBytes[hash]));
    return pbkdf2Sync(utf8, salt, rounds, length, hash);
  };
}

/** RFC 7292 appendix B.3. */
const purposes = { key: 1, iv: 2, mac: 3 } as const;
type Purpose = keyof typeof purposes;

interface Pkcs12Derivation {
  readonly purpose: Purpose;
  readonly utf16: Buffer;
  readonly salt: Uint8Array;
  readonly rounds: number;
  readonly length: number;
}

/** RFC 7292 appendix B.2. */
function derivePkcs12(
  hash: Hash,
  { purpose, utf16, salt, rounds, length }: Pkcs12Derivation,
  spend: SpendRounds,
): Buffer {
  const blocks = Math.ceil(length / hashBytes[hash]);
  spend('pkcs12', rounds * blocks);
  const v = hash === 'sha384' || hash === 'sha512' ? 128 : 64;
  const diversifier = Buffer.alloc(v, purposes[purpose]);
  const input = Buffer.concat([stretch(salt, v), stretch(utf16, v)]);
  const derived: Buffer[] = [];
  for (let block = 0; block < blocks; block += 1) {
    let digest = createHash(hash).update(diversifier).update(input).digest();
    for (let round = 1; round < rounds; round += 1) digest = createHash(hash).update(digest).digest();
    derived.push(digest);
    const addend = stretch(digest, v);
    for (let at = 0; at < input.length; at += v) addPlusOne(input.subarray(at, at + v), addend);
  }
  return Buffer.concat(derived).subarray(0, length);
}

/** Repeated until it fills whole blocks; nothing stays nothing. */
function stretch(bytes: Uint8Array, blockBytes: number): Buffer {
  return Buffer.alloc(Math.ceil(bytes.length / blockBytes) * blockBytes, bytes);
}

/** `block + addend + 1`, as big-endian numbers of their length. */
function addPlusOne(block: Buffer, addend: Buffer): void {
  let carry = 1;
  for (let at = block.length - 1; at >= 0; at -= 1) {
    const sum = (block[at] ?? 0) + (addend[at] ?? 0) + carry;
    block[at] = sum & 0xff;
    carry = sum >> 8;
  }
}

function nodeCipher(name: string) {
  return (key: Uint8Array, iv: Uint8Array, cipherText: Uint8Array): Buffer | undefined => {
    try {
      const decipher = createDecipheriv(name, key, iv);
      return Buffer.concat([decipher.update(cipherText), decipher.final()]);
    } catch {
      return undefined;
    }
  };
}

function saltAndRounds([salt, rounds]: readonly Element[]): readonly [Uint8Array | undefined, number | undefined] {
  return [salt?.tag === tags.octetString ? salt.content : undefined, positive(rounds)];
}

/** Infinite where it is over any limit. */
function positive(element: Element | undefined): number | undefined {
  const value = integerOf(element);
  // A set top bit makes a number negative.
  return value === undefined || value < 1 || (element?.content[0] ?? 0) > 0x7f ? undefined : value;
}
