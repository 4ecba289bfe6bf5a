// The small parts of the proxy: the client's address, request ids, deadlines, dates.
import assert from 'node:assert/strict';
import net, { type OnReadOpts, type Socket } from 'node:net';
import { Duplex } from 'node:stream';
import { test } from 'node:test';
import tls from 'node:tls';
import { createDeadlines, type Timed } from '../../src/proxy/deadlines.ts';
import { createHttpDate } from '../../src/proxy/http-date.ts';
import { ReadRoom, readInto } from '../../src/proxy/read-room.ts';
import { handleOf } from '../../src/proxy/stream-binding.ts';
import { createRequestIds } from '../../src/proxy/request-ids.ts';
import { UpstreamConnection } from '../../src/proxy/upstream-connection.ts';
import type { UpstreamSink, UpstreamTransport } from '../../src/proxy/upstream-transport.ts';
import { makeSelfSigned } from '../support/certificates.ts';
import { until } from '../support/until.ts';

test('request ids have 32 hexadecimal digits and do not repeat', () => {
  const next = createRequestIds();
  const ids = Array.from({ length: 10_000 }, next);
  assert.equal(new Set(ids).size, ids.length);
  assert.ok(ids.every((id) => /^[0-9a-f]{32}$/.test(id)));
  assert.notEqual(createRequestIds()().slice(0, 18), ids[0]?.slice(0, 18));
});

test('a deadline is told once its time has come, again until it is moved, and not after it is deleted', async () => {
  let time = 0;
  using deadlines = createDeadlines(() => time, 1);
  let told = 0;
  const timed: Timed = {
    deadline: 10,
    onDeadline() {
      told += 1;
      if (told === 2) timed.deadline = Number.POSITIVE_INFINITY;
    },
  };
  let swept = 0;
  const always: Timed = {
    deadline: 0,
    onDeadline() {
      swept += 1;
    },
  };
  deadlines.add(timed);
  deadlines.add(always);
  await until('a sweep before the time', () => swept > 1);
  assert.equal(told, 0);
  time = 10;
  await until('it is told twice', () => told === 2);
  const before = swept;
  await until('more sweeps', () => swept > before + 2);
  assert.equal(told, 2);
});

test('rooms of a body that is over are not taken back when bytes of the next one have left', () => {
  const room = new ReadRoom();
  const read = (length: number, more: boolean): Buffer => {
    const bytes = room.settle(room.next, length);
    room.after(length, true, more);
    return bytes;
  };
  const first = read(5000, true);
  assert.equal(read(100, true).length, first.length);
  assert.notEqual(room.next, first);
  assert.ok(room.lends, 'the bytes of this body may not have left');
  read(100, false);
  assert.ok(!room.lends);
});

test('short reads for one who is slow take memory of their own size, and their room is read into again', () => {
  const room = new ReadRoom();
  const kept: Buffer[] = [];
  for (let count = 0; count < 100; count += 1) {
    room.next.fill(count, 0, 5000);
    kept.push(room.settle(room.next, 5000).subarray(0, 5000));
    room.after(5000, true, true);
  }
  const memory = new Set(kept.map(({ buffer }) => buffer));
  assert.ok([...memory].reduce((sum, { byteLength }) => sum + byteLength, 0) < 2 * 100 * 5000);
  for (const [count, bytes] of kept.entries()) assert.ok(bytes.equals(Buffer.alloc(5000, count)), `read ${count}`);
  // What fills half a room or more stays where it is.
  room.next.fill(200);
  const large = room.settle(room.next, 40_000);
  assert.equal(large.length, room.next.length);
  room.after(40_000, true, true);
  room.settle(room.next, 5000);
  room.after(5000, true, false);
  assert.ok(!room.lends);
});

test('an upstream connection that still holds bytes of an answered request is not kept for the next', () => {
  using deadlines = createDeadlines(() => 0);
  const gone: string[] = [];
  let opened: UpstreamTransport | undefined;
  let onread: OnReadOpts | undefined;
  // Takes a write and never finishes it.
  const socket = new Duplex({ read() {}, write() {} }) as Socket;
  const sink: UpstreamSink = {
    onUpstreamReady(connection) {
      opened = connection;
      connection.begin('POST', 'POST / HTTP/1.1\r\nContent-Length: 4\r\n\r\n', false, 0);
      connection.sendData(Buffer.from('body'), 0, 4);
      connection.endRequest();
    },
    onInterimResponse: () => undefined,
    onResponseHead: () => undefined,
    onResponseData: () => undefined,
    onResponseEnd: () => opened?.release(0),
    onResponsePause: () => undefined,
    holdsResponse: false,
    usesAtOnce: false,
    onUpstreamDrain: () => undefined,
    onUpstreamFailed: () => undefined,
    requestAtHand: true,
    clientRate: () => Number.POSITIVE_INFINITY,
    giveWay: () => undefined,
  };
  const connection = new UpstreamConnection(
    (options) => {
      onread = options;
      return socket;
    },
    false,
    sink,
    { connectTimeoutMs: 1, sendTimeoutMs: 1, readTimeoutMs: 1 },
    { connected: () => undefined, idle: () => gone.push('idle'), gone: () => gone.push('gone') },
    deadlines,
    { maxBytes: 1000, maxFields: 10, maxTargetBytes: 0 },
  );
  socket.emit('connect');
  assert.equal(opened, connection);
  const answer = Buffer.from('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n');
  onread?.callback(answer.length, answer);
  assert.deepEqual(gone, ['gone']);
  assert.ok(socket.destroyed);
});

test('Date is in the form of RFC 9110 and follows the clock', () => {
  let time = Date.UTC(1994, 10, 6, 8, 49, 37);
  const line = createHttpDate(() => time);
  assert.equal(line(), 'Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n');
  time += 1000;
  assert.equal(line(), 'Date: Sun, 06 Nov 1994 08:49:38 GMT\r\n');
});

test('an accepted socket reads into the room it is given, plain or TLS; anything else is left as it is', async () => {
  const { cert, key } = makeSelfSigned({ names: ['localhost'] });
  const room = Buffer.alloc(1024);
  const seen: string[] = [];
  const read = (socket: Socket): void => {
    const taken = readInto(socket, {
      buffer: () => room,
      callback: (length, bytes) => {
        assert.equal(bytes, room);
        seen.push(room.toString('latin1', 0, length));
        return true;
      },
    });
    assert.ok(taken, 'the sockets of this Node are not as readInto expects');
    assert.equal(handleOf(socket)?.onread?.name, 'onRead', 'the handles of this Node are not as readDirectly expects');
    socket.resume();
  };
  const plain = net.createServer({ pauseOnConnect: true }, read).listen(0, '127.0.0.1');
  const secure = tls.createServer({ cert, key, pauseOnConnect: true }, read).listen(0, '127.0.0.1');
  await until('both listen', () => plain.listening && secure.listening);
  const ports = [plain, secure].map((server) => (server.address() as net.AddressInfo).port);
  net.connect({ port: ports[0] ?? 0, host: '127.0.0.1' }).end('over TCP');
  tls.connect({ port: ports[1] ?? 0, host: '127.0.0.1', ca: cert, servername: 'localhost' }).end('over TLS');
  await until('both are read', () => seen.length === 2);
  assert.deepEqual(seen.sort(), ['over TCP', 'over TLS']);
  plain.close();
  secure.close();
  assert.equal(readInto(new Duplex() as Socket, { buffer: () => room, callback: () => true }), false);
});
