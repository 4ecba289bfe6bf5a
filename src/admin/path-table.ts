// Which methods a path answers to, for 405 and OPTIONS: the router itself only knows a path together with a method.
import type { Route } from './contract.ts';

export interface PathTable {
  /** Sorted, HEAD and OPTIONS included; undefined when no route has this path. */
  methodsOf(url: string): readonly string[] | undefined;
}

export function createPathTable(routes: readonly Pick<Route, 'method' | 'path'>[]): PathTable {
  const methods = new Map<string, Set<string>>();
  for (const { method, path } of routes) {
    const known = methods.get(path) ?? new Set(['OPTIONS']);
    known.add(method);
    if (method === 'GET') known.add('HEAD');
    methods.set(path, known);
  }
  const table = [...methods]
    .map(([path, known]) => ({ segments: segmentsOf(path), methods: [...known].sort() }))
    // A fixed segment beats a parameter, as in the router.
    .sort((a, b) => parametersIn(a.segments) - parametersIn(b.segments));
  return {
    methodsOf(url) {
      const segments = segmentsOf(url.split('?', 1)[0] ?? '');
      return table.find((entry) => matches(entry.segments, segments))?.methods;
    },
  };
}

function segmentsOf(path: string): readonly string[] {
  return path.split('/').filter((segment) => segment !== '');
}

function parametersIn(segments: readonly string[]): number {
  return segments.filter((segment) => segment.startsWith(':')).length;
}

function matches(pattern: readonly string[], segments: readonly string[]): boolean {
  return (
    pattern.length === segments.length &&
    pattern.every((part, index) => part.startsWith(':') || part === segments[index])
  );
}
