import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fc } from '../../support/fast-check.ts';
import { fieldDepthMax, fieldsMax, nestForm, nestJson, type RawObject } from '../../../src/admin/bodies/fields.ts';
import { problemsOf } from '../../../src/admin/problems.ts';
import { isPortunusError, type PortunusError } from '../../../src/lib/errors.ts';

/** Objects without a prototype compare as plain ones. */
const plain = (fields: RawObject): unknown => JSON.parse(JSON.stringify(fields));

const spellings: readonly (readonly [title: string, form: string, fields: object])[] = [
  ['a dot nests', 'config.cert=x', { config: { cert: 'x' } }],
  ['brackets nest', 'config[cert]=x&config[key]=y', { config: { cert: 'x', key: 'y' } }],
  ['dots and brackets meet', 'config.cert=x&config[key]=y', { config: { cert: 'x', key: 'y' } }],
  ['empty brackets make a list of one', 'snis[]=a', { snis: ['a'] }],
  ['empty brackets keep the order', 'snis[]=b&snis[]=a', { snis: ['b', 'a'] }],
  ['numbered brackets order by number', 'snis[2]=b&snis[1]=a', { snis: ['a', 'b'] }],
  ['numbers may have gaps', 'snis[7]=b&snis[3]=a', { snis: ['a', 'b'] }],
  ['a repeated name makes a list', 'snis=a&snis=b', { snis: ['a', 'b'] }],
  ['a name that is no path stays whole', '.=x&a..b=y&a[=z', { '.': 'x', 'a..b': 'y', 'a[': 'z' }],
  ['plus and percent are decoded', 'a=1+2%2B3', { a: '1 2+3' }],
];

for (const [title, form, fields] of spellings) {
  test(`form fields: ${title}`, () => {
    assert.deepEqual(plain(nestForm(new URLSearchParams(form)).fields), fields);
  });
}

test('only plain names count as given twice', () => {
  const body = nestForm(new URLSearchParams('a=1&a=2&b[]=1&b[]=2&c[1]=1&c[1]=2&d.e=1&d.e=2'));
  assert.deepEqual([...body.repeated], ['a', 'd.e']);
});

test('dotted names nest in JSON too, beside the object they belong to', () => {
  const body = nestJson({ name: 'ssl', 'config.cert': 'x', config: { key: 'y' }, snis: ['a'] });
  assert.deepEqual(plain(body.fields), { name: 'ssl', config: { cert: 'x', key: 'y' }, snis: ['a'] });
});

const conflicts: readonly (readonly [string, () => unknown])[] = [
  ['config', () => nestForm(new URLSearchParams('config.cert=x&config=y'))],
  ['config.cert', () => nestForm(new URLSearchParams('config=y&config.cert=x'))],
  ['config.cert', () => nestJson({ config: { cert: 'x' }, 'config.cert': 'y' })],
];
for (const [field, nest] of conflicts) {
  test(`two values for one field are refused by name: ${field}`, () => {
    assert.throws(nest, (error: PortunusError) => {
      assert.deepEqual(
        problemsOf(error).map((problem) => problem.field),
        [field],
      );
      return true;
    });
  });
}

test('names that reach for a prototype are only names', () => {
  const before = Object.getOwnPropertyNames(Object.prototype);
  for (const name of ['__proto__.polluted', '__proto__[polluted]', 'constructor.prototype.polluted', '__proto__']) {
    const { fields } = nestForm([[name, 'x']]);
    assert.equal(Object.getPrototypeOf(fields), null);
    nestJson(JSON.parse(`{"${name}": {"polluted": "x"}}`) as Record<string, unknown>);
  }
  assert.equal(({} as { polluted?: string }).polluted, undefined);
  assert.deepEqual(Object.getOwnPropertyNames(Object.prototype), before);
});

test('depth, number and length of fields are bounded', () => {
  const unparsable = (error: unknown) => isPortunusError(error, 'BODY_UNPARSABLE');
  assert.throws(
    () =>
      nestForm([
        [
          Array(fieldDepthMax + 1)
            .fill('a')
            .join('.'),
          'x',
        ],
      ]),
    unparsable,
  );
  assert.throws(() => nestForm([['a'.repeat(257), 'x']]), unparsable);
  assert.throws(() => nestForm(Array.from({ length: fieldsMax + 1 }, () => ['a', 'x'] as const)), unparsable);
  assert.throws(() => nestJson({ a: Array.from({ length: fieldsMax + 1 }, () => 1) }), unparsable);
  const deep = JSON.parse('{"a":'.repeat(fieldDepthMax) + '{}' + '}'.repeat(fieldDepthMax)) as Record<string, unknown>;
  assert.throws(() => nestJson(deep), unparsable);
  assert.throws(
    () =>
      nestJson({
        [Array(fieldDepthMax + 1)
          .fill('a')
          .join('.')]: 1,
      }),
    unparsable,
  );
});

test('whatever the names are, nesting gives fields or a PortunusError', () => {
  const name = fc.oneof(fc.string(), fc.stringMatching(/^[ab.[\]01_]{1,12}$/));
  fc.assert(
    fc.property(fc.array(fc.tuple(name, fc.string())), (pairs) => {
      try {
        assert.equal(Object.getPrototypeOf(nestForm(pairs).fields), null);
      } catch (error) {
        assert.ok(isPortunusError(error));
      }
    }),
  );
});
