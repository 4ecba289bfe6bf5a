// Streams of HTTP/2 with much to send on both sides and narrow windows: bodies that look like requests, before and after long
// answers, also to requests that have no body, or none yet. The upstream hears no request that was not made.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import net, { type AddressInfo } from 'node:net';
import { test } from 'node:test';
import { fc } from '../support/fast-check.ts';
import { assertHolds, fuzzBudget } from '../support/fuzz-budget.ts';
import { readGoRequests } from '../support/go-requests.ts';
import { connectFrames, type Fields, flag, frame, type FrameClient, getFields } from '../support/http2-frames.ts';
import { until } from '../support/until.ts';
import { startGateway } from './http1-gateway.ts';

const tail = 'GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n';

const stream = fc.record({
  method: fc.constantFrom('GET', 'HEAD', 'POST', 'CONNECT'),
  /** How often the tail is sent, in pieces; a length says so beforehand. */
  tails: fc.array(fc.integer({ min: 1, max: 60 }), { maxLength: 3 }),
  hasLength: fc.boolean(),
  /** Whether the upstream answers before the request is whole, with what, and how much of it. */
  early: fc.boolean(),
  answer: fc.constantFrom('200', '403', '101', 'chunked'),
  size: fc.constantFrom(0, 500, 70_000, 400_000),
});
type Stream = typeof stream extends fc.Arbitrary<infer T> ? T : never;

const conversation = fc.record({
  streams: fc.array(stream, { minLength: 1, maxLength: 6 }),
  /** By how much the windows are opened, in turn, until all is read. */
  steps: fc.array(fc.integer({ min: 1000, max: 200_000 }), { minLength: 1, maxLength: 4 }),
});

test('an upstream hears no request that was not made, whatever waits on the streams of a client', async (context) => {
  const asked: Stream[] = [];
  await using upstream = await startUpstream(asked);
  await using gateway = await startGateway({ upstreamPort: upstream.port, alpnProtocol: 'h2' });
  const details = await fc.check(
    fc.asyncProperty(conversation, async ({ streams, steps }) => {
      using client = await connectFrames(gateway.port);
      upstream.faults.length = 0;
      const first = asked.length;
      asked.push(...streams);
      for (const [index, one] of streams.entries()) begin(client, index * 2 + 1, first + index, one);
      // Some of it comes when there is an upstream for it, and some before.
      for (const [index, { tails }] of streams.entries()) {
        for (const times of tails) client.data(index * 2 + 1, tail.repeat(times));
        await new Promise((resolve) => setImmediate(resolve));
      }
      for (const index of streams.keys()) client.data(index * 2 + 1, '', true);
      let turns = 0;
      await until('every stream is over', () => {
        const step = steps[turns % steps.length] ?? 1000;
        turns += 1;
        client.widen(0, step);
        const open = [...streams.keys()].map((index) => index * 2 + 1).filter((id) => !isOver(client, id));
        for (const id of open) client.widen(id, step);
        return open.length === 0;
      });
      assert.deepEqual(upstream.faults, []);
    }),
    fuzzBudget(context, 60),
  );
  assertHolds(details);
  context.diagnostic(`${details.numRuns} runs, ${JSON.stringify(upstream.heard)}`);
});

function begin(client: FrameClient, id: number, target: number, { method, tails, hasLength }: Stream): void {
  const fields: Fields = [...getFields().filter(([name]) => name !== ':method' && name !== ':path')];
  const length = tails.reduce((sum, times) => sum + times * tail.length, 0);
  const special: Fields =
    method === 'CONNECT' ? [[':protocol', 'websocket']] : hasLength ? [['content-length', String(length)]] : [];
  const pseudo = special.filter(([name]) => name.startsWith(':'));
  client.request(
    id,
    [
      [':method', method],
      [':path', `/${target}`],
      ...pseudo,
      ...fields,
      ...special.filter((one) => !pseudo.includes(one)),
    ],
    false,
  );
}

function isOver(client: FrameClient, id: number): boolean {
  return (
    client.closed ||
    client.of(id).some(({ type, flags }) => type === frame.rstStream || (type <= 1 && (flags & flag.endStream) !== 0))
  );
}

async function startUpstream(asked: readonly Stream[]) {
  const faults: string[] = [];
  const heard = { requests: 0, tunnels: 0 };
  const server = net.createServer({ allowHalfOpen: true }, (socket) => {
    let received = '';
    let answered = false;
    let isTunnel = false;
    socket.setEncoding('latin1');
    socket.on('error', () => {});
    socket.on('end', () => socket.end());
    const answer = (text: string): void => {
      const [, method = '', target = ''] = /^(\S+) \/(\d+) HTTP/.exec(text) ?? [];
      const one = asked[Number(target)];
      if (one === undefined || target === '' || !/^Via: 2 portunus\r$/m.test(text)) return void faults.push(text);
      const body = 'r'.repeat(one.size);
      if (one.answer === '101' && one.method === 'CONNECT') {
        isTunnel = true;
        heard.tunnels += 1;
        socket.write(`HTTP/1.1 101 Yes\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n${body}`);
        return;
      }
      const chunk = one.size === 0 ? '' : `${one.size.toString(16)}\r\n${body}\r\n`;
      const status = one.answer === '200' ? '200 OK' : '403 No';
      socket.write(
        one.answer === 'chunked'
          ? `HTTP/1.1 ${status}\r\nTransfer-Encoding: chunked\r\n\r\n${method === 'HEAD' ? '' : `${chunk}0\r\n\r\n`}`
          : `HTTP/1.1 ${status}\r\nContent-Length: ${one.size}\r\n\r\n${method === 'HEAD' ? '' : body}`,
      );
    };
    socket.on('data', (text: string) => {
      if (isTunnel) return;
      received += text;
      const { requests, rest, restFrom } = readGoRequests(received);
      if (rest !== undefined && rest !== 'unfinished') faults.push(`${rest}: ${received.slice(0, 300)}`);
      const whole = received.slice(0, restFrom);
      received = received.slice(restFrom);
      for (const { method, target } of requests) {
        heard.requests += 1;
        if (!/^\/\d+$/.test(target)) faults.push(`${method} ${target}`);
        if (!answered) answer(requests.length === 1 ? whole : `${method} ${target} HTTP/1.1\r\nVia: 2 portunus\r\n`);
        answered = false;
      }
      const index = /^\S+ \/(\d+) /.exec(received)?.[1];
      if (!answered && received.includes('\r\n\r\n') && index !== undefined && asked[Number(index)]?.early === true) {
        answered = true;
        answer(received);
      }
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    faults,
    heard,
    async [Symbol.asyncDispose]() {
      server.close();
      await once(server, 'close');
    },
  };
}
