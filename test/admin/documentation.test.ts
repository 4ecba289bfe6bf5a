// docs/admin-api.md and the routes say the same, so do its table of warnings and repairs and intake's, and its examples run.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';
import type { AdminDeps } from '../../src/admin/contract.ts';
import { documentPath } from '../../src/admin/node/openapi.ts';
import { adminRoutes } from '../../src/admin/routes.ts';
import { noticeCodes } from '../../src/x509/findings.ts';
import { startAdmin } from '../support/admin-server.ts';
import { makeAuthority, makeSelfSigned } from '../support/certificates.ts';
import { succeed } from '../support/command.ts';
import { pkcs12By, pkcs7By } from '../support/containers.ts';

const page = readFileSync(new URL('../../docs/admin-api.md', import.meta.url), 'utf8');

test('every route has its row, every row its route', () => {
  const rows = [...page.matchAll(/^\| `((?:GET|POST|PUT|PATCH|DELETE) [^`]+)` \|/gm)].map(([, row]) => row);
  const routes = adminRoutes({} as AdminDeps).map(({ method, path }) => `${method} ${documentPath(path)}`);
  assert.deepEqual(new Set(rows), new Set(routes));
  assert.equal(rows.length, routes.length);
});

test('every warning and repair is listed with its sentence', () => {
  const rows = [...page.matchAll(/^\| `([A-Z0-9_]+)` \| (.*) \|$/gm)].map(([, code, text]) => [code, text]);
  assert.deepEqual(
    rows,
    Object.entries(noticeCodes).map(([code, { summary }]) => [code, summary]),
  );
});

test('every example with curl does what it says', async (t) => {
  const { send, base, directory } = await startAdmin(t);
  for (const [name, keyType] of [
    ['server', 'ec'],
    ['everyone', 'ec'],
    ['renewed', 'ec'],
    ['c', 'ec'],
    ['rsa', 'rsa'],
    ['ecdsa', 'ec'],
  ] as const) {
    const { cert, key } = makeSelfSigned({ names: ['a.example.com', 'mockbin.test'], keyType });
    await writeFile(path.join(directory, `${name}.crt`), cert);
    await writeFile(path.join(directory, `${name}.key`), key);
    if (name !== 'server') continue;
    await writeFile(path.join(directory, 'server.p12'), pkcs12By({ chain: cert, key }, 'changeit'));
    await writeFile(path.join(directory, 'server.p7b'), pkcs7By(cert, 'PEM'));
  }
  const authority = makeAuthority();
  await writeFile(path.join(directory, 'ca.crt'), authority.certificate);
  await writeFile(path.join(directory, 'ca.crl'), authority.revoke([]));
  const lines = [...page.matchAll(/^```sh\n(.*?)^```/gms)].flatMap(([, block = '']) => block.split('\n'));
  const examples = lines.filter((line) => line.startsWith('curl '));
  assert.ok(examples.length > 40);
  for (const example of examples) {
    // One chapter ends by removing what the next one uses.
    if (example.includes('/plugins'))
      await send('POST', '/apis', {
        json: { name: 'mockbin', request_host: 'mockbin.test', upstream_url: 'http://u' },
      });
    const { body: plugins } = await send('GET', '/apis/mockbin/plugins');
    const { body: certificates } = await send('GET', '/certificates');
    const env = {
      admin: base,
      id: (example.includes('plugins') ? plugins?.data[0]?.id : certificates.data[0]?.id) ?? '',
      other: certificates.data[1]?.id ?? '',
      ca: (await send('GET', '/ca_certificates')).body.data[0]?.id ?? '',
    };
    const script = `curl() { command curl -sS --noproxy '*' -o /dev/null -w '%{http_code}' "$@"; }; ${example}`;
    assert.match(await succeed('bash', ['-c', script], { cwd: directory, env }), /^20[014]$/, example);
  }
});
