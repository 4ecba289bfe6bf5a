// From a leaf and a heap of certificates to the chain that a server sends: leaf first, each signed by the next, the root
// left out. Links count by signature, not by name alone.
import { hasIssued, type Certificate } from './certificate.ts';

/** Certificates of a chain beside the leaf. */
export const chainMaxCertificates = 10;

export interface Chain {
  /** Leaf first. */
  readonly certificates: readonly Certificate[];
  /** Those of `certificates` that were known from elsewhere and not given. */
  readonly filled: readonly Certificate[];
  /** Given, and left out because clients have it or do not trust it. */
  readonly roots: readonly Certificate[];
  /** Given, and no link of the chain. */
  readonly unrelated: readonly Certificate[];
  /** The subject key of the issuer that nobody has; undefined when the chain ends at a root. */
  readonly missingIssuer: string | undefined;
}

export interface ChainParts {
  readonly leaf: Certificate;
  /** What came with the leaf, without it, each once. */
  readonly given: readonly Certificate[];
  /** Intermediates of other chains. */
  readonly known: readonly Certificate[];
  readonly now: number;
}

export function assembleChain({ leaf, given, known, now }: ChainParts): Chain {
  const certificates: Certificate[] = [leaf];
  const filled: Certificate[] = [];
  let top = leaf;
  let root: Certificate | undefined = leaf.signsItself ? leaf : undefined;
  while (root === undefined && certificates.length <= chainMaxCertificates) {
    const isNew = (candidate: Certificate) => !certificates.some((one) => one.fingerprint === candidate.fingerprint);
    const fromGiven = findIssuer(top, given.filter(isNew), now);
    const issuer = fromGiven ?? findIssuer(top, known.filter(isNew), now);
    if (issuer === undefined) break;
    if (issuer.signsItself) {
      root = issuer;
    } else {
      certificates.push(issuer);
      if (fromGiven === undefined) filled.push(issuer);
      top = issuer;
    }
  }
  const rest = given.filter((candidate) => !certificates.includes(candidate));
  const roots = rest.filter(
    (candidate) => candidate.signsItself && certificates.some((one) => hasIssued(candidate, one)),
  );
  return {
    certificates,
    filled,
    roots,
    unrelated: rest.filter((candidate) => !roots.includes(candidate)),
    missingIssuer: root === undefined ? top.issuerKey : undefined,
  };
}

/**
 * Of several that fit (a renewed intermediate; a root beside its cross-signed twin) the one in force, and the
 * cross-signed one before the root: whoever sent it wants older clients to reach their root.
 */
function findIssuer(subject: Certificate, candidates: readonly Certificate[], now: number): Certificate | undefined {
  const rank = (one: Certificate) => (one.notAfter < now ? 2 : 0) + (one.signsItself ? 1 : 0);
  const named = candidates.filter((one) => one.subjectKey === subject.issuerKey).toSorted((a, b) => rank(a) - rank(b));
  return named.find((candidate) => hasIssued(candidate, subject));
}
