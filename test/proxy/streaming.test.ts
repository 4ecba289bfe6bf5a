// Large bodies through the gateway: what is read waits for what is written, in both directions; and real WebSockets.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import http from 'node:http';
import { test } from 'node:test';
import { WebSocket, WebSocketServer } from 'ws';
import { flood } from '../support/flood.ts';
import { until, untilStill } from '../support/until.ts';
import { connectRaw, listen, startGateway, startRawUpstream } from './http1-gateway.ts';

const megabyte = 1024 * 1024;

test('100 MB to a client that reads slowly do not pile up in the gateway', async () => {
  let sent = { written: 0 };
  await using upstream = await startRawUpstream(({ socket }) => {
    socket.once('data', () => {
      socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${100 * megabyte}\r\n\r\n`);
      sent = flood(socket, 100 * megabyte);
    });
  });
  await using gateway = await startGateway({ upstreamPort: upstream.port });
  using client = await connectRaw(gateway.port);
  client.socket.pause();
  client.send('GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n');
  await untilStill('the upstream is held up', () => sent.written);
  assert.ok(sent.written < 30 * megabyte, `${sent.written / megabyte} MB were taken from the upstream`);

  let bytes = 0;
  client.socket.removeAllListeners('data');
  client.socket.on('data', (text: string) => {
    bytes += text.length;
  });
  client.socket.resume();
  await until('all of it arrives', () => bytes > 100 * megabyte);
  await until('it is logged', () => gateway.entries.length === 1);
  assert.equal(gateway.entries[0]?.responseBodyBytes, 100 * megabyte);
});

test('100 MB to an upstream that reads slowly do not pile up in the gateway', async () => {
  await using upstream = await startRawUpstream();
  await using gateway = await startGateway({ upstreamPort: upstream.port });
  using client = await connectRaw(gateway.port);
  client.send(`POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ${100 * megabyte}\r\n\r\n`);
  const connection = await upstream.connection(0);
  await connection.take('\r\n\r\n');
  connection.socket.pause();
  const sent = flood(client.socket, 100 * megabyte);
  await untilStill('the client is held up', () => sent.written);
  assert.ok(sent.written < 30 * megabyte, `${sent.written / megabyte} MB were taken from the client`);

  let bytes = connection.received.length;
  connection.socket.removeAllListeners('data');
  connection.socket.on('data', (text: string) => {
    bytes += text.length;
  });
  connection.socket.resume();
  await until('all of it arrives', () => bytes === 100 * megabyte);
  connection.send('HTTP/1.1 204 No Content\r\n\r\n');
  assert.equal((await client.response('HEAD')).status, 204);
});

for (const chunked of [false, true]) {
  test(`20 MB echoed ${chunked ? 'in chunks' : 'by length'} come back as they went`, async () => {
    const server = http.createServer((request, response) => {
      const length = request.headers['content-length'];
      if (length !== undefined) response.setHeader('content-length', length);
      request.pipe(response);
    });
    const upstreamPort = await listen(server);
    await using gateway = await startGateway({ upstreamPort });
    const body = Buffer.alloc(20 * megabyte);
    for (let index = 0; index < body.length; index += 4) body.writeInt32LE(index * 7, index);
    const received = await new Promise<Buffer>((resolve, reject) => {
      const request = http.request(
        { port: gateway.port, host: '127.0.0.1', method: 'PUT', path: '/echo' },
        (response) => {
          const parts: Buffer[] = [];
          response.on('data', (part: Buffer) => parts.push(part));
          response.on('end', () => resolve(Buffer.concat(parts)));
          response.on('error', reject);
        },
      );
      request.on('error', reject);
      if (!chunked) request.setHeader('content-length', body.length);
      for (let at = 0; at < body.length; at += 300_001) request.write(body.subarray(at, at + 300_001));
      request.end();
    });
    assert.equal(received.length, body.length);
    assert.equal(sha256(received), sha256(body));
    server.close();
  });
}

test('a WebSocket carries messages of every size both ways and closes with its code', async () => {
  const server = http.createServer();
  const sockets = new WebSocketServer({ server });
  sockets.on('connection', (socket) => {
    socket.on('message', (data: Buffer, isBinary) => socket.send(data, { binary: isBinary }));
  });
  const upstreamPort = await listen(server);
  await using gateway = await startGateway({ upstreamPort });
  const socket = new WebSocket(`ws://127.0.0.1:${gateway.port}/chat`, ['v1']);
  const received: Buffer[] = [];
  let closedWith = 0;
  socket.on('message', (data: Buffer) => received.push(data));
  socket.on('close', (code) => {
    closedWith = code;
  });
  await new Promise((resolve, reject) => {
    socket.on('open', resolve);
    socket.on('error', reject);
  });
  const sizes = [0, 1, 125, 126, 65_535, 65_536, 3 * megabyte];
  for (const size of sizes) socket.send(Buffer.alloc(size, 'w'));
  await until('all come back', () => received.length === sizes.length);
  assert.deepEqual(
    received.map(({ length }) => length),
    sizes,
  );
  socket.close(4001, 'enough');
  await until('it is closed', () => closedWith === 4001);
  await until('it is logged', () => gateway.entries[0]?.status === 101);
  sockets.close();
  server.close();
});

function sha256(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex');
}
