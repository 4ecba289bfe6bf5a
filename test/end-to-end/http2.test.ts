// HTTP/2 on a real gateway: over TLS by ALPN, without TLS by its preface, in log and metrics; workers that go lose nothing.
import assert from 'node:assert/strict';
import type http from 'node:http';
import http2, { type ClientHttp2Session } from 'node:http2';
import { test } from 'node:test';
import { expectOk } from '../support/admin.ts';
import { makeSelfSigned } from '../support/certificates.ts';
import { type Gateway, startGateway } from '../support/gateway.ts';
import { startUpstream } from '../support/upstream.ts';
import { until } from '../support/until.ts';

const name = 'http2.test';
const { cert, key } = makeSelfSigned({ names: [name] });
const settings = { proxy_listen: '127.0.0.1:0 http2, 127.0.0.1:0 ssl http2' };

async function publish(gateway: Gateway, upstreamUrl: string): Promise<void> {
  await expectOk(gateway.admin, 'POST', '/certificates', { cert, key, snis: [name] });
  await expectOk(gateway.admin, 'POST', '/apis', { name: 'h2', request_host: name, upstream_url: upstreamUrl });
}

function connect(gateway: Gateway): ClientHttp2Session {
  const session = http2.connect(`https://${name}`, {
    ca: cert,
    servername: name,
    host: '127.0.0.1',
    port: gateway.tlsPort,
  });
  session.on('error', () => {});
  return session;
}

/** @returns its status, 0 when it was cut */
function request(session: ClientHttp2Session, path = '/'): Promise<number> {
  return new Promise((resolve) => {
    const stream = session.request({ ':path': path, ':authority': name });
    let status = 0;
    stream.on('response', (headers) => {
      status = Number(headers[':status']);
    });
    stream.on('error', () => {});
    stream.on('close', () => resolve(stream.readableEnded && stream.rstCode === 0 ? status : 0));
    stream.resume();
  });
}

test('it is served over TLS with the host’s certificate, and without TLS, and is in the log and the metrics', async () => {
  await using upstream = await startUpstream();
  await using gateway = await startGateway({ settings });
  await publish(gateway, upstream.url);
  const secure = connect(gateway);
  assert.equal(await request(secure, '/secure'), 200);
  assert.equal(secure.alpnProtocol, 'h2');
  const plain = http2.connect(`http://127.0.0.1:${gateway.plainPort}`);
  assert.equal(await request(plain, '/plain'), 200);
  const overHttp1 = await fetch(`http://127.0.0.1:${gateway.plainPort}/old`);
  assert.equal(overHttp1.status, 404);
  await until('the log', () => gateway.output().includes('"target":"/plain"'));
  for (const target of ['/secure', '/plain']) {
    assert.match(gateway.output(), new RegExp(`"host":"${name}","target":"${target}","http_version":"2"`));
  }
  const metrics = await (await fetch(`${gateway.status}/metrics`)).text();
  assert.match(metrics, /^portunus_http_requests_total\{.*200.*\} 2$/m);
  secure.destroy();
  plain.destroy();
});

test('workers are replaced and lose no request of clients that repeat what a GOAWAY says was not taken', async () => {
  await using upstream = await startUpstream();
  await using gateway = await startGateway({ workers: 1, settings });
  await publish(gateway, upstream.url);
  let running = true;
  let answered = 0;
  const lost: string[] = [];
  /** Ten at a time over one connection, and over a new one once it is told to go. */
  const client = async (): Promise<void> => {
    while (running) {
      const session = connect(gateway);
      let last = Number.POSITIVE_INFINITY;
      session.on('goaway', (_code, lastStreamID) => {
        last = lastStreamID;
      });
      const lane = async (): Promise<void> => {
        while (running && last === Number.POSITIVE_INFINITY && !session.destroyed) {
          const stream = session.request({ ':path': '/', ':authority': name });
          stream.on('error', () => {});
          const status = await new Promise<number>((resolve) => {
            let seen = 0;
            stream.on('response', (headers) => {
              seen = Number(headers[':status']);
            });
            stream.on('close', () => resolve(stream.readableEnded ? seen : 0));
            stream.resume();
          });
          if (status === 200) answered += 1;
          else if ((stream.id ?? Number.POSITIVE_INFINITY) <= last)
            lost.push(`${status} of stream ${stream.id}, last ${last}`);
        }
      };
      await Promise.all(Array.from({ length: 10 }, lane));
      session.destroy();
    }
  };
  const clients = [client(), client()];
  for (let round = 0; round < 2; round += 1) {
    const target = answered + 50;
    await until('some requests are answered', () => answered >= target);
    const [old] = gateway.workerPids();
    gateway.kill('SIGHUP');
    await until('the worker is another', () => gateway.workerPids().length === 1 && gateway.workerPids()[0] !== old);
  }
  const target = answered + 50;
  await until('requests go on being answered', () => answered >= target);
  running = false;
  await Promise.all(clients);
  assert.deepEqual(lost, []);
});

test('SIGTERM lets a request in flight finish', async () => {
  const held = Promise.withResolvers<http.ServerResponse>();
  await using upstream = await startUpstream((_request, response) => held.resolve(response));
  await using gateway = await startGateway({ workers: 1, settings });
  await publish(gateway, upstream.url);
  const session = connect(gateway);
  const told = new Promise((resolve) => session.once('goaway', resolve));
  const answered = request(session);
  const response = await held.promise;
  gateway.kill('SIGTERM');
  await told;
  response.end('late, but whole');
  assert.equal(await answered, 200);
  assert.deepEqual(await gateway.exited, { code: 0, signal: null });
});
