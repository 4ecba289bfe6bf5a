import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fc } from '../../support/fast-check.ts';
import { Value } from 'typebox/value';
import { decodeFields } from '../../../src/admin/bodies/decode-fields.ts';
import { nestForm, nestJson } from '../../../src/admin/bodies/fields.ts';
import { seedPhrases, todayPhrases } from '../../../src/admin/bodies/phrases.ts';
import { apiBody, apiPatch } from '../../../src/admin/seed/api-fields.ts';
import { pluginBody } from '../../../src/admin/seed/plugin-fields.ts';
import { certificateBody } from '../../../src/admin/today/certificate-fields.ts';
import { sniBody } from '../../../src/admin/today/sni-fields.ts';

const seed = (form: string) => decodeFields(apiPatch, nestForm(new URLSearchParams(form)), seedPhrases);
const today = (form: string) => decodeFields(certificateBody, nestForm(new URLSearchParams(form)), todayPhrases);
const messages = (decoded: { problems: readonly { field: string; message: string }[] }) =>
  Object.fromEntries(decoded.problems.map(({ field, message }) => [field, message]));

test('the seed dialect trims, splits at commas and reads words as booleans and numbers', () => {
  const { values, problems } = seed('name=+a+&hosts=a.test,+b.test&strip_uri=FALSE&retries=7&uris=');
  assert.deepEqual(problems, []);
  assert.deepEqual(values, { name: 'a', hosts: ['a.test', 'b.test'], uris: [], strip_uri: false, retries: 7 });
});

test('a tag that is sent twice is there once', () => {
  const { values, problems } = decodeFields(sniBody, nestJson({ tags: ['a', 'b', 'a'] }), todayPhrases);
  assert.deepEqual([values, problems], [{ tags: ['a', 'b'] }, []]);
});

test('the seed dialect does the same to JSON', () => {
  const { values } = decodeFields(apiPatch, nestJson({ hosts: 'a.test,b.test', https_only: 'true' }), seedPhrases);
  assert.deepEqual(values, { hosts: ['a.test', 'b.test'], https_only: true });
});

test('the seed dialect names all problems at once', () => {
  assert.deepEqual(messages(seed('preserve_host=maybe&retries=99999&foo=1&name=a&name=b')), {
    preserve_host: 'preserve_host is not a boolean',
    retries: 'must be an integer between 0 and 32767',
    foo: 'foo is an unknown field',
    name: 'is given more than once',
  });
});

test("today's dialect takes JSON as it is typed", () => {
  const decoded = decodeFields(
    certificateBody,
    nestJson({ cert: 1, key: true, tags: 'a', snis: [1], foo: null }),
    todayPhrases,
  );
  assert.deepEqual(messages(decoded), {
    cert: 'expected a string',
    key: 'expected a string',
    tags: 'expected an array',
    'snis.1': 'expected a string',
    foo: 'unknown field',
  });
});

test("today's dialect reads a form: one value for a list, nothing for null, commas only in snis", () => {
  const { values, problems } = today('cert=c&key=k&tags=a,b&snis=a.test,+b.test&cert_alt=');
  assert.deepEqual(problems, []);
  assert.deepEqual(values, { cert: 'c', key: 'k', tags: ['a,b'], snis: ['a.test', 'b.test'], cert_alt: null });
});

test('a field that is only answered has no effect when it is sent back', () => {
  const { values, problems } = decodeFields(apiPatch, nestJson({ created_at: { odd: 1 } }), seedPhrases);
  assert.deepEqual([values, problems], [{}, []]);
});

const schemas = { apiBody, pluginBody, certificateBody, sniBody };
for (const [name, schema] of Object.entries(schemas)) {
  test(`what is decoded without a problem conforms to the schema: ${name}`, () => {
    const field = fc.constantFrom(...Object.keys(schema.properties), 'unknown');
    const scalar = fc.oneof(
      fc.constantFrom('true', '', '5', 'a', null, true, 'a,b', crypto.randomUUID()),
      fc.string(),
      fc.integer(),
      fc.double(),
    );
    const value = fc.oneof(
      scalar,
      fc.array(scalar, { maxLength: 3 }),
      fc.dictionary(fc.constantFrom('id', 'cert', 'only_https'), scalar),
    );
    fc.assert(
      fc.property(fc.dictionary(field, value), fc.constantFrom(seedPhrases, todayPhrases), (body, phrases) => {
        const { values, problems } = decodeFields(schema, nestJson(body), phrases);
        if (problems.length === 0) assert.ok(Value.Check(schema, values), JSON.stringify([body, values]));
      }),
      { numRuns: 500, examples: [[{ tags: ['a', 'a'] }, todayPhrases]] },
    );
  });
}
