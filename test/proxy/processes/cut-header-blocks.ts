// A gateway in a process of its own, whose clients or upstreams break off in the middle of header blocks, over and over, while
// memory is collected: what is left of streams and connections goes in all orders.
import net from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import {
  connectFrames,
  fieldBlock,
  flag,
  frame,
  frameBytes,
  FrameClient,
  postFields,
} from '../../support/http2-frames.ts';
import { until } from '../../support/until.ts';
import { connectRaw, listen, startGateway } from '../http1-gateway.ts';

const trailers = fieldBlock([['x-sum', 'z'.repeat(60)]]);
const fields = fieldBlock([
  [':status', '200'],
  ['x-one', 'y'.repeat(60)],
]);
let asked = 0;

const upstream = net.createServer((socket) => {
  socket.on('error', () => {});
  socket.once('data', (first: Buffer) => {
    socket.write(frameBytes(frame.settings, 0, 0));
    // oxlint-disable-next-line no-new
    new FrameClient(socket, ({ type, stream }) => {
      if (type !== frame.headers) return;
      asked += 1;
      // Of its response in turn the head or the trailers are cut.
      const head = asked % 2 === 0;
      if (!head) socket.write(frameBytes(frame.headers, flag.endHeaders, stream, fields));
      socket.write(cutBlock(stream, head ? fields : trailers));
    });
    // Behind the preface.
    socket.unshift(first.subarray(24));
  });
});
const ofClients = process.argv[2] === 'clients';
await using gateway = await startGateway({
  upstreamPort: await listen(upstream),
  upstream: { http2: true },
  alpnProtocol: ofClients ? 'h2' : 'http/1.1',
});

async function cutRequest(): Promise<void> {
  using client = await connectFrames(gateway.port);
  client.request(1, postFields(), false);
  client.write(cutBlock(1, trailers));
  await until('the end', () => client.closed);
}

async function takeCutResponse(): Promise<void> {
  using client = await connectRaw(gateway.port);
  client.send('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
  await until('an end', () => client.received.includes('\r\n\r\n') || client.closed);
}

/** Its end does not follow, but what may not come in between (RFC 9113 section 6.10). */
function cutBlock(stream: number, block: Buffer): Buffer {
  return Buffer.concat([
    frameBytes(frame.headers, flag.endStream, stream, block),
    frameBytes(frame.data, 0, stream, Buffer.from('x')),
  ]);
}

for (let round = 0; round < 20; round += 1) {
  for (let number = 0; number < 25; number += 1) await (ofClients ? cutRequest() : takeCutResponse());
  // Whatever waits for a turn of the event loop is done.
  await pause(50);
  globalThis.gc?.();
  await pause(20);
  globalThis.gc?.();
}
process.exit();
