// Timeouts when the process stood still: what clients have sent meanwhile counts first.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import net from 'node:net';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { createDeadlines as createTimeouts } from '../../src/proxy/deadlines.ts';
import { createDeadlines as createHandshakeTimeouts } from '../../src/tls/deadlines.ts';

const stallMs = 50;

describe('a process that stood still for longer than a timeout reads before it judges', () => {
  let server: net.Server;
  let client: net.Socket;
  let served: net.Socket;
  let happened: string[];

  beforeEach(async () => {
    happened = [];
    server = net.createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    client = net.connect((server.address() as net.AddressInfo).port, '127.0.0.1');
    [served] = (await once(server, 'connection')) as [net.Socket];
    served.on('data', () => happened.push('read'));
  });

  afterEach(() => {
    client.destroy();
    served.destroy();
    server.close();
  });

  /** The client's bytes are with the system before this process does anything else. */
  function sendAndStandStill(): void {
    client.write('x');
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, stallMs);
  }

  test('requests, bodies, responses', async () => {
    const judged = Promise.withResolvers<void>();
    using deadlines = createTimeouts(() => performance.now(), 1);
    const onDeadline = (): void => {
      happened.push('judged');
      judged.resolve();
    };
    deadlines.add({ deadline: performance.now() + stallMs / 2, onDeadline });
    sendAndStandStill();
    await judged.promise;
    assert.deepEqual(happened.slice(0, 2), ['read', 'judged']);
  });

  test('handshakes and PROXY headers', async () => {
    const judged = Promise.withResolvers<void>();
    const deadlines = createHandshakeTimeouts<string>(stallMs / 2, (item) => {
      happened.push(item);
      judged.resolve();
    });
    deadlines.add('judged');
    sendAndStandStill();
    await judged.promise;
    assert.deepEqual(happened, ['read', 'judged']);
  });
});
