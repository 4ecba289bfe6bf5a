// What is forwarded is read by other servers as we read it: method, target, fields, body and where the next request begins.
// Those that are not installed are passed over, with a word.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { before, suite, test } from 'node:test';
import fc from 'fast-check';
import { bent, takenSeeds } from '../http1/mutations.ts';
import { readRequests } from '../http1/read-message.ts';
import { bodyOf, generatedRequest, writeRequest } from '../http1/generated-requests.ts';
import { takenRequests } from '../http1/taken-requests.ts';
import { type GoRequest, readGoRequests } from '../support/go-requests.ts';
import { peers } from '../support/peer-readers.ts';
import { startGateway, startRawUpstream } from './http1-gateway.ts';

const ok = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok';
const generated = 300;
/** Of which about a fifth is taken. */
const bentAtMost = 2000;

/** What was forwarded for one message, and what it is. */
interface Forwarded {
  readonly name: string;
  readonly bytes: string;
  readonly requests: readonly GoRequest[];
  readonly mayBeRefused?: boolean;
}

/** What a peer refuses rather than reads, which is its right. */
const refusals: Readonly<Record<keyof typeof peers, readonly string[]>> = {
  'node:http': [
    'a method of its own',
    'a method in lower case, which is another method',
    'a method of every token character',
    'a method of 32 characters',
  ],
  nginx: [
    'a method of its own',
    'a method in lower case, which is another method',
    'a method of every token character',
    'an asterisk',
  ],
  HAProxy: [],
};

suite('what is forwarded is read as we read it', () => {
  const all: Forwarded[] = [];

  before(async () => {
    for (const { name, message, bodies } of takenRequests) {
      const bytes = await forwardedFor(message, bodies.length);
      // Nothing is sent behind these before their answer, so there is no boundary to be read.
      if (/^Upgrade:/m.test(bytes)) continue;
      all.push({ name, bytes, requests: readGoRequests(bytes).requests });
    }
    for (const requests of fc.sample(fc.array(generatedRequest, { minLength: 1, maxLength: 3 }), generated)) {
      const message = requests.map(writeRequest).join('');
      const bytes = await forwardedFor(message, requests.length);
      all.push({ name: JSON.stringify(message), bytes, requests: readGoRequests(bytes).requests });
      assert.deepEqual(
        readGoRequests(bytes).requests.map(({ method, target, body, trailers }) => ({
          method,
          target,
          body,
          trailers,
        })),
        requests.map((request) => ({
          method: request.method,
          target: request.target,
          body: bodyOf(request),
          trailers: request.trailers,
        })),
      );
    }
    for (const message of fc.sample(
      bent(fc.oneof(fc.constantFrom(...takenSeeds), generatedRequest.map(writeRequest))),
      bentAtMost,
    )) {
      const { requests, rest } = readRequests(message);
      if (rest !== undefined || requests.some(({ keepAlive }) => keepAlive === false)) continue;
      const bytes = await forwardedFor(message, requests.length);
      if (/^Upgrade:/m.test(bytes)) continue;
      all.push({ name: JSON.stringify(message), bytes, requests: readGoRequests(bytes).requests, mayBeRefused: true });
    }
  });

  test('by the rules of Go', (context) => {
    context.diagnostic(`${all.length} messages`);
    for (const { name, bytes } of all) assert.equal(readGoRequests(bytes).rest, undefined, name);
  });

  for (const [peer, start] of Object.entries(peers)) {
    test(`by ${peer}`, async (context) => {
      await using reader = await start();
      if (reader === undefined) return context.skip(`${peer} is not installed`);
      const refused: string[] = [];
      for (const { name, bytes, requests, mayBeRefused } of all) {
        const read = await reader.read(bytes);
        if (read.refused && mayBeRefused) assertBegins(read.requests, requests, name);
        else if (read.refused) refused.push(name);
        else assert.deepEqual(read.requests.map(endToEnd), requests.map(endToEnd), name);
      }
      assert.deepEqual(refused, refusals[peer as keyof typeof peers]);
    });
  }
});

/** What was read before the refusal is what we read. */
function assertBegins(read: readonly GoRequest[], requests: readonly GoRequest[], name: string): void {
  assert.deepEqual(read.map(endToEnd), requests.slice(0, read.length).map(endToEnd), name);
}

async function forwardedFor(message: string, count: number): Promise<string> {
  await using upstream = await startRawUpstream((connection) => {
    let answered = 0;
    connection.socket.on('data', () => {
      const { requests } = readGoRequests(connection.received);
      for (; answered < requests.length; answered += 1) {
        connection.send(requests[answered]?.method === 'HEAD' ? ok.slice(0, -2) : ok);
      }
    });
  });
  await using gateway = await startGateway({ upstreamPort: upstream.port });
  using client = await gateway.connect();
  client.send(message);
  while (client.received.split('HTTP/1.1 200 ').length <= count) {
    await once(client.socket, 'data', { signal: AbortSignal.timeout(10_000) });
  }
  return upstream.connections.map((connection) => connection.received).join('');
}

/** Without what concerns one connection or frames a body, which a peer writes anew. */
function endToEnd({ method, target, fields, body }: GoRequest): object {
  const own = new Set(['connection', 'content-length', 'host', 'te', 'trailer', 'transfer-encoding', 'upgrade']);
  const lines = fields.map(([name, value]) => [name.toLowerCase(), value] as const).filter(([name]) => !own.has(name));
  return { method, target, body, lines };
}
