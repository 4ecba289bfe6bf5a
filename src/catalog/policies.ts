// Host policies and authorities as the data plane asks for them: looked up in the local file one by one, and remembered until
// something changes.
import { withTls13 } from '../lib/cipher-string.ts';
import { createLru } from '../lib/lru.ts';
import type { CaCertificate } from '../model/entities.ts';
import { readCaCertificate, readHostPolicy } from '../model/stored-doc.ts';
import type { Authority, HostPolicy, PolicyCatalog } from './contract.ts';

/** Names of hosts whose answer is remembered, and authorities. */
const policiesMax = 10_000;
const authoritiesMax = 1000;

interface PolicyRow {
  readonly id: string;
  readonly name: string;
  readonly doc: string;
}

interface AuthorityRow {
  readonly fingerprint: string;
  readonly doc: string;
  readonly revision: number;
}

export interface PolicyRows {
  /** Of the first of these names that has one. */
  readonly policy: (names: readonly string[]) => PolicyRow | undefined;
  readonly anyPolicy: () => boolean;
  readonly authority: (id: string) => AuthorityRow | undefined;
  readonly authorityIds: (subject: string) => readonly string[];
}

export interface Policies extends Pick<
  PolicyCatalog,
  'findHostPolicy' | 'findAuthority' | 'findAuthoritiesBySubject' | 'findRevocationList'
> {
  /** Whether there is any policy of a host. */
  readonly any: boolean;
  /** Of those that were asked for: what cannot be read. */
  readonly unusable: { readonly hosts: readonly string[]; readonly authorities: readonly string[] };
  /** What is remembered is void. @param file what is read from may be another file */
  forget(file?: 'another'): void;
}

export function createPolicies(rows: PolicyRows): Policies {
  const policies = createLru<string, HostPolicy | 'none'>(policiesMax);
  const authorities = createLru<string, Authority | 'none'>(authoritiesMax);
  /** Ids by subject, of which those of paths to an authority are asked. */
  const authorityIds = createLru<string, readonly string[]>(authoritiesMax);
  const unusableHosts = new Set<string>();
  const unusableAuthorities = new Set<string>();
  let any = rows.anyPolicy();
  /** Revisions are those of one file. */
  let files = 0;

  return {
    get any() {
      return any;
    },
    get unusable() {
      return { hosts: [...unusableHosts], authorities: [...unusableAuthorities] };
    },
    forget(file) {
      if (file === 'another') files += 1;
      policies.clear();
      authorities.clear();
      authorityIds.clear();
      unusableHosts.clear();
      unusableAuthorities.clear();
      any = rows.anyPolicy();
    },
    findHostPolicy(names) {
      if (!any) return undefined;
      const [first = ''] = names;
      let known = policies.get(first);
      if (known === undefined) policies.set(first, (known = readPolicy(names) ?? 'none'));
      return known === 'none' ? undefined : known;
    },
    findAuthority,
    findAuthoritiesBySubject(subject) {
      let ids = authorityIds.get(subject);
      if (ids === undefined) authorityIds.set(subject, (ids = rows.authorityIds(subject)));
      return ids.flatMap((id) => findAuthority(id) ?? []);
    },
    findRevocationList: (id) => readRow(id)?.entity.crl ?? undefined,
  };

  function findAuthority(id: string): Authority | undefined {
    let known = authorities.get(id);
    if (known === undefined) authorities.set(id, (known = readAuthority(id) ?? 'none'));
    return known === 'none' ? undefined : known;
  }

  function readPolicy(names: readonly string[]): HostPolicy | undefined {
    const row = rows.policy(names);
    if (row === undefined) return undefined;
    // Where it cannot be read, nobody gets in whom it may have kept out.
    const { entity, isIntact } = readHostPolicy(row.doc, row);
    if (!isIntact) unusableHosts.add(row.name);
    const { name, clientCertificate, minVersion, ciphers } = entity;
    return {
      name,
      clientCertificate: clientCertificate ?? undefined,
      minVersion: minVersion ?? undefined,
      ciphers: ciphers === null ? undefined : withTls13(ciphers),
    };
  }

  /** One that cannot be read is none, and nobody's certificate stands on it. */
  function readAuthority(id: string): Authority | undefined {
    const row = readRow(id);
    if (row === undefined) return undefined;
    const { revision, fingerprint, entity } = row;
    return {
      id,
      version: `${files}.${revision}`,
      fingerprint,
      certificate: entity.certificate,
      hasRevocationList: entity.crl !== null,
    };
  }

  function readRow(id: string): (AuthorityRow & { readonly entity: CaCertificate }) | undefined {
    const row = rows.authority(id);
    if (row === undefined) return undefined;
    const { entity, isIntact } = readCaCertificate(row.doc, { id, fingerprint: row.fingerprint });
    if (isIntact) return { ...row, entity };
    unusableAuthorities.add(id);
    return undefined;
  }
}
