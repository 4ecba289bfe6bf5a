// Whether what a client proved is enough for a rule, at this moment: the rule's authorities, how far they are above the
// client, dates, and what they have revoked. The rule may be of another name than the connection began with.
import type { Authority, ClientCertificateRule, PolicyCatalog } from '../catalog/contract.ts';
import { createLru } from '../lib/lru.ts';
import { parseRevocationList, type RevocationList } from '../x509/revocation-list.ts';
import type { CertificateFault, ClientProof, PathLink, ProvenClient } from './client-proof.ts';
import { derOf, parseAuthority } from './policies.ts';

export type Judgement =
  | { readonly kind: 'proven'; readonly client: ProvenClient }
  /** It sent none and need not. */
  | { readonly kind: 'anonymous' }
  /** The connection did not ask for what the rule wants. On another one the answer may be another. */
  | { readonly kind: 'not-asked' }
  | { readonly kind: 'not-sent' }
  | { readonly kind: 'faulty'; readonly fault: CertificateFault };

export interface ClientJudge {
  /** @param proof undefined: the connection asked for nothing @param now milliseconds of the wall clock */
  judge(rule: ClientCertificateRule, proof: ClientProof | undefined, now: number): Judgement;
}

/** Authorities whose lists are kept read, each with some 100 bytes for every certificate that it names. */
const listsMax = 64;

/** Of an authority that has a list. */
interface Revocations {
  readonly version: string;
  /** SHA-256 of the authority's key. */
  readonly keySha256: string | undefined;
  /** `unusable`: it has one that cannot be believed. */
  readonly list: RevocationList | 'unusable';
}

type JudgesCatalog = Pick<PolicyCatalog, 'findAuthority' | 'findAuthoritiesBySubject' | 'findRevocationList'>;

export function createClientJudge(catalog: JudgesCatalog): ClientJudge {
  const lists = createLru<string, Revocations>(listsMax);

  return { judge };

  function judge(rule: ClientCertificateRule, proof: ClientProof | undefined, now: number): Judgement {
    const authorities = rule.authorities.map((id) => catalog.findAuthority(id)).filter((each) => each !== undefined);
    const wasAsked = authorities.every(({ fingerprint }) => proof?.asked.has(fingerprint) === true);
    if (proof?.kind !== 'valid') {
      if (!wasAsked) return { kind: 'not-asked' };
      if (proof?.kind === 'invalid') return { kind: 'faulty', fault: proof.fault };
      return { kind: rule.mode === 'optional' ? 'anonymous' : 'not-sent' };
    }
    const revocations = authorities.map(revocationsOf).filter((each) => each !== undefined);
    let fault: CertificateFault = 'unknown-authority';
    for (const { fingerprint } of authorities) {
      const path = proof.client.paths.get(fingerprint);
      const found: CertificateFault | undefined =
        path === undefined ? fault : faultOf(path, rule.depth, [...revocations, ...revocationsOn(path)], now);
      if (found === undefined) return { kind: 'proven', client: proof.client };
      fault = found;
    }
    return wasAsked ? { kind: 'faulty', fault } : { kind: 'not-asked' };
  }

  /**
   * Whoever is stored with a list has it obeyed wherever it stands, whether or not the rule names it, and under each of its
   * certificates: a list is of a name and a key.
   */
  function revocationsOn(path: readonly PathLink[]): readonly Revocations[] {
    return path.slice(1).flatMap(({ subject, keySha256 }) =>
      catalog
        .findAuthoritiesBySubject(subject)
        .flatMap((authority) => revocationsOf(authority) ?? [])
        .filter((each) => each.keySha256 === keySha256),
    );
  }

  function revocationsOf(authority: Authority): Revocations | undefined {
    if (!authority.hasRevocationList) return undefined;
    let known = lists.get(authority.id);
    if (known?.version !== authority.version) {
      known = readRevocations(authority, catalog.findRevocationList(authority.id) ?? '');
      lists.set(authority.id, known);
    }
    return known;
  }
}

function readRevocations(authority: Authority, crl: string): Revocations {
  const key = parseAuthority(authority)?.certificate.publicKey;
  const read = parseRevocationList(derOf(crl));
  const isGood = read.kind === 'list' && key !== undefined && read.list.isSignedBy(key.key);
  return { version: authority.version, keySha256: key?.sha256, list: isGood ? read.list : 'unusable' };
}

function faultOf(
  path: readonly PathLink[],
  depth: number,
  revocations: readonly Revocations[],
  now: number,
): CertificateFault | undefined {
  if (path.length - 2 > depth) return 'too-deep';
  for (const [index, link] of path.entries()) {
    if (now < link.notBefore) return 'not-yet-valid';
    if (now > link.notAfter) return 'expired';
    if (link.signsItself) continue;
    for (const each of revocations) {
      if (!isIssuer(each, link, path[index + 1])) continue;
      const fault = listFault(each.list, link, now);
      if (fault !== undefined) return fault;
    }
  }
  return undefined;
}

/** Who issued the last certificate of a path is not on it; then the name has to do. @param issuer who is above it */
function isIssuer({ keySha256, list }: Revocations, { issuerKey }: PathLink, issuer: PathLink | undefined): boolean {
  if (issuer !== undefined) return issuer.keySha256 === keySha256;
  return list === 'unusable' || list.issuerKey === issuerKey;
}

/** A list that is late may lack what matters. */
function listFault(list: Revocations['list'], { serial }: PathLink, now: number): CertificateFault | undefined {
  if (list === 'unusable' || now < list.thisUpdate) return 'revocation-list-unusable';
  if (list.nextUpdate !== undefined && now > list.nextUpdate) return 'revocation-list-expired';
  return list.revokes(serial) ? 'revoked' : undefined;
}
