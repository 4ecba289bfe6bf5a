// From a leaf and a heap of certificates to the chain that a server sends: leaf first, each signed by the next, the root
// left out. Links count by signature, not by name alone.
import { hasIssued, type Certificate } from './certificate.ts';
import type { RootsOf } from './roots.ts';

/** Certificates of a chain beside the leaf. */
export const chainMaxCertificates = 10;

export interface Chain {
  /** Leaf first. */
  readonly certificates: readonly Certificate[];
  /** Those of `certificates` that were known from elsewhere and not given. */
  readonly filled: readonly Certificate[];
  /** Given, and left out because clients have it or do not trust it. */
  readonly roots: readonly Certificate[];
  /** Of `certificates`: those above the leaf that lead to one of `roots`. */
  readonly anchored: readonly Certificate[];
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
  readonly roots: RootsOf;
  readonly now: number;
}

export function assembleChain({ leaf, given, known, roots: publicRoots, now }: ChainParts): Chain {
  const certificates: Certificate[] = [leaf];
  const filled: Certificate[] = [];
  let top = leaf;
  let root: Certificate | undefined = leaf.signsItself ? leaf : undefined;
  while (root === undefined && certificates.length <= chainMaxCertificates) {
    const isNew = (candidate: Certificate) => !certificates.some((one) => one.fingerprint === candidate.fingerprint);
    const fromGiven = findIssuers(top, given.filter(isNew), now)[0];
    const issuer = fromGiven ?? genuineFirst(findIssuers(top, known.filter(isNew), now), known, publicRoots);
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
    anchored: anchoredOf(certificates, publicRoots),
    unrelated: rest.filter((candidate) => !roots.includes(candidate)),
    missingIssuer: root === undefined ? top.issuerKey : undefined,
  };
}

/**
 * Of several that fit (a renewed intermediate; a root beside its cross-signed twin) the one in force first, and the
 * cross-signed one before the root: whoever sent it wants older clients to reach their root.
 */
function findIssuers(subject: Certificate, candidates: readonly Certificate[], now: number): readonly Certificate[] {
  const rank = (one: Certificate) => (one.notAfter < now ? 2 : 0) + (one.signsItself ? 1 : 0);
  const named = candidates.filter((one) => one.subjectKey === subject.issuerKey).toSorted((a, b) => rank(a) - rank(b));
  return named.filter((candidate) => hasIssued(candidate, subject));
}

/**
 * What is known was sent by others, and anyone may put the name and the public key of a CA, which every certificate of it
 * fits, into a certificate of his own. One that leads to a root that clients have is no such imitation.
 */
function genuineFirst(
  candidates: readonly Certificate[],
  known: readonly Certificate[],
  roots: RootsOf,
): Certificate | undefined {
  return candidates.find((candidate) => leadsToRoot(candidate, known, roots)) ?? candidates[0];
}

/** Through this many of the known besides itself. */
const knownPathMax = 2;

function leadsToRoot(one: Certificate, known: readonly Certificate[], roots: RootsOf, steps = knownPathMax): boolean {
  if (roots(one.issuerKey).some((root) => hasIssued(root, one))) return true;
  if (steps === 0) return false;
  const above = known.filter((other) => other !== one && hasIssued(other, one));
  return above.some((other) => leadsToRoot(other, known, roots, steps - 1));
}

/** From the top: what one of them has issued stands on what it stands on. */
function anchoredOf(certificates: readonly Certificate[], roots: RootsOf): readonly Certificate[] {
  const above = certificates.slice(1);
  const last = above.findLastIndex((one) => roots(one.issuerKey).some((root) => hasIssued(root, one)));
  return above.slice(0, last + 1);
}
