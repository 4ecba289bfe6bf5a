import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { test } from 'node:test';
import { connect as connectTls } from 'node:tls';
import { type ClientLimits, type ClientLimitSettings, createClientLimits } from '../../src/proxy/client-limits.ts';
import { createListener, type Listener, type ListenerOptions } from '../../src/proxy/listener.ts';
import { createTlsAcceptor, type TlsAcceptor } from '../../src/tls/accept.ts';
import type { Connection } from '../../src/tls/connection.ts';
import { bindListeningSockets } from '../../src/workers/listening-socket.ts';
import { makeSelfSigned } from '../support/certificates.ts';
import { fakeCatalog, makeRecord, tlsSettings } from '../support/tls-acceptor.ts';
import { until } from '../support/until.ts';

interface Running extends AsyncDisposable {
  readonly listener: Listener;
  readonly connections: Connection[];
  readonly counted: string[];
  readonly logged: string[];
}

function limitsOf(settings: Partial<ClientLimitSettings>, counted: string[] = [], now = () => 0): ClientLimits {
  return createClientLimits(
    {
      clientConnectionsMax: 100,
      clientConnectionsPerAddress: 0,
      handshakeRate: 0,
      handshakeRatePerAddress: 0,
      clientAddressesMax: 10,
      ...settings,
    },
    (limit) => void counted.push(limit),
    now,
  );
}

interface StartOptions extends Partial<Omit<ListenerOptions, 'listen' | 'config'>> {
  readonly listen?: Partial<ListenerOptions['listen']>;
  readonly config?: Partial<ListenerOptions['config']>;
}

async function start(options: StartOptions = {}): Promise<Running> {
  const connections: Connection[] = [];
  const counted: string[] = [];
  const logged: string[] = [];
  const listener = await createListener({
    counters: {
      connectionOpened: (tls) => void counted.push(`opened ${tls ? 'tls' : 'plain'}`),
      connectionClosed: (tls) => void counted.push(`closed ${tls ? 'tls' : 'plain'}`),
      connectionRefused: (reason) => void counted.push(reason),
    },
    log: {
      debug: () => {},
      info: () => {},
      warn: (_, message) => void logged.push(message),
      error: (_, message) => void logged.push(message),
    },
    limits: limitsOf({}),
    onConnection: (connection) => void connections.push(connection),
    ...options,
    listen: {
      host: '127.0.0.1',
      port: 0,
      ssl: false,
      http2: false,
      proxyProtocol: false,
      backlog: 16,
      ...options.listen,
    },
    config: { trustedIps: [], handshakeTimeoutMs: 10_000, ...options.config },
  });
  return {
    listener,
    connections,
    counted,
    logged,
    async [Symbol.asyncDispose]() {
      await listener[Symbol.asyncDispose]();
      for (const { socket } of connections) socket.destroy();
    },
  };
}

const own = makeSelfSigned({ names: ['a.test'] });

function acceptor(handshakeTimeoutMs = 10_000): TlsAcceptor {
  const catalog = fakeCatalog();
  catalog.bind('a.test', makeRecord('a', [{ chain: own.cert, key: own.key }]));
  return createTlsAcceptor({
    config: { ...tlsSettings, handshakeTimeoutMs },
    catalog,
    openKey: (sealedKey) => Buffer.from(sealedKey),
    fetchCertificate: () => Promise.reject(new Error('nothing is absent')),
    ticketSecret: Buffer.alloc(32),
    now: () => 0,
    counters: {
      handshakeDone: () => {},
      handshakeFailed: () => {},
      clientAsked: () => {},
      contextHit: () => {},
      contextMade: () => {},
      contextEvicted: () => {},
    },
    chainTooCostly: () => {},
    log: { debug: () => {}, error: () => {} },
  });
}

function dial(port: number, bytes?: string | Buffer): Socket {
  const socket = connect(port, '127.0.0.1');
  socket.on('error', () => {});
  socket.resume();
  if (bytes !== undefined) socket.write(bytes);
  return socket;
}

/** How a connection ends that the other side ends. */
async function outcomeOf(socket: Socket): Promise<string> {
  let outcome = 'closed';
  socket.on('error', (error: NodeJS.ErrnoException) => (outcome = error.code ?? ''));
  await new Promise((resolve) => socket.once('close', resolve));
  return outcome;
}

/** A handshake on a connection of its own. @param before what is sent in front of it */
async function knockOn(port: number, before = ''): Promise<string> {
  const raw = connect(port, '127.0.0.1');
  raw.write(before);
  const client = connectTls({ socket: raw, servername: 'a.test', rejectUnauthorized: false });
  const outcome = await new Promise<string>((resolve) => {
    client.once('secureConnect', () => resolve('secure'));
    for (const socket of [raw, client]) socket.on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? ''));
  });
  raw.destroy();
  return outcome;
}

async function readSome(connection: Connection, bytes: number): Promise<string> {
  let text = '';
  connection.socket.on('data', (chunk: Buffer) => (text += String(chunk)));
  connection.socket.resume();
  await until('the bytes have come', () => text.length >= bytes);
  return text;
}

const local = Buffer.concat([Buffer.from('\r\n\r\n\0\r\nQUIT\n', 'latin1'), Buffer.of(0x20, 0, 0, 0)]);

test('a plain connection is handed over unread, with both its ends', async () => {
  await using running = await start();
  const client = dial(running.listener.port, 'hello');
  const connection = await until('it is there', () => running.connections[0]);
  const { socket, ...facts } = connection;
  assert.deepEqual(facts, {
    tls: false,
    security: undefined,
    serverName: undefined,
    alpnProtocol: 'http/1.1',
    remoteAddress: '127.0.0.1',
    remotePort: client.localPort,
    localPort: running.listener.port,
    trusted: false,
  });
  assert.equal(socket.bytesRead, 0);
  assert.equal(await readSome(connection, 5), 'hello');
  client.destroy();
  await until('it is closed', () => running.counted.length === 2);
  assert.deepEqual(running.counted, ['opened plain', 'closed plain']);
});

test('a TLS connection is handed over after its handshake', async () => {
  await using tls = acceptor();
  await using running = await start({ listen: { ssl: true }, tls, config: { trustedIps: ['127.0.0.0/8'] } });
  const client = connectTls({
    port: running.listener.port,
    host: '127.0.0.1',
    servername: 'A.test',
    ALPNProtocols: ['h2', 'http/1.1'],
    rejectUnauthorized: false,
  });
  client.on('error', () => {});
  client.write('hello');
  const connection = await until('it is there', () => running.connections[0]);
  const { socket, ...facts } = connection;
  assert.deepEqual(facts, {
    tls: true,
    security: { version: 'TLSv1.3', ciphers: tlsSettings.sslCiphers, proof: undefined },
    serverName: 'a.test',
    alpnProtocol: 'http/1.1',
    remoteAddress: '127.0.0.1',
    remotePort: client.localPort,
    localPort: running.listener.port,
    trusted: true,
  });
  assert.equal(await readSome(connection, 5), 'hello');
  socket.destroy();
  await until('it is closed', () => running.counted.includes('closed tls'));
});

test('a listener accepts from a socket that another process bound', async () => {
  const address = { host: '127.0.0.1', port: 0, ssl: false, http2: false, proxyProtocol: false, reuseport: false };
  const bound = bindListeningSockets([{ ...address, backlog: 16 }], 1)[0]?.[0];
  assert.ok(bound !== undefined);
  await using running = await start({ handle: bound.handle });
  assert.equal(running.listener.port, bound.port);
  dial(bound.port);
  await until('it is there', () => running.connections.length === 1);
});

test('an IPv6 client is known by its address in short form', async (context) => {
  const running = await start({ listen: { host: '::' }, config: { trustedIps: ['127.0.0.0/8'] } }).catch(
    () => undefined,
  );
  if (running === undefined) return context.skip('no IPv6 here');
  await using listening = running;
  const client = connect(listening.listener.port, '::1');
  client.on('error', () => {});
  const connection = await until('it is there', () => listening.connections[0]);
  assert.equal(connection.remoteAddress, '::1');
  assert.equal(connection.trusted, false);
});

test('over the limit a connection is closed at once, and there is room again when one ends', async () => {
  const reached: string[] = [];
  const limits = limitsOf({ clientConnectionsMax: 2 }, reached);
  await using tls = acceptor();
  await using first = await start({ limits });
  await using second = await start({ limits, listen: { ssl: true }, tls });
  dial(first.listener.port);
  dial(second.listener.port);
  await until('both are there', () => limits.open === 2);
  for (const { listener, counted } of [first, second]) {
    assert.equal(await outcomeOf(dial(listener.port)), 'ECONNRESET');
    assert.equal(counted.at(-1), 'limit');
  }
  assert.deepEqual(reached, ['client_connections_max', 'client_connections_max']);
  first.connections[0]?.socket.destroy();
  await until('one is gone', () => limits.open === 1);
  dial(first.listener.port);
  await until('the next is there', () => first.connections.length === 2);
});

test('an address has its number of connections, over all listeners, and others are served beside it', async () => {
  const reached: string[] = [];
  const limits = limitsOf({ clientConnectionsPerAddress: 2 }, reached);
  await using tls = acceptor();
  await using first = await start({ limits });
  await using second = await start({ limits, listen: { ssl: true }, tls });
  await using proxied = await start({
    limits,
    listen: { proxyProtocol: true },
    config: { trustedIps: ['127.0.0.1/32'] },
  });
  dial(first.listener.port);
  dial(second.listener.port);
  await until('both are there', () => limits.open === 2);
  for (const { listener } of [first, second]) assert.equal(await outcomeOf(dial(listener.port)), 'ECONNRESET');
  assert.deepEqual(reached, ['client_connections_per_address', 'client_connections_per_address']);
  dial(proxied.listener.port, 'PROXY TCP4 192.0.2.1 198.51.100.2 8080 443\r\n');
  dial(proxied.listener.port, 'PROXY TCP4 192.0.2.1 198.51.100.2 8081 443\r\n');
  await until('another address is there', () => proxied.connections.length === 2);
  const third = dial(proxied.listener.port, 'PROXY TCP4 192.0.2.1 198.51.100.2 8082 443\r\n');
  assert.equal(await outcomeOf(third), 'ECONNRESET');
  first.connections[0]?.socket.destroy();
  await until('one is gone', () => limits.open === 3);
  dial(first.listener.port);
  await until('the next is there', () => first.connections.length === 2);
});

test('a proxy in front is not one client: what it opens in its own name is not limited by its address', async () => {
  const limits = limitsOf({ clientConnectionsPerAddress: 1, handshakeRatePerAddress: 1 });
  const config = { trustedIps: ['127.0.0.0/8'] };
  await using plain = await start({ limits, config });
  await using proxied = await start({ limits, listen: { proxyProtocol: true }, config });
  for (let count = 0; count < 3; count += 1) {
    dial(plain.listener.port);
    dial(proxied.listener.port, local);
  }
  await until('all are there', () => plain.connections.length + proxied.connections.length === 6);
});

test('handshakes beyond the rate are reset, those of one address before they take from the others', async () => {
  let now = 0;
  const reached: string[] = [];
  const limits = limitsOf({ handshakeRate: 15, handshakeRatePerAddress: 1 }, reached, () => now);
  await using tls = acceptor();
  await using direct = await start({ limits, listen: { ssl: true }, tls });
  await using proxied = await start({
    limits,
    listen: { ssl: true, proxyProtocol: true },
    tls,
    config: { trustedIps: ['127.0.0.1/32'] },
  });
  const outcomes = async (count: number, knock: () => Promise<string>): Promise<string> => {
    const all: string[] = [];
    for (let each = 0; each < count; each += 1) all.push(await knock());
    return all.join(' ').replaceAll(/(\w+)(?: \1)+/g, (some, one: string) => `${some.split(' ').length} ${one}`);
  };
  const fromHere = (): Promise<string> => knockOn(direct.listener.port);
  const fromThere = (): Promise<string> =>
    knockOn(proxied.listener.port, 'PROXY TCP4 192.0.2.1 198.51.100.2 8080 443\r\n');
  assert.equal(await outcomes(12, fromHere), '10 secure 2 ECONNRESET');
  assert.equal(await outcomes(7, fromThere), '5 secure 2 ECONNRESET');
  now += 1000;
  assert.equal(await outcomes(2, fromHere), 'secure ECONNRESET');
  assert.deepEqual(new Set(reached), new Set(['handshake_rate_per_address', 'handshake_rate']));
  assert.equal(reached.length, 5);
  await until('all are gone', () => limits.open === 0);
});

test('who only connects is ended by age, on every kind of listener', async () => {
  await using tls = acceptor();
  const trusted = { trustedIps: ['127.0.0.1/32'] };
  await using proxied = await start({ listen: { proxyProtocol: true }, config: trusted });
  await using plain = await start({ listen: { http2: true } });
  await using secure = await start({ listen: { ssl: true }, tls });
  for (const { listener } of [proxied, plain, secure]) {
    const clients = [dial(listener.port), dial(listener.port)];
    await until('both are there', () => listener.preparing === 2);
    const end = (most: number, ageMs: number): number =>
      listener === secure.listener ? tls.endOldest(most, ageMs) : listener.endSilent(most, ageMs);
    assert.equal(end(10, 60_000), 0);
    assert.equal(end(1, 0), 1);
    await until('one is gone', () => listener.preparing === 1);
    assert.equal(end(10, 0), 1);
    await Promise.all(clients.map(async (client) => client.closed || once(client, 'close')));
  }
});

test('the PROXY header of a trusted peer says who the client is', async () => {
  await using running = await start({ listen: { proxyProtocol: true }, config: { trustedIps: ['127.0.0.1/32'] } });
  dial(running.listener.port, 'PROXY TCP4 192.0.2.1 198.51.100.2 8080 443\r\nhello');
  const connection = await until('it is there', () => running.connections[0]);
  assert.equal(await readSome(connection, 5), 'hello');
  const { remoteAddress, remotePort, localPort, trusted } = connection;
  assert.deepEqual([remoteAddress, remotePort, localPort], ['192.0.2.1', 8080, 443]);
  // The load balancer vouches for the address, not for what the client says of itself.
  assert.equal(trusted, false);
});

test('a PROXY header that comes byte by byte, and a LOCAL one, work in front of TLS', async () => {
  await using tls = acceptor();
  await using running = await start({
    listen: { ssl: true, proxyProtocol: true },
    tls,
    config: { trustedIps: ['127.0.0.1/32'] },
  });
  for (const [header, address, step] of [
    [Buffer.from('PROXY TCP6 2001:db8::1 ::1 1 2\r\n'), '2001:db8::1', 1],
    [local, '127.0.0.1', 1],
    [local, '127.0.0.1', 1000],
  ] as const) {
    const raw = connect({ port: running.listener.port, host: '127.0.0.1', noDelay: true });
    for (let at = 0; at < header.length; at += step) {
      await new Promise((resolve) => raw.write(header.subarray(at, at + step), resolve));
    }
    const before = running.connections.length;
    const client = connectTls({ socket: raw, servername: 'a.test', rejectUnauthorized: false });
    client.on('error', () => {});
    const connection = await until('it is there', () => running.connections[before]);
    assert.deepEqual([connection.serverName, connection.remoteAddress], ['a.test', address]);
  }
});

test('a ClientHello in one segment with its PROXY header is read', async () => {
  await using tls = acceptor();
  await using running = await start({
    listen: { ssl: true, proxyProtocol: true },
    tls,
    config: { trustedIps: ['127.0.0.1/32'] },
  });
  const raw = connect(running.listener.port, '127.0.0.1');
  raw.cork();
  raw.write('PROXY TCP4 192.0.2.1 198.51.100.2 8080 443\r\n');
  const client = connectTls({ socket: raw, servername: 'a.test', rejectUnauthorized: false });
  client.on('error', () => {});
  await once(raw, 'connect');
  raw.uncork();
  const connection = await until('it is there', () => running.connections[0]);
  assert.equal(connection.remoteAddress, '192.0.2.1');
});

test('a PROXY header is required, and believed from trusted addresses alone', async () => {
  const header = 'PROXY TCP4 192.0.2.1 198.51.100.2 8080 443\r\n';
  const cases = [
    [[], header, 'proxy-protocol-untrusted'],
    [['192.0.2.0/24'], header, 'proxy-protocol-untrusted'],
    [['127.0.0.1/32'], 'GET / HTTP/1.1\r\nHost: a.test\r\n\r\n', 'proxy-protocol-malformed'],
  ] as const;
  for (const [trustedIps, bytes, reason] of cases) {
    await using running = await start({ listen: { proxyProtocol: true }, config: { trustedIps } });
    await once(dial(running.listener.port, bytes), 'close');
    await until('it is closed', () => running.counted.length === 3);
    assert.deepEqual(running.counted, ['opened plain', reason, 'closed plain']);
    assert.deepEqual(running.connections, []);
    assert.equal(running.logged.length, trustedIps.length === 0 ? 1 : 0);
  }
});

test('header and handshake share one time', async () => {
  await using tls = acceptor(150);
  const config = { trustedIps: ['127.0.0.1/32'], handshakeTimeoutMs: 150 };
  await using running = await start({ listen: { ssl: true, proxyProtocol: true }, tls, config });
  await once(dial(running.listener.port, 'PROXY TC'), 'close');
  assert.ok(running.counted.includes('proxy-protocol-timeout'));
  await once(dial(running.listener.port, local), 'close');
  await until('all are gone', () => running.listener.preparing === 0);
  assert.deepEqual(running.connections, []);
});

test('a load balancer that only looks whether the port answers is no failure', async () => {
  await using running = await start({ listen: { proxyProtocol: true }, config: { trustedIps: ['127.0.0.1/32'] } });
  const client = dial(running.listener.port);
  await once(client, 'connect');
  client.end();
  await until('it is closed', () => running.counted.length === 2);
  assert.deepEqual(running.counted, ['opened plain', 'closed plain']);
});

test('closing lets handshakes under way finish and accepts no more', async () => {
  await using tls = acceptor();
  await using running = await start({ listen: { ssl: true }, tls });
  const { port } = running.listener;
  const raw = dial(port);
  raw.pause();
  await until('it is under way', () => running.listener.preparing === 1);
  let closed = false;
  const closing = running.listener.close(false).then(() => (closed = true));
  await until('new connections are refused', () => isRefused(port));
  assert.equal(closed, false);
  const client = connectTls({ socket: raw, servername: 'a.test', rejectUnauthorized: false });
  client.on('error', () => {});
  await closing;
  assert.equal(running.connections.length, 1);
});

test('closing takes the connections that wait in the queue of the socket: none is reset', async () => {
  await using plain = await start({ listen: { backlog: 32 } });
  await using tls = acceptor();
  await using secure = await start({ listen: { ssl: true, backlog: 32 }, tls });
  let failed = 0;
  const waiting = Array.from({ length: 20 }, () => dial(plain.listener.port)).concat(
    Array.from({ length: 20 }, () => dial(secure.listener.port)),
  );
  for (const socket of waiting) socket.on('error', () => (failed += 1));
  // They connect in this tick, before the loop comes to accepting.
  await new Promise((resolve) => process.nextTick(resolve));
  const closing = [plain.listener.close(false), secure.listener.close(false)];
  await until('the plain ones are taken', () => plain.connections.length === 20);
  await until('the others begin TLS', () => secure.listener.preparing === 20);
  await until('new ones are refused', () => isRefused(plain.listener.port));
  assert.equal(failed, 0);
  for (const socket of waiting) socket.destroy();
  await Promise.all(closing);
});

test('nor is one when the process stands still in the midst of it', async () => {
  const backlog = 32;
  let stallsLeft = 1;
  await using running = await start({
    listen: { backlog },
    onConnection() {
      if (stallsLeft > 0) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 700);
      stallsLeft -= 1;
    },
  });
  const waiting = Array.from({ length: 20 }, () => dial(running.listener.port));
  let failed = 0;
  for (const socket of waiting) socket.on('error', () => (failed += 1));
  await new Promise((resolve) => process.nextTick(resolve));
  await running.listener.close(false);
  assert.deepEqual([failed, 1 - stallsLeft], [0, 20], 'each was handed over');
  for (const socket of waiting) socket.destroy();
});

test('closing under a rush of connections ends, after as many as the queue can hold', async () => {
  await using running = await start({ listen: { backlog: 8 } });
  const { port } = running.listener;
  let rushing = true;
  const rush = (): void => {
    if (!rushing) return;
    dial(port).on('close', () => undefined);
    setImmediate(rush);
  };
  rush();
  await until('it accepts', () => running.connections.length > 0);
  await running.listener.close(false);
  rushing = false;
  await until('new ones are refused', () => isRefused(port));
});

test('disposing ends what is under way and leaves what was handed over', async () => {
  await using tls = acceptor();
  await using plain = await start();
  await using running = await start({ listen: { ssl: true }, tls });
  dial(plain.listener.port);
  const connection = await until('it is there', () => plain.connections[0]);
  const waiting = dial(running.listener.port);
  await until('it is under way', () => running.listener.preparing === 1);
  await Promise.all([
    once(waiting, 'close'),
    running.listener[Symbol.asyncDispose](),
    plain.listener[Symbol.asyncDispose](),
  ]);
  assert.equal(connection.socket.destroyed, false);
  await running.listener.close(false);
});

test('a receiver that throws loses its connection and nothing else', async () => {
  let calls = 0;
  await using running = await start({
    onConnection() {
      calls += 1;
      throw new Error('no');
    },
  });
  await once(dial(running.listener.port), 'close');
  await once(dial(running.listener.port), 'close');
  assert.equal(calls, 2);
  assert.equal(running.logged.length, 2);
});

test('a port that is taken is an error of the start', async () => {
  await using running = await start();
  await assert.rejects(start({ listen: { port: running.listener.port } }), { code: 'EADDRINUSE' });
  await assert.rejects(start({ listen: { ssl: true } }), TypeError);
});

function isRefused(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.on('connect', () => resolve(false));
    socket.on('error', (error: NodeJS.ErrnoException) => resolve(error.code === 'ECONNREFUSED'));
    socket.on('connect', () => socket.destroy());
  });
}
