// docs/client-certificates.md does what it says, line by line, with the real openssl and curl against a real gateway.
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { command } from '../support/command.ts';
import { startGateway } from '../support/gateway.ts';
import { startUpstream } from '../support/upstream.ts';

const page = readFileSync(new URL('../../docs/client-certificates.md', import.meta.url), 'utf8');

/** Runs what follows the status, and ends the script when the answer has another one. */
const expect = `
set -eu
expect() {
  wanted=$1; shift
  got=$("$@" -sS --noproxy '*' -o /dev/null -w '%{http_code}')
  [ "$got" = "$wanted" ] || { echo "$got, not $wanted: $*" >&2; exit 1; }
}
`;

test('every command of the page is answered with the status that stands beside it', async (t) => {
  await using upstream = await startUpstream();
  await using gateway = await startGateway();
  const folder = mkdtempSync(path.join(os.tmpdir(), 'portunus-page-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const blocks = [...page.matchAll(/^```sh\n(.*?)^```/gms)].map(([, block = '']) => block).join('');
  const expecting = blocks.replaceAll(/^(.+?) +# (\d{3})$/gm, 'expect $2 $1');
  assert.equal(expecting.match(/^expect \d/gm)?.length, 8);
  const script = expecting
    .replaceAll('localhost:8001', gateway.admin.slice('http://'.length))
    .replaceAll(':8443', `:${gateway.tlsPort}`)
    .replaceAll('http://127.0.0.1:9000', upstream.url);
  const { code, stderr } = await command('bash', ['-c', expect + script], { cwd: folder });
  assert.equal(code, 0, stderr);
});
