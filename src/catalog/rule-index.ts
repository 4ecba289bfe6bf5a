// Which rules about client certificates a request for a host may meet, before its path and method are known. It knows the
// APIs that have a rule, and no others.
import { hostPatterns } from '../model/host-name.ts';
import type { ClientCertificateRule } from './contract.ts';
import type { Entry } from './router.ts';

/** The place of APIs without hosts. No host name is empty. */
const anyHost = '';
const noRules: readonly ClientCertificateRule[] = [];
const noEntries: readonly Entry[] = [];

export interface RuleIndex {
  /** Puts the rules of an API's entries in the place of those it had. @returns whether it had any, or has */
  set(apiId: string, entries: readonly Entry[]): boolean;
  /** Each once, of APIs whose hosts match as the router matches them, and of those without hosts. */
  readonly find: (host: string) => readonly ClientCertificateRule[];
  /** APIs that have one. */
  readonly size: number;
}

/** Equal rules are one object (compile-route.ts), so that a host with many APIs of one rule counts it. */
type Counts = Map<ClientCertificateRule, number>;

export function createRuleIndex(): RuleIndex {
  const byHost = new Map<string, Counts>();
  const entriesOf = new Map<string, readonly Entry[]>();

  return {
    set(apiId, entries) {
      const before = entriesOf.get(apiId) ?? noEntries;
      // Nearly all have none.
      if (before.length === 0 && !entries.some(hasRule)) return false;
      const after = entries.filter(hasRule);
      for (const entry of before) count(entry, -1);
      for (const entry of after) count(entry, 1);
      if (after.length === 0) entriesOf.delete(apiId);
      else entriesOf.set(apiId, after);
      return true;
    },
    find(host) {
      if (byHost.size === 0) return noRules;
      const found = new Set<ClientCertificateRule>();
      for (const place of placesOf(host)) {
        for (const rule of byHost.get(place)?.keys() ?? []) found.add(rule);
      }
      return found.size === 0 ? noRules : [...found];
    },
    get size() {
      return entriesOf.size;
    },
  };

  function count({ hosts, route }: Entry, by: 1 | -1): void {
    const rule = route.clientCertificate;
    if (rule === undefined) return;
    for (const place of hosts.length === 0 ? [anyHost] : hosts) {
      const counts: Counts = byHost.get(place) ?? new Map();
      const total = (counts.get(rule) ?? 0) + by;
      if (total > 0) counts.set(rule, total);
      else counts.delete(rule);
      if (counts.size > 0) byHost.set(place, counts);
      else byHost.delete(place);
    }
  }
}

function hasRule({ route }: Entry): boolean {
  return route.clientCertificate !== undefined;
}

/** Of every API that may have this host. */
function* placesOf(host: string): Iterable<string> {
  yield anyHost;
  if (host !== '') yield* hostPatterns(host);
}
