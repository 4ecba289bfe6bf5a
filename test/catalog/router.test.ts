import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { fc } from '../support/fast-check.ts';
import { createRouteCompiler } from '../../src/catalog/compile-route.ts';
import { createRuleIndex } from '../../src/catalog/rule-index.ts';
import { createRouter, type Router } from '../../src/catalog/router.ts';
import type { Api } from '../../src/model/entities.ts';
import { fakeApi } from '../contracts/entities.ts';

const compileRoute = createRouteCompiler();

function api(name: string, fields: Partial<Api>): Api {
  return fakeApi(name, { name, hosts: [], ...fields });
}

function routerOf(...apis: readonly Api[]): Router {
  const router = createRouter();
  apis.forEach((each, at) => router.set(each.id, compileRoute(each, at, undefined)));
  return router;
}

function matched(router: Router, method: string, host: string, path: string): string | undefined {
  const match = router.match(method, host, path);
  return match === undefined ? undefined : `${match.route.apiName}${match.prefix === '' ? '' : ` ${match.prefix}`}`;
}

describe('precedence', () => {
  const router = routerOf(
    api('method', { methods: ['GET'] }),
    api('uri', { uris: ['/a'] }),
    api('host', { hosts: ['h.test'] }),
    api('method-uri', { methods: ['GET'], uris: ['/a'] }),
    api('host-method', { hosts: ['h.test'], methods: ['GET'] }),
    api('host-uri', { hosts: ['h.test'], uris: ['/a'] }),
    api('all', { hosts: ['h.test'], uris: ['/a'], methods: ['PUT'] }),
  );
  for (const [method, host, path, wanted] of [
    ['PUT', 'h.test', '/a', 'all /a'],
    ['GET', 'h.test', '/a', 'host-uri /a'],
    ['GET', 'h.test', '/b', 'host-method'],
    ['GET', 'x.test', '/a', 'method-uri /a'],
    ['POST', 'h.test', '/b', 'host'],
    ['POST', 'x.test', '/a/b', 'uri /a'],
    ['GET', 'x.test', '/b', 'method'],
    ['POST', 'x.test', '/b', undefined],
  ] as const) {
    test(`${method} ${host}${path} → ${wanted}`, () => assert.equal(matched(router, method, host, path), wanted));
  }

  test('a path and method route without host goes before a host that alone owns everything', () => {
    const two = routerOf(api('host', { hosts: ['h.test'] }), api('method-uri', { methods: ['GET'], uris: ['/a'] }));
    assert.equal(matched(two, 'GET', 'h.test', '/a'), 'method-uri /a');
    assert.equal(matched(two, 'GET', 'h.test', '/b'), 'host');
  });
});

test('a path is found however the API spells its escapes', () => {
  const router = routerOf(api('letter', { uris: ['/%61dmin'] }), api('accent', { uris: ['/caf%c3%a9'] }));
  assert.equal(matched(router, 'GET', 'h.test', '/admin/x'), 'letter /admin');
  assert.equal(matched(router, 'GET', 'h.test', '/caf%C3%A9'), 'accent /caf%C3%A9');
});

describe('hosts', () => {
  const router = routerOf(
    api('exact', { hosts: ['a.x.test'] }),
    api('wide', { hosts: ['*.test'] }),
    api('narrow', { hosts: ['*.x.test'] }),
    api('suffix', { hosts: ['site.*'] }),
  );
  for (const [host, wanted] of [
    ['a.x.test', 'exact'],
    ['b.x.test', 'narrow'],
    ['c.b.x.test', 'narrow'],
    ['x.test', 'wide'],
    ['test', undefined],
    ['site.org', 'suffix'],
    ['site.co.uk', 'suffix'],
    ['site', undefined],
    ['', undefined],
  ] as const) {
    test(`${host} → ${wanted}`, () => assert.equal(matched(router, 'GET', host, '/'), wanted));
  }
});

describe('paths match by whole segments, longest first', () => {
  const router = routerOf(
    api('root', { uris: ['/'] }),
    api('short', { uris: ['/a'] }),
    api('long', { uris: ['/a/b'] }),
  );
  for (const [path, wanted] of [
    ['/', 'root'],
    ['/ab', 'root'],
    ['/a', 'short /a'],
    ['/a/', 'short /a'],
    ['/a/bc', 'short /a'],
    ['/a/b', 'long /a/b'],
    ['/a/b/c', 'long /a/b'],
  ] as const) {
    test(`${path} → ${wanted}`, () => assert.equal(matched(router, 'GET', 'any.test', path), wanted));
  }
});

test('in the seed dialect host and path are alternatives, and the path is stripped either way', () => {
  const router = routerOf(api('seed', { dialect: '0.9', hosts: ['h.test'], uris: ['/p'] }));
  assert.equal(matched(router, 'GET', 'h.test', '/other'), 'seed');
  assert.equal(matched(router, 'GET', 'h.test', '/p/x'), 'seed /p');
  assert.equal(matched(router, 'GET', 'h.test', '/px'), 'seed');
  assert.equal(matched(router, 'GET', 'else.test', '/p/x'), 'seed /p');
  assert.equal(matched(router, 'GET', 'else.test', '/x'), undefined);
});

test('an exact host goes before a wildcard, and the older API before the newer', () => {
  const router = routerOf(api('old', { hosts: ['h.test'] }), api('new', { hosts: ['h.test'] }));
  assert.equal(matched(router, 'GET', 'h.test', '/'), 'old');
  router.set('old', []);
  assert.equal(matched(router, 'GET', 'h.test', '/'), 'new');
  router.set('old', compileRoute(api('old', { hosts: ['h.test'] }), 0, undefined));
  assert.equal(matched(router, 'GET', 'h.test', '/'), 'old');
});

test(
  'a path far deeper than every route is matched by its first segments, at no cost of the others',
  { timeout: 30_000 },
  () => {
    const router = routerOf(
      api('deep', { hosts: ['a.test'], uris: ['/a/b', '/a/b/c/d'] }),
      api('wild', { hosts: ['*.test'], uris: ['/x'] }),
      api('any', { uris: ['/a'] }),
    );
    const tail = '/e'.repeat(4000);
    // Were each of its prefixes looked up, this would take minutes.
    for (let count = 0; count < 300; count += 1) {
      assert.equal(matched(router, 'GET', 'a.test', `/a/b/c${tail}${count}`), 'deep /a/b');
      assert.equal(matched(router, 'GET', 'a.test', `/a/b/c/d${tail}${count}`), 'deep /a/b/c/d');
      assert.equal(matched(router, 'GET', 'a.test', `/a/bb${tail}${count}`), 'any /a');
      assert.equal(matched(router, 'GET', 'a.test', `/aa${tail}${count}`), undefined);
    }
  },
);

test('changed one by one, the index answers as one built anew', () => {
  const hosts = fc.subarray(['a.test', 'b.a.test', '*.test', '*.a.test', 'a.*']);
  const uris = fc.subarray(['/', '/a', '/a/b', '/c']);
  const methods = fc.subarray(['GET', 'PUT']);
  const change = fc.record({ id: fc.nat(5), fields: fc.option(fc.record({ hosts, uris, methods })) });
  const request = fc.tuple(
    fc.constantFrom('GET', 'PUT', 'POST'),
    fc.constantFrom('a.test', 'b.a.test', 'c.a.test', 'a.org', 'x.y', ''),
    fc.constantFrom('/', '/a', '/a/b/c', '/ab', '/c/'),
  );
  fc.assert(
    fc.property(
      fc.array(change, { maxLength: 30 }),
      fc.array(request, { minLength: 5, maxLength: 20 }),
      (changes, requests) => {
        const live = createRouter();
        const last = new Map<number, Api>();
        for (const { id, fields } of changes) {
          if (fields === null || fields.hosts.length + fields.uris.length + fields.methods.length === 0) {
            last.delete(id);
            live.set(`api-${id}`, []);
          } else {
            const each = api(`api-${id}`, fields);
            last.set(id, each);
            live.set(each.id, compileRoute(each, id, undefined));
          }
        }
        const anew = createRouter();
        for (const [id, each] of last) anew.set(each.id, compileRoute(each, id, undefined));
        assert.equal(live.size, anew.size);
        for (const [method, host, path] of requests) {
          assert.equal(matched(live, method, host, path), matched(anew, method, host, path));
          assert.equal(matched(live, method, host, path), naive([...last.entries()], method, host, path));
        }
      },
    ),
    { numRuns: 300 },
  );
});

test('the rules of a host are those of every API that a request for it may match, however they changed before', () => {
  const hosts = fc.subarray(['a.test', 'b.a.test', '*.test', '*.a.test', 'a.*']);
  const rule = fc.constantFrom(null, 'required' as const, 'optional' as const);
  const dialect = fc.constantFrom('0.9' as const, '0.12' as const);
  const change = fc.record({ id: fc.nat(5), uris: fc.subarray(['/a']), hosts, rule, dialect });
  const asked = ['a.test', 'b.a.test', 'c.b.a.test', 'a.org', 'x.y', 'a', ''];
  fc.assert(
    fc.property(fc.array(change, { maxLength: 30 }), (changes) => {
      const index = createRuleIndex();
      const router = createRouter();
      const ruled = new Map<string, Api>();
      for (const { id, rule: mode, ...fields } of changes) {
        const clientCertificate = mode && { mode, authorities: ['ca'], depth: 1 };
        const each = api(`api-${id}`, {
          ...fields,
          methods: fields.hosts.length === 0 ? ['GET'] : [],
          clientCertificate,
        });
        const entries = compileRoute(each, id, undefined);
        index.set(each.id, entries);
        router.set(each.id, entries);
        if (mode === null) ruled.delete(each.id);
        else ruled.set(each.id, each);
      }
      assert.equal(index.size, ruled.size);
      for (const host of asked) {
        const found = index.find(host).map((each) => each.mode);
        const mayMatch = (each: Api): boolean =>
          each.hosts.length === 0 ||
          (each.dialect === '0.9' && each.uris.length > 0) ||
          each.hosts.some((pattern) => hostRank(pattern, host).length > 0);
        const wanted = [...ruled.values()].filter(mayMatch).flatMap((each) => each.clientCertificate?.mode ?? []);
        assert.deepEqual(found.toSorted(), [...new Set(wanted)].toSorted(), host);
        const matched = router.match('GET', host, '/a')?.route.clientCertificate?.mode;
        if (matched !== undefined) assert.ok(found.includes(matched));
      }
    }),
    { numRuns: 300 },
  );
});

/** The order of precedence, written as a sort over all APIs. */
function naive(
  apis: readonly (readonly [number, Api])[],
  method: string,
  host: string,
  path: string,
): string | undefined {
  const categories = ['hum', 'hu', 'hm', 'um', 'h', 'u', 'm'];
  const hits = apis.flatMap(([sequence, each]) => {
    const category = `${each.hosts.length > 0 ? 'h' : ''}${each.uris.length > 0 ? 'u' : ''}${each.methods.length > 0 ? 'm' : ''}`;
    if (each.methods.length > 0 && !each.methods.includes(method)) return [];
    const hostRanks = each.hosts.flatMap((pattern) => hostRank(pattern, host));
    if (each.hosts.length > 0 && hostRanks.length === 0) return [];
    const uris = each.uris.filter((uri) => uri === '/' || path === uri || path.startsWith(`${uri}/`));
    if (each.uris.length > 0 && uris.length === 0) return [];
    const uri = uris.toSorted((a, b) => b.length - a.length)[0] ?? '';
    return [{ rank: categories.indexOf(category), host: Math.max(0, ...hostRanks), uri, sequence, name: each.name }];
  });
  const best = hits.toSorted(
    (a, b) => a.rank - b.rank || b.host - a.host || b.uri.length - a.uri.length || a.sequence - b.sequence,
  )[0];
  return best === undefined ? undefined : `${best.name}${best.uri.length > 1 ? ` ${best.uri}` : ''}`;
}

/** Exact, then `*.rest` by length, then `name.*` by length. */
function hostRank(pattern: string, host: string): readonly number[] {
  if (pattern === host) return [100_000];
  if (pattern.startsWith('*.') && host.endsWith(pattern.slice(1)) && host.length > pattern.length - 1)
    return [10_000 + pattern.length];
  if (pattern.endsWith('.*') && host.startsWith(pattern.slice(0, -1)) && host.length > pattern.length - 1)
    return [pattern.length];
  return [];
}
