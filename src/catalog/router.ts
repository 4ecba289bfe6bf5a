// Which API a request belongs to: an index of compiled APIs by host, path and method, changed API by API in place. A
// match is one synchronous call that hands out an immutable Route, so an exchange sees one revision from start to end.
//
// Order of precedence, first hit wins (the seed dialect's request_host and request_path are alternatives, so such an API
// stands in the index twice: once by its host, once by its path):
//   1. host + path + method   2. host + path   3. host + method   4. path + method   5. host   6. path   7. method
// Within one: an exact host before a wildcard, a longer wildcard before a shorter, a longer path before a shorter, the
// older API before the newer.
import type { Route, RouteCatalog, RouteMatch } from './contract.ts';

export interface Entry {
  readonly apiId: string;
  /** Order of creation. */
  readonly sequence: number;
  readonly hosts: readonly string[];
  readonly uris: readonly string[];
  /** Empty: any. */
  readonly methods: readonly string[];
  /** Immutable itself; another one takes its place when another plugin governs. */
  route: Route;
  /** What the API demands itself, whatever plugin governs. */
  readonly own: Pick<Route, 'httpsOnly' | 'httpIfTerminated'>;
  /** What strip removes when no path took part in the match, if the request's path begins with it. */
  readonly looseUri: string | undefined;
}

export interface Router {
  /** Puts an API's entries in the place of those it had; none: removes it. */
  set(apiId: string, entries: readonly Entry[]): void;
  /** All APIs that have any. */
  entries(): IterableIterator<[apiId: string, entries: readonly Entry[]]>;
  readonly match: RouteCatalog['matchRoute'];
  readonly size: number;
}

/** The entries that one host name (or no host) leads to. */
interface Bucket {
  byUri: Map<string, Entry[]>;
  /** No path in `byUri` is longer; never less while there are some. */
  longestUri: number;
  anyUri: Entry[];
}

/** What nearly every host has: of a hundred thousand each with a map of its own half the memory would be maps. Never filled. */
const noUris: Map<string, Entry[]> = new Map();
const noEntries: Entry[] = [];

interface Hit {
  readonly entry: Entry;
  readonly uri: string;
}

export function createRouter(): Router {
  const exact = new Map<string, Bucket>();
  const prefixWildcards = new Map<string, Bucket>();
  const suffixWildcards = new Map<string, Bucket>();
  const hostless: Bucket = newBucket();
  const entriesOf = new Map<string, readonly Entry[]>();

  return {
    set(apiId, entries) {
      for (const entry of entriesOf.get(apiId) ?? []) forEachPlace(entry, removeFrom);
      if (entries.length === 0) {
        entriesOf.delete(apiId);
        return;
      }
      entriesOf.set(apiId, entries);
      for (const entry of entries) forEachPlace(entry, addTo);
    },

    entries: () => entriesOf.entries(),

    match(method, host, path) {
      const bucket = exact.get(host);
      // The common case: one API that owns the whole host. Only a route by path and method without host could outrank it.
      if (bucket !== undefined && bucket.byUri.size === 0 && bucket.anyUri.length === 1 && hostless.byUri.size === 0) {
        const only = bucket.anyUri[0];
        if (
          only !== undefined &&
          only.methods.length === 0 &&
          prefixWildcards.size === 0 &&
          suffixWildcards.size === 0
        ) {
          return matchOf({ entry: only, uri: '' }, path);
        }
      }
      const buckets = bucketsFor(host, bucket);
      const hit =
        firstByUri(buckets, method, path, true) ??
        firstByUri(buckets, method, path, false) ??
        firstAnyUri(buckets, method, true) ??
        findByUri(hostless, method, path, true) ??
        firstAnyUri(buckets, method, false) ??
        findByUri(hostless, method, path, false) ??
        findAnyUri(hostless, method, true);
      return hit === undefined ? undefined : matchOf(hit, path);
    },

    get size() {
      return entriesOf.size;
    },
  };

  function bucketsFor(host: string, bucket: Bucket | undefined): readonly Bucket[] {
    const found: Bucket[] = bucket === undefined ? [] : [bucket];
    if (prefixWildcards.size > 0) {
      for (let dot = host.indexOf('.'); dot !== -1; dot = host.indexOf('.', dot + 1)) {
        const wildcard = prefixWildcards.get(host.slice(dot + 1));
        if (wildcard !== undefined) found.push(wildcard);
      }
    }
    if (suffixWildcards.size > 0) {
      for (let dot = host.lastIndexOf('.'); dot > 0; dot = host.lastIndexOf('.', dot - 1)) {
        const wildcard = suffixWildcards.get(host.slice(0, dot));
        if (wildcard !== undefined) found.push(wildcard);
      }
    }
    return found;
  }

  function forEachPlace(entry: Entry, act: Act): void {
    if (entry.hosts.length === 0) place(hostless, entry, act);
    for (const host of entry.hosts) {
      const [index, key] = indexFor(host);
      const bucket = index.get(key) ?? newBucket();
      place(bucket, entry, act);
      if (bucket.byUri.size === 0 && bucket.anyUri.length === 0) index.delete(key);
      else index.set(key, bucket);
    }
  }

  function indexFor(host: string): readonly [Map<string, Bucket>, string] {
    if (host.startsWith('*.')) return [prefixWildcards, host.slice(2)];
    if (host.endsWith('.*')) return [suffixWildcards, host.slice(0, -2)];
    return [exact, host];
  }
}

/** @returns the list with the change: the same one, or another that takes its place */
type Act = (list: Entry[], entry: Entry) => Entry[];

function place(bucket: Bucket, entry: Entry, act: Act): void {
  if (entry.uris.length === 0) bucket.anyUri = act(bucket.anyUri, entry);
  for (const uri of entry.uris) {
    const list = act(bucket.byUri.get(uri) ?? noEntries, entry);
    if (list.length === 0) {
      bucket.byUri.delete(uri);
      if (bucket.byUri.size === 0) bucket.longestUri = 0;
    } else {
      if (bucket.byUri === noUris) bucket.byUri = new Map();
      bucket.byUri.set(uri, list);
      bucket.longestUri = Math.max(bucket.longestUri, uri.length);
    }
  }
}

function addTo(list: Entry[], entry: Entry): Entry[] {
  if (list.length === 0) return [entry];
  // From the end: those that come are nearly always the newest.
  const before = list.findLastIndex((other) => other.sequence <= entry.sequence);
  list.splice(before + 1, 0, entry);
  return list;
}

function removeFrom(list: Entry[], entry: Entry): Entry[] {
  const at = list.indexOf(entry);
  if (at !== -1) list.splice(at, 1);
  return list.length === 0 ? noEntries : list;
}

function firstByUri(buckets: readonly Bucket[], method: string, path: string, byMethod: boolean): Hit | undefined {
  for (const bucket of buckets) {
    const hit = findByUri(bucket, method, path, byMethod);
    if (hit !== undefined) return hit;
  }
  return undefined;
}

function firstAnyUri(buckets: readonly Bucket[], method: string, byMethod: boolean): Hit | undefined {
  for (const bucket of buckets) {
    const hit = findAnyUri(bucket, method, byMethod);
    if (hit !== undefined) return hit;
  }
  return undefined;
}

/** Whole segments, longest first: `/a/b/c`, `/a/b`, `/a`, `/`. */
function findByUri(bucket: Bucket, method: string, path: string, byMethod: boolean): Hit | undefined {
  if (bucket.byUri.size === 0) return undefined;
  // Or a path of thousands of segments would cost the square of its length.
  let uri = path.length > bucket.longestUri ? parentOf(path, path.lastIndexOf('/', bucket.longestUri)) : path;
  for (;;) {
    const hit = pick(bucket.byUri.get(uri), method, byMethod, uri);
    if (hit !== undefined) return hit;
    if (uri === '/') return undefined;
    uri = parentOf(uri, uri.lastIndexOf('/'));
  }
}

function parentOf(path: string, slash: number): string {
  return slash <= 0 ? '/' : path.slice(0, slash);
}

function findAnyUri(bucket: Bucket, method: string, byMethod: boolean): Hit | undefined {
  return pick(bucket.anyUri, method, byMethod, '');
}

function pick(list: readonly Entry[] | undefined, method: string, byMethod: boolean, uri: string): Hit | undefined {
  if (list === undefined) return undefined;
  for (const entry of list) {
    if (byMethod ? entry.methods.includes(method) : entry.methods.length === 0) return { entry, uri };
  }
  return undefined;
}

function matchOf(hit: Hit, path: string): RouteMatch {
  const { route, looseUri } = hit.entry;
  if (hit.uri !== '' || looseUri === undefined) return { route, prefix: hit.uri === '/' ? '' : hit.uri };
  return { route, prefix: looseUri !== '/' && isUnder(path, looseUri) ? looseUri : '' };
}

function isUnder(path: string, uri: string): boolean {
  return path.startsWith(uri) && (path.length === uri.length || path[uri.length] === '/');
}

function newBucket(): Bucket {
  return { byUri: noUris, longestUri: 0, anyUri: noEntries };
}
