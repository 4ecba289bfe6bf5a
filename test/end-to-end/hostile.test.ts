// What hostile or broken clients and upstreams do to a running gateway: each gets its answer or is cut off, and a client
// that does nothing wrong never notices.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import type { ServerResponse } from 'node:http';
import net from 'node:net';
import { after, before, describe, test } from 'node:test';
import tls from 'node:tls';
import { expectOk } from '../support/admin.ts';
import { capturedHello } from '../support/captured-hello.ts';
import { command } from '../support/command.ts';
import { makeSelfSigned } from '../support/certificates.ts';
import { type Gateway, startGateway } from '../support/gateway.ts';
import { until } from '../support/until.ts';
import { startUpstream, type Upstream } from '../support/upstream.ts';

const host = 'hostile.test';
const settings = {
  // That of a good client has to come to its end on a busy machine too.
  handshake_timeout: '4s',
  client_header_timeout: '500ms',
  client_body_timeout: '500ms',
  upstream_connections_max: '50',
};

describe('a gateway among hostile clients', () => {
  let gateway: Gateway;
  let upstream: Upstream;
  let pair: { cert: string; key: string };
  let workers: readonly number[];

  before(async () => {
    [gateway, upstream] = await Promise.all([startGateway({ workers: 1, settings }), startUpstream()]);
    pair = makeSelfSigned({ names: [host] });
    await expectOk(gateway.admin, 'POST', '/apis', { name: 'hostile', hosts: [host], upstream_url: upstream.url });
    await expectOk(gateway.admin, 'POST', '/certificates', { ...pair, snis: [host] });
    workers = gateway.workerPids();
  });
  after(async () => {
    // Nothing of it may have killed a worker, or been a defect.
    assert.deepEqual(gateway.workerPids(), workers);
    assert.ok(!/worker (fails|ended)|TypeError|RangeError/.test(gateway.output()), gateway.output());
    await gateway[Symbol.asyncDispose]();
    await upstream[Symbol.asyncDispose]();
  });

  /** The good client: a whole exchange over TLS on a connection of its own. */
  async function goodClient(): Promise<void> {
    const socket = tls.connect({ host: '127.0.0.1', port: gateway.tlsPort, servername: host, ca: pair.cert });
    socket.write(`GET /good HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`);
    assert.match(await everything(socket), /^HTTP\/1\.1 200 /);
  }

  const head = `GET / HTTP/1.1\r\nHost: ${host}\r\n`;
  const requests: readonly (readonly [what: string, bytes: string | Buffer, answer: RegExp])[] = [
    ['a head of 1 MB', `${head}X: ${'x'.repeat(1_000_000)}\r\n\r\n`, /^HTTP\/1\.1 431 /],
    ['10,000 header fields', `${head}${'X: y\r\n'.repeat(10_000)}\r\n`, /^HTTP\/1\.1 431 /],
    ['a target of 100 KB', `GET /${'a'.repeat(100_000)} HTTP/1.1\r\nHost: ${host}\r\n\r\n`, /^HTTP\/1\.1 414 /],
    ['a lone LF', `GET / HTTP/1.1\nHost: ${host}\n\n`, /^HTTP\/1\.1 400 /],
    ['a lone CR', `${head}X: a\rb\r\n\r\n`, /^HTTP\/1\.1 400 /],
    ['NUL in a value', `${head}X: a\0b\r\n\r\n`, /^HTTP\/1\.1 400 /],
    [
      'Content-Length and Transfer-Encoding',
      `${head}Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
      /^HTTP\/1\.1 400 /,
    ],
    ['two lengths', `${head}Content-Length: 1\r\nContent-Length: 2\r\n\r\nab`, /^HTTP\/1\.1 400 /],
    ['two hosts', `${head}Host: other.test\r\n\r\n`, /^HTTP\/1\.1 400 /],
    ['a folded field', `${head}X: a\r\n b\r\n\r\n`, /^HTTP\/1\.1 400 /],
    ['a space before the colon', `${head}X : a\r\n\r\n`, /^HTTP\/1\.1 400 /],
    [
      'an obfuscated coding',
      `POST / HTTP/1.1\r\nHost: ${host}\r\nTransfer-Encoding: xchunked\r\n\r\n`,
      /^HTTP\/1\.1 501 /,
    ],
    [
      'a chunk size that overflows',
      `POST / HTTP/1.1\r\nHost: ${host}\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n`,
      /^HTTP\/1\.1 400 /,
    ],
    ['HTTP/0.9', 'GET /\r\n', /^HTTP\/1\.1 400 /],
    ['HTTP/2 without asking', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', /^HTTP\/1\.1 (400|505) /],
    ['an unknown expectation', `${head}Expect: miracles\r\n\r\n`, /^HTTP\/1\.1 417 /],
    ['TLS on the plain port', Buffer.from('16030100050100000100', 'hex'), /^HTTP\/1\.1 400 |^$/],
    ['random bytes', randomBytes(4096), /^HTTP\/1\.1 4\d\d |^$/],
    ['half a head, and then nothing', head, /^HTTP\/1\.1 408 /],
    [
      'half a body, and then nothing',
      `POST / HTTP/1.1\r\nHost: ${host}\r\nContent-Length: 10\r\n\r\nhalf`,
      /^HTTP\/1\.1 408 |^$/,
    ],
  ];
  for (const [what, bytes, answer] of requests) {
    test(what, async () => {
      const socket = net.connect(gateway.plainPort, '127.0.0.1');
      socket.write(bytes);
      assert.match(await everything(socket), answer);
      await goodClient();
    });
  }

  const hellos: readonly (readonly [what: string, bytes: string | Buffer, answer: RegExp])[] = [
    ['a ClientHello cut off', Buffer.from('1603010200010001fc0303', 'hex'), /^$/],
    ['nothing at all', '', /^$/],
    ['random bytes', Buffer.concat([Buffer.from([0x80]), randomBytes(600)]), /^(\x15\x03|$)/],
    ['a record of the largest length, empty', Buffer.from('160301ffff', 'hex'), /^(\x15\x03|$)/],
    ['plain HTTP', head, /^HTTP\/1\.1 400 /],
  ];
  // Most of them are waited for until their time is over.
  describe('on the TLS port', { concurrency: true }, () => {
    for (const [what, bytes, answer] of hellos) {
      test(`${what}, on the TLS port`, async () => {
        const socket = net.connect(gateway.tlsPort, '127.0.0.1');
        if (bytes.length > 0) socket.write(bytes);
        assert.match(await everything(socket), answer);
        await goodClient();
      });
    }
  });

  test('a ClientHello that comes byte by byte', async () => {
    const hello = await capturedHello(host);
    const socket = net.connect({ port: gateway.tlsPort, host: '127.0.0.1', noDelay: true });
    const answered = new Promise<Buffer>((resolve, reject) => socket.once('data', resolve).once('error', reject));
    for (const byte of hello) await new Promise((sent) => socket.write(Buffer.of(byte), sent));
    assert.equal((await answered)[0], 0x16, 'a handshake record answers');
    socket.destroy();
    await goodClient();
  });

  for (const [what, name] of [
    ['an IP address', '127.0.0.1'],
    ['10 KB', 'a'.repeat(10_000)],
    ['blanks', 'a b'],
  ] as const) {
    test(`${what} as server name gets the default certificate or an alert, never a host's`, async () => {
      const { stdout } = await command('openssl', [
        's_client',
        '-connect',
        `127.0.0.1:${gateway.tlsPort}`,
        '-servername',
        name,
      ]);
      assert.ok(!stdout.includes(`CN = ${host}`));
      await goodClient();
    });
  }

  const upstreams: readonly (readonly [what: string, behave: (socket: net.Socket) => void, answer: RegExp])[] = [
    ['hangs', () => undefined, /^HTTP\/1\.1 504 /],
    ['hangs up', (socket) => socket.destroy(), /^HTTP\/1\.1 502 /],
    ['answers garbage', (socket) => socket.end(randomBytes(512)), /^HTTP\/1\.1 502 /],
    [
      'answers with two lengths',
      (socket) => socket.end('HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab'),
      /^HTTP\/1\.1 502 /,
    ],
    [
      'sends a head without end',
      (socket) => void socket.write(`HTTP/1.1 200 OK\r\nX: ${'x'.repeat(1_000_000)}`),
      /^HTTP\/1\.1 502 /,
    ],
    [
      'answers before it is asked',
      (socket) => socket.end('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'),
      /^HTTP\/1\.1 (200|502) /,
    ],
  ];
  for (const [what, behave, answer] of upstreams) {
    test(`an upstream that ${what}`, async () => {
      await using bad = await rawUpstream(behave);
      const ask = async (name: string): Promise<void> => {
        const socket = net.connect(gateway.plainPort, '127.0.0.1');
        socket.write(`GET / HTTP/1.1\r\nHost: ${name}\r\nConnection: close\r\n\r\n`);
        const said = await everything(socket);
        assert.match(said, answer);
        if (!said.startsWith('HTTP/1.1 200')) assert.match(said, /"request_id":"[0-9a-f]{32}"/);
      };
      await withApi(gateway, bad.url, ask, what === 'hangs' ? { upstream_read_timeout: 500 } : {});
      await goodClient();
    });
  }

  test('an upstream that refuses', async () => {
    const gone = await rawUpstream(() => undefined);
    await gone[Symbol.asyncDispose]();
    await withApi(gateway, gone.url, async (name) => {
      const socket = net.connect(gateway.plainPort, '127.0.0.1');
      socket.write(`GET / HTTP/1.1\r\nHost: ${name}\r\nConnection: close\r\n\r\n`);
      assert.match(await everything(socket), /^HTTP\/1\.1 502 /);
    });
    await goodClient();
  });

  for (const [what, response] of [
    ['a length', 'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this'],
    ['chunks', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nonly this\r\n'],
  ] as const) {
    test(`a body with ${what} that the upstream cuts off cannot be taken for a whole one`, async () => {
      await using bad = await rawUpstream((socket) => socket.end(response));
      await withApi(gateway, bad.url, async (name) => {
        const { code, stdout } = await command('curl', [
          '-sS',
          '-H',
          `Host: ${name}`,
          `http://127.0.0.1:${gateway.plainPort}/`,
        ]);
        assert.equal(stdout, 'only this');
        assert.notEqual(code, 0, 'curl tells that something is missing');
      });
      await goodClient();
    });
  }

  test('200 connections that say nothing do not keep a good client waiting', async () => {
    const silent = Array.from({ length: 200 }, (_, at) =>
      net.connect(at % 2 === 0 ? gateway.tlsPort : gateway.plainPort, '127.0.0.1'),
    );
    await Promise.all(silent.map((socket) => new Promise((connected) => socket.once('connect', connected))));
    for (let at = 0; at < 5; at += 1) await goodClient();
    for (const socket of silent) socket.on('error', () => undefined).destroy();
  });
});

test('a gateway that is full of connections that say nothing, or nothing more, still takes a good client', async () => {
  const held: ServerResponse[] = [];
  await using upstream = await startUpstream((asked, response) => {
    if (asked.url === '/held') held.push(response);
    else response.end('good');
  });
  await using gateway = await startGateway({ workers: 1, settings: { client_connections_max: '64' } });
  const pair = makeSelfSigned({ names: [host] });
  await expectOk(gateway.admin, 'POST', '/apis', { name: 'full', hosts: [host], upstream_url: upstream.url });
  await expectOk(gateway.admin, 'POST', '/certificates', { ...pair, snis: [host] });
  const request = `GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`;
  // A client that waits for its answer is not one that says nothing.
  const patient = net.connect(gateway.plainPort, '127.0.0.1');
  const answer = everything(patient);
  patient.write(`GET /held HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`);
  await until('it waits', () => held.length === 1);
  const idle = Array.from({ length: 200 }, (_, at) => {
    const socket = net.connect(at % 2 === 0 ? gateway.plainPort : gateway.tlsPort, '127.0.0.1');
    socket.on('error', () => undefined).resume();
    if (at % 4 === 0) socket.write(request);
    return socket;
  });
  await Promise.all(idle.map((socket) => new Promise((settled) => socket.on('connect', settled).on('close', settled))));
  for (let count = 0; count < 5; count += 1) {
    const good = tls.connect({ host: '127.0.0.1', port: gateway.tlsPort, servername: host, ca: pair.cert });
    good.write(request.replace('\r\n\r\n', '\r\nConnection: close\r\n\r\n'));
    assert.match(await everything(good), /^HTTP\/1\.1 200 /);
  }
  held[0]?.end();
  assert.match(await answer, /^HTTP\/1\.1 200 /);
  const metrics = await (await fetch(`${gateway.status}/metrics`)).text();
  assert.match(metrics, /^portunus_client_limits_reached_total\{limit="client_connections_max"\} [1-9]/m);
  for (const socket of idle) socket.destroy();
});

async function withApi(
  gateway: Gateway,
  url: string,
  work: (name: string) => Promise<void>,
  fields: object = {},
): Promise<void> {
  const name = `u${new URL(url).port}.test`;
  await expectOk(gateway.admin, 'POST', '/apis', {
    name,
    hosts: [name],
    upstream_url: url,
    retries: 0,
    ...fields,
  });
  await work(name);
  await expectOk(gateway.admin, 'DELETE', `/apis/${name}`);
}

async function rawUpstream(behave: (socket: net.Socket) => void): Promise<AsyncDisposable & { readonly url: string }> {
  const sockets = new Set<net.Socket>();
  const server = net.createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined).resume();
    behave(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as net.AddressInfo).port}`,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** All that comes until the other side closes, however it does. */
function everything(socket: net.Socket): Promise<string> {
  return new Promise((resolve) => {
    let text = '';
    socket.setEncoding('latin1').on('data', (chunk: string) => (text += chunk));
    socket.on('error', () => resolve(text)).on('close', () => resolve(text));
  });
}
