// The walk-through of README.md does what it says, with the real openssl and curl against a real gateway.
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { succeed } from '../support/command.ts';
import { startGateway } from '../support/gateway.ts';
import { startUpstream } from '../support/upstream.ts';

const page = readFileSync(new URL('../../README.md', import.meta.url), 'utf8');

test('every command of the walk-through answers as the page says', async (t) => {
  await using upstream = await startUpstream((_request, response) => response.end('hello from the upstream\n'));
  await using gateway = await startGateway();
  const folder = mkdtempSync(path.join(os.tmpdir(), 'portunus-readme-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const [, walk = ''] = /^## A walk-through\n(.*?)^## /ms.exec(page) ?? [];
  const blocks = [...walk.matchAll(/^```sh\n(.*?)^```/gms)].map(([, block = '']) => block).join('');
  assert.equal(blocks.match(/\bcurl\b/g)?.length, 5);
  const script = blocks
    .replace(/^python3 .*$/m, '')
    .replaceAll('localhost:8001', gateway.admin.slice('http://'.length))
    .replaceAll('localhost:8000', `127.0.0.1:${gateway.plainPort}`)
    .replaceAll(':8443', `:${gateway.tlsPort}`)
    .replaceAll('http://127.0.0.1:9000', upstream.url);
  const said = await succeed('bash', ['-ec', `curl() { command curl -sS --noproxy '*' "$@"; echo; }\n${script}`], {
    cwd: folder,
  });
  assert.match(said, /^subject=CN ?= ?mockbin\.test$/m);
  assert.match(said, /^hello from the upstream$/m);
  const [, status, answer = ''] = /# (\d+): (.*)$/m.exec(blocks) ?? [];
  assert.match(said, new RegExp(`^HTTP/1\\.1 ${status} `, 'm'));
  assert.ok(said.includes(answer) && answer !== '');
  assert.match(said, /^HTTP\/1\.1 201 [^]*^warning: .*CERTIFICATE_NAME_NOT_COVERED.*www\.mockbin\.test/im);
});
