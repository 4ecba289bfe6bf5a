import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { test, type TestContext } from 'node:test';
import { authoritiesMax } from '../../../src/admin/policies/rule-fields.ts';
import { startAdmin } from '../../support/admin-server.ts';
import { makeAuthority } from '../../support/certificates.ts';

async function withAuthorities(t: TestContext, count = 2) {
  const admin = await startAdmin(t);
  const ids: string[] = [];
  for (let at = 0; at < count; at += 1) {
    const { body } = await admin.send('POST', '/ca_certificates', { json: { cert: makeAuthority().certificate } });
    ids.push(body.id as string);
  }
  return { ...admin, ids: ids.sort() };
}

test('the policy of a host is added, answered with every field, found by id and name, changed and removed', async (t) => {
  const { send, ids, waitedFor } = await withAuthorities(t);
  const before = waitedFor.length;
  const { status, body } = await send('POST', '/portunus/hosts', {
    json: {
      name: '*.A.test.',
      client_certificate: 'required',
      ca_certificates: [ids[1], ids[0], ids[1]],
      ssl_min_version: 'TLSv1.3',
      ssl_ciphers: 'ECDHE-ECDSA-AES128-GCM-SHA256',
    },
  });
  assert.equal(status, 201);
  assert.deepEqual(body, {
    id: body.id,
    name: '*.a.test',
    client_certificate: 'required',
    ca_certificates: ids,
    client_verify_depth: 1,
    ssl_min_version: 'TLSv1.3',
    ssl_ciphers: 'ECDHE-ECDSA-AES128-GCM-SHA256',
    created_at: body.created_at,
    updated_at: body.created_at,
  });
  assert.equal(waitedFor.length, before + 1);
  for (const key of [body.id, '%2A.a.test', '%2A.A.test.']) {
    assert.deepEqual((await send('GET', `/portunus/hosts/${key}`)).body, body);
  }
  assert.deepEqual((await send('GET', '/portunus/hosts')).body, { data: [body], next: null });
  const path = '/portunus/hosts/%2A.a.test';
  const patched = await send('PATCH', path, { json: { client_certificate: 'optional', client_verify_depth: 0 } });
  assert.deepEqual(
    [patched.status, patched.body.client_certificate, patched.body.ca_certificates, patched.body.client_verify_depth],
    [200, 'optional', ids, 0],
  );
  const off = await send('PATCH', path, { form: 'client_certificate=off&ssl_min_version=' });
  assert.deepEqual(
    [off.body.client_certificate, off.body.ca_certificates, off.body.client_verify_depth, off.body.ssl_min_version],
    ['off', null, null, null],
  );
  // Read, change, write.
  assert.equal((await send('PUT', path, { json: off.body })).status, 200);
  assert.equal((await send('PATCH', path, { json: { name: 'b.test' } })).body.name, 'b.test');
  assert.equal((await send('GET', path)).status, 404);
  assert.equal((await send('DELETE', '/portunus/hosts/b.test')).status, 204);
  assert.equal((await send('DELETE', '/portunus/hosts/b.test')).status, 204);
});

test('PUT adds under a name or an id, and replaces: what is not sent is as if it had never been', async (t) => {
  const { send, ids } = await withAuthorities(t);
  const rule = { client_certificate: 'required', ca_certificates: ids };
  const added = await send('PUT', '/portunus/hosts/a.test', { json: { name: 'ignored.test', ...rule } });
  assert.deepEqual([added.status, added.body.name], [200, 'a.test']);
  const replaced = await send('PUT', '/portunus/hosts/a.test', { json: {} });
  assert.deepEqual([replaced.body.id, replaced.body.client_certificate], [added.body.id, 'off']);
  const id = randomUUID();
  assert.equal((await send('PUT', `/portunus/hosts/${id}`, { json: { name: 'b.test' } })).body.id, id);
  const taken = await send('PUT', `/portunus/hosts/${id}`, { json: { name: 'a.test' } });
  assert.deepEqual([taken.status, taken.body.message], [409, `UNIQUE violation detected on '{name="a.test"}'`]);
});

test('what does not fit together is refused, all of it at once', async (t) => {
  const { send, ids, store } = await withAuthorities(t, authoritiesMax + 1);
  const [id] = ids;
  for (const [json, message] of [
    [{}, 'schema violation (name: required field missing)'],
    [{ name: '10.0.0.1' }, 'schema violation (name: must not be an IP)'],
    [{ name: 'a.test:443' }, 'schema violation (name: must not have a port)'],
    [
      { name: 'a.test', client_certificate: 'maybe', client_verify_depth: 11, ssl_min_version: 'TLSv1.1' },
      '3 schema violations (client_certificate: expected one of: off, optional, required; ' +
        'client_verify_depth: value should be between 0 and 10; ssl_min_version: expected one of: TLSv1.2, TLSv1.3)',
    ],
    [
      { name: 'a.test', client_certificate: 'required' },
      'schema violation (ca_certificates: is needed where client_certificate is required)',
    ],
    [
      { name: 'a.test', client_certificate: 'optional', ca_certificates: [] },
      'schema violation (ca_certificates: is needed where client_certificate is optional)',
    ],
    [
      { name: 'a.test', ca_certificates: [id] },
      'schema violation (ca_certificates: needs client_certificate to be optional or required)',
    ],
    [
      { name: 'a.test', client_certificate: 'off', client_verify_depth: 3 },
      'schema violation (client_verify_depth: needs client_certificate to be optional or required)',
    ],
    [
      { name: 'a.test', client_certificate: 'required', ca_certificates: ids },
      `schema violation (ca_certificates: names more than ${authoritiesMax})`,
    ],
    [
      { name: 'a.test', client_certificate: 'required', ca_certificates: ['x'] },
      'schema violation (ca_certificates.1: expected a valid UUID)',
    ],
    [
      { name: 'a.test', ssl_ciphers: 'NONE-OF-OPENSSL' },
      'schema violation (ssl_ciphers: expected names of OpenSSL ciphers with colons between them)',
    ],
  ] as const) {
    const { status, body } = await send('POST', '/portunus/hosts', { json });
    assert.deepEqual([status, body.message], [400, message]);
  }
  const unknown = randomUUID();
  const { status, body } = await send('POST', '/portunus/hosts', {
    json: { name: 'a.test', client_certificate: 'required', ca_certificates: [unknown] },
  });
  assert.deepEqual([status, body.code], [400, 4]);
  assert.equal(
    body.message,
    `the foreign key '{id="${unknown}"}' does not reference an existing 'ca_certificates' entity.`,
  );
  assert.deepEqual(body.fields, { ca_certificates: { id: unknown } });
  assert.equal(await store.hostPolicies.count(), 0);
  assert.equal((await send('GET', '/portunus/hosts?tags=a')).status, 400);
  assert.equal((await send('PATCH', '/portunus/hosts/a.test', { json: {} })).status, 404);
});

test('a rule whose authority or revocation list has run out is taken, with a warning that it lets nobody in', async (t) => {
  const { send } = await startAdmin(t);
  const root = makeAuthority();
  const past = root.revoke([], { thisUpdate: Date.now() - 9e8, nextUpdate: Date.now() - 1e8 });
  const { body } = await send('POST', '/ca_certificates?force=true', { json: { cert: root.certificate, crl: past } });
  const rule = { client_certificate: 'optional', ca_certificates: [body.id] };
  const warned = async (method: string, path: string, json: object): Promise<boolean> => {
    const { status, headers } = await send(method, path, { json });
    assert.ok(status < 300);
    return headers.get('warning')?.includes(`CA_CERTIFICATE_RUN_OUT: The CA certificate ${body.id}`) === true;
  };
  const api = { name: 'a', hosts: ['a.test'], upstream_url: 'http://u' };
  assert.equal(await warned('PUT', '/portunus/hosts/a.test', rule), true);
  assert.equal(await warned('PATCH', '/portunus/hosts/a.test', { ssl_min_version: 'TLSv1.3' }), true);
  assert.equal(await warned('POST', '/apis', { ...api, ...rule }), true);
  assert.equal(await warned('POST', '/apis', { ...api, name: 'b' }), false);
  await send('PATCH', `/ca_certificates/${body.id}`, { json: { crl: root.revoke([]) } });
  assert.equal(await warned('PUT', '/portunus/hosts/a.test', rule), false);
});

test('a list goes on from page to page', async (t) => {
  const { send } = await startAdmin(t);
  for (const name of ['c.test', 'a.test', 'b.test']) await send('PUT', `/portunus/hosts/${name}`, { json: {} });
  const first = await send('GET', '/portunus/hosts?size=2');
  const second = await send('GET', first.body.next);
  assert.deepEqual(
    [...first.body.data, ...second.body.data].map(({ name }: { name: string }) => name),
    ['c.test', 'a.test', 'b.test'],
  );
  assert.equal(second.body.next, null);
});
