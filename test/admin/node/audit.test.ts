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
  for (let path: string | null = '/portunus/audit?size=2'; path !== null;) {
    const { body }: { body: { data: { revision: number }[]; next: string | null } } = await send('GET', path);
    pages.push(body.data.map(({ revision }) => revision));
    path = body.next;
  }
  assert.deepEqual(pages, [[3, 2], [1]]);
  assert.equal((await send('GET', '/portunus/audit?size=0')).status, 400);
  assert.equal((await send('GET', '/portunus/audit?offset=x')).status, 400);
});

function certificate() {
  const { cert, key } = makeSelfSigned({ names: ['a.test'] });
  return { cert, key, x509: new X509Certificate(cert) };
}
