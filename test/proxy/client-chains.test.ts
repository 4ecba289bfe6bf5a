// What a client that is asked for a certificate may send, over real sockets: a chain that takes OpenSSL long never reaches it,
// and one that is only long does, however it comes.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import net, { type AddressInfo, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { suite, test } from 'node:test';
import { connect as openTls, type TLSSocket } from 'node:tls';
import { encodePem } from '../../src/x509/pem.ts';
import { capturedHello } from '../support/captured-hello.ts';
import { type Issued, makeAuthority } from '../support/certificates.ts';
import { certificateRecords, costlyChains, costlyToRead } from '../support/costly-chains.ts';
import { connectHttp2, connectTls, optional, type RunningDataPlane, startDataPlane } from '../support/data-plane.ts';
import { hostileKey } from '../support/hostile-certificates.ts';
import { until } from '../support/until.ts';

const host = 'a.test';
const root = makeAuthority();
const long = longChain();
const versions = ['TLSv1.2', 'TLSv1.3'] as const;
const tls13Suites = ['TLS_AES_128_GCM_SHA256', 'TLS_AES_256_GCM_SHA384', 'TLS_CHACHA20_POLY1305_SHA256'];

/** By the road of handles, and by that of sockets. */
const roads = {
  'a TLS listener': { proxy_listen: '127.0.0.1:0 http2, 127.0.0.1:0 ssl http2' },
  'a listener with the PROXY protocol': {
    proxy_listen: '127.0.0.1:0 http2, 127.0.0.1:0 ssl http2 proxy_protocol',
    trusted_ips: '127.0.0.0/8',
  },
} as const;
type Road = keyof typeof roads;

async function asking(road: Road = 'a TLS listener', settings: object = {}): Promise<RunningDataPlane> {
  const plane = await startDataPlane({ settings: { ...roads[road], ...settings } });
  await plane.serve(host);
  await plane.authority('root', root);
  await plane.api(host);
  await plane.policy(host, { clientCertificate: optional(['root'], 10) });
  return plane;
}

async function dial(plane: RunningDataPlane, road: Road): Promise<Socket> {
  const socket = net.connect({ port: plane.tlsPort, host: '127.0.0.1', noDelay: true });
  socket.on('error', () => {});
  await once(socket, 'connect');
  if (road !== 'a TLS listener') socket.write('PROXY TCP4 192.0.2.7 192.0.2.1 4000 443\r\n');
  return socket;
}

for (const road of Object.keys(roads) as Road[]) {
  suite(road, () => {
    for (const version of versions) {
      for (const [what, make] of Object.entries(costlyChains)) {
        test(`${version}: ${what}: the connection ends, and nothing of them was verified`, async () => {
          await using plane = await asking(road);
          await showInVain(await dial(plane, road), make(), version);
          assertRefused(plane, road === 'a TLS listener' ? '127.0.0.1' : '192.0.2.7');
        });
      }

      test(`${version}: as many as are allowed are good, over HTTP/1.1 and HTTP/2`, async () => {
        await using plane = await asking(road);
        for (const connect of [connectTls, connectHttp2]) {
          const socket = await dial(plane, road);
          using client = await connect(plane.tlsPort, { sni: host, certificate: long, version, tls: { socket } });
          const { status, json } = await client.get(host);
          assert.deepEqual([status, json.headers?.['x-client-cert-dn']], [200, 'CN=long']);
        }
        assert.equal(plane.plane.report().counters.clientProofs.valid, 2);
      });
    }

    test('certificates that come with the ClientHello are read before all of them are passed on', async () => {
      await using plane = await asking(road);
      const chains = Object.values({ ...costlyChains, ...costlyToRead });
      for (const make of chains) {
        const socket = await dial(plane, road);
        socket.resume();
        socket.write(Buffer.concat([await capturedHello(host, 'TLSv1.2'), certificateRecords(make())]));
        await new Promise((resolve) => socket.once('close', resolve));
      }
      assertRefused(plane, road === 'a TLS listener' ? '127.0.0.1' : '192.0.2.7', chains.length);
    });

    test('a client that goes away while it is asked leaves nothing behind', async () => {
      await using plane = await asking(road);
      const socket = await dial(plane, road);
      socket.write(await capturedHello(host));
      await once(socket, 'data');
      socket.destroy();
      await until('the connection is gone', () => plane.plane.report().counters.handshakeFailures.disconnected === 1);
      using client = await connectTls(plane.tlsPort, { sni: host, tls: { socket: await dial(plane, road) } });
      assert.equal((await client.get(host)).status, 200);
    });
  });
}

for (const ciphers of tls13Suites) {
  test(`${ciphers}: what is sealed with it is read`, async () => {
    await using plane = await asking();
    using client = await connectTls(plane.tlsPort, { sni: host, certificate: long, tls: { ciphers } });
    assert.equal((await client.get(host)).json.headers?.['x-client-cert-dn'], 'CN=long');
    const [chain = []] = Object.values(costlyChains).map((make) => make());
    await showInVain(await dial(plane, 'a TLS listener'), chain, 'TLSv1.3', { ciphers });
    assert.equal(plane.plane.report().counters.handshakeFailures['client-chain-too-costly'], 1);
  });
}

test('a client that has to say its ClientHello again is asked as others are', async () => {
  await using plane = await asking();
  const tls = { ecdhCurve: 'P-521:P-384' };
  using client = await connectTls(plane.tlsPort, { sni: host, certificate: long, tls });
  assert.equal((await client.get(host)).json.headers?.['x-client-cert-dn'], 'CN=long');
  assert.deepEqual(client.tls.getEphemeralKeyInfo(), { type: 'ECDH', name: 'secp384r1', size: 384 });
  await showInVain(await dial(plane, 'a TLS listener'), costlyChains['ten of them']?.() ?? [], 'TLSv1.3', tls);
  assert.equal(plane.plane.report().counters.handshakeFailures['client-chain-too-costly'], 1);
});

test('a client that sends data at once, for a session that it had with another server, gets in', async () => {
  await using plane = await asking();
  const directory = await mkdtemp(path.join(tmpdir(), 'early-data-'));
  const inDirectory = (name: string): string => path.join(directory, name);
  const { chain, key } = root.issue({ names: [host], commonName: 'early' });
  await writeFile(inDirectory('own.pem'), chain + key);
  await writeFile(inDirectory('early'), `GET /early HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
  const own = `-cert ${inDirectory('own.pem')} -key ${inDirectory('own.pem')}`;
  const session = inDirectory('session');
  {
    await using server = openssl(`s_server ${own} -accept 127.0.0.1:0 -tls1_3 -early_data -num_tickets 1`);
    const port = await server.said(/ACCEPT 127\.0\.0\.1:(\d+)/);
    await using _client = openssl(`s_client -connect 127.0.0.1:${port} -sess_out ${session}`);
    await until('the session is written', () => existsSync(session) && /END/.test(readFileSync(session, 'utf8')));
  }
  // Also where it has to say its ClientHello again.
  for (const groups of ['X25519', 'P-521:P-384']) {
    const early = `-sess_in ${session} -early_data ${inDirectory('early')} -groups ${groups}`;
    await using client = openssl(`s_client ${own} -connect 127.0.0.1:${plane.tlsPort} -servername ${host} ${early}`);
    await client.said(/(Early data was rejected)/);
    client.say(`GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
    assert.equal(await client.said(/"x-client-cert-dn":"([^"]+)"/), 'CN=early');
  }
  assert.equal(plane.upstreamRequests(), 2);
  await rm(directory, { recursive: true });
});

for (const version of versions) {
  test(`${version}: small records and slow ones are put together`, async () => {
    await using plane = await asking();
    await using relay = await startRelay(plane.tlsPort);
    relay.pieces = 1500;
    const socket = openTls({ ...asClient(long), port: relay.port, minVersion: version, maxVersion: version });
    socket.setMaxSendFragment(512);
    await once(socket, 'secureConnect');
    assert.match(await answer(socket), /^HTTP\/1\.1 200 /);
  });
}

test('what comes in one piece with the end of the handshake is answered as if it had come alone', async () => {
  await using plane = await asking();
  await plane.policy(host, { clientCertificate: { mode: 'required', authorities: ['root'], depth: 10 } });
  for (const certificate of [undefined, long]) {
    await using relay = await startRelay(plane.tlsPort);
    const tls = { port: relay.port };
    relay.held = 'from the second write on';
    using client = await connectHttp2(plane.tlsPort, { sni: host, certificate, version: 'TLSv1.3', tls });
    const stream = client.session.request({
      ':method': 'POST',
      ':path': '/a.Service/Call',
      ':authority': host,
      'content-type': 'application/grpc',
      te: 'trailers',
    });
    stream.end();
    const response = once(stream, 'response') as Promise<[Readonly<Record<string, string>>]>;
    await until('the request is on its way', () => relay.heldBytes > 0 && client.session.state.outboundQueueSize === 0);
    relay.release();
    const [head] = await response;
    assert.deepEqual([head[':status'], head['grpc-status']], [200, certificate === undefined ? '7' : undefined]);
  }
});

test('a longer time may be allowed', async () => {
  await using plane = await asking('a TLS listener', { client_chain_max_work: '10s' });
  const chain = costlyChains['ten of them']?.() ?? [];
  using client = await connectTls(plane.tlsPort, { sni: host, certificate: issued(chain), version: 'TLSv1.3' });
  const { status, json } = await client.get(host);
  assert.deepEqual([status, json.code], [403, 'CLIENT_CERTIFICATE_REFUSED']);
});

test('where nobody is asked, nothing is read but the ClientHello', async () => {
  await using plane = await asking();
  await plane.policy(host, null);
  using client = await connectTls(plane.tlsPort, {
    sni: host,
    certificate: issued(costlyChains['ten of them']?.() ?? []),
  });
  assert.equal((await client.get(host)).status, 200);
});

interface OpenSsl extends AsyncDisposable {
  say(text: string): void;
  /** @returns the first group */
  said(pattern: RegExp): Promise<string>;
}

function openssl(command: string): OpenSsl {
  const child = spawn('openssl', command.split(' '), { stdio: ['pipe', 'pipe', 'ignore'] });
  let output = '';
  child.stdout.on('data', (bytes) => (output += String(bytes)));
  child.stdin.on('error', () => {});
  return {
    say: (text) => void child.stdin.write(text),
    async said(pattern) {
      await until(String(pattern), () => pattern.test(output));
      return pattern.exec(output)?.[1] ?? '';
    },
    async [Symbol.asyncDispose]() {
      child.kill();
      await once(child, 'close');
    },
  };
}

/** Until the gateway ends it. */
async function showInVain(
  socket: Socket,
  chain: readonly Buffer[],
  version: (typeof versions)[number],
  options: object = {},
): Promise<void> {
  const tls = openTls({ ...asClient(issued(chain)), minVersion: version, maxVersion: version, ...options, socket });
  tls.on('error', () => {});
  tls.resume();
  await new Promise((resolve) => tls.once('close', resolve));
}

function asClient({ chain, key }: Pick<Issued, 'chain' | 'key'>) {
  return { host: '127.0.0.1', servername: host, rejectUnauthorized: false, cert: chain, key };
}

function issued(chain: readonly Buffer[]): Pick<Issued, 'chain' | 'key'> {
  const key = hostileKey.export({ type: 'pkcs8', format: 'pem' }).toString();
  return { chain: chain.map((der) => encodePem('CERTIFICATE', der)).join(''), key };
}

function assertRefused(plane: RunningDataPlane, address: string, times = 1): void {
  const { handshakes, handshakeFailures, clientProofs, limitsReached } = plane.plane.report().counters;
  assert.equal(handshakeFailures['client-chain-too-costly'], times);
  assert.equal(limitsReached.client_chain_max_work, times);
  assert.ok(handshakes.every(({ count }) => count === 0));
  assert.deepEqual(clientProofs, { none: 0, valid: 0, invalid: 0 });
  assert.deepEqual(plane.warnings, [{ limit: 'client_chain_max_work', address, leftOut: 0 }]);
}

async function answer(socket: TLSSocket): Promise<string> {
  socket.write(`GET / HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`);
  let text = '';
  for await (const piece of socket) text += String(piece);
  return text;
}

/** Ten intermediates above a certificate with as many names as the test's upstream takes in a field. */
function longChain(): Issued {
  let authority = root;
  for (let above = 0; above < 10; above += 1) authority = authority.intermediate();
  const names = Array.from({ length: 350 }, (_, index) => `name-${index}.example.test`);
  return authority.issue({ names, commonName: 'long' });
}

interface Relay extends AsyncDisposable {
  readonly port: number;
  /** Bytes that go on at a time, one piece in each turn of the event loop. */
  pieces: number;
  held: 'nothing' | 'from the second write on';
  readonly heldBytes: number;
  /** In one piece. */
  release(): void;
}

/** Between a client and the gateway. */
async function startRelay(to: number): Promise<Relay> {
  const sockets: Socket[] = [];
  let queue: Buffer[] = [];
  let writes = 0;
  let gateway: Socket | undefined;
  const server = net.createServer({ noDelay: true }, (client) => {
    const upstream = net.connect({ port: to, host: '127.0.0.1', noDelay: true });
    gateway = upstream;
    sockets.push(client, upstream);
    for (const socket of [client, upstream]) socket.on('error', () => {});
    upstream.pipe(client);
    client.on('data', (bytes) => {
      writes += 1;
      if (relay.held === 'from the second write on' && writes > 1) queue.push(bytes);
      else send(upstream, bytes);
    });
    client.on('end', () => upstream.end());
  });
  const send = (upstream: Socket, bytes: Buffer): void => {
    upstream.write(bytes.subarray(0, relay.pieces));
    if (bytes.length > relay.pieces) setImmediate(send, upstream, bytes.subarray(relay.pieces));
  };
  const relay: Relay = {
    port: 0,
    pieces: Number.MAX_SAFE_INTEGER,
    held: 'nothing',
    get heldBytes() {
      return queue.reduce((sum, { length }) => sum + length, 0);
    },
    release() {
      relay.held = 'nothing';
      gateway?.write(Buffer.concat(queue));
      queue = [];
    },
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return Object.defineProperty(relay, 'port', { value: (server.address() as AddressInfo).port });
}
