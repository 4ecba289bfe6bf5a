// The readings of a path that decide where it leads.
import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { fc } from '../support/fast-check.ts';
import { looseRoutingPath, routingPath, withoutPrefix } from '../../src/model/routing-path.ts';

suite('a routing path', () => {
  test('reads encoded unreserved characters as themselves, and nothing else, once, in upper case', () => {
    assert.equal(routingPath('/%61%2D%5f%7E'), '/a-_~');
    assert.equal(routingPath('/%2F%3f%20%2541'), '/%2F%3F%20%2541');
  });

  test('is the same however often it is taken', () => {
    fc.assert(
      fc.property(fc.stringMatching(/^\/([a-c/]|%61|%2[Ff]|%25){0,20}$/), (path) => {
        const once = routingPath(path);
        assert.equal(routingPath(once), once);
      }),
    );
  });

  test('less a prefix of whole segments is the routing path of the rest', () => {
    fc.assert(
      fc.property(fc.stringMatching(/^(\/{1,3}([a-c]|%61|%2F){1,3}){1,5}\/?$/), fc.nat(), (path, seed) => {
        const routed = routingPath(path);
        const segments = routed.split('/').length - 1;
        const prefix = routed
          .split('/')
          .slice(0, 1 + (seed % segments))
          .join('/');
        const rest = withoutPrefix(path, prefix);
        assert.ok(rest.startsWith('/'));
        assert.equal(routingPath(rest), routed.slice(prefix.length) || '/');
        assert.ok(path.endsWith(rest) || rest === '/');
      }),
    );
  });
});

suite('a loose routing path', () => {
  for (const [path, loose] of [
    ['/a/b', '/a/b'],
    ['/a%20b', '/a%20b'],
    ['/a%2fb', '/a/b'],
    ['/%2Fadmin', '/admin'],
    ['/x%5cadmin', '/x/admin'],
    ['/admin;v=1/x;y', '/admin/x'],
    ['/;/admin', '/admin'],
    ['/admin%3bv=1', '/admin'],
    ['/%252Fadmin', '/%252Fadmin'],
  ] as const) {
    test(`of ${path} is ${loose}`, () => {
      assert.equal(looseRoutingPath(routingPath(path)), loose);
    });
  }
});
