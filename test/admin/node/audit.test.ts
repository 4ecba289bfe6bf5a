// /portunus/audit: pages, and whom it names.
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { test } from 'node:test';
import { holdsKeyMaterial, startAdmin } from '../../support/admin-server.ts';
import { makeSelfSigned } from '../../support/certificates.ts';

test('a change is there with who made it and the fingerprint of the certificate, and no key', async (t) => {
  const { send } = await startAdmin(t);
  const { cert, key, x509 } = certificate();
  const made = await send('POST', '/certificates', { json: { cert, key, snis: ['a.test'] } });
  await send('POST', '/certificates?dry_run=true', { json: { cert, key } });
  const answer = await send('GET', '/portunus/audit');
  assert.equal(answer.body.next, null);
  assert.deepEqual(
    answer.body.data.map(({ entity, operation, actor, revision }: Record<string, unknown>) => [
      entity,
      operation,
      actor,
      revision,
    ]),
    [
      ['sni', 'create', 'admin:127.0.0.1', 1],
      ['certificate', 'create', 'admin:127.0.0.1', 1],
    ],
  );
  const entry = answer.body.data[1];
  assert.equal(entry.id, made.body.id);
  assert.deepEqual([entry.before, entry.after], [null, x509.fingerprint256.replaceAll(':', '').toLowerCase()]);
  assert.ok(!holdsKeyMaterial(answer, [key]));
});

test('pages lead from the latest to the earliest', async (t) => {
  const { send } = await startAdmin(t);
  for (const name of ['a', 'b', 'c']) {
    await send('POST', '/apis', { json: { name, request_host: `${name}.test`, upstream_url: 'http://u' } });
  }
  const pages: number[][] = [];
  for (let path: string | null = '/portunus/audit?entity=api&size=2&since=2020-01-01'; path !== null;) {
    const { body }: { body: { data: { revision: number }[]; next: string | null } } = await send('GET', path);
    pages.push(body.data.map(({ revision }) => revision));
    path = body.next;
  }
  assert.deepEqual(pages, [[3, 2], [1]]);
  assert.equal((await send('GET', '/portunus/audit?size=0')).status, 400);
  assert.equal((await send('GET', '/portunus/audit?offset=x')).status, 400);
});

test('filters find what is asked for, and wrong ones are refused', async (t) => {
  const { send } = await startAdmin(t);
  const { cert, key } = certificate();
  const made = await send('POST', '/certificates', { json: { cert, key, snis: ['a.test'] } });
  await send('POST', '/apis', { json: { name: 'a', request_host: 'b.test', upstream_url: 'http://u' } });
  const found = async (query: string): Promise<readonly string[]> => {
    const { body } = await send('GET', `/portunus/audit?${query}`);
    return (body.data as { entity: string; at: number }[]).map(({ entity }) => entity);
  };
  const at = (await send('GET', '/portunus/audit')).body.data[0].at as number;
  assert.deepEqual(await found(`id=${made.body.id}`), ['certificate']);
  assert.deepEqual(await found('revision=1'), ['sni', 'certificate']);
  assert.deepEqual(await found('actor=admin:127.0.0.1&entity=api'), ['api']);
  assert.deepEqual(await found('actor=token:x'), []);
  assert.deepEqual(await found(`since=${at}&entity=api`), ['api']);
  assert.deepEqual(await found('before=2020-01-01T00:00:00Z'), []);
  for (const wrong of ['entity=key', 'revision=x', 'since=yesterday', 'before=-1', 'user=x'])
    assert.equal((await send('GET', `/portunus/audit?${wrong}`)).status, 400, wrong);
});

function certificate() {
  const { cert, key } = makeSelfSigned({ names: ['a.test'] });
  return { cert, key, x509: new X509Certificate(cert) };
}
