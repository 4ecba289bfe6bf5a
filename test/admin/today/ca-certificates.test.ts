import assert from 'node:assert/strict';
import { randomUUID, X509Certificate } from 'node:crypto';
import { test } from 'node:test';
import { startAdmin } from '../../support/admin-server.ts';
import { makeAuthority, makeSelfSigned } from '../../support/certificates.ts';

const dayMs = 86_400_000;

test('a CA certificate is added, answered as Kong 3 does, listed by tags, changed and removed', async (t) => {
  const { send, waitedFor } = await startAdmin(t);
  const root = makeAuthority();
  const { status, body } = await send('POST', '/ca_certificates', { json: { cert: root.certificate, tags: ['a'] } });
  assert.equal(status, 201);
  assert.deepEqual(body, {
    id: body.id,
    cert: root.certificate,
    cert_digest: new X509Certificate(root.certificate).fingerprint256.replaceAll(':', '').toLowerCase(),
    crl: null,
    tags: ['a'],
    created_at: body.created_at,
    updated_at: body.created_at,
    expires_at: Math.floor(new X509Certificate(root.certificate).validToDate.getTime() / 1000),
  });
  assert.equal(waitedFor.length, 1);
  const path = `/ca_certificates/${body.id}`;
  assert.deepEqual((await send('GET', path)).body, body);
  assert.deepEqual((await send('GET', '/ca_certificates?tags=a')).body, { data: [body], next: null });
  assert.deepEqual((await send('GET', '/ca_certificates?tags=b')).body.data, []);
  const tagged = await send('PATCH', path, { json: { tags: ['b'] } });
  assert.deepEqual([tagged.status, tagged.body.tags, tagged.body.cert], [200, ['b'], root.certificate]);
  const other = makeAuthority();
  const put = await send('PUT', path, { json: { cert: other.certificate } });
  assert.deepEqual([put.status, put.body.cert, put.body.tags], [200, other.certificate, null]);
  assert.equal((await send('DELETE', path)).status, 204);
  assert.equal((await send('DELETE', path)).status, 204);
  assert.equal((await send('GET', path)).status, 404);
  const id = randomUUID();
  assert.equal((await send('PUT', `/ca_certificates/${id}`, { json: { cert: root.certificate } })).body.id, id);
});

test('forms and files are taken, DER too', async (t) => {
  const { send } = await startAdmin(t);
  const [one, two] = [makeAuthority(), makeAuthority()];
  const form = await send('POST', '/ca_certificates', { form: [['cert', one.certificate]] });
  assert.equal(form.status, 201);
  const file = await send('POST', '/ca_certificates', {
    multipart: [
      ['cert', new X509Certificate(two.certificate).raw],
      ['crl', Buffer.from(two.revoke([]).replaceAll(/-----[^-]+-----|\s/g, ''), 'base64')],
      ['tags', 'x'],
    ],
  });
  assert.equal(file.status, 201, file.text);
  assert.match(file.body.crl, /^-----BEGIN X509 CRL-----\n/);
});

test('what cannot be an authority is refused in the words of Kong 3', async (t) => {
  const { send, uploads } = await startAdmin(t);
  const root = makeAuthority();
  const old = makeAuthority({ notBefore: Date.now() - 2 * dayMs, notAfter: Date.now() - dayMs });
  for (const [json, message] of [
    [{}, 'schema violation (cert: required field missing)'],
    [
      { cert: root.certificate + old.certificate },
      'schema violation (cert: please submit only one certificate at a time)',
    ],
    [{ cert: old.certificate }, 'schema violation (cert: certificate expired, "Not After" time is in the past)'],
    [
      { cert: root.issue({ names: ['a.test'] }).cert },
      'schema violation (cert: certificate does not appear to be a CA because it is missing the "CA" basic constraint)',
    ],
    [{ cert: root.certificate, key: 'x' }, 'schema violation (key: unknown field)'],
    [{ cert: root.certificate, tags: ['a,b'] }, /tags\.1: invalid tag/],
    [{ cert: 'x' }, /^schema violation \(cert: invalid certificate: /],
    [
      { cert: root.certificate, crl: makeAuthority().revoke([]) },
      /^schema violation \(crl: The revocation list is not signed by/,
    ],
  ] as const) {
    const { status, body } = await send('POST', '/ca_certificates', { json });
    assert.deepEqual([status, body.code, body.name], [400, 2, 'schema violation']);
    if (typeof message === 'string') assert.equal(body.message, message);
    else assert.match(body.message, message);
  }
  assert.ok(uploads.every(([result]) => result === 'refused'));
  const forced = await send('POST', '/ca_certificates?force=true', { json: { cert: old.certificate } });
  assert.equal(forced.status, 201);
  assert.match(forced.headers.get('warning') ?? '', /CERTIFICATE_EXPIRED/);
  // It is stored: its tags may change.
  assert.equal((await send('PATCH', `/ca_certificates/${forced.body.id}`, { json: { tags: ['x'] } })).status, 200);
});

test('one certificate is one entity', async (t) => {
  const { send } = await startAdmin(t);
  const { certificate: cert } = makeAuthority();
  const { body: first } = await send('POST', '/ca_certificates', { json: { cert } });
  const { status, body } = await send('POST', '/ca_certificates', { json: { cert } });
  assert.deepEqual([status, body.code], [409, 5]);
  assert.equal(body.message, `UNIQUE violation detected on '{cert_digest="${first.cert_digest}"}'`);
  assert.deepEqual(body.fields, { cert_digest: first.cert_digest });
});

test('a revocation list is put beside its authority, replaced by a newer one only, and removed by null', async (t) => {
  const { send } = await startAdmin(t);
  const root = makeAuthority();
  const leaf = root.issue({ names: ['a.test'] }).cert;
  const { body } = await send('POST', '/ca_certificates', { json: { cert: root.certificate } });
  const path = `/ca_certificates/${body.id}`;
  const [older, newer] = [3, 2].map((days) => root.revoke([leaf], { thisUpdate: Date.now() - days * dayMs }));
  assert.equal((await send('PATCH', path, { json: { crl: newer } })).body.crl, newer);
  const refused = await send('PATCH', path, { json: { crl: older } });
  assert.deepEqual([refused.status, refused.body.reason], [400, 'CRL_OUTDATED']);
  assert.equal((await send('PATCH', `${path}?force=true`, { json: { crl: older } })).body.crl, older);
  // It stays with what else changes, and goes no further than its own authority.
  assert.equal((await send('PATCH', path, { json: { tags: ['x'] } })).body.crl, older);
  // Kong's clients know no such field: by them nobody is let in again.
  assert.equal((await send('PUT', path, { json: { cert: root.certificate } })).body.crl, older);
  const moved = await send('PATCH', path, { json: { cert: makeAuthority().certificate } });
  assert.deepEqual([moved.status, moved.body.reason], [400, 'CRL_NOT_SIGNED']);
  const { expires_at: withList } = (await send('GET', path)).body;
  const without = await send('PATCH', path, { json: { crl: null } });
  assert.equal(without.body.crl, null);
  assert.ok(withList < without.body.expires_at);
});

test('it is not removed while a rule names it, and who names it is said', async (t) => {
  const { send } = await startAdmin(t);
  const { body } = await send('POST', '/ca_certificates', { json: { cert: makeAuthority().certificate } });
  const path = `/ca_certificates/${body.id}`;
  const rule = { client_certificate: 'required', ca_certificates: [body.id] };
  const host = await send('POST', '/portunus/hosts', { json: { name: 'a.test', ...rule } });
  const refused = await send('DELETE', path);
  assert.equal(refused.status, 400);
  assert.deepEqual([refused.body.code, refused.body.name], [19, 'referenced by others']);
  assert.equal(refused.body.message, `ca certificate ${body.id} is still referenced by hosts (id = ${host.body.id})`);
  await send('DELETE', '/portunus/hosts/a.test');
  const api = await send('POST', '/apis', {
    json: { name: 'a', hosts: ['a.test'], upstream_url: 'http://u', ...rule },
  });
  assert.match((await send('DELETE', path)).body.message, new RegExp(`by apis \\(id = ${api.body.id}\\)`));
  await send('PATCH', '/apis/a', { json: { client_certificate: null } });
  assert.equal((await send('DELETE', path)).status, 204);
});

test('a dry run says what would be stored and stores nothing; validation says whether fields would pass', async (t) => {
  const { send, store } = await startAdmin(t);
  const { certificate: cert } = makeAuthority();
  const { status, body } = await send('POST', '/ca_certificates?dry_run=true', { json: { cert } });
  assert.deepEqual([status, body.would_answer, body.would_store.cert], [200, 201, cert]);
  const valid = await send('POST', '/schemas/ca_certificates/validate', { json: { cert } });
  assert.deepEqual(valid.body, { message: 'schema validation successful' });
  const { cert: server } = makeSelfSigned({ names: ['a.test'], ca: false });
  assert.equal((await send('POST', '/schemas/ca_certificates/validate', { json: { cert: server } })).status, 400);
  assert.equal((await send('GET', '/schemas/ca_certificates')).status, 200);
  assert.equal(await store.caCertificates.count(), 0);
});
