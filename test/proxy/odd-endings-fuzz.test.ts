// Connections that begin in every way and end in every other, by the thousand: of none is anything left, neither a descriptor
// nor memory that a collection does not free.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import net, { type Socket } from 'node:net';
import { test } from 'node:test';
import { connect as connectTls } from 'node:tls';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { required, type RunningDataPlane, startDataPlane } from '../support/data-plane.ts';
import { makeAuthority } from '../support/certificates.ts';
import { fuzzBudget } from '../support/fuzz-budget.ts';
import { fieldBlock, flag, frame, frameBytes, getFields, postFields, preface } from '../support/http2-frames.ts';
import { until } from '../support/until.ts';

const host = 'a.test';
const fields = 'Host: a.test\r\n';
const requestBlock = fieldBlock(getFields([], '/', host));
const bodyBlock = fieldBlock(
  postFields().map(([name, value]) => [name, name === ':authority' ? host : value] as const),
);
const { headers, data, settings, rstStream } = frame;
const hello = await clientHello();

/** What a client says first. */
const beginnings: Readonly<Record<string, Buffer>> = {
  nothing: Buffer.alloc(0),
  'a request': Buffer.from(`GET / HTTP/1.1\r\n${fields}\r\n`),
  'a request for nobody': Buffer.from('GET / HTTP/1.1\r\nHost: none.test\r\n\r\n'),
  'half a head': Buffer.from('GET / HTTP/1.1\r\nHo'),
  'half a body by its length': Buffer.from(`POST / HTTP/1.1\r\n${fields}Content-Length: 100\r\n\r\nabc`),
  'half a chunk': Buffer.from(`POST / HTTP/1.1\r\n${fields}Transfer-Encoding: chunked\r\n\r\n5\r\nab`),
  'an Upgrade': Buffer.from(`GET / HTTP/1.1\r\n${fields}Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n`),
  nonsense: Buffer.from('\0\0\0'),
  'the preface of HTTP/2': frames(),
  'a stream': frames(frameBytes(headers, flag.endHeaders | flag.endStream, 1, requestBlock)),
  'a stream with trailers': frames(
    frameBytes(headers, flag.endHeaders, 1, bodyBlock),
    frameBytes(headers, flag.endStream, 1, fieldBlock([['x', 'y'.repeat(60)]])),
    frameBytes(data, 0, 1),
  ),
  'a stream that is reset': frames(
    frameBytes(headers, flag.endHeaders, 1, bodyBlock),
    frameBytes(rstStream, 0, 1, Buffer.alloc(4)),
  ),
  'half a header block': frames(frameBytes(headers, 0, 1, bodyBlock)),
  'a ClientHello': hello,
  'half a ClientHello': hello.subarray(0, 40),
  'nonsense behind a ClientHello': Buffer.concat([hello, Buffer.from('garbage')]),
};

const endings: Readonly<Record<string, (socket: Socket) => void>> = {
  leaves: (socket) => socket.destroy(),
  ends: (socket) => socket.end(),
  resets: (socket) => socket.resetAndDestroy(),
  'leaves when it has heard something': (socket) => {
    socket.once('data', () => socket.destroy());
  },
};

test('of connections that end in every odd way nothing is left', async (context) => {
  const { interruptAfterTimeLimit: limitMs = 0 } = fuzzBudget(context, 1);
  await using running = await startDataPlane({
    settings: {
      upstream_keepalive_pool_size: '0',
      client_connections_per_address: '0',
      handshake_rate_per_address: '0',
      handshake_rate: '0',
    },
  });
  await running.serve(host);
  await running.authority('authority', makeAuthority());
  await running.api('api', { hosts: [host], clientCertificate: null });
  await running.policy('b.test', { clientCertificate: required(['authority']) });
  // What is made once is there.
  for (let round = 0; round < 3; round += 1) await connections(running, 2);
  const [descriptors, used] = [openDescriptors(), await usedBytes()];
  const beganAt = performance.now();
  let count = 0;
  do {
    count += await connections(running, limitMs === 0 ? 3 : 20);
  } while (performance.now() - beganAt < limitMs);
  await until('all descriptors are closed', () => openDescriptors() <= descriptors);
  const more = (await usedBytes()) - used;
  context.diagnostic(
    `${count} connections, ${descriptors} descriptors before and after, ${more} bytes more than ${used}`,
  );
  assert.deepEqual(running.errors, []);
  // Code that was compiled meanwhile and caches; beyond that a few bytes each, less than an entry of a Map.
  assert.ok(more < 1_000_000 + count * 8, `${more} bytes more`);
});

/** So many of each kind, on either port. @returns how many that were */
async function connections(running: RunningDataPlane, times: number): Promise<number> {
  let count = 0;
  for (const ending of Object.values(endings)) {
    for (let time = 0; time < times; time += 1) {
      const kinds = Object.values(beginnings).flatMap((bytes) =>
        [running.plainPort, running.tlsPort].map((port) => ({ bytes, port })),
      );
      await Promise.all([
        ...kinds.map(({ bytes, port }) => one(port, bytes, ending)),
        ...['http/1.1', 'h2'].flatMap((protocol) =>
          [host, 'b.test'].map((name) => overTls(running.tlsPort, protocol, name, ending)),
        ),
      ]);
      count += kinds.length + 4;
    }
  }
  await until('no connection is left', () => running.plane.report().connections === 0);
  return count;
}

async function one(port: number, bytes: Buffer, ending: (socket: Socket) => void): Promise<void> {
  const socket = await open(port);
  if (bytes.length > 0) socket.write(bytes);
  await end(socket, ending);
}

async function overTls(
  port: number,
  protocol: string,
  servername: string,
  ending: (socket: Socket) => void,
): Promise<void> {
  const socket = await open(port);
  const secure = connectTls({ socket, servername, ALPNProtocols: [protocol], rejectUnauthorized: false });
  secure.on('error', () => {});
  await Promise.race([once(secure, 'secureConnect'), once(socket, 'close')]);
  secure.write((protocol === 'h2' ? beginnings['a stream'] : beginnings['a request']) ?? '');
  await end(socket, ending);
  secure.destroy();
}

async function open(port: number): Promise<Socket> {
  const socket = net.connect({ port, host: '127.0.0.1' });
  socket.on('error', () => {});
  socket.resume();
  await once(socket, 'connect');
  return socket;
}

/** A client that is not ended by the other side leaves in the end. */
async function end(socket: Socket, ending: (socket: Socket) => void): Promise<void> {
  for (let turns = 0; turns < 3; turns += 1) await new Promise((resolve) => setImmediate(resolve));
  ending(socket);
  for (let turns = 0; turns < 20 && !socket.destroyed; turns += 1)
    await new Promise((resolve) => setImmediate(resolve));
  socket.destroy();
}

/** @returns bytes that are still used after a collection */
async function usedBytes(): Promise<number> {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  let used = Number.POSITIVE_INFINITY;
  return until('memory is still', async () => {
    await new Promise((resolve) => setImmediate(resolve));
    collect();
    const before = used;
    const { heapUsed, external } = process.memoryUsage();
    used = heapUsed + external;
    return before - used < 1000 ? used : undefined;
  });
}

function openDescriptors(): number {
  return readdirSync('/proc/self/fd').length;
}

function frames(...list: readonly Buffer[]): Buffer {
  return Buffer.concat([preface, frameBytes(settings, 0, 0), ...list]);
}

async function clientHello(): Promise<Buffer> {
  const server = net.createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const client = connectTls({ port: (server.address() as net.AddressInfo).port, host: '127.0.0.1', servername: host });
  client.on('error', () => {});
  const [socket] = (await once(server, 'connection')) as [Socket];
  const [bytes] = (await once(socket, 'data')) as [Buffer];
  socket.destroy();
  server.close();
  return bytes;
}
