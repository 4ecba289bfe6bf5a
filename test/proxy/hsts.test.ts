// Strict-Transport-Security of an API: on every response over TLS, whoever answers, by either protocol, once; never over
// plain HTTP.
import assert from 'node:assert/strict';
import http2 from 'node:http2';
import { describe, test } from 'node:test';
import { answering, type GatewayOptions, startGateway, startRawUpstream } from './http1-gateway.ts';

const own = 'max-age=60; includeSubDomains';
const upstreams = 'Strict-Transport-Security: max-age=1\r\nstrict-transport-security: max-age=2\r\n';
const answer = (status: string, body = 'ok'): string =>
  `HTTP/1.1 ${status}\r\n${upstreams}${body === '' ? '' : `Content-Length: ${body.length}\r\n`}\r\n${body}`;

/** The values that the client got. */
async function overHttp1(options: GatewayOptions, request = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n'): Promise<string[]> {
  await using gateway = await startGateway(options);
  using client = await gateway.connect();
  client.send(request);
  const { head } = await client.response();
  return [...head.matchAll(/^strict-transport-security: (.*)\r$/gim)].map(([, value]) => value ?? '');
}

async function overHttp2(options: GatewayOptions): Promise<string[]> {
  await using gateway = await startGateway({ ...options, alpnProtocol: 'h2' });
  const session = http2.connect(`http://127.0.0.1:${gateway.port}`);
  const stream = session.request({ ':path': '/', ':authority': 'a' });
  const raw = await new Promise<readonly string[]>((resolve, reject) => {
    stream.on('response', (_headers, _flags, list) => resolve(list));
    stream.on('error', reject);
  });
  stream.resume();
  session.destroy();
  return raw.flatMap((name, at) => (name === 'strict-transport-security' && at % 2 === 0 ? [raw[at + 1] ?? ''] : []));
}

for (const [name, ask] of [
  ['HTTP/1.1', overHttp1],
  ['HTTP/2', overHttp2],
] as const) {
  describe(`over ${name}`, () => {
    for (const status of ['200 OK', '404 Not Found', '204 No Content', '301 Moved Permanently']) {
      test(`it takes the place of the upstream's on ${status}`, async () => {
        await using upstream = await startRawUpstream(answering(answer(status, status.startsWith('204') ? '' : 'ok')));
        const options = { upstreamPort: upstream.port, tls: true };
        assert.deepEqual(await ask({ ...options, route: { hsts: own } }), [own]);
        assert.deepEqual(await ask(options), ['max-age=1', 'max-age=2']);
      });
    }

    test('it stands on answers of our own too', async () => {
      assert.deepEqual(await ask({ upstreamPort: 1, tls: true, route: { hsts: own } }), [own]);
      assert.deepEqual(await ask({ upstreamPort: 1, tls: true }), []);
    });

    test('nothing of it without TLS, neither ours nor the upstream’s', async () => {
      await using upstream = await startRawUpstream(answering(answer('200 OK')));
      assert.deepEqual(await ask({ upstreamPort: upstream.port, route: { hsts: own } }), []);
      assert.deepEqual(await ask({ upstreamPort: 1, route: { hsts: own } }), []);
      assert.deepEqual(await ask({ route: { hsts: own, httpsOnly: true } }), []);
    });
  });
}

test('a proxy in front that terminated TLS is believed where it is trusted', async () => {
  await using upstream = await startRawUpstream(answering(answer('200 OK')));
  const request = 'GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-Proto: https\r\n\r\n';
  const options = { upstreamPort: upstream.port, route: { hsts: own } };
  const trusted = { ...options, settings: { trustedIps: ['127.0.0.1/32'] } };
  assert.deepEqual(await overHttp1(trusted, request), [own]);
  assert.deepEqual(await overHttp1(trusted, request.replace('https', 'http')), []);
  assert.deepEqual(await overHttp1(options, request), []);
});

test('it stands beside a change of protocol', async () => {
  const switched = `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n${upstreams}\r\n`;
  await using upstream = await startRawUpstream(answering(switched));
  const request = 'GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n';
  assert.deepEqual(await overHttp1({ upstreamPort: upstream.port, tls: true, route: { hsts: own } }, request), [own]);
});
