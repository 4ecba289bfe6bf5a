import assert from 'node:assert/strict';
import { createPrivateKey, randomUUID, X509Certificate } from 'node:crypto';
import { test } from 'node:test';
import { holdsKeyMaterial, startAdmin } from '../../support/admin-server.ts';
import { makeAuthority, makeSelfSigned } from '../../support/certificates.ts';
import { pkcs12By, pkcs7By } from '../../support/containers.ts';

const { cert, key } = makeSelfSigned({ names: ['a.test', '*.a.test'] });
const rsa = makeSelfSigned({ names: ['a.test'], keyType: 'rsa' });
const other = makeSelfSigned({ names: ['b.test'] });

test('a certificate is answered with every field, seconds and sorted names', async (t) => {
  const { send } = await startAdmin(t);
  const { status, body } = await send('POST', '/certificates', {
    json: { cert, key, snis: ['b.A.test', '*.a.test', 'ÄÖ.test.'] },
  });
  assert.equal(status, 201);
  assert.deepEqual(body, {
    id: body.id,
    cert,
    key: body.key,
    cert_alt: null,
    key_alt: null,
    snis: ['*.a.test', 'b.a.test', 'xn--4ca0b.test'],
    tags: null,
    created_at: body.created_at,
    updated_at: body.created_at,
    expires_at: Date.parse(new X509Certificate(cert).validTo) / 1000,
  });
  assert.match(body.key, /^\{sealed:sha256:[0-9a-f]{64}\}$/);
  assert.ok(Math.abs(body.created_at - Date.now() / 1000) < 60);
  assert.deepEqual((await send('GET', `/certificates/${body.id}`)).body, body);
  assert.deepEqual((await send('GET', '/certificates/B.a.test')).body, body);
  assert.deepEqual((await send('GET', '/certificates/%2A.a.test')).body, body);
  assert.deepEqual((await send('GET', '/certificates')).body, { data: [body], next: null });
});

test('snis come as a list, in every form spelling, and as the comma text of Kong 0.12', async (t) => {
  const { send } = await startAdmin(t);
  const pair = [
    ['cert', cert],
    ['key', key],
  ] as const;
  const ways = [
    { multipart: [...pair, ['snis[]', 'a1.test'], ['snis[]', 'a2.test']] },
    { multipart: [...pair, ['snis[2]', 'b2.test'], ['snis[1]', 'b1.test']] },
    { form: new URLSearchParams([...pair, ['snis', 'c1.test'], ['snis', 'c2.test']] as [string, string][]).toString() },
    { form: new URLSearchParams([...pair, ['snis', 'd1.test, d2.test']] as [string, string][]).toString() },
    { json: { cert, key, snis: 'e1.test,e2.test' } },
  ] as const;
  const found: string[] = [];
  for (const way of ways) found.push(...(await send('POST', '/certificates', way)).body.snis);
  assert.deepEqual(
    found,
    ['a', 'b', 'c', 'd', 'e'].flatMap((letter) => [`${letter}1.test`, `${letter}2.test`]),
  );
});

test('one file is certificate and key, whatever stands around them in it', async (t) => {
  const { send } = await startAdmin(t);
  const pair = (bags: string, { cert, key }: { cert: string; key: string }) => `${bags}\r\n${cert}${bags}\r\n${key}`;
  const exported = {
    ascii: (text: string) => text,
    latin1: (text: string) => Buffer.from(text, 'latin1'),
    utf16: (text: string) => Buffer.from(`\uFEFF${text}`, 'utf16le'),
  };
  for (const [encoding, encode] of Object.entries(exported)) {
    const file = encode(pair('friendlyName: Würm', other));
    const { status, body } = await send('POST', '/certificates', { multipart: [['cert', file]] });
    assert.equal(status, 201, `${encoding}: ${body.message}`);
    const at = `/certificates/${body.id}`;
    const replaced = await send('PATCH', at, { multipart: [['cert', encode(pair('friendlyName: Würm', rsa))]] });
    assert.deepEqual([replaced.status, replaced.body.cert], [200, rsa.cert], encoding);
  }
});

test('a PKCS#12 file is certificate, chain and key: as a file or in base64, with its passphrase; so is one that replaces', async (t) => {
  const { send } = await startAdmin(t);
  const issued = makeAuthority()
    .intermediate()
    .issue({ names: ['p12.test'] });
  const file = pkcs12By(issued, 'changeit');
  const added = await send('POST', '/certificates', {
    multipart: [
      ['cert', file],
      ['passphrase', 'changeit'],
      ['snis[]', 'p12.test'],
    ],
  });
  assert.deepEqual([added.status, added.body.cert, added.body.passphrase], [201, issued.chain, undefined]);
  const second = pkcs12By({ chain: rsa.cert, key: rsa.key }, 'other', '-legacy').toString('base64');
  const both = { cert_alt: second, passphrase_alt: 'other' };
  const changed = await send('PATCH', '/certificates/p12.test', { json: both });
  assert.deepEqual([changed.status, changed.body.cert_alt], [200, rsa.cert]);
  const replaced = await send('PATCH', '/certificates/p12.test', {
    json: { cert: pkcs12By({ chain: other.cert, key: other.key }, '').toString('base64') },
  });
  assert.deepEqual([replaced.status, replaced.body.cert], [200, other.cert]);
  for (const [field, passphrase, code] of [
    ['passphrase', 'open barley', 'KEY_PASSPHRASE_WRONG'],
    ['cert', undefined, 'KEY_ENCRYPTED'],
  ] as const) {
    const refused = await send('POST', '/certificates', { json: { cert: file.toString('base64'), passphrase } });
    assert.deepEqual([refused.status, Object.keys(refused.body.fields)], [400, [field]]);
    assert.ok(refused.text.includes(code) && !refused.text.includes('barley'));
    assert.ok(!holdsKeyMaterial(refused, [issued.key]));
  }
});

test('a PKCS#7 bundle alone renews the certificate of a stored key', async (t) => {
  const { send } = await startAdmin(t);
  const issuer = makeAuthority().intermediate();
  const [first, second] = [1, 2].map(() =>
    issuer.issue({ names: ['p7.test'], privateKey: createPrivateKey(other.key) }),
  );
  await send('POST', '/certificates', { json: { cert: first?.chain, key: other.key, snis: ['p7.test'] } });
  const renewed = await send('PATCH', '/certificates/p7.test', {
    multipart: [['cert', pkcs7By(second?.chain ?? '', 'DER')]],
  });
  assert.deepEqual([renewed.status, renewed.body.cert], [200, second?.chain]);
});

test('150 names are all answered', async (t) => {
  const { send } = await startAdmin(t);
  const snis = Array.from({ length: 150 }, (_, index) => `n${index}.test`);
  assert.deepEqual((await send('POST', '/certificates', { json: { cert, key, snis } })).body.snis, [...snis].sort());
});

const violations: readonly (readonly [title: string, json: object, message: string, fields: object])[] = [
  [
    'nothing',
    {},
    '2 schema violations (cert: required field missing; key: required field missing)',
    { cert: 'required field missing', key: 'required field missing' },
  ],
  ['an unknown field', { cert, key, foo: 1 }, 'schema violation (foo: unknown field)', { foo: 'unknown field' }],
  [
    'the wrong types',
    { cert: 1, key, tags: 'x' },
    '2 schema violations (cert: expected a string; tags: expected an array)',
    { cert: 'expected a string', tags: 'expected an array' },
  ],
  [
    'a key of another certificate',
    { cert, key: other.key },
    'schema violation (certificate does not match key)',
    { '@entity': ['certificate does not match key'] },
  ],
  [
    'half of a second pair',
    { cert, key, cert_alt: rsa.cert },
    "schema violation (all or none of these fields must be set: 'cert_alt', 'key_alt')",
    { '@entity': ["all or none of these fields must be set: 'cert_alt', 'key_alt'"] },
  ],
  [
    'a second pair that does not match',
    { cert, key, cert_alt: rsa.cert, key_alt: other.key },
    'schema violation (alternative certificate does not match key)',
    { '@entity': ['alternative certificate does not match key'] },
  ],
  [
    'a name twice',
    { cert, key, snis: ['a.test', 'A.test'] },
    'schema violation (snis: a.test is duplicated)',
    { snis: 'a.test is duplicated' },
  ],
  [
    'an address',
    { cert, key, snis: ['127.0.0.1'] },
    'schema violation (snis.1: must not be an IP)',
    { snis: ['must not be an IP'] },
  ],
  [
    'a port',
    { cert, key, snis: ['a.test', 'a.test:1'] },
    'schema violation (snis.2: must not have a port)',
    { snis: [null, 'must not have a port'] },
  ],
  [
    'a wildcard in the middle',
    { cert, key, snis: ['a.*.test'] },
    'schema violation (snis.1: wildcard must be leftmost or rightmost character)',
    { snis: ['wildcard must be leftmost or rightmost character'] },
  ],
  [
    'two wildcards',
    { cert, key, snis: ['*.a.*'] },
    'schema violation (snis.1: only one wildcard must be specified)',
    { snis: ['only one wildcard must be specified'] },
  ],
];

test('violations are counted, sorted and nested as Kong 3 does', async (t) => {
  const { send, store } = await startAdmin(t);
  for (const [title, json, message, fields] of violations) {
    const answer = await send('POST', '/certificates', { json });
    const { reason: _reason, hint: _hint, ...body } = answer.body;
    assert.deepEqual([answer.status, body], [400, { code: 2, name: 'schema violation', message, fields }], title);
    assert.ok(!holdsKeyMaterial(answer, [key, other.key, rsa.key]));
  }
  assert.equal(await store.revision(), 0);
});

test('two pairs of one key type are refused', async (t) => {
  const { send } = await startAdmin(t);
  const { status, body } = await send('POST', '/certificates', {
    json: { cert, key, cert_alt: other.cert, key_alt: other.key },
  });
  assert.equal(status, 400);
  assert.match(body.fields['@entity'][0], /different type \(e\.g\. RSA and ECDSA\).*both of the same type/);
});

test('unreadable input is told in words', async (t) => {
  const { send } = await startAdmin(t);
  const { body } = await send('POST', '/certificates', { json: { cert: '/etc/ssl/a.pem', key } });
  assert.match(body.fields.cert, /^invalid certificate: .*file path/);
  assert.equal(body.reason, 'CERTIFICATE_UNREADABLE');
  assert.match((await send('POST', '/certificates', { json: { cert, key: 'x' } })).body.fields.key, /^invalid key: /);
});

test('a name held by another certificate or by a plugin is refused, and the holder named', async (t) => {
  const { send } = await startAdmin(t);
  const { body: first } = await send('POST', '/certificates', { json: { cert, key, snis: ['a.test'] } });
  const taken = await send('POST', '/certificates', {
    json: { cert: other.cert, key: other.key, snis: ['b.test', 'a.test'] },
  });
  const message = `a.test already associated with existing certificate '${first.id}'`;
  assert.deepEqual(
    [taken.status, taken.body.fields, taken.body.reason],
    [400, { snis: message }, 'NAME_ALREADY_BOUND'],
  );
  await send('POST', '/apis', { json: { name: 'n', request_host: 'p.test', upstream_url: 'http://u' } });
  const { body: plugin } = await send('POST', '/apis/n/plugins', { json: { name: 'ssl', config: { cert, key } } });
  const byPlugin = await send('PATCH', '/certificates/a.test', { json: { snis: ['p.test'] } });
  assert.equal(byPlugin.body.fields.snis, `p.test already associated with the ssl plugin '${plugin.id}'`);
  assert.equal((await send('GET', '/snis')).body.data.length, 1);
});

test('PATCH keeps names unless it sends them; null empties', async (t) => {
  const { send } = await startAdmin(t);
  const { body } = await send('POST', '/certificates', {
    json: { cert, key, snis: ['a.test', 'c.test'], tags: ['x'] },
  });
  const at = `/certificates/${body.id}`;
  assert.deepEqual((await send('PATCH', at, { json: {} })).body.snis, ['a.test', 'c.test']);
  const renewed = await send('PATCH', at, { json: { cert: other.cert, key: other.key } });
  assert.deepEqual([renewed.status, renewed.body.cert, renewed.body.snis], [200, other.cert, ['a.test', 'c.test']]);
  assert.deepEqual((await send('PATCH', at, { json: { snis: ['c.test', 'd.test'] } })).body.snis, ['c.test', 'd.test']);
  assert.deepEqual((await send('PATCH', at, { json: { snis: null, tags: null } })).body.snis, []);
  const alone = await send('PATCH', at, { json: { cert } });
  assert.deepEqual([alone.status, alone.body.message], [400, 'schema violation (certificate does not match key)']);
});

test('a second pair is added, kept and removed', async (t) => {
  const { send } = await startAdmin(t);
  const { body } = await send('POST', '/certificates', { json: { cert, key } });
  const at = `/certificates/${body.id}`;
  const both = await send('PATCH', at, { json: { cert_alt: rsa.cert, key_alt: rsa.key } });
  assert.deepEqual([both.status, both.body.cert_alt], [200, rsa.cert]);
  assert.ok(!holdsKeyMaterial(both, [key, rsa.key]));
  const sentBack = await send('PUT', at, { json: both.body });
  assert.deepEqual({ ...sentBack.body, updated_at: 0 }, { ...both.body, updated_at: 0 });
  assert.deepEqual((await send('PATCH', at, { json: { cert_alt: null } })).status, 400);
  assert.equal((await send('PATCH', at, { json: { cert_alt: null, key_alt: null } })).body.cert_alt, null);
});

test('PUT creates under an id, under a name, and replaces names with those it has', async (t) => {
  const { send } = await startAdmin(t);
  const id = randomUUID();
  const created = await send('PUT', `/certificates/${id}`, { json: { cert, key, snis: ['a.test', 'b.test'] } });
  assert.deepEqual([created.status, created.body.id], [200, id]);
  const byName = await send('PUT', '/certificates/New.test', { json: { cert, key, snis: ['c.test'] } });
  assert.deepEqual([byName.status, byName.body.snis], [200, ['c.test', 'new.test']]);
  assert.notEqual(byName.body.id, id);
  const replaced = await send('PUT', '/certificates/b.test', { json: { cert: other.cert, key: other.key } });
  assert.deepEqual([replaced.body.id, replaced.body.snis, replaced.body.cert], [id, [], other.cert]);
  const incomplete = await send('PUT', `/certificates/${id}`, { json: { cert } });
  assert.deepEqual(incomplete.body.fields, { key: 'required field missing' });
});

test('what is not there: by id, by name, for every verb', async (t) => {
  const { send } = await startAdmin(t);
  const id = randomUUID();
  const missing = {
    code: 6,
    name: 'not found',
    message: `could not find the entity with primary key '{id="${id}"}'`,
    fields: { id },
  };
  for (const [method, target, status, body] of [
    ['GET', id, 404, missing],
    ['PATCH', id, 404, missing],
    ['DELETE', id, 204, undefined],
    ['GET', 'x.test', 404, { message: 'SNI not found' }],
    ['PATCH', 'x.test', 404, { message: 'SNI not found' }],
    ['DELETE', 'x.test', 404, { message: 'SNI not found' }],
    ['GET', 'x.test/snis', 404, { message: 'SNI not found' }],
  ] as const) {
    const answer = await send(method, `/certificates/${target}`, method === 'PATCH' ? { json: {} } : {});
    assert.deepEqual([answer.status, answer.body], [status, body], `${method} ${target}`);
  }
});

test('DELETE by a name takes the certificate and all its names', async (t) => {
  const { send, store } = await startAdmin(t);
  await send('POST', '/certificates', { json: { cert, key, snis: ['a.test', 'b.test'] } });
  assert.equal((await send('DELETE', '/certificates/b.test')).status, 204);
  assert.deepEqual([await store.certificates.count(), await store.snis.count()], [0, 0]);
});

test('certificates of plugins are not seen here', async (t) => {
  const { send, store } = await startAdmin(t);
  const { body } = await send('POST', '/plugins', { json: { name: 'ssl', config: { cert, key } } });
  const id = (await store.plugins.get(body.id))?.certificateId;
  assert.deepEqual((await send('GET', '/certificates')).body.data, []);
  assert.equal((await send('GET', `/certificates/${id}`)).status, 404);
  assert.equal((await send('DELETE', `/certificates/${id}`)).status, 204);
  assert.equal(await store.certificates.count({ owner: 'any' }), 1);
  assert.equal((await send('PUT', `/certificates/${id}`, { json: { cert, key } })).status, 409);
});

test('lists page by size and offset and filter by tags', async (t) => {
  const { send } = await startAdmin(t);
  for (const tags of [['x', 'y'], ['x'], ['y']]) await send('POST', '/certificates', { json: { cert, key, tags } });
  const count = async (query: string) => (await send('GET', `/certificates?${query}`)).body.data.length;
  assert.deepEqual([await count('tags=x'), await count('tags=x,y'), await count('tags=x/y')], [2, 1, 3]);
  const first = await send('GET', '/certificates?size=1&tags=x');
  assert.match(first.body.next, /^\/certificates\?offset=[^&]+&tags=x&size=1$/);
  const second = await send('GET', first.body.next);
  assert.deepEqual([second.body.data.length, second.body.next], [1, null]);
  for (const [query, code, name, message] of [
    ['size=0', 9, 'invalid size', 'size must be an integer between 1 and 1000'],
    ['size=1001', 9, 'invalid size', 'size must be an integer between 1 and 1000'],
    ['size=x', 9, 'invalid size', 'size must be a number'],
  ] as const) {
    const { status, body } = await send('GET', `/certificates?${query}`);
    const { reason: _reason, ...rest } = body;
    assert.deepEqual([status, rest], [400, { code, name, message }]);
  }
  assert.equal((await send('GET', '/certificates?offset=zz')).body.code, 7);
  const mixed = await send('GET', '/certificates?tags=a,b/c');
  assert.deepEqual([mixed.body.code, mixed.body.options], [11, { tags: 'invalid filter syntax' }]);
});

test('lists by expiry come soonest first, between two moments, page by page', async (t) => {
  const { send } = await startAdmin(t);
  for (const [name, day] of [
    ['c', '2040-03-01'],
    ['a', '2040-01-01'],
    ['d', '2040-04-01'],
    ['b', '2040-02-01'],
  ]) {
    const pair = makeSelfSigned({ names: [`${name}.test`], notAfter: new Date(`${day}T00:00:00Z`) });
    await send('POST', '/certificates', { json: { ...pair, snis: [`${name}.test`] } });
  }
  const found = async (path: string) => {
    const { status, body } = await send('GET', path);
    assert.equal(status, 200);
    return { names: body.data.map(({ snis }: { snis: string[] }) => snis.join()).join(' '), next: body.next };
  };
  const named = async (query: string) => (await found(`/certificates?${query}`)).names;
  assert.equal(await named('expires_before=2040-03-01'), 'a.test b.test');
  assert.equal(await named('expires_after=2040-03-01'), 'c.test d.test');
  assert.equal(
    await named(`expires_after=${Date.parse('2040-02-01') / 1000}&expires_before=2040-03-01T01:00:00%2B01:00`),
    'b.test',
  );
  const first = await found('/certificates?expires_after=2040-01-01&size=3');
  assert.equal(first.names, 'a.test b.test c.test');
  assert.match(first.next, /^\/certificates\?offset=[^&]+&expires_after=2040-01-01&size=3$/);
  assert.deepEqual(await found(first.next), { names: 'd.test', next: null });
  const offset = new URLSearchParams(first.next.split('?')[1]).get('offset');
  assert.equal((await send('GET', `/certificates?offset=${offset}`)).body.code, 7);
  for (const [query, option] of [
    ['expires_before=', 'expires_before'],
    ['expires_after=soon', 'expires_after'],
    ['expires_before=2040-13-01', 'expires_before'],
    ['expires_after=1&tags=x', 'tags'],
  ] as const) {
    const { body } = await send('GET', `/certificates?${query}`);
    assert.deepEqual([query, body.code, Object.keys(body.options)], [query, 11, [option]]);
  }
});

test('a body may be checked without being stored', async (t) => {
  const { send, store } = await startAdmin(t);
  const good = await send('POST', '/schemas/certificates/validate', { json: { cert, key } });
  assert.deepEqual([good.status, good.body], [200, { message: 'schema validation successful' }]);
  const bad = await send('POST', '/schemas/certificates/validate', { json: { cert, key, snis: ['1.1.1.1'] } });
  assert.equal(bad.body.message, 'schema violation (snis.1: must not be an IP)');
  assert.equal((await send('POST', '/schemas/snis/validate', { json: { name: '*' } })).body.code, 2);
  const names = (await send('GET', '/schemas/snis')).body.fields.flatMap((field: object) => Object.keys(field));
  assert.ok(names.includes('certificate'));
  assert.equal(await store.revision(), 0);
});
