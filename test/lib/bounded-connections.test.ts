import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type RequestListener } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { text } from 'node:stream/consumers';
import { test, type TestContext } from 'node:test';
import { boundConnections } from '../../src/lib/bounded-connections.ts';
import { until } from '../support/until.ts';

const request = 'GET / HTTP/1.1\r\nHost: x\r\n\r\n';

async function start(t: TestContext, max: number, listener: RequestListener) {
  let full = 0;
  const server = createServer(listener);
  const connections = boundConnections(server, max, () => (full += 1));
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const { port } = server.address() as AddressInfo;
  t.after(() => {
    server.close();
    server.closeAllConnections();
  });
  let opened = 0;
  let accepted = 0;
  server.on('connection', () => (accepted += 1));
  return {
    server,
    connections,
    full: () => full,
    open: async (): Promise<Socket> => {
      opened += 1;
      const mine = opened;
      const socket = connect(port, '127.0.0.1').on('error', () => undefined);
      await until('it was accepted', () => accepted >= mine);
      return socket;
    },
  };
}

test('whoever is idle for longest makes room, also one that was answered before', async (t) => {
  const { open, full } = await start(t, 3, (_request, response) => response.end('answer'));
  const [first, second, third] = [await open(), await open(), await open()];
  first.write(request);
  await once(first, 'data');
  const fourth = await open();
  await ended(second);
  assert.equal(full(), 1);
  await open();
  await ended(third);
  for (const socket of [first, fourth]) {
    socket.write(request);
    assert.match(String((await once(socket, 'data'))[0]), /answer/);
  }
});

test('a request under way is not cut for others, and where all are busy the new one is closed', async (t) => {
  const pending: (() => void)[] = [];
  const { open, full } = await start(t, 2, (_request, response) => void pending.push(() => response.end('late')));
  const busy = [await open(), await open()];
  for (const socket of busy) socket.write(request);
  await until('both ask', () => pending.length === 2);
  const refused = await open();
  await ended(refused);
  assert.equal(full(), 1);
  for (const answer of pending) answer();
  for (const socket of busy) assert.match(String((await once(socket, 'data'))[0]), /late/);
  assert.equal((await open()).destroyed, false);
});

test('a thousand clients that send nothing keep no good client out', async (t) => {
  const { open } = await start(t, 20, (_request, response) => response.end('answer'));
  const silent = await Promise.all(Array.from({ length: 1000 }, open));
  const good = await open();
  good.end(request);
  assert.match(await text(good), /answer/);
  await until('only so many are left', () => silent.filter(({ destroyed }) => !destroyed).length <= 20);
  for (const socket of silent) socket.destroy();
});

test('retired connections are ended, at once or with their answer', async (t) => {
  const pending: (() => void)[] = [];
  const { open, connections } = await start(
    t,
    10,
    (asked, response) =>
      void pending.push(() => {
        if (connections.isRetired(asked.socket)) response.setHeader('connection', 'close');
        response.end('late');
      }),
  );
  const [idle, busy] = [await open(), await open()];
  busy.write(request);
  await until('it asks', () => pending.length === 1);
  connections.retire();
  await ended(idle);
  pending[0]?.();
  assert.match(await text(busy), /late/);
  const later = await open();
  later.write(request);
  await until('it asks', () => pending.length === 2);
  pending[1]?.();
  assert.ok(!/connection: close/i.test(String((await once(later, 'data'))[0])));
});

async function ended(socket: Socket): Promise<void> {
  socket.resume();
  await until('it is ended', () => socket.destroyed);
}
