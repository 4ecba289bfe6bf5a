// Which certificate a server name gets. The order of names is model/host-name's, the bindings are the catalog's; making
// a TLS context of the answer is contexts.ts's.
import type { CertificateCatalog, CertificateRecord, PolicyCatalog } from '../catalog/contract.ts';
import { createLru } from '../lib/lru.ts';
import { hostNameMaxLength, parseServerName, selectionOrder } from '../model/host-name.ts';
import type { TlsPolicies, TlsPolicy } from './policies.ts';

export type Selection =
  /** A binding names it: the name itself, a wildcard, or the certificate of a global plugin. */
  | { readonly kind: 'bound'; readonly record: CertificateRecord }
  | { readonly kind: 'default'; readonly record: CertificateRecord }
  /** A binding names it, and the local file does not have it yet. */
  | { readonly kind: 'absent'; readonly certificateId: string }
  | { readonly kind: 'none' };

/** What is remembered of a selection: enough to find its context, without chain and key. */
interface Selected {
  /** In normal form; undefined when the client sent none or one that is no host name. */
  readonly serverName: string | undefined;
  /** undefined: no certificate. */
  readonly certificate: { readonly id: string; readonly revision: number } | undefined;
  /** What the name demands beside; undefined: nothing. */
  readonly policy: TlsPolicy | undefined;
  /** The id of a certificate that has to be fetched first; never remembered. */
  readonly absent?: string;
}

export interface Selector {
  /** @param sentName as the ClientHello has it; answered from memory where it was asked before in this epoch */
  find(sentName: string | undefined): Selected;
}

/**
 * In this order: the certificate bound to the exact name, to `*.rest`, to `name.*`, to `*`, to every name (a global
 * plugin's); the default of the configuration; the default the store made.
 *
 * @param serverName in normal form; undefined when the client sent none or one that is no host name
 * @param configured the default certificate of the configuration
 */
export function selectCertificate(
  catalog: CertificateCatalog,
  configured: CertificateRecord | undefined,
  serverName: string | undefined,
): Selection {
  const names = selectionOrder(serverName);
  const bound = catalog.findCertificate(names);
  if (bound !== undefined) return { kind: 'bound', record: bound };
  const absent = catalog.absentCertificate(names);
  if (absent !== undefined) return { kind: 'absent', certificateId: absent };
  const standard = configured ?? catalog.storedDefault();
  return standard === undefined ? { kind: 'none' } : { kind: 'default', record: standard };
}

/** Longer names are no host names, and not worth remembering. */
const sentNameMaxLength = hostNameMaxLength + 1;

/**
 * Remembers what was selected for the names sent last, until one of the catalog's epochs moves on.
 *
 * @param namesMax names remembered at most; each takes 200 to 500 bytes
 */
export function createSelector(
  catalog: CertificateCatalog & PolicyCatalog,
  configured: CertificateRecord | undefined,
  namesMax: number,
  policies: TlsPolicies,
): Selector {
  const remembered = createLru<string, Selected>(namesMax);
  let epoch = catalog.certificateEpoch;
  let policyEpoch = catalog.policyEpoch;

  return { find };

  function find(sentName = ''): Selected {
    if (catalog.certificateEpoch !== epoch || catalog.policyEpoch !== policyEpoch) {
      remembered.clear();
      epoch = catalog.certificateEpoch;
      policyEpoch = catalog.policyEpoch;
    }
    const key = sentName.length > sentNameMaxLength ? '' : sentName;
    const known = remembered.get(key);
    if (known !== undefined) return known;
    const serverName = key === '' ? undefined : parseServerName(key);
    const selection = selectCertificate(catalog, configured, serverName);
    const policy = policies.find(serverName);
    if (selection.kind === 'absent')
      return { serverName, certificate: undefined, policy, absent: selection.certificateId };
    const certificate =
      selection.kind === 'none' ? undefined : { id: selection.record.id, revision: selection.record.revision };
    const selected = { serverName, certificate, policy };
    remembered.set(key, selected);
    return selected;
  }
}
