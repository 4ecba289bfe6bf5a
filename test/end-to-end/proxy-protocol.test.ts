// HAProxy in front with the PROXY protocol, in every form in which it sends it. Passed over with a word where it is not
// installed; the bytes of each form are read in test/proxy/proxy-protocol.test.ts.
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import http2 from 'node:http2';
import net, { type Socket } from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { suite, test } from 'node:test';
import tls from 'node:tls';
import { expectOk } from '../support/admin.ts';
import { makeSelfSigned } from '../support/certificates.ts';
import { type Gateway, startGateway } from '../support/gateway.ts';
import { startUpstream } from '../support/upstream.ts';
import { until } from '../support/until.ts';

const host = 'proxied.test';
const clients = makeSelfSigned({ names: ['client.test'] });
const inFront = makeSelfSigned({ names: ['front.test'] });
const installed = spawnSync('haproxy', ['-v']).error === undefined;

const ways = {
  v1: 'send-proxy',
  v2: 'send-proxy-v2',
  ssl: 'send-proxy-v2-ssl-cn',
  all: 'send-proxy-v2 proxy-v2-options ssl,cert-cn,ssl-cipher,cert-sig,cert-key,authority,crc32c',
} as const;
type Way = keyof typeof ways;

/** Every frontend passes bytes on: `<way>-plain` and `<way>-tls` to the two listeners; `ends-` with TLS of its own in front. */
function configuration(folder: string, { plainPort, tlsPort }: Gateway): string {
  const passes = (Object.keys(ways) as Way[]).flatMap((way) =>
    (
      [
        ['plain', plainPort],
        ['tls', tlsPort],
      ] as const
    ).flatMap(([name, port]) => [
      `listen ${way}-${name}
  bind unix@${folder}/${way}-${name} accept-proxy
  bind unix@${folder}/local-${way}-${name}
  bind unix@${folder}/ends-${way}-${name} accept-proxy ssl crt ${folder}/front.pem ca-file ${folder}/client.crt verify optional
  server gateway 127.0.0.1:${port} ${ways[way]}`,
    ]),
  );
  return `global
  stats socket unix@${folder}/stats
defaults
  mode tcp
  timeout connect 10s
  timeout client 10s
  timeout server 10s
${passes.join('\n')}
backend checked
  mode http
  option httpchk
  http-check send meth GET uri /none ver HTTP/1.1 hdr Host none.test
  http-check expect status 404
  server v1-plain 127.0.0.1:${plainPort} ${ways.v1} check inter 100ms check-send-proxy
  server v2-plain 127.0.0.1:${plainPort} ${ways.v2} check inter 100ms check-send-proxy
  server v2-tls 127.0.0.1:${tlsPort} ${ways.v2} check inter 100ms check-send-proxy check-ssl verify none check-sni ${host}
`;
}

interface Front extends AsyncDisposable {
  readonly gateway: Gateway;
  readonly folder: string;
}

async function startFront(): Promise<Front> {
  await using stack = new AsyncDisposableStack();
  const upstream = stack.use(await startUpstream());
  const gateway = stack.use(
    await startGateway({
      workers: 1,
      settings: {
        proxy_listen: '127.0.0.1:0 http2 proxy_protocol, 127.0.0.1:0 ssl http2 proxy_protocol',
        trusted_ips: '127.0.0.1',
      },
    }),
  );
  await expectOk(gateway.admin, 'POST', '/apis', { name: 'api', request_host: host, upstream_url: upstream.url });
  const folder = mkdtempSync(path.join(os.tmpdir(), 'portunus-front-'));
  stack.defer(() => rmSync(folder, { recursive: true, force: true }));
  writeFileSync(path.join(folder, 'front.pem'), inFront.cert + inFront.key);
  writeFileSync(path.join(folder, 'client.crt'), clients.cert);
  writeFileSync(path.join(folder, 'conf'), configuration(folder, gateway));
  const child = spawn('haproxy', ['-db', '-f', `${folder}/conf`], { stdio: ['ignore', 'pipe', 'pipe'] });
  const ended = new Promise((resolve) => child.once('exit', resolve));
  stack.defer(async () => {
    child.kill('SIGKILL');
    await ended;
  });
  let said = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (text: Buffer) => (said += text.toString()));
  await until('HAProxy listens', async () => {
    if (child.exitCode !== null) throw new Error(`HAProxy ended: ${said}`);
    return (await ask(folder, 'show info')) !== '';
  });
  const running = stack.move();
  return { gateway, folder, [Symbol.asyncDispose]: () => running.disposeAsync() };
}

/** @returns what HAProxy's command line answers, nothing while it does not listen */
function ask(folder: string, command: string): Promise<string> {
  return new Promise((resolve) => {
    let text = '';
    const socket = net.connect(path.join(folder, 'stats'), () => socket.write(`${command}\n`));
    socket.setEncoding('latin1').on('data', (chunk: string) => (text += chunk));
    socket.on('error', () => resolve(''));
    socket.on('close', () => resolve(text));
  });
}

/** @param line what HAProxy is told of the client, in the form of version 1 */
function connect(file: string, line = ''): Socket {
  const socket = net.connect(file);
  socket.on('error', () => undefined);
  socket.write(line);
  return socket;
}

function secure(socket: Socket, protocol: 'h2' | 'http/1.1', pair?: { cert: string; key: string }): tls.TLSSocket {
  const options = { socket, servername: host, rejectUnauthorized: false, ALPNProtocols: [protocol], ...pair };
  const secured = tls.connect(options);
  secured.on('error', () => undefined);
  return secured;
}

/** @returns the fields that the upstream saw */
async function overHttp1(socket: Socket): Promise<Record<string, string>> {
  let text = '';
  socket.setEncoding('latin1').on('data', (chunk: string) => (text += chunk));
  socket.write(`GET / HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`);
  await until('the answer', () => {
    if (socket.destroyed && !text.endsWith('}}')) throw new Error(`ended with ${text}`);
    return text.endsWith('}}');
  });
  socket.destroy();
  return (JSON.parse(text.slice(text.indexOf('\r\n\r\n'))) as { headers: Record<string, string> }).headers;
}

async function overHttp2(socket: Socket, scheme: 'http' | 'https'): Promise<Record<string, string>> {
  const session = http2.connect(`${scheme}://${host}`, { createConnection: () => socket });
  session.on('error', () => undefined);
  const stream = session.request({ ':path': '/' });
  let text = '';
  stream.setEncoding('latin1').on('data', (chunk: string) => (text += chunk));
  stream.on('error', () => undefined);
  await new Promise((resolve) => stream.once('close', resolve));
  session.destroy();
  return (JSON.parse(text) as { headers: Record<string, string> }).headers;
}

function whoItWas(fields: Record<string, string>): object {
  const { 'x-real-ip': address, 'x-forwarded-port': port, 'x-forwarded-proto': proto } = fields;
  return { address, port, proto };
}

suite('with HAProxy in front', { skip: installed ? false : 'haproxy is not installed' }, () => {
  test('the client is who HAProxy says, plain and over TLS, on HTTP/1.1 and HTTP/2, by every form of the header', async () => {
    await using front = await startFront();
    for (const [family, line, address, port] of [
      ['TCP4', 'PROXY TCP4 192.0.2.1 198.51.100.2 40000 8443\r\n', '192.0.2.1', '8443'],
      ['TCP6', 'PROXY TCP6 2001:db8::1 2001:db8::2 40000 8444\r\n', '2001:db8::1', '8444'],
    ] as const) {
      for (const way of Object.keys(ways)) {
        const at = (name: string): Socket => connect(path.join(front.folder, `${way}-${name}`), line);
        const what = `${family} by ${way}`;
        const plain = { address, port, proto: 'http' };
        const overTls = { address, port, proto: 'https' };
        assert.deepEqual(whoItWas(await overHttp1(at('plain'))), plain, what);
        assert.deepEqual(whoItWas(await overHttp2(at('plain'), 'http')), plain, `${what}, HTTP/2`);
        assert.deepEqual(whoItWas(await overHttp1(secure(at('tls'), 'http/1.1'))), overTls, `${what}, TLS`);
        assert.deepEqual(whoItWas(await overHttp2(secure(at('tls'), 'h2'), 'https')), overTls, `${what}, TLS, HTTP/2`);
      }
    }
  });

  test('what HAProxy adds about TLS and the client’s certificate is passed over', async () => {
    await using front = await startFront();
    const line = 'PROXY TCP4 192.0.2.1 198.51.100.2 40000 443\r\n';
    for (const way of Object.keys(ways)) {
      for (const pair of [undefined, clients]) {
        const socket = secure(connect(path.join(front.folder, `ends-${way}-plain`), line), 'http/1.1', pair);
        assert.deepEqual(whoItWas(await overHttp1(socket)), { address: '192.0.2.1', port: '443', proto: 'http' }, way);
      }
    }
  });

  test('a client of a UNIX socket has no address, and HAProxy’s own counts', async () => {
    await using front = await startFront();
    for (const way of Object.keys(ways)) {
      const fields = await overHttp1(connect(path.join(front.folder, `local-${way}-plain`)));
      const { plainPort } = front.gateway;
      assert.deepEqual(whoItWas(fields), { address: '127.0.0.1', port: String(plainPort), proto: 'http' }, way);
    }
  });

  test('its health checks, which say only that they are its own, are answered', async () => {
    await using front = await startFront();
    // HAProxy asks a few times before it believes an answer.
    await until('all are up', async () => {
      const rows = (await ask(front.folder, 'show stat checked 4 -1'))
        .split('\n')
        .filter((row) => row.startsWith('checked,v'));
      return rows.length === 3 && rows.every((row) => row.includes(',L7OK,') && row.split(',')[17] === 'UP');
    });
  });
});
