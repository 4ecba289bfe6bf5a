// Which certificate a server name gets. The order of names is model/host-name's, the bindings are the catalog's; making
// a TLS context of the answer is contexts.ts's.
import type { CertificateCatalog, CertificateRecord } from '../catalog/contract.ts';
import { createLru } from '../lib/lru.ts';
import { selectionOrder } from '../model/host-name.ts';

export type Selection =
  /** A binding names it: the name itself, a wildcard, or the certificate of a global plugin. */
  | { readonly kind: 'bound'; readonly record: CertificateRecord }
  | { readonly kind: 'default'; readonly record: CertificateRecord }
  | { readonly kind: 'none' };

/** What is remembered of a selection: enough to find its context, without chain and key. */
export interface Selected {
  readonly certificateId: string;
  readonly revision: number;
}

export interface Selector {
  /** The selection of today's epoch, from memory where it was asked before; undefined when there is none. */
  find(serverName: string | undefined): Selected | undefined;
  /** The same with the record, always from the catalog. */
  select(serverName: string | undefined): Selection;
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
  const bound = catalog.findCertificate(selectionOrder(serverName));
  if (bound !== undefined) return { kind: 'bound', record: bound };
  const standard = configured ?? catalog.storedDefault();
  return standard === undefined ? { kind: 'none' } : { kind: 'default', record: standard };
}

/**
 * Remembers what was selected for the names asked last, until the catalog's certificate epoch moves on.
 *
 * @param namesMax names remembered at most; each takes about 200 bytes
 */
export function createSelector(
  catalog: CertificateCatalog,
  configured: CertificateRecord | undefined,
  namesMax: number,
): Selector {
  const remembered = createLru<string, Selected>(namesMax);
  let epoch = catalog.certificateEpoch;

  return { find, select: (serverName) => selectCertificate(catalog, configured, serverName) };

  function find(serverName: string | undefined): Selected | undefined {
    if (catalog.certificateEpoch !== epoch) {
      remembered.clear();
      epoch = catalog.certificateEpoch;
    }
    const name = serverName ?? '';
    const known = remembered.get(name);
    if (known !== undefined) return known;
    const selection = selectCertificate(catalog, configured, serverName);
    if (selection.kind === 'none') return undefined;
    const { id, revision } = selection.record;
    const selected = { certificateId: id, revision };
    remembered.set(name, selected);
    return selected;
  }
}
