import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server } from 'node:net';
import { test } from 'node:test';
import { acceptHandles, socketOf, type TcpHandle } from '../../src/tls/tcp-handle.ts';

test('connections of a listening server come as handles, and a handle becomes a socket that has lost nothing', async () => {
  const server = createServer(() => assert.fail('no sockets come'));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const accepted = new Promise<TcpHandle>((resolve) => assert.equal(acceptHandles(server, resolve), true));
  const client = connect((server.address() as AddressInfo).port, '127.0.0.1');
  client.write('hello');
  const socket = socketOf(await accepted);
  assert.equal(socket.remotePort, client.localPort);
  const data = once(socket, 'data');
  socket.resume();
  assert.equal(String((await data)[0]), 'hello');
  socket.destroy();
  client.destroy();
  server.close();
});

test('where servers or their handles are made otherwise, connections come as sockets', () => {
  assert.equal(
    acceptHandles({} as Server, () => {}),
    false,
  );
  const passed: unknown[][] = [];
  const listening = { onconnection: (...all: unknown[]) => void passed.push(all) };
  const accept = (): void => assert.fail('not a handle of this kind');
  assert.equal(acceptHandles({ _handle: listening } as unknown as Server, accept), true);
  const other = { close: () => {} };
  listening.onconnection(0, other);
  listening.onconnection(-24, undefined);
  assert.deepEqual(passed, [
    [0, other],
    [-24, undefined],
  ]);
});
