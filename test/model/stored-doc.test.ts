import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fc } from '../support/fast-check.ts';
import { readApi, readPlugin, readTexts, readToken } from '../../src/model/stored-doc.ts';
import { fakeApi, fakePlugin, fakeToken } from '../contracts/entities.ts';

test('what was written is read as it was', () => {
  const api = fakeApi('a', { hosts: ['a.test'], methods: ['GET'] });
  assert.deepEqual(readApi(JSON.stringify(api), api), { entity: api, isIntact: true });
  const plugin = fakePlugin('p', null);
  assert.deepEqual(readPlugin(JSON.stringify(plugin), plugin), { entity: plugin, isIntact: true });
  const token = fakeToken('t');
  assert.deepEqual(readToken(JSON.stringify(token), token), token);
});

test('whatever a document holds, an API comes of it whose fields are of their kinds, under the id and name of the row', () => {
  const whole = fakeApi('a');
  const damaged = fc.oneof(
    fc.string(),
    fc.json(),
    fc
      .record(Object.fromEntries(Object.keys(whole).map((key) => [key, fc.jsonValue()])), { requiredKeys: [] })
      .map((each) => JSON.stringify(each)),
  );
  fc.assert(
    fc.property(damaged, (doc) => {
      const { entity } = readApi(doc, { id: 'a', name: 'b' });
      assert.equal(entity.id, 'a');
      assert.equal(entity.name, 'b');
      for (const [key, sample] of Object.entries(whole)) {
        const value = entity[key as keyof typeof whole];
        assert.equal(typeof value, typeof sample, key);
        if (Array.isArray(sample))
          assert.ok(Array.isArray(value) && value.every((each) => typeof each === 'string'), key);
      }
    }),
  );
});

test('what is damaged is told from what an older program has left out', () => {
  const { retries: _, ...older } = fakeApi('a');
  assert.equal(readApi(JSON.stringify(older), older).isIntact, true);
  for (const doc of [
    '',
    '{',
    'null',
    '[]',
    '5',
    '{}',
    '{"id":"other"}',
    JSON.stringify({ ...older, hosts: 'a.test' }),
  ]) {
    assert.equal(readApi(doc, older).isIntact, false, doc);
  }
});

test('a damaged ssl plugin lets nobody in without HTTPS', () => {
  const { id, apiId, enabled, certificateId } = fakePlugin('p', 'a');
  for (const doc of ['', '{}', '{"config":5}', '{"config":{"onlyHttps":0,"acceptHttpIfAlreadyTerminated":true}}']) {
    assert.equal(readPlugin(doc, { id, apiId, enabled, certificateId }).entity.config.onlyHttps, true, doc);
  }
});

test('a damaged token lets nobody in', () => {
  const token = fakeToken('t');
  for (const doc of [
    '',
    '{}',
    '[]',
    JSON.stringify({ ...token, role: 'constructor' }),
    JSON.stringify({ ...token, createdAt: '' }),
  ]) {
    const read = readToken(doc, { id: token.id, name: token.name, prefix: token.prefix });
    assert.equal(read.hash, '', doc);
    assert.equal(read.name, token.name);
  }
});

test('tags are texts, or none', () => {
  assert.deepEqual(readTexts('["a","b"]'), ['a', 'b']);
  for (const json of ['', '{', '5', '[1]', 'null', '{"a":[]}']) assert.deepEqual(readTexts(json), [], json);
});
