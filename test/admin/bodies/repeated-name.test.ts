import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fc } from '../../support/fast-check.ts';
import { repeatedName } from '../../../src/admin/bodies/repeated-name.ts';

test('a name is found twice in one object, in any spelling and depth', () => {
  for (const [text, name] of [
    ['{"a":1,"a":2}', 'a'],
    [String.raw`{"a":1,"\u0061" : 2}`, 'a'],
    ['{"b":{"c":[{"d":1,"e":2,"d":3}]}}', 'd'],
    [String.raw`{"q\"":"\\","q\"":1}`, 'q"'],
    ['{"a":"a","b":["a","a"],"c":{"a":1},"d":[{"a":1},{"a":1}]}', undefined],
    [String.raw`{"a":"{\"a\":1,\"a\":2}","b":"\\\"","c":"\\"}`, undefined],
    ['["a","a"]', undefined],
    ['{"__proto__":1,"__proto__":2}', '__proto__'],
  ] as const) {
    assert.doesNotThrow(() => JSON.parse(text));
    assert.equal(repeatedName(text), name, text);
  }
});

test('what JSON.stringify writes has no name twice, and with any of its names once more it has', () => {
  fc.assert(
    fc.property(fc.dictionary(fc.string({ unit: 'grapheme' }), fc.jsonValue(), { minKeys: 1 }), (object) => {
      for (const text of [JSON.stringify(object), JSON.stringify(object, null, 2)]) {
        assert.equal(repeatedName(text), undefined);
        const [name = ''] = Object.keys(object);
        assert.equal(repeatedName(`${text.slice(0, -1)},${JSON.stringify(name)}:0}`), name);
      }
    }),
  );
});
