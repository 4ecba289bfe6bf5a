import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { describe, test } from 'node:test';
import { startAdmin } from '../../support/admin-server.ts';
import { makeAuthority } from '../../support/certificates.ts';

const url = 'http://upstream.test:9000';

test('an API of Kong 0.9 is named after its host, else its path', async (t) => {
  const { send } = await startAdmin(t);
  const named = async (json: object) =>
    (await send('POST', '/apis', { json: { upstream_url: url, ...json } })).body.name;
  assert.equal(await named({ request_host: 'A.Test' }), 'a.test');
  assert.equal(await named({ request_host: '*.b.test' }), '-.b.test');
  assert.equal(await named({ request_path: '/a/b/' }), 'a-b');
});

test('an API of Kong 0.12 is answered in its own field names', async (t) => {
  const { send } = await startAdmin(t);
  const fields = {
    name: 'x',
    hosts: ['a.test', '*.a.test'],
    uris: ['/v1'],
    methods: ['GET'],
    https_only: true,
    retries: 0,
  };
  const { status, body } = await send('POST', '/apis', { json: { ...fields, upstream_url: url } });
  assert.equal(status, 201);
  assert.deepEqual(body, {
    id: body.id,
    ...fields,
    upstream_url: url,
    strip_uri: true,
    preserve_host: false,
    http_if_terminated: false,
    upstream_connect_timeout: 60_000,
    upstream_send_timeout: 60_000,
    upstream_read_timeout: 60_000,
    created_at: body.created_at,
  });
  assert.ok(Math.abs(body.created_at - Date.now()) < 60_000);
});

test('an empty body names the three fields of Kong 0.9', async (t) => {
  const { send } = await startAdmin(t);
  const answer = await send('POST', '/apis');
  const either = "At least a 'request_host' or a 'request_path' must be specified";
  assert.equal(answer.status, 400);
  assert.deepEqual(answer.body, {
    code: 'INPUT_INVALID',
    upstream_url: 'upstream_url is required',
    request_host: either,
    request_path: either,
  });
});

const refusals: readonly (readonly [title: string, json: object, body: object])[] = [
  [
    'URL that is none',
    { request_host: 'a.test', upstream_url: 'nonsense' },
    { upstream_url: 'upstream_url is not a url' },
  ],
  [
    'URL of another scheme',
    { request_host: 'a.test', upstream_url: 'ftp://a' },
    { upstream_url: 'Supported protocols are HTTP and HTTPS' },
  ],
  ['host with a port', { request_host: 'a.test:80', upstream_url: url }, { request_host: 'Invalid value: a.test:80' }],
  ['host with a space', { request_host: 'a b', upstream_url: url }, { request_host: 'Invalid value: a b' }],
  [
    'wildcard in the middle',
    { request_host: 'a.*.test', upstream_url: url },
    { request_host: 'Invalid wildcard placement: a.*.test' },
  ],
  [
    'two wildcards',
    { request_host: '*.a.*', upstream_url: url },
    { request_host: 'Only one wildcard is allowed: *.a.*' },
  ],
  [
    'path without slash',
    { request_path: 'a', upstream_url: url },
    { request_path: "must be prefixed with slash: 'a'" },
  ],
  ['path with an empty segment', { request_path: '/a//b', upstream_url: url }, { request_path: "invalid: '/a//b'" }],
  [
    'path with odd characters',
    { request_path: '/a(b)', upstream_url: url },
    { request_path: "must only contain alphanumeric and '., -, _, ~, /, %' characters" },
  ],
  [
    'path with a bad escape',
    { request_path: '/a%2w', upstream_url: url },
    { request_path: "must use proper encoding; '%2w' is invalid" },
  ],
  [
    'name with odd characters',
    { name: 'a b', request_host: 'a.test', upstream_url: url },
    { name: "name must only contain alphanumeric and '., -, _, ~' characters" },
  ],
  ['unknown fields', { request_host: 'a.test', upstream_url: url, foo: 1 }, { foo: 'foo is an unknown field' }],
  ['0.12 without a name', { hosts: 'a.test', upstream_url: url }, { name: 'name is required' }],
  [
    '0.12 that matches nothing',
    { name: 'a', upstream_url: url, strip_uri: true },
    { message: "at least one of 'hosts', 'uris' or 'methods' must be specified" },
  ],
  [
    '0.12 host',
    { name: 'a', hosts: ['a_b.test', 'x y'], upstream_url: url },
    { hosts: "host with value 'x y' is invalid: Invalid hostname" },
  ],
  [
    '0.12 method',
    { name: 'a', methods: ['get'], upstream_url: url },
    { methods: "method with value 'get' is invalid: invalid value" },
  ],
  [
    '0.12 retries',
    { name: 'a', hosts: 'a.test', upstream_url: url, retries: 40_000 },
    { retries: 'must be an integer between 0 and 32767' },
  ],
  [
    'both generations in one request',
    { request_host: 'a.test', hosts: ['a.test'], upstream_url: url },
    { message: "'request_host' (Kong 0.9) and 'hosts' (Kong 0.10 to 0.12) cannot be mixed in one request" },
  ],
];

test('what is wrong with an API is said under its field, and nothing is written', async (t) => {
  const { send, store } = await startAdmin(t);
  for (const [title, json, expected] of refusals) {
    const { status, body } = await send('POST', '/apis', { json });
    const { code: _code, hint: _hint, ...fields } = body;
    assert.deepEqual([status, fields], [400, expected], title);
  }
  assert.equal(await store.revision(), 0);
});

test('host names are kept in normal form, addresses as they are', async (t) => {
  const { send } = await startAdmin(t);
  const { body } = await send('POST', '/apis', {
    json: { name: 'n', hosts: ['ÄÖ.test', 'B.TEST.', 'b.test', '10.0.0.1'], upstream_url: url },
  });
  assert.deepEqual(body.hosts, ['xn--4ca0b.test', 'b.test', '10.0.0.1']);
});

test('in Kong 0.9 a name, host and path belong to one API; 0.12 may share hosts', async (t) => {
  const { send } = await startAdmin(t);
  const post = (json: object) => send('POST', '/apis', { json: { upstream_url: url, ...json } });
  await post({ name: 'one', request_host: 'a.test', request_path: '/a' });
  const taken = (value: string) => `already exists with value '${value}'`;
  for (const [json, field, value] of [
    [{ name: 'one', request_host: 'b.test' }, 'name', 'one'],
    [{ name: 'two', request_host: 'A.test' }, 'request_host', 'a.test'],
    [{ name: 'two', request_path: '/a' }, 'request_path', '/a'],
  ] as const) {
    const { status, body } = await post(json);
    assert.deepEqual([status, body], [409, { [field]: taken(value), code: 'UNIQUE_VIOLATION' }]);
  }
  assert.equal((await post({ name: 'two', hosts: 'a.test' })).status, 201);
  assert.equal((await post({ name: 'three', hosts: 'a.test' })).status, 201);
});

test('PATCH keeps what it does not name, and null or an empty form value resets', async (t) => {
  const { send } = await startAdmin(t);
  await send('POST', '/apis', {
    json: { name: 'n', request_host: 'a.test', request_path: '/a', strip_request_path: true, upstream_url: url },
  });
  const changed = await send('PATCH', '/apis/n', { form: 'request_path=&preserve_host=true' });
  assert.deepEqual([changed.status, changed.body.request_path, changed.body.request_host], [200, undefined, 'a.test']);
  assert.deepEqual([changed.body.strip_request_path, changed.body.preserve_host], [true, true]);
  const reset = await send('PATCH', '/apis/n', { json: { strip_request_path: null } });
  assert.equal(reset.body.strip_request_path, false);
  const emptied = await send('PATCH', '/apis/n', { json: {} });
  assert.deepEqual([emptied.status, emptied.body.message], [400, 'empty body']);
  const moved = await send('PATCH', '/apis/n', { json: { id: randomUUID() } });
  assert.deepEqual([moved.status, moved.body.id], [400, 'id cannot be updated']);
});

test('an API of 0.9 takes up the fields of 0.12 by PATCH, and not the other way round', async (t) => {
  const { send } = await startAdmin(t);
  await send('POST', '/apis', { json: { name: 'n', request_host: 'a.test', upstream_url: url } });
  const { body } = await send('PATCH', '/apis/n', { json: { hosts: ['a.test', 'b.test'] } });
  assert.deepEqual([body.hosts, body.strip_uri, body.request_host], [['a.test', 'b.test'], false, undefined]);
  const back = await send('PATCH', '/apis/n', { json: { request_host: 'c.test' } });
  assert.equal(back.status, 400);
  assert.match(back.body.request_host, /does not belong/);
});

test('PUT adds without an id, replaces with one, and does not find an unknown one', async (t) => {
  const { send } = await startAdmin(t);
  const added = await send('PUT', '/apis', {
    json: { name: 'n', request_host: 'a.test', preserve_host: true, upstream_url: url },
  });
  assert.equal(added.status, 201);
  const { id, created_at: createdAt } = added.body;
  const replaced = await send('PUT', '/apis', { json: { id, name: 'm', request_host: 'b.test', upstream_url: url } });
  assert.equal(replaced.status, 200);
  assert.deepEqual(
    [replaced.body.name, replaced.body.preserve_host, replaced.body.created_at],
    ['m', false, createdAt],
  );
  const unknown = await send('PUT', '/apis', { json: { id: randomUUID(), request_host: 'b.test', upstream_url: url } });
  assert.deepEqual([unknown.status, unknown.body], [404, { message: 'Not found' }]);
});

test('an API is found by id or name, and is gone after DELETE', async (t) => {
  const { send } = await startAdmin(t);
  const { body: api } = await send('POST', '/apis', { json: { name: 'n', request_host: 'a.test', upstream_url: url } });
  assert.deepEqual((await send('GET', `/apis/${api.id.toUpperCase()}`)).body, api);
  assert.deepEqual((await send('GET', '/apis/n/')).body, api);
  const deleted = await send('DELETE', '/apis/n');
  assert.deepEqual([deleted.status, deleted.text], [204, '']);
  assert.deepEqual((await send('DELETE', '/apis/n')).body, { message: 'Not found' });
});

test('a list pages by size and offset, with an absolute next that keeps the filters', async (t) => {
  const { send, base } = await startAdmin(t);
  assert.deepEqual((await send('GET', '/apis')).body, { data: [], total: 0 });
  for (const name of ['a', 'b', 'c']) {
    await send('POST', '/apis', { json: { name, request_host: `${name}.test`, upstream_url: url } });
  }
  const first = await send('GET', `/apis?size=2&upstream_url=${encodeURIComponent(url)}`);
  assert.deepEqual([first.body.data.length, first.body.total], [2, 3]);
  assert.ok(first.body.next.startsWith(`${base}/apis?`));
  const last = await send('GET', first.body.next.slice(base.length));
  assert.deepEqual(Object.keys(last.body), ['data', 'total']);
  assert.deepEqual(
    [...first.body.data, ...last.body.data].map(({ name }: { name: string }) => name),
    ['a', 'b', 'c'],
  );
  assert.equal((await send('GET', '/apis?request_host=B.test')).body.data[0].name, 'b');
});

test('a filter, size or offset that cannot be is named', async (t) => {
  const { send } = await startAdmin(t);
  const fieldsOf = async (query: string) => {
    const { status, body } = await send('GET', `/apis?${query}`);
    const { code: _code, hint: _hint, ...fields } = body;
    return [status, fields];
  };
  assert.deepEqual(await fieldsOf('foo=bar'), [400, { foo: 'unknown field' }]);
  assert.deepEqual(await fieldsOf('id=abc'), [400, { id: 'abc is not a valid uuid' }]);
  assert.deepEqual(await fieldsOf('size=x'), [400, { size: 'size must be a positive integer' }]);
  const [status, fields] = await fieldsOf('offset=zzz');
  assert.deepEqual([status, Object.keys(fields)], [400, ['offset']]);
});

test('an empty item of a list is refused as empty, whatever it is written as', async (t) => {
  const { send } = await startAdmin(t);
  for (const field of ['hosts', 'uris', 'methods']) {
    for (const item of ['', ' ', null]) {
      const { status, body } = await send('POST', '/apis', {
        json: { name: 'n', upstream_url: 'http://u', [field]: [item] },
      });
      assert.equal(status, 400, `${field}: ${JSON.stringify(item)}`);
      assert.equal(body[field], 'must not be empty');
    }
  }
});

describe('what an API demands of clients and tells browsers', () => {
  const base = { name: 'a', upstream_url: 'http://u' };

  for (const place of [{ request_host: 'a.test' }, { hosts: ['a.test'] }]) {
    test(`is written and answered where it is set, in the generation of ${Object.keys(place).join()}`, async (t) => {
      const { send } = await startAdmin(t);
      const { body: authority } = await send('POST', '/ca_certificates', {
        json: { cert: makeAuthority().certificate },
      });
      const plain = await send('POST', '/apis', { json: { ...base, ...place } });
      assert.equal(plain.status, 201);
      assert.ok(!Object.keys(plain.body).some((name) => /^(client_|ca_|hsts)/.test(name)));
      const rule = { client_certificate: 'optional', ca_certificates: [authority.id], client_verify_depth: 2 };
      const hsts = { hsts_max_age: 31_536_000, hsts_include_subdomains: true, hsts_preload: true };
      const set = await send('PATCH', '/apis/a', { json: { ...rule, ...hsts } });
      assert.deepEqual(set.body, { ...plain.body, ...rule, ...hsts });
      // Read, change, write; and what is not said stays with PATCH, goes with PUT.
      assert.deepEqual((await send('PUT', '/apis', { json: set.body })).body, set.body);
      assert.deepEqual((await send('PATCH', '/apis/a', { json: { preserve_host: true } })).body, {
        ...set.body,
        preserve_host: true,
      });
      const form = `client_certificate=required&ca_certificates=${authority.id}&hsts_max_age=0&hsts_preload=false&hsts_include_subdomains=`;
      const changed = await send('PATCH', '/apis/a', { form });
      assert.deepEqual(
        [changed.body.client_certificate, changed.body.hsts_max_age, changed.body.hsts_include_subdomains],
        ['required', 0, false],
      );
      const without = await send('PUT', '/apis', { json: { ...base, ...place, id: plain.body.id } });
      assert.deepEqual(without.body, plain.body);
    });
  }

  test('is refused where it does not fit together', async (t) => {
    const { send } = await startAdmin(t);
    const id = randomUUID();
    for (const [fields, status, wanted] of [
      [{ client_certificate: 'required' }, 400, { ca_certificates: 'is needed where client_certificate is required' }],
      [{ ca_certificates: [id] }, 400, { ca_certificates: 'needs client_certificate to be optional or required' }],
      [{ client_certificate: 'yes' }, 400, { client_certificate: 'must be one of off, optional, required' }],
      [
        { client_certificate: 'required', ca_certificates: id },
        404,
        { ca_certificates: `does not exist with value '${id}'` },
      ],
      [{ hsts_preload: true }, 400, { hsts_preload: 'needs hsts_max_age' }],
      [{ hsts_max_age: -1 }, 400, { hsts_max_age: 'must be an integer between 0 and 2147483647' }],
      [
        { hsts_max_age: 60, hsts_include_subdomains: true, hsts_preload: true },
        400,
        { hsts_preload: 'needs hsts_include_subdomains, and hsts_max_age of 31536000 at least' },
      ],
    ] as const) {
      const answered = await send('POST', '/apis', { json: { ...base, hosts: ['a.test'], ...fields } });
      const { code: _code, hint: _hint, ...rest } = answered.body;
      assert.deepEqual([answered.status, rest], [status, wanted]);
    }
    assert.equal((await send('GET', '/apis')).body.total, 0);
  });
});
