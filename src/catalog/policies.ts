// Host policies and authorities as the data plane asks for them: looked up in the local file one by one, and remembered until
// something changes.
import { createLru } from '../lib/lru.ts';
import type * as entities from '../model/entities.ts';
import type { Authority, HostPolicy, PolicyCatalog } from './contract.ts';

/** Names of hosts whose answer is remembered, and authorities with their lists of what they revoked. */
const policiesMax = 10_000;
const authoritiesMax = 64;

/** What a policy that cannot be read stands for: nobody gets in where it may have kept somebody out. */
const unreadable = { mode: 'required', authorities: [], depth: 0 } as const;

export interface PolicyRows {
  /** Of the first of these names that has one. */
  readonly policy: (names: readonly string[]) => { readonly name: string; readonly doc: string } | undefined;
  readonly anyPolicy: () => boolean;
  readonly authority: (id: string) => { readonly doc: string; readonly revision: number } | undefined;
}

export interface Policies extends Pick<PolicyCatalog, 'findHostPolicy' | 'findAuthority'> {
  /** Whether there is any policy of a host. */
  readonly any: boolean;
  /** What is remembered is void. */
  forget(): void;
}

export function createPolicies(rows: PolicyRows): Policies {
  const policies = createLru<string, HostPolicy | 'none'>(policiesMax);
  const authorities = createLru<string, Authority | 'none'>(authoritiesMax);
  let any = rows.anyPolicy();

  return {
    get any() {
      return any;
    },
    forget() {
      policies.clear();
      authorities.clear();
      any = rows.anyPolicy();
    },
    findHostPolicy(names) {
      if (!any) return undefined;
      const [first = ''] = names;
      let known = policies.get(first);
      if (known === undefined) policies.set(first, (known = readPolicy(names) ?? 'none'));
      return known === 'none' ? undefined : known;
    },
    findAuthority(id) {
      let known = authorities.get(id);
      if (known === undefined) authorities.set(id, (known = readAuthority(id) ?? 'none'));
      return known === 'none' ? undefined : known;
    },
  };

  /** The empty name is that of clients and requests which name no host: the policy of every host, `*`, is theirs too. */
  function readPolicy(names: readonly string[]): HostPolicy | undefined {
    const row = rows.policy(names.map((name) => (name === '' ? '*' : name)));
    if (row === undefined) return undefined;
    try {
      const { name, clientCertificate, minVersion, ciphers } = JSON.parse(row.doc) as entities.HostPolicy;
      return {
        name,
        clientCertificate: clientCertificate ?? undefined,
        minVersion: minVersion ?? undefined,
        ciphers: ciphers ?? undefined,
      };
    } catch {
      return { name: row.name, clientCertificate: unreadable, minVersion: undefined, ciphers: undefined };
    }
  }

  /** One that cannot be read is none, and nobody's certificate stands on it. */
  function readAuthority(id: string): Authority | undefined {
    const row = rows.authority(id);
    if (row === undefined) return undefined;
    try {
      const { fingerprint, certificate, crl } = JSON.parse(row.doc) as entities.CaCertificate;
      return { id, revision: row.revision, fingerprint, certificate, crl: crl ?? undefined };
    } catch {
      return undefined;
    }
  }
}
