// From a client's certificate up to the authorities it stands on: which of them signed it, and through whom. Whether the
// certificate is one for clients, and all else that OpenSSL judges, was judged by OpenSSL for one such path; here are the
// others, because one host asks for another authority than the next. Dates and revocation are of a moment, and not here.
import { hasSigned, outlineOf, type Certificate } from './certificate.ts';
import { childrenOf, integerOf, readElement, tags, type Element } from './read-der.ts';

/** Certificates that a client may send beside its own. */
export const clientIntermediatesMax = 10;

/**
 * The shortest path to each of the authorities that there is one to, by fingerprint: the client's certificate first, then
 * who issued the one before, the authority last. One alone: the client is the authority.
 *
 * @param leaf found good by OpenSSL, with `sent` and some of `authorities`
 * @param sent what came along with it, in any order
 */
export function findClientPaths(
  leaf: Certificate,
  sent: readonly Certificate[],
  authorities: readonly Certificate[],
): ReadonlyMap<string, readonly Certificate[]> {
  const paths = new Map<string, readonly Certificate[]>();
  const wanted = new Set(authorities.map((authority) => authority.fingerprint));
  const issuers = distinct([...authorities, ...sent]);
  const seen = new Set([leaf.fingerprint]);
  let manyWays = false;
  // Breadth first: what is reached is reached by the shortest way.
  const reached: Certificate[][] = [[leaf]];
  for (const certificates of reached) {
    const last = certificates.at(-1) as Certificate;
    if (wanted.has(last.fingerprint)) paths.set(last.fingerprint, certificates);
    if (last.signsItself || certificates.length > clientIntermediatesMax + 1) continue;
    const above = issuers.filter((issuer) => issuer !== last && mayStandAbove(issuer, certificates));
    if (!areOneWay(above)) manyWays = true;
    for (const issuer of above) {
      if (seen.has(issuer.fingerprint)) continue;
      seen.add(issuer.fingerprint);
      reached.push([...certificates, issuer]);
    }
  }
  return new Map([...paths].filter(([, path]) => path.slice(judged(path)).every((one) => constraints(one) === '')));

  /**
   * How many of a path OpenSSL has judged. With one way up it went the same one, to the first authority on it and no further.
   * Elsewhere may be what only OpenSSL knows how to judge.
   */
  function judged(path: readonly Certificate[]): number {
    return manyWays ? 1 : path.findIndex(({ fingerprint }) => wanted.has(fingerprint)) + 1;
  }
}

/** Nothing else is beyond roots, and a root that was renewed with its key says what it said. */
function areOneWay(above: readonly Certificate[]): boolean {
  if (above.length <= 1) return true;
  return above.every((issuer) => issuer.signsItself) && new Set(above.map(constraints)).size === 1;
}

function mayStandAbove(issuer: Certificate, below: readonly Certificate[]): boolean {
  const last = below.at(-1) as Certificate;
  return (
    issuer.isAuthority &&
    isStrong(issuer) &&
    isStronglySigned(last) &&
    (issuer.extendedKeyUsage?.includes(clientAuthentication) ?? true) &&
    pathLength(issuer) >= below.slice(1).filter(({ subjectKey, issuerKey }) => subjectKey !== issuerKey).length &&
    last.x509.checkIssued(issuer.x509) &&
    hasSigned(issuer, last)
  );
}

/** RFC 5280 section 4.2.1.12. */
const clientAuthentication = '1.3.6.1.5.5.7.3.2';
const basicConstraints = '2.5.29.19';
const keyUsage = '2.5.29.15';
const extendedKeyUsage = '2.5.29.37';
const nameConstraints = '2.5.29.30';

/** How many intermediates may be below it (RFC 5280 section 4.2.1.9). */
function pathLength(certificate: Certificate): number {
  const value = outlineOf(certificate.x509.raw).extensions.get(basicConstraints);
  const length = childrenOf(value === undefined ? undefined : readElement(value)).find(isInteger);
  return length === undefined ? Number.POSITIVE_INFINITY : (integerOf(length) ?? 0);
}

function isInteger({ tag }: Element): boolean {
  return tag === tags.integer;
}

/** What it says that is not read here and must not be passed over: limits of names, say; `` when there is nothing. */
function constraints(certificate: Certificate): string {
  const { extensions, critical } = outlineOf(certificate.x509.raw);
  return [...extensions]
    .filter(([name]) => name === nameConstraints || (critical.has(name) && !read.has(name)))
    .map(([name, value]) => `${name} ${Buffer.from(value).toString('hex')}`)
    .join();
}

const read: ReadonlySet<string> = new Set([basicConstraints, keyUsage, extendedKeyUsage]);

/** 112 bits of security, as OpenSSL asks of every certificate it finds a path through. */
function isStrong({ publicKey }: Certificate): boolean {
  if (publicKey === undefined) return false;
  return publicKey.key.asymmetricKeyType?.startsWith('rsa') === true ? publicKey.bits >= 2048 : publicKey.bits >= 224;
}

function isStronglySigned({ signedWith }: Certificate): boolean {
  return !/md\d|sha-?1(?!\d)|ripemd/i.test(signedWith);
}

function distinct(certificates: readonly Certificate[]): readonly Certificate[] {
  return [...new Map(certificates.map((certificate) => [certificate.fingerprint, certificate])).values()];
}
