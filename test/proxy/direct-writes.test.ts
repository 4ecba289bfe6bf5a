// Writes past the stream, between real sockets: what is written arrives, in order, whatever the stream is given between.
import assert from 'node:assert/strict';
import net, { type AddressInfo, type Socket } from 'node:net';
import { Duplex } from 'node:stream';
import { test } from 'node:test';
import tls from 'node:tls';
import { MessageWriter } from '../../src/http1/message-writer.ts';
import { DirectWrites } from '../../src/proxy/direct-writes.ts';
import { makeSelfSigned } from '../support/certificates.ts';
import { until } from '../support/until.ts';

interface Pair extends Disposable {
  readonly server: Socket;
  readonly client: Socket;
}

for (const transport of ['TCP', 'TLS'] as const) {
  test(`${transport}: small texts go past the stream`, async () => {
    using pair = await connect(transport);
    const direct = new DirectWrites(pair.server, transport === 'TLS');
    let read = '';
    pair.client.setEncoding('latin1').on('data', (text: string) => (read += text));
    for (let number = 0; number < 50; number += 1) {
      await until('the one before is done', () => !direct.underWay);
      assert.ok(direct.write(`${number} \u00e9;`), 'the sockets of this Node are not as DirectWrites expects');
      assert.equal(pair.server.writableLength, 0);
    }
    const expected = Array.from({ length: 50 }, (_, number) => `${number} \u00e9;`).join('');
    await until('all of it arrives', () => read.length === expected.length);
    assert.equal(read, expected);
  });

  test(`${transport}: small and large pieces arrive in order, however many at once, at a client that reads slowly`, async () => {
    using pair = await connect(transport);
    const { server, client } = pair;
    const writer = new MessageWriter(server, new DirectWrites(server, transport === 'TLS'));
    const sent: string[] = [];
    let read = '';
    client.pause();
    client.setEncoding('latin1').on('data', (text: string) => (read += text));
    for (let round = 0; round < 400; round += 1) {
      for (let piece = 0; piece <= round % 3; piece += 1) {
        const length = [7, 300, 5000, 20_000][(round * 7 + piece) % 4] ?? 0;
        const text = `${round}.${piece}:`.padEnd(length, 'x');
        sent.push(text);
        if (length === 300) writer.text(text);
        else {
          const bytes = Buffer.from(text);
          const atOnce = writer.usesAtOnce;
          writer.data(bytes, 0, bytes.length);
          if (round % 4 === 0) writer.text(';');
          writer.flush();
          if (round % 4 === 0) sent.push(';');
          if (atOnce) bytes.fill(0);
        }
        writer.flush();
      }
      if (round % 5 === 0) await new Promise(setImmediate);
      if (round === 200) client.resume();
      if (round % 50 === 49) await until('it is taken', () => round < 200 || !server.writableNeedDrain);
    }
    const expected = sent.join('');
    await until('all of it arrives', () => read.length >= expected.length);
    assert.ok(read === expected, 'the bytes differ');
  });

  test(`${transport}: many large pieces with text between them are one write, or more where they do not fit`, async () => {
    using pair = await connect(transport);
    const writer = new MessageWriter(pair.server, new DirectWrites(pair.server, transport === 'TLS'));
    let read = '';
    pair.client.setEncoding('latin1').on('data', (text: string) => (read += text));
    let expected = '';
    for (const pieces of [1, 2, 6, 7, 20]) {
      await until('the one before has left', () => pair.server.writableLength === 0);
      for (let piece = 0; piece < pieces; piece += 1) {
        const text = `${pieces}.${piece};`.padEnd(20_000, 'x');
        writer.chunk(Buffer.from(text), 0, text.length);
        expected += `4e20\r\n${text}\r\n`;
      }
      writer.flush();
    }
    await until('all of it arrives', () => read.length >= expected.length);
    assert.ok(read === expected, 'the bytes differ');
  });

  test(`${transport}: what ends the stream waits for what is under way`, async () => {
    using pair = await connect(transport);
    const { server, client } = pair;
    const direct = new DirectWrites(server, transport === 'TLS');
    const writer = new MessageWriter(server, direct);
    let read = '';
    let ended = false;
    client.setEncoding('latin1').on('data', (text: string) => (read += text));
    client.on('end', () => (ended = true));
    for (let number = 0; number < 10; number += 1) {
      writer.text(`${number};`);
      writer.flush();
    }
    direct.whenDone(() => server.destroySoon());
    await until('the end arrives', () => ended);
    assert.equal(read, '0;1;2;3;4;5;6;7;8;9;');
  });

  test(`${transport}: a client that has gone, and a socket destroyed under a write, end nothing else`, async () => {
    for (const how of ['client', 'server'] as const) {
      using pair = await connect(transport);
      const { server, client } = pair;
      const writer = new MessageWriter(server, new DirectWrites(server, transport === 'TLS'));
      if (how === 'client') client.destroy();
      for (let round = 0; !server.destroyed; round += 1) {
        writer.text('x'.repeat(1000));
        writer.flush();
        if (how === 'server' && round === 3) server.destroy();
        await new Promise(setImmediate);
      }
      writer.text('x');
      writer.flush();
    }
  });
}

test('what is no socket of Node gets nothing past its stream', () => {
  const direct = new DirectWrites(new Duplex() as Socket, true);
  assert.equal(direct.write('text'), false);
  direct.hold();
  let done = false;
  direct.whenDone(() => (done = true));
  assert.ok(done);
});

async function connect(transport: 'TCP' | 'TLS'): Promise<Pair> {
  const { cert, key } = makeSelfSigned({ names: ['localhost'] });
  const options = { allowHalfOpen: true, highWaterMark: 64 * 1024 };
  const server = transport === 'TCP' ? net.createServer(options) : tls.createServer({ ...options, cert, key });
  let accepted: Socket | undefined;
  server.on(transport === 'TCP' ? 'connection' : 'secureConnection', (socket: Socket) => {
    accepted = socket.on('error', () => undefined);
  });
  server.listen(0, '127.0.0.1');
  await until('it listens', () => server.listening);
  const { port } = server.address() as AddressInfo;
  const client =
    transport === 'TCP'
      ? net.connect(port, '127.0.0.1')
      : tls.connect({ port, host: '127.0.0.1', ca: cert, servername: 'localhost' });
  client.on('error', () => undefined);
  await until('both sides are open', () => accepted !== undefined);
  return {
    server: accepted as unknown as Socket,
    client,
    [Symbol.dispose]() {
      client.destroy();
      accepted?.destroy();
      server.close();
    },
  };
}
