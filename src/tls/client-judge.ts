// Whether what a client proved is enough for a rule, at this moment: the rule's authorities, how far they are above the
// client, dates, and what they have revoked. The rule may be of another name than the connection began with.
import type { Authority, ClientCertificateRule, PolicyCatalog } from '../catalog/contract.ts';
import { createLru } from '../lib/lru.ts';
import { hasSigned, type Certificate } from '../x509/certificate.ts';
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
  /** The authority; undefined: it cannot be read. */
  readonly by: Certificate | undefined;
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
    let fault: CertificateFault = 'unknown-authority';
    for (const authority of authorities) {
      const path = proof.client.paths.get(authority.fingerprint);
      const found: CertificateFault | undefined =
        path === undefined ? fault : faultOf(path, rule.depth, revocationsOn(path, authority), now);
      if (found === undefined) return { kind: 'proven', client: proof.client };
      fault = found;
    }
    return wasAsked ? { kind: 'faulty', fault } : { kind: 'not-asked' };
  }

  /**
   * What is revoked by those who issued each certificate of the path. Whoever is stored with a list has it obeyed wherever
   * it stands, above the rule's authority too, whether or not the rule names it, and under each of its certificates: a list is of a
   * name and a key.
   */
  function revocationsOn(path: readonly PathLink[], last: Authority): readonly (readonly Revocations[])[] {
    return path.map((_, index) => {
      const issuer = path[index + 1];
      if (issuer === undefined) return revocationsAbove(last);
      return listsOf(issuer.subject).filter(({ by }) => by?.publicKey?.sha256 === issuer.keySha256);
    });
  }

  /** Who issued the last certificate of a path is not on it: whoever has signed it. */
  function revocationsAbove(authority: Authority): readonly Revocations[] {
    const certificate = parseAuthority(authority)?.certificate;
    if (certificate === undefined || certificate.signsItself) return [];
    return listsOf(certificate.issuer).filter(({ by }) => by === undefined || hasSigned(by, certificate));
  }

  function listsOf(subject: string): readonly Revocations[] {
    return catalog.findAuthoritiesBySubject(subject).flatMap((authority) => revocationsOf(authority) ?? []);
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
  const by = parseAuthority(authority)?.certificate;
  const key = by?.publicKey?.key;
  const read = parseRevocationList(derOf(crl));
  const isGood = read.kind === 'list' && key !== undefined && read.list.isSignedBy(key);
  return { version: authority.version, by, list: isGood ? read.list : 'unusable' };
}

function faultOf(
  path: readonly PathLink[],
  depth: number,
  /** By link. */
  revocations: readonly (readonly Revocations[])[],
  now: number,
): CertificateFault | undefined {
  if (path.length - 2 > depth) return 'too-deep';
  for (const [index, link] of path.entries()) {
    if (now < link.notBefore) return 'not-yet-valid';
    if (now > link.notAfter) return 'expired';
    if (link.signsItself) continue;
    const list = newest(revocations[index] ?? []);
    const fault = list === undefined ? undefined : listFault(list, link, now);
    if (fault !== undefined) return fault;
  }
  return undefined;
}

/** Under a renewed certificate an authority goes on with its lists: the last one holds. */
function newest(revocations: readonly Revocations[]): Revocations['list'] | undefined {
  let found: RevocationList | undefined;
  for (const { list } of revocations) {
    if (list === 'unusable') return list;
    if (found === undefined || list.thisUpdate > found.thisUpdate) found = list;
  }
  return found;
}

/** A list that is late may lack what matters. */
function listFault(list: Revocations['list'], { serial }: PathLink, now: number): CertificateFault | undefined {
  if (list === 'unusable' || now < list.thisUpdate) return 'revocation-list-unusable';
  if (list.nextUpdate !== undefined && now > list.nextUpdate) return 'revocation-list-expired';
  return list.revokes(serial) ? 'revoked' : undefined;
}
