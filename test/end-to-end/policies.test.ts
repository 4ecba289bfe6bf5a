// What is written about hosts and APIs through the Admin API, as a real gateway serves it.
import assert from 'node:assert/strict';
import http from 'node:http';
import https from 'node:https';
import { test } from 'node:test';
import { expectOk } from '../support/admin.ts';
import { makeSelfSigned } from '../support/certificates.ts';
import { startGateway } from '../support/gateway.ts';
import { startUpstream } from '../support/upstream.ts';

const name = 'policies.test';
const { cert, key } = makeSelfSigned({ names: [name] });

function hstsOf(port: number, secure: boolean): Promise<readonly string[]> {
  const options = { host: '127.0.0.1', port, servername: name, ca: cert, headers: { host: name }, agent: false };
  return new Promise((resolve, reject) => {
    const request = (secure ? https : http).get(options, (response) => {
      response.resume();
      const { rawHeaders: raw } = response;
      resolve(raw.flatMap((field, at) => (/^strict-transport-security$/i.test(field) ? [raw[at + 1] ?? ''] : [])));
    });
    request.on('error', reject);
  });
}

test('Strict-Transport-Security of an API stands on its answers from the moment that the write is answered', async () => {
  await using upstream = await startUpstream();
  await using gateway = await startGateway();
  await expectOk(gateway.admin, 'POST', '/certificates', { cert, key, snis: [name] });
  await expectOk(gateway.admin, 'POST', '/apis', { name: 'a', request_host: name, upstream_url: upstream.url });
  assert.deepEqual(await hstsOf(gateway.tlsPort, true), []);
  await expectOk(gateway.admin, 'PATCH', '/apis/a', { hsts_max_age: 3600, hsts_include_subdomains: true });
  assert.deepEqual(await hstsOf(gateway.tlsPort, true), ['max-age=3600; includeSubDomains']);
  assert.deepEqual(await hstsOf(gateway.plainPort, false), []);
  await expectOk(gateway.admin, 'PATCH', '/apis/a', { hsts_max_age: null });
  assert.deepEqual(await hstsOf(gateway.tlsPort, true), []);
});
