// The seed's page, as far as the Admin API goes: an API and its certificate with curl, exactly as the page writes it.
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';
import { startAdmin } from '../support/admin-server.ts';
import { makeSelfSigned } from '../support/certificates.ts';
import { succeed } from '../support/command.ts';

test('curl adds an API, and a certificate to it by multipart upload', async (t) => {
  const admin = await startAdmin(t);
  const { cert, key } = makeSelfSigned({ names: ['mockbin.test'] });
  const files = { cert: path.join(admin.directory, 'server.crt'), key: path.join(admin.directory, 'server.key') };
  await writeFile(files.cert, cert);
  await writeFile(files.key, key);
  const curl = (...args: readonly string[]) => succeed('curl', ['--silent', '--show-error', '--noproxy', '*', ...args]);

  const api = JSON.parse(
    await curl(
      '-X',
      'POST',
      `${admin.base}/apis`,
      '--data',
      'name=mockbin',
      '--data',
      'request_host=mockbin.test',
      '--data',
      'upstream_url=http://127.0.0.1:9000',
    ),
  );
  assert.deepEqual(api, {
    id: api.id,
    name: 'mockbin',
    request_host: 'mockbin.test',
    upstream_url: 'http://127.0.0.1:9000',
    strip_request_path: false,
    preserve_host: false,
    created_at: api.created_at,
  });

  const answer = await curl(
    '-i',
    '-X',
    'POST',
    `${admin.base}/apis/mockbin/plugins/`,
    '--form',
    'name=ssl',
    '--form',
    `config.cert=@${files.cert}`,
    '--form',
    `config.key=@${files.key}`,
    '--form',
    'config.only_https=true',
  );
  const [head = '', body = ''] = answer.split('\r\n\r\n').slice(-2);
  assert.match(head, /^HTTP\/1\.1 201 /);
  assert.match(head, /^portunus-revision: 2\r?$/m);
  assert.match(head, /^server: portunus\/0\.0\.0-test\r?$/m);
  const plugin = JSON.parse(body);
  const stored = await admin.store.certificates.get((await admin.store.plugins.get(plugin.id))?.certificateId ?? '');
  assert.deepEqual(plugin, {
    id: plugin.id,
    name: 'ssl',
    api_id: api.id,
    enabled: true,
    config: {
      cert,
      key: `{sealed:sha256:${stored?.primary.publicKeySha256}}`,
      only_https: true,
      accept_http_if_already_terminated: false,
    },
    created_at: plugin.created_at,
  });
  assert.deepEqual(admin.waitedFor, [1, 2]);
  assert.deepEqual((await admin.store.binding('mockbin.test'))?.holder, { kind: 'plugin', id: plugin.id });
  const opened = admin.sealer.open(stored?.primary.sealedKey ?? '', stored?.primary.publicKeySha256 ?? '');
  assert.equal(opened.toString(), key);

  assert.deepEqual(JSON.parse(await curl(`${admin.base}/apis/mockbin/plugins`)), { data: [plugin], total: 1 });
  assert.deepEqual(JSON.parse(await curl(`${admin.base}/plugins/${plugin.id}`)), plugin);
  assert.deepEqual(JSON.parse(await curl(`${admin.base}/apis/`)), { data: [api], total: 1 });
});
