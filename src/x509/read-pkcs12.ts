// PKCS#12 (RFC 7292): the certificates and private keys of a .p12 or .pfx file. Read here and not by a library: node:crypto has the
// ciphers, read-der.ts the structure, and what is left is less than what would have to be trusted. Which certificate belongs to which
// key is intake's question; names, secrets and revocation lists in the file are not looked at.
import { withDefiniteLengths } from './definite-lengths.ts';
import {
  authenticationOf,
  decryptionOf,
  noPassphrase,
  passphraseOf,
  type Derivation,
  type Passphrase,
  type SpendRounds,
} from './passphrase-schemes.ts';
import { childrenOf, objectIdentifierOf, readElement, tags, type Element } from './read-der.ts';

/** Rounds of all derivations of one file: about a second of work each. Firefox writes two of PBKDF2 and one of PKCS#12's, of 600,000. */
export const pkcs12MaxRounds: Readonly<Record<Derivation, number>> = { pbkdf2: 2_000_000, pkcs12: 600_000 };
/** Bags of one file; each holds a certificate, a key, or something else. */
export const pkcs12MaxBags = 64;

export type Pkcs12Reading =
  | {
      readonly kind: 'opened';
      /** DER. */
      readonly certificates: readonly Uint8Array[];
      /** PKCS#8 DER, plain. */
      readonly keys: readonly Uint8Array[];
      /** The passphrase that was given was needed. */
      readonly wasLocked: boolean;
    }
  | { readonly kind: 'refused'; readonly reason: Pkcs12Refusal };

export type Pkcs12Refusal =
  /** Its structure is not PKCS#12's. */
  | 'damaged'
  /** A cipher or check that is not known; or it is protected with a certificate instead of a passphrase. */
  | 'unsupported'
  | 'too-costly'
  | 'too-many-bags'
  /** It has a passphrase, and none was given. */
  | 'locked'
  | 'passphrase-wrong';

/** Never throws. Takes bounded work, `pkcs12MaxRounds`. */
export function readPkcs12(bytes: Uint8Array, passphrase: string | undefined): Pkcs12Reading {
  try {
    return open(bytes, passphrase ?? '');
  } catch (error) {
    if (error instanceof Refusal) return { kind: 'refused', reason: error.reason };
    return { kind: 'refused', reason: 'damaged' };
  }
}

/** Never leaves this file. */
class Refusal extends Error {
  readonly reason: Pkcs12Refusal;

  constructor(reason: Pkcs12Refusal) {
    super(reason);
    this.reason = reason;
  }
}

const types = {
  data: '1.2.840.113549.1.7.1',
  encryptedData: '1.2.840.113549.1.7.6',
  keyBag: '1.2.840.113549.1.12.10.1.1',
  shroudedKeyBag: '1.2.840.113549.1.12.10.1.2',
  certificateBag: '1.2.840.113549.1.12.10.1.3',
  x509Certificate: '1.2.840.113549.1.9.22.1',
} as const;

/** `PFX ::= version, authSafe ContentInfo, macData?`. */
function open(bytes: Uint8Array, given: string): Pkcs12Reading {
  const spend = budgetOfRounds();
  const [, authSafe, macData] = childrenOf(readElement(definite(bytes)));
  const content = contentOf(authSafe);
  if (content.type !== types.data) throw new Refusal('unsupported');
  const safe = octets(content.value);
  const spellings = spellingsOf(given);
  const spelling = macData === undefined ? undefined : authenticate(macData, safe, spellings, spend);
  const work: Work = { spellings: spelling === undefined ? spellings : [spelling], given, spend, wasLocked: false };
  const bags = childrenOf(sequenceOf(safe)).flatMap((info) => bagsOf(info, work));
  if (bags.length > pkcs12MaxBags) throw new Refusal('too-many-bags');
  const found = bags.map((bag) => readBag(bag, work));
  return {
    kind: 'opened',
    certificates: found.flatMap(({ certificate }) => certificate ?? []),
    keys: found.flatMap(({ key }) => key ?? []),
    wasLocked: given !== '' && (work.wasLocked || spelling !== undefined),
  };
}

interface Work {
  readonly spellings: readonly Passphrase[];
  readonly given: string;
  readonly spend: SpendRounds;
  wasLocked: boolean;
}

function budgetOfRounds(): SpendRounds {
  const left = { ...pkcs12MaxRounds };
  return (derivation, rounds) => {
    left[derivation] -= rounds;
    if (left[derivation] < 0) throw new Refusal('too-costly');
  };
}

/** One that was read from a file comes with the file's last line break. */
function spellingsOf(given: string): readonly Passphrase[] {
  if (given === '') return [passphraseOf(''), noPassphrase];
  return [...new Set([given, given.replace(/\r?\n$/, '')])].map(passphraseOf);
}

function authenticate(
  macData: Element,
  content: Uint8Array,
  spellings: readonly Passphrase[],
  spend: SpendRounds,
): Passphrase {
  const scheme = authenticationOf(macData);
  if (scheme === undefined) throw new Refusal('unsupported');
  const right = spellings.find((spelling) => scheme(spelling, content, spend));
  if (right !== undefined) return right;
  throw new Refusal(spellings.includes(noPassphrase) ? 'locked' : 'passphrase-wrong');
}

/** `ContentInfo ::= type, [0] value`. */
function contentOf(info: Element | undefined): { readonly type: string; readonly value: Element | undefined } {
  const [type, explicit] = childrenOf(info);
  return { type: objectIdentifierOf(type), value: childrenOf(explicit, tags.context0)[0] };
}

function bagsOf(info: Element, work: Work): readonly Element[] {
  const { type, value } = contentOf(info);
  if (type === types.data) return childrenOf(sequenceOf(octets(value)));
  if (type !== types.encryptedData) throw new Refusal('unsupported');
  // `EncryptedData ::= version, (type, algorithm, [0] IMPLICIT OCTET STRING)`.
  const [, algorithm, cipherText] = childrenOf(childrenOf(value)[1]);
  return childrenOf(sequenceOf(decrypt(algorithm, implicitOctets(cipherText), work)));
}

/** `SafeBag ::= type, [0] value, attributes?`. */
function readBag(bag: Element, work: Work): { readonly certificate?: Uint8Array; readonly key?: Uint8Array } {
  const { type, value } = contentOf(bag);
  if (type === types.keyBag && value !== undefined) return { key: value.whole };
  if (type === types.shroudedKeyBag) {
    const [algorithm, cipherText] = childrenOf(value);
    return { key: sequenceOf(decrypt(algorithm, octets(cipherText), work)).whole };
  }
  if (type !== types.certificateBag) return {};
  const certificate = contentOf(value);
  return certificate.type === types.x509Certificate ? { certificate: octets(certificate.value) } : {};
}

function decrypt(algorithm: Element | undefined, cipherText: Uint8Array, work: Work): Uint8Array {
  const scheme = decryptionOf(algorithm);
  if (scheme === undefined) throw new Refusal('unsupported');
  work.wasLocked = true;
  for (const spelling of work.spellings) {
    const plain = scheme(spelling, cipherText, work.spend);
    // One wrong passphrase in 256 leaves padding that looks right; what is behind it is no structure.
    if (plain !== undefined && withDefiniteLengths(plain)?.der[0] === tags.sequence) return plain;
  }
  throw new Refusal(work.given === '' ? 'locked' : 'passphrase-wrong');
}

function definite(bytes: Uint8Array): Uint8Array {
  const found = withDefiniteLengths(bytes);
  if (found === undefined) throw new Refusal('damaged');
  return found.der;
}

function sequenceOf(bytes: Uint8Array): Element {
  const element = readElement(definite(bytes));
  if (element?.tag !== tags.sequence) throw new Refusal('damaged');
  return element;
}

function octets(element: Element | undefined): Uint8Array {
  if (element?.tag !== tags.octetString) throw new Refusal('damaged');
  return element.content;
}

/** Its pieces, where it was cut into some, keep their own tags. */
function implicitOctets(element: Element | undefined): Uint8Array {
  if (element?.tag === 0x80) return element.content;
  if (element?.tag !== tags.context0) throw new Refusal('damaged');
  return Buffer.concat(childrenOf(element, tags.context0).map(octets));
}
