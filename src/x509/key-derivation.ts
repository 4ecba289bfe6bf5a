// How an encrypted PKCS#8 key (RFC 5958 section 3) is opened: whether we can, and whether it takes bounded work, judged
// from its parameters before any work is done.
import { childrenOf, integerOf, objectIdentifierOf, readElement, type Element } from './read-der.ts';

/** PBKDF2 and PKCS#12 rounds: about a second of work. What is recommended today is 600,000. */
export const keyDerivationMaxRounds = 2_000_000;
/** scrypt: the product of N, r and p. OpenSSL bounds the memory itself. */
export const scryptMaxWork = 4_194_304;

export type KeyDerivation =
  /** `work` is the part of what may be done. */
  | { readonly kind: 'acceptable'; readonly work: number }
  | { readonly kind: 'too-costly'; readonly message: string }
  /** DES, RC2, RC4 and their like, which OpenSSL 3 no longer reads. */
  | { readonly kind: 'unsupported' };

export function judgeKeyDerivation(encryptedPkcs8: Uint8Array): KeyDerivation {
  const algorithm = childrenOf(childrenOf(readElement(encryptedPkcs8))[0]);
  const scheme = objectIdentifierOf(algorithm[0]);
  if (scheme === pbes2) return judgeFunction(childrenOf(childrenOf(algorithm[1])[0]));
  return pkcs12Schemes.has(scheme) ? judgeRounds(childrenOf(algorithm[1])[1]) : { kind: 'unsupported' };
}

const pbes2 = '1.2.840.113549.1.5.13';
const pbkdf2 = '1.2.840.113549.1.5.12';
const scrypt = '1.3.6.1.4.1.11591.4.11';
/** SHA-1 with 3DES of three and of two keys (RFC 7292 appendix C). */
const pkcs12Schemes = new Set(['1.2.840.113549.1.12.1.3', '1.2.840.113549.1.12.1.4']);

function judgeFunction([name, parameters]: readonly Element[]): KeyDerivation {
  const values = childrenOf(parameters);
  switch (objectIdentifierOf(name)) {
    case pbkdf2:
      return judgeRounds(values[1]);
    case scrypt: {
      const work = values.slice(1, 4).reduce((product, value) => product * (integerOf(value) ?? Number.NaN), 1);
      return work <= scryptMaxWork
        ? { kind: 'acceptable', work: work / scryptMaxWork }
        : { kind: 'too-costly', message: `its scrypt cost is over ${scryptMaxWork}` };
    }
    default:
      return { kind: 'unsupported' };
  }
}

function judgeRounds(rounds: Element | undefined): KeyDerivation {
  const count = integerOf(rounds) ?? Number.POSITIVE_INFINITY;
  return count <= keyDerivationMaxRounds
    ? { kind: 'acceptable', work: count / keyDerivationMaxRounds }
    : { kind: 'too-costly', message: `its passphrase takes more than ${keyDerivationMaxRounds} rounds to try` };
}
