import assert from 'node:assert/strict';
import { createPrivateKey, randomUUID, X509Certificate } from 'node:crypto';
import { test, type TestContext } from 'node:test';
import { pkcs12By } from '../../support/containers.ts';
import { holdsKeyMaterial, startAdmin, type FixtureOptions } from '../../support/admin-server.ts';
import { makeAuthority, makeSelfSigned } from '../../support/certificates.ts';

const { cert, key } = makeSelfSigned({ names: ['a.test'] });
const other = makeSelfSigned({ names: ['a.test', 'b.test'] });

async function withApi(t: TestContext, options: FixtureOptions = {}) {
  const admin = await startAdmin(t, options);
  const json = { name: 'n', request_host: 'a.test', upstream_url: 'http://upstream.test' };
  const { body: api } = await admin.send('POST', '/apis', { json });
  const add = (config: object, rest: object = {}) =>
    admin.send('POST', '/apis/n/plugins', { json: { name: 'ssl', config, ...rest } });
  return { ...admin, api, add };
}

test('unreadable certificates and keys get the documented words', async (t) => {
  const { add } = await withApi(t);
  const bad = await add({ cert: 'garbage', key });
  assert.deepEqual(
    [bad.status, bad.body['config.cert'], bad.body.code],
    [400, 'Invalid SSL certificate', 'CERTIFICATE_UNREADABLE'],
  );
  const badKey = await add({ cert, key: 'garbage' });
  assert.deepEqual([badKey.status, badKey.body['config.key']], [400, 'Invalid SSL certificate key']);
  const { body } = await add({});
  assert.deepEqual(body, { code: 'INPUT_INVALID', 'config.cert': 'cert is required', 'config.key': 'key is required' });
});

test('what is wrong besides is said under the same fields, with what to do', async (t) => {
  const { add } = await withApi(t);
  const { status, body } = await add({ cert, key: other.key });
  assert.deepEqual([status, body.code], [400, 'CERTIFICATE_KEY_MISMATCH']);
  assert.match(body['config.key'], /does not belong/);
  assert.ok(body.hint.length > 0);
});

test('no consumer, no unknown plugin, no unknown field', async (t) => {
  const { add, send } = await withApi(t);
  assert.deepEqual((await add({ cert, key }, { consumer_id: randomUUID() })).body, {
    code: 'INPUT_INVALID',
    message: 'No consumer can be configured for that plugin',
  });
  const unknown = await send('POST', '/plugins', { json: { name: 'foo', config: { anything: 1 } } });
  assert.deepEqual(unknown.body, { code: 'INPUT_INVALID', config: 'Plugin "foo" not found' });
  assert.deepEqual((await add({ cert, key, foo: 1 })).body, {
    code: 'INPUT_INVALID',
    'config.foo': 'foo is an unknown field',
  });
  assert.deepEqual((await send('POST', '/plugins', { json: {} })).body, {
    code: 'INPUT_INVALID',
    name: 'name is required',
  });
});

test('a key is answered as its placeholder, which may be sent back', async (t) => {
  const { add, send, sealer, store } = await withApi(t);
  const created = await add({ cert, key });
  assert.ok(!holdsKeyMaterial(created, [key]));
  assert.match(created.body.config.key, /^\{sealed:sha256:[0-9a-f]{64}\}$/);
  const { body: read } = await send('GET', `/plugins/${created.body.id}`);
  read.config.only_https = true;
  const changed = await send('PUT', '/plugins', { json: read });
  assert.equal(changed.status, 200, changed.text);
  assert.deepEqual(changed.body, { ...created.body, config: { ...created.body.config, only_https: true } });
  const plugin = await store.plugins.get(created.body.id);
  const certificate = await store.certificates.get(plugin?.certificateId ?? '');
  const pair = certificate?.primary;
  assert.equal(sealer.open(pair?.sealedKey ?? '', pair?.publicKeySha256 ?? '').toString(), key);
});

test('a placeholder stands for the stored key only', async (t) => {
  const { add, send } = await withApi(t);
  const placeholder = `{sealed:sha256:${'ab'.repeat(32)}}`;
  assert.match((await add({ cert, key: placeholder })).body['config.key'], /is not the one that is stored here/);
  const { body } = await add({ cert, key });
  const changed = await send('PATCH', `/plugins/${body.id}`, {
    json: { 'config.cert': other.cert, 'config.key': placeholder },
  });
  assert.equal(changed.status, 400);
  const kept = await send('PATCH', `/plugins/${body.id}`, {
    json: { 'config.cert': other.cert, 'config.key': body.config.key },
  });
  assert.deepEqual([kept.status, kept.body.code], [400, 'CERTIFICATE_KEY_MISMATCH']);
});

test('admin_private_keys = visible answers the key itself', async (t) => {
  const { add } = await withApi(t, { config: { adminPrivateKeys: 'visible' } });
  assert.equal((await add({ cert, key })).body.config.key, key);
});

test('PATCH merges the configuration, PUT replaces it', async (t) => {
  const { add, send } = await withApi(t);
  const { body: plugin } = await add({ cert, key, only_https: true });
  const at = `/apis/n/plugins/${plugin.id}`;
  const merged = await send('PATCH', at, { form: 'config.accept_http_if_already_terminated=true' });
  assert.deepEqual(merged.body.config, { ...plugin.config, accept_http_if_already_terminated: true });
  const renewed = await send('PATCH', at, { json: { config: { cert: other.cert, key: other.key } } });
  assert.deepEqual([renewed.body.config.cert, renewed.body.config.only_https], [other.cert, true]);
  const replaced = await send('PUT', '/apis/n/plugins', {
    json: { id: plugin.id, name: 'ssl', config: { cert, key } },
  });
  assert.deepEqual([replaced.status, replaced.body.config.only_https], [200, false]);
  const without = await send('PUT', '/apis/n/plugins', { json: { id: plugin.id, name: 'ssl' } });
  assert.deepEqual(Object.keys(without.body).sort(), ['code', 'config.cert', 'config.key']);
  assert.equal(
    (await send('PUT', '/plugins', { json: { id: randomUUID(), name: 'ssl', config: { cert, key } } })).status,
    404,
  );
  assert.deepEqual((await send('PATCH', at, { json: { name: 'key-auth' } })).body.name, 'name cannot be updated');
  assert.deepEqual((await send('PATCH', at, { json: {} })).body.message, 'empty body');
});

test('a plugin of another API is not found under this one', async (t) => {
  const { add, send } = await withApi(t);
  await send('POST', '/apis', { json: { name: 'm', request_host: 'm.test', upstream_url: 'http://u' } });
  const { body: plugin } = await add({ cert, key });
  for (const method of ['GET', 'PATCH', 'DELETE']) {
    const { status } = await send(
      method,
      `/apis/m/plugins/${plugin.id}`,
      method === 'PATCH' ? { json: { enabled: false } } : {},
    );
    assert.equal(status, 404, method);
  }
  assert.deepEqual((await send('GET', '/apis/m/plugins')).body, { data: [], total: 0 });
  assert.equal((await send('GET', '/apis/n/plugins')).body.total, 1);
  assert.equal((await send('GET', '/plugins?name=ssl&enabled=true')).body.total, 1);
});

test('one ssl plugin to an API, one for all; an API that is not there is named', async (t) => {
  const { add, send, api } = await withApi(t);
  assert.equal((await add({ cert, key })).status, 201);
  const again = await add({ cert, key });
  assert.deepEqual(
    [again.status, again.body],
    [409, { name: "already exists with value 'ssl'", code: 'UNIQUE_VIOLATION' }],
  );
  const global = { name: 'ssl', config: { cert, key } };
  assert.equal((await send('POST', '/plugins', { json: global })).body.api_id, undefined);
  assert.equal((await send('POST', '/plugins', { json: global })).status, 409);
  const missing = randomUUID();
  const nowhere = await send('POST', '/plugins', { json: { ...global, api_id: missing } });
  assert.deepEqual([nowhere.status, nowhere.body.api_id], [404, `does not exist with value '${missing}'`]);
  assert.equal((await send('GET', `/plugins?api_id=${api.id}`)).body.total, 1);
  assert.equal((await send('POST', '/apis/unknown/plugins', { json: global })).status, 404);
});

test('the certificate comes and goes with the plugin, its names with its being enabled', async (t) => {
  const { add, send, store } = await withApi(t);
  const { body: plugin } = await add({ cert, key });
  assert.equal((await store.binding('a.test'))?.holder.kind, 'plugin');
  await send('PATCH', `/plugins/${plugin.id}`, { json: { enabled: false } });
  assert.equal(await store.binding('a.test'), undefined);
  await send('PATCH', `/plugins/${plugin.id}`, { json: { enabled: true } });
  await send('PATCH', '/apis/n', { json: { request_host: 'b.test' } });
  assert.deepEqual([await store.binding('a.test'), (await store.binding('b.test'))?.holder.id], [undefined, plugin.id]);
  assert.equal((await send('DELETE', `/plugins/${plugin.id}`)).status, 204);
  assert.equal(await store.certificates.count({ owner: 'any' }), 0);
});

test('moving an API to a host its certificate does not cover is taken with a warning; addresses need none', async (t) => {
  const { add, send } = await withApi(t);
  await add({ cert, key });
  const moved = await send('PATCH', '/apis/n', { json: { request_host: 'z.test' } });
  assert.match(moved.headers.get('warning') ?? '', /CERTIFICATE_NAME_NOT_COVERED: .* does not cover z\.test/);
  const address = await send('PATCH', '/apis/n', { json: { request_host: '10.0.0.1' } });
  assert.deepEqual([address.status, address.headers.get('warning')], [200, null]);
});

test('believing X-Forwarded-Proto from everyone comes with a warning', async (t) => {
  const open = await withApi(t);
  const config = { cert, key, accept_http_if_already_terminated: true };
  assert.match((await open.add(config)).headers.get('warning') ?? '', /trusted_ips is not configured/);
  const closed = await withApi(t, { config: { trustedIpsConfigured: true } });
  assert.doesNotMatch((await closed.add(config)).headers.get('warning') ?? '', /trusted_ips/);
});

test('intermediates that other chains brought complete a chain that lacks them', async (t) => {
  const { add, send } = await withApi(t);
  const authority = makeAuthority().intermediate().intermediate();
  const full = authority.issue({ names: ['b.test'] });
  await send('POST', '/certificates', { json: { cert: full.chain, key: full.key } });
  const bare = authority.issue({ names: ['a.test'] });
  const { status, body, headers } = await add({ cert: bare.cert, key: bare.key });
  assert.equal(status, 201);
  const blocks = body.config.cert.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) as string[];
  assert.equal(blocks.length, 3);
  assert.equal(new X509Certificate(blocks[0] ?? '').checkIssued(new X509Certificate(blocks[1] ?? '')), true);
  assert.match(headers.get('warning') ?? '', /CHAIN_COMPLETED/);
});

test('DER files arrive by multipart, and an encrypted key opens with its passphrase', async (t) => {
  const { send, store, sealer } = await withApi(t);
  const der = new X509Certificate(cert).raw;
  const encrypted = createPrivateKey(key)
    .export({ type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: 'sesame' })
    .toString();
  const parts = (passphrase: string) =>
    [
      ['name', 'ssl'],
      ['config.cert', der],
      ['config.key', encrypted],
      ['config.passphrase', passphrase],
    ] as const;
  const wrong = await send('POST', '/apis/n/plugins', { multipart: parts('open barley') });
  assert.deepEqual([wrong.status, wrong.body.code], [400, 'KEY_PASSPHRASE_WRONG']);
  assert.ok(!wrong.text.includes('barley') && !holdsKeyMaterial(wrong, [key]));
  const right = await send('POST', '/apis/n/plugins', { multipart: parts('sesame') });
  assert.deepEqual([right.status, right.body.config.cert, right.body.config.passphrase], [201, cert, undefined]);
  const certificate = await store.certificates.get((await store.plugins.get(right.body.id))?.certificateId ?? '');
  const pair = certificate?.primary;
  assert.equal(sealer.open(pair?.sealedKey ?? '', pair?.publicKeySha256 ?? '').toString(), key);
});

test('a PKCS#12 file is certificate and key of a plugin, new or replaced', async (t) => {
  const { send } = await withApi(t);
  const file = pkcs12By({ chain: cert, key }, 'sesame');
  const parts = [
    ['config.cert', file],
    ['config.passphrase', 'sesame'],
  ] as const;
  const wrong = await send('POST', '/apis/n/plugins', {
    json: { name: 'ssl', config: { cert: file.toString('base64'), passphrase: 'open barley' } },
  });
  assert.deepEqual([wrong.status, wrong.body.code], [400, 'KEY_PASSPHRASE_WRONG']);
  assert.ok(wrong.body['config.passphrase'] !== undefined && !wrong.text.includes('barley'));
  const added = await send('POST', '/apis/n/plugins', { multipart: [['name', 'ssl'], ...parts] });
  assert.deepEqual([added.status, added.body.config.cert, added.body.config.passphrase], [201, cert, undefined]);
  const replaced = await send('PATCH', `/apis/n/plugins/${added.body.id}`, { multipart: parts });
  assert.deepEqual([replaced.status, replaced.body.config.key], [200, added.body.config.key]);
});

test('the schema of the plugin, and which plugins there are', async (t) => {
  const { send } = await startAdmin(t);
  const schema = await send('GET', '/plugins/schema/ssl');
  assert.deepEqual([schema.body.no_consumer, schema.body.fields.cert.required], [true, true]);
  const unknown = await send('GET', '/plugins/schema/foobar');
  assert.deepEqual([unknown.status, unknown.body], [404, { message: "No plugin named 'foobar'" }]);
  assert.deepEqual((await send('GET', '/plugins/enabled')).body, { enabled_plugins: ['ssl'] });
});
