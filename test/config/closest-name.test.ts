// Suggestions for a name that does not exist.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { closestName } from '../../src/config/closest-name.ts';

test('a slip of the finger finds the name', () => {
  const known = ['proxy_listen', 'admin_listen', 'prefix', 'workers'];
  assert.equal(closestName('proxy_listn', known), 'proxy_listen');
  assert.equal(closestName('worker', known), 'workers');
  assert.equal(closestName('perfix', known), 'prefix');
});

test('a name that is like none finds none', () => {
  assert.equal(closestName('zzzzzz', ['workers', 'prefix']), undefined);
  assert.equal(closestName('x', ['workers']), undefined);
  assert.equal(closestName('', ['workers']), undefined);
});
