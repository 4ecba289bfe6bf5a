// Bad input through every door: a clear answer in the dialect's shape, nothing written, nothing leaked, and the next
// request is served as if nothing had been.
import assert from 'node:assert/strict';
import { createPrivateKey, randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { fc } from '../support/fast-check.ts';
import { adminRoutes } from '../../src/admin/routes.ts';
import type { AdminDeps } from '../../src/admin/contract.ts';
import { holdsKeyMaterial, startAdmin } from '../support/admin-server.ts';
import { makeAuthority, makePrivateKey, makeSelfSigned } from '../support/certificates.ts';

const sound = makeSelfSigned({ names: ['a.test'] });
const other = makeSelfSigned({ names: ['b.test'] });
const expired = makeSelfSigned({ names: ['a.test'], notBefore: Date.now() - 9e9, notAfter: Date.now() - 1e9 });
const small = makeSelfSigned({ names: ['a.test'], keyType: 'rsa', bits: 1024 });
const authority = makeAuthority();
const authorityPair = { cert: authority.certificate, key: authority.key };
const encrypted = createPrivateKey(sound.key)
  .export({ type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: 'sesame' })
  .toString();
const publicKey = makePrivateKey().export({ type: 'pkcs8', format: 'pem' }).toString();
const keys = [sound.key, other.key, expired.key, small.key, authority.key, publicKey];

interface Pair {
  readonly cert?: unknown;
  readonly key?: unknown;
  readonly passphrase?: string;
}

const pairs: readonly (readonly [
  title: string,
  pair: Pair,
  field: 'cert' | 'key' | 'passphrase' | '@entity',
  code: string,
])[] = [
  ['not PEM', { ...sound, cert: 'hello' }, 'cert', 'CERTIFICATE_UNREADABLE'],
  ['a file path for a certificate', { ...sound, cert: '/etc/ssl/server.crt' }, 'cert', 'CERTIFICATE_UNREADABLE'],
  ['a file path for a key', { ...sound, key: '/etc/ssl/server.key' }, 'key', 'KEY_UNREADABLE'],
  ['curl that lost the @', { ...sound, cert: '@server.crt' }, 'cert', 'CERTIFICATE_UNREADABLE'],
  ['a PEM cut off', { ...sound, cert: sound.cert.slice(0, 200) }, 'cert', 'CERTIFICATE_UNREADABLE'],
  ['a key cut off', { ...sound, key: sound.key.slice(0, 100) }, 'key', 'KEY_UNREADABLE'],
  ['the key of another certificate', { ...sound, key: other.key }, '@entity', 'CERTIFICATE_KEY_MISMATCH'],
  ['an encrypted key without passphrase', { ...sound, key: encrypted }, 'key', 'KEY_ENCRYPTED'],
  [
    'an encrypted key with a wrong one',
    { ...sound, key: encrypted, passphrase: 'barley' },
    'passphrase',
    'KEY_PASSPHRASE_WRONG',
  ],
  ['an expired certificate', expired, 'cert', 'CERTIFICATE_EXPIRED'],
  ['a key that is too weak', small, 'key', 'KEY_TOO_WEAK'],
  [
    'half a megabyte of garbage',
    { ...sound, cert: randomBytes(400_000).toString('base64') },
    'cert',
    'CERTIFICATE_UNREADABLE',
  ],
  [
    'two megabytes of garbage',
    { ...sound, cert: randomBytes(1_500_000).toString('base64') },
    'cert',
    'CERTIFICATE_TOO_LARGE',
  ],
  ['a number', { ...sound, cert: 5 }, 'cert', 'INPUT_INVALID'],
  ['a list', { ...sound, key: [sound.key] }, 'key', 'INPUT_INVALID'],
  ['an object', { ...sound, key: { a: sound.key } }, 'key', 'INPUT_INVALID'],
  ['an empty certificate', { ...sound, cert: '' }, 'cert', 'INPUT_INVALID'],
  ['null for a key', { ...sound, key: null }, 'key', 'INPUT_INVALID'],
];

test('bad certificates and keys, by the plugin and by /certificates', async (t) => {
  const { send, store } = await startAdmin(t);
  await send('POST', '/apis', { json: { name: 'n', request_host: 'a.test', upstream_url: 'http://u' } });
  for (const [title, pair, field, code] of pairs) {
    const seed = await send('POST', '/apis/n/plugins', { json: { name: 'ssl', config: pair } });
    assert.deepEqual([seed.status, seed.body.code], [400, code], title);
    const named = field === '@entity' ? ['config.key', 'config.cert'] : [`config.${field}`];
    assert.ok(
      named.some((name) => typeof seed.body[name] === 'string'),
      `${title}: ${seed.text}`,
    );
    const today = await send('POST', '/certificates', { json: { ...pair, snis: ['c.test'] } });
    assert.deepEqual([today.status, today.body.code, today.body.reason], [400, 2, code], title);
    assert.ok(field in today.body.fields, `${title}: ${today.text}`);
    for (const answer of [seed, today]) {
      assert.ok(!holdsKeyMaterial(answer, keys), title);
      assert.ok(!answer.text.includes('barley'), title);
      assert.ok(answer.text.length < 4000, `${title}: an answer of ${answer.text.length} characters`);
    }
  }
  assert.equal(await store.revision(), 1);
  assert.equal((await send('POST', '/certificates', { json: { ...sound } })).status, 201);
});

const several: readonly (readonly [title: string, pair: Pair])[] = [
  ['two leaves whose key is a third one', { cert: sound.cert + other.cert, key: expired.key }],
  ['an authority and no leaf of its key', { cert: authorityPair.cert, key: sound.key }],
];

test('input without one server certificate is refused', async (t) => {
  const { send, store } = await startAdmin(t);
  for (const [title, pair] of several) {
    const { status, body } = await send('POST', '/certificates', { json: pair });
    assert.equal(status, 400, title);
    assert.match(body.reason, /^CERTIFICATE_(SEVERAL_LEAVES|NO_LEAF|KEY_MISMATCH)$/, title);
  }
  assert.equal(await store.revision(), 0);
});

test('a chain in reverse order is repaired, and the answer says so', async (t) => {
  const { send } = await startAdmin(t);
  const { chain, key } = authority.intermediate().issue({ names: ['r.test'] });
  const blocks = chain.match(/-----BEGIN[^-]+-----[^-]+-----END[^-]+-----\n/g) ?? [];
  const { status, body, headers } = await send('POST', '/certificates', {
    json: { cert: blocks.reverse().join(''), key },
  });
  assert.deepEqual([status, body.cert], [201, chain]);
  assert.match(headers.get('warning') ?? '', /CHAIN_REORDERED/);
});

const names: readonly (readonly [title: string, name: string])[] = [
  ['a port', 'a.test:443'],
  ['an address', '10.1.2.3'],
  ['an IPv6 address', '[::1]'],
  ['a space', 'a b.test'],
  ['254 characters', `${'a.'.repeat(125)}test`],
  ['a label of 64', `${'a'.repeat(64)}.test`],
  ['ten kilobytes', 'a'.repeat(10_240)],
  ['a wildcard in the middle', 'a.*.test'],
  ['a wildcard that is part of a label', 'a*.test'],
  ['an empty label', 'a..test'],
  ['a URL', 'https://a.test/'],
  ['a path', '../../etc/passwd'],
  ['a line break', 'a.test\r\nX: y'],
  ['a NUL', 'a.test\u0000.b.test'],
  ['nothing but a dot', '.'],
];

test('bad host names, by every door that takes one', async (t) => {
  const { send, store } = await startAdmin(t);
  const { body: certificate } = await send('POST', '/certificates', { json: sound });
  for (const [title, name] of names) {
    const answers = [
      await send('POST', '/certificates', { json: { ...other, snis: ['ok.test', name] } }),
      await send('POST', '/snis', { json: { name, certificate: { id: certificate.id } } }),
      await send('PUT', `/snis/${encodeURIComponent(name)}`, { json: { certificate: { id: certificate.id } } }),
      ...(/^[\d.]+$/.test(name) && name !== '.'
        ? []
        : [
            await send('POST', '/apis', { json: { name: 'x', hosts: ['ok.test', name], upstream_url: 'http://u' } }),
            await send('POST', '/apis', { json: { request_host: name, upstream_url: 'http://u' } }),
          ]),
    ];
    for (const [index, answer] of answers.entries()) {
      // Clients take a dot out of a path before they send it.
      assert.ok([400, 405].includes(answer.status), `${title}, door ${index}: ${answer.status} ${answer.text}`);
      assert.ok(answer.text.length < 2000, `${title}, door ${index}: an answer of ${answer.text.length} characters`);
    }
  }
  assert.equal(await store.revision(), 1);
});

const spelled: readonly (readonly [title: string, name: string, stored: string])[] = [
  ['upper case', 'UPPER.Test', 'upper.test'],
  ['IDN', 'bücher.test', 'xn--bcher-kva.test'],
  ['a trailing dot', 'dot.test.', 'dot.test'],
  ['blanks around', '  blank.test ', 'blank.test'],
  ['253 characters', `${'a.'.repeat(124)}tests`, `${'a.'.repeat(124)}tests`],
];

test('good host names in unusual spelling are taken, in normal form', async (t) => {
  const { send } = await startAdmin(t);
  for (const [title, name, stored] of spelled) {
    const { status, body } = await send('POST', '/certificates', { json: { ...sound, snis: [name] } });
    assert.deepEqual([status, body.snis], [201, [stored]], title);
  }
});

test('a field given twice is named', async (t) => {
  const { send, store } = await startAdmin(t);
  const seed = await send('POST', '/apis', { form: 'name=a&name=b&request_host=a.test&upstream_url=http://u' });
  assert.deepEqual([seed.status, seed.body.name], [400, 'is given more than once']);
  const twice = [
    ['cert', sound.cert],
    ['cert', other.cert],
    ['key', sound.key],
  ] as const;
  const today = await send('POST', '/certificates', { multipart: twice });
  assert.deepEqual([today.status, today.body.fields], [400, { cert: 'is given more than once' }]);
  const dotted = await send('POST', '/plugins', { form: 'name=ssl&config=x&config.cert=y' });
  assert.deepEqual([dotted.status, dotted.body['config.cert']], [400, 'is given more than once']);
  const json = await send('POST', '/apis', {
    headers: { 'content-type': 'application/json' },
    body: '{"name":"a","request_host":"a.test","upstream_url":"http://u","n\\u0061me":"b"}',
  });
  assert.deepEqual([json.status, json.body.name], [400, 'is given more than once']);
  assert.equal(await store.revision(), 0);
});

test('names that reach for a prototype are unknown fields, in every media type and dialect', async (t) => {
  const { send } = await startAdmin(t);
  const evil = [
    '__proto__.status',
    '__proto__[status]',
    'constructor.prototype.status',
    '__proto__..status',
    '__proto__',
  ];
  for (const path of ['/apis', '/plugins', '/certificates', '/snis']) {
    for (const name of evil) {
      for (const options of [
        { form: [[name, 'x']] as const },
        { multipart: [[name, 'x']] as const },
        { json: JSON.parse(`{"${name}":"x"}`) },
      ]) {
        assert.equal((await send('POST', path, options)).status, 400);
      }
    }
  }
  assert.equal(({} as { status?: string }).status, undefined);
  assert.equal((await send('GET', '/apis')).status, 200);
});

test('no body of any shape makes any write fail on the inside', async (t) => {
  const { send, errors } = await startAdmin(t);
  await send('POST', '/apis', { json: { name: 'n', request_host: 'n.test', upstream_url: 'http://u' } });
  await send('POST', '/apis/n/plugins', { json: { name: 'ssl', config: sound } });
  const { body: certificate } = await send('POST', '/certificates', { json: { ...sound, snis: ['a.test'] } });
  const plugin = (await send('GET', '/plugins')).body.data[0].id as string;
  const parameters: Readonly<Record<string, string>> = {
    api: 'n',
    plugin,
    certificate: certificate.id,
    sni: 'a.test',
    name: 'ssl',
  };
  const writes = adminRoutes({} as AdminDeps)
    .filter(({ body }) => body !== undefined)
    .map((route) => ({
      method: route.method,
      path: route.path.replaceAll(/:(\w+)/g, (_, name: string) => parameters[name] ?? ''),
      names: Object.keys(route.body?.properties ?? {}),
    }));
  const scalar = fc.oneof(
    fc.constantFrom(
      null,
      true,
      '',
      'ssl',
      'a.test',
      '*',
      sound.cert,
      sound.key,
      plugin,
      'http://u',
      '/p',
      'GET',
      '{sealed:sha256:}',
    ),
    fc.string(),
    fc.double(),
  );
  const value = fc.oneof(
    scalar,
    fc.array(scalar, { maxLength: 3 }),
    fc.dictionary(fc.constantFrom('cert', 'key', 'id', 'only_https'), scalar, { maxKeys: 3 }),
  );
  const request = fc
    .constantFrom(...writes)
    .chain((route) => fc.tuple(fc.constant(route), fc.dictionary(fc.constantFrom(...route.names), value)));
  await fc.assert(
    fc.asyncProperty(request, async ([{ method, path }, json]) => {
      const { status, text } = await send(method, `${path}?dry_run=true`, { json });
      assert.ok(status < 500, `${method} ${path} ${JSON.stringify(json)}: ${text}`);
    }),
    { numRuns: 400 },
  );
  assert.deepEqual(errors, []);
});
