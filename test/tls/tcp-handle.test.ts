import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { test } from 'node:test';
import { acceptHandles, socketOf, tapReads, tcpHandleOf, type TcpHandle } from '../../src/tls/tcp-handle.ts';
import { until } from '../support/until.ts';

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

test('what a handle reads is told until that is ended, and then goes where it went before; so does the end', async () => {
  const server = createServer({ allowHalfOpen: true });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const client = connect((server.address() as AddressInfo).port, '127.0.0.1');
  const [socket] = (await once(server, 'connection')) as [Socket];
  const told: string[] = [];
  const read: string[] = [];
  socket.on('data', (bytes) => read.push(`read ${String(bytes)}`));
  const handle = tcpHandleOf(socket);
  assert.ok(handle !== undefined);
  let after = 0;
  const end = tapReads(handle, (bytes) => {
    told.push(String(bytes));
    return () => (after += 1);
  });
  assert.ok(end !== undefined, 'this Node has the parser');
  for (const word of ['POST / HTTP/1.1\r\n\r\n', '\0']) {
    client.write(word);
    await until('it is told', () => told.join('').endsWith(word));
  }
  assert.equal(after, told.length);
  end();
  client.end('the rest');
  await once(socket, 'end');
  assert.deepEqual(read, ['read the rest']);
  socket.end();
  const other = connect((server.address() as AddressInfo).port, '127.0.0.1');
  const [another] = (await once(server, 'connection')) as [Socket];
  const endOther = tapReads(tcpHandleOf(another) ?? {}, () => assert.fail('there is nothing to be told'));
  other.end();
  another.resume();
  await once(another, 'end');
  another.destroy();
  await once(another, 'close');
  endOther?.();
  assert.equal(tcpHandleOf(another), undefined);
  server.close();
});
