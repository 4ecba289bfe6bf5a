import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { test, type TestContext } from 'node:test';
import { startAdmin } from '../../support/admin-server.ts';
import { makeSelfSigned } from '../../support/certificates.ts';

const { cert, key } = makeSelfSigned({ names: ['a.test'] });

async function withCertificates(t: TestContext) {
  const admin = await startAdmin(t);
  const add = async () => (await admin.send('POST', '/certificates', { json: { cert, key } })).body.id as string;
  return { ...admin, one: await add(), two: await add() };
}

test('an SNI is added by JSON, by form and as Kong 0.12 wrote it', async (t) => {
  const { send, one } = await withCertificates(t);
  const { status, body } = await send('POST', '/snis', {
    json: { name: 'A.test', certificate: { id: one }, tags: ['x'] },
  });
  assert.equal(status, 201);
  assert.deepEqual(body, {
    id: body.id,
    name: 'a.test',
    certificate: { id: one },
    tags: ['x'],
    created_at: body.created_at,
    updated_at: body.created_at,
  });
  assert.equal((await send('POST', '/snis', { form: `name=b.test&certificate.id=${one}` })).status, 201);
  assert.equal((await send('POST', '/snis', { form: `name=c.test&ssl_certificate_id=${one}` })).status, 201);
  for (const name of ['a.test', '%2A.x.test', '*', 'a.*']) {
    await send('PUT', `/snis/${name}`, { json: { certificate: { id: one } } });
    assert.equal((await send('GET', `/snis/${name}`)).status, 200, name);
  }
});

test('what is missing or unknown is said as Kong 3 says it', async (t) => {
  const { send, one } = await withCertificates(t);
  for (const [method, path] of [
    ['POST', '/snis'],
    ['PUT', `/snis/${randomUUID()}`],
  ] as const) {
    const { status, body } = await send(method, path, { json: {} });
    assert.deepEqual(
      [status, body.message],
      [400, '2 schema violations (certificate: required field missing; name: required field missing)'],
    );
  }
  const id = randomUUID();
  const { status, body } = await send('POST', '/snis', { json: { name: 'a.test', certificate: { id } } });
  assert.deepEqual([status, body.code, body.name], [400, 4, 'foreign key violation']);
  assert.equal(body.message, `the foreign key '{id="${id}"}' does not reference an existing 'certificates' entity.`);
  assert.deepEqual(body.fields, { certificate: { id } });
  const odd = await send('POST', '/snis', { json: { name: 'a.test:1', certificate: { id: 'x' } } });
  assert.deepEqual(odd.body.fields, { certificate: { id: 'expected a valid UUID' }, name: 'must not have a port' });
  assert.equal(
    (await send('POST', '/snis', { json: { name: 'a b', certificate: { id: one } } })).body.fields.name,
    'invalid value: a b',
  );
});

test('a name that is there is a unique violation, one held by a plugin names its holder', async (t) => {
  const { send, one, two } = await withCertificates(t);
  await send('POST', '/snis', { json: { name: 'a.test', certificate: { id: one } } });
  const again = await send('POST', '/snis', { json: { name: 'a.test', certificate: { id: two } } });
  const { reason: _reason, ...rest } = again.body;
  assert.equal(again.status, 409);
  assert.deepEqual(rest, {
    code: 5,
    name: 'unique constraint violation',
    message: `UNIQUE violation detected on '{name="a.test"}'`,
    fields: { name: 'a.test' },
  });
  await send('POST', '/apis', { json: { name: 'n', request_host: 'p.test', upstream_url: 'http://u' } });
  const { body: plugin } = await send('POST', '/apis/n/plugins', { json: { name: 'ssl', config: { cert, key } } });
  const held = await send('POST', '/snis', { json: { name: 'p.test', certificate: { id: one } } });
  assert.deepEqual([held.status, held.body.reason], [409, 'NAME_ALREADY_BOUND']);
  assert.ok(held.body.message.includes(plugin.id));
});

test('a name that the certificate does not cover is taken with a warning', async (t) => {
  const { send, one } = await withCertificates(t);
  const warning = async (name: string) =>
    (await send('POST', '/snis', { json: { name, certificate: { id: one } } })).headers.get('warning');
  assert.equal(await warning('a.test'), null);
  assert.match((await warning('b.test')) ?? '', /CERTIFICATE_NAME_NOT_COVERED: .* does not cover b\.test/);
  assert.equal(await warning('c.*'), null);
  const added = await send('PATCH', `/certificates/${one}`, { json: { snis: ['a.test', 'd.test'] } });
  assert.match(added.headers.get('warning') ?? '', /does not cover d\.test/);
});

test('PUT upserts by id and by name, PATCH renames, DELETE forgets', async (t) => {
  const { send, one, two } = await withCertificates(t);
  const id = randomUUID();
  const created = await send('PUT', `/snis/${id}`, { json: { name: 'a.test', certificate: { id: one } } });
  assert.deepEqual([created.status, created.body.id], [200, id]);
  const moved = await send('PUT', '/snis/a.test', { json: { certificate: { id: two } } });
  assert.deepEqual([moved.body.id, moved.body.certificate.id], [id, two]);
  const renamed = await send('PATCH', '/snis/a.test', { json: { name: 'b.test' } });
  assert.deepEqual([renamed.body.id, renamed.body.name], [id, 'b.test']);
  assert.deepEqual((await send('GET', '/snis/a.test')).body, { message: 'Not found' });
  const unknown = await send('PATCH', '/snis/a.test', { json: { name: 'c.test' } });
  assert.deepEqual([unknown.status, unknown.body.message], [404, `could not find the entity with '{name="a.test"}'`]);
  const unknownId = await send('PATCH', `/snis/${one}`, { json: {} });
  assert.equal(unknownId.body.message, `could not find the entity with primary key '{id="${one}"}'`);
  for (const name of ['b.test', 'b.test', randomUUID()])
    assert.equal((await send('DELETE', `/snis/${name}`)).status, 204);
  assert.equal((await send('GET', '/snis/x.test/certificate')).status, 404);
});

test('the names of a certificate are listed and changed under it', async (t) => {
  const { send, one, two } = await withCertificates(t);
  const nested = await send('POST', `/certificates/${one}/snis`, { json: { name: 'a.test' } });
  assert.deepEqual([nested.status, nested.body.certificate.id], [201, one]);
  await send('POST', '/certificates/a.test/snis', { json: { name: 'b.test' } });
  await send('POST', `/certificates/${two}/snis`, { json: { name: 'c.test' } });
  const list = await send('GET', '/certificates/a.test/snis');
  assert.deepEqual(
    list.body.data.map(({ name }: { name: string }) => name),
    ['a.test', 'b.test'],
  );
  const paged = await send('GET', `/certificates/${one}/snis?size=1`);
  assert.ok(paged.body.next.startsWith(`/certificates/${one}/snis?offset=`));
  assert.equal((await send('GET', `/certificates/${one}/snis/c.test`)).status, 404);
  assert.equal((await send('PUT', `/certificates/${one}/snis/c.test`, { json: {} })).status, 404);
  assert.equal((await send('PUT', `/certificates/${one}/snis/d.test`, { json: {} })).body.certificate.id, one);
  assert.equal((await send('PATCH', `/certificates/${one}/snis/d.test`, { json: { tags: ['t'] } })).body.tags[0], 't');
  assert.equal((await send('DELETE', `/certificates/${one}/snis/c.test`)).status, 204);
  assert.equal((await send('GET', '/snis/c.test')).status, 200);
});
