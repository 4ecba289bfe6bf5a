import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fc } from '../support/fast-check.ts';
import { createLru } from '../../src/lib/lru.ts';

test('the entry used longest ago makes room', () => {
  const evicted: string[] = [];
  const lru = createLru<string, number>(2, (key) => evicted.push(key));
  lru.set('a', 1);
  lru.set('b', 2);
  lru.get('a');
  lru.set('c', 3);
  assert.deepEqual(evicted, ['b']);
  assert.deepEqual([...lru.entries()].map(String), ['a,1', 'c,3']);
});

test('peeking is no use, and neither replacing nor deleting is an eviction', () => {
  const evicted: string[] = [];
  const lru = createLru<string, number>(2, (key) => evicted.push(key));
  lru.set('a', 1);
  lru.set('b', 2);
  assert.equal(lru.peek('a'), 1);
  lru.set('b', 3);
  assert.equal(lru.delete('b'), true);
  assert.equal(lru.delete('b'), false);
  lru.set('b', 4);
  assert.deepEqual(evicted, []);
  lru.set('c', 5);
  assert.deepEqual(evicted, ['a']);
});

test('a value of undefined is kept like any other', () => {
  const lru = createLru<string, undefined>(2);
  lru.set('a', undefined);
  lru.set('b', undefined);
  lru.get('a');
  lru.set('c', undefined);
  assert.deepEqual(
    [...lru.entries()].map(([key]) => key),
    ['a', 'c'],
  );
});

test('room for less than one entry is a mistake of the caller', () => {
  for (const max of [0, -1, 1.5, Number.NaN]) assert.throws(() => createLru(max), TypeError);
});

test('it holds what a list of recent uses would hold', () => {
  const steps = fc.array(fc.tuple(fc.constantFrom('get', 'set', 'delete'), fc.integer({ min: 0, max: 9 })));
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 5 }), steps, (max, list) => {
      const lru = createLru<number, number>(max);
      let recent: [number, number][] = [];
      for (const [index, [step, key]] of list.entries()) {
        const before = recent.find(([known]) => known === key);
        const others = recent.filter(([known]) => known !== key);
        if (step === 'get') {
          assert.equal(lru.get(key), before?.[1]);
          if (before !== undefined) recent = [...others, before];
        } else if (step === 'set') {
          lru.set(key, index);
          recent = [...others, [key, index] satisfies [number, number]].slice(-max);
        } else {
          assert.equal(lru.delete(key), before !== undefined);
          recent = others;
        }
        assert.deepEqual([...lru.entries()], recent);
        assert.equal(lru.size, recent.length);
      }
    }),
  );
});
