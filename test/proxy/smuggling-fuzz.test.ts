// Bent messages through the whole gateway: several clients at a time over the same upstream connections, each with a mark of
// its own. No mark may turn up with another client, whatever is sent in either direction, and no answer may be missing.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import net, { type AddressInfo, type Socket } from 'node:net';
import { test, type TestContext } from 'node:test';
import { fc } from '../support/fast-check.ts';
import { generatedRequest, writeRequest } from '../http1/generated-requests.ts';
import { bent, refusedResponseSeeds, refusedSeeds, takenResponseSeeds, takenSeeds } from '../http1/mutations.ts';
import { type Reading, readMessage, readRequests } from '../http1/read-message.ts';
import { fuzzBudget } from '../support/fuzz-budget.ts';
import { type GoRequest, readGoRequests } from '../support/go-requests.ts';
import { type MarkedUpstream, marks, startMarkedUpstream } from '../support/marked-upstream.ts';
import { type ReadResponse, readResponses } from '../support/read-responses.ts';
import { until } from '../support/until.ts';
import { startGateway } from './http1-gateway.ts';

/** Those of the codec's own reading, which says what to expect. */
const settings = {
  requestHeadMaxBytes: 4096,
  requestHeadersMax: 20,
  requestTargetMaxBytes: 256,
  upstreamResponseHeadMaxBytes: 4096,
};
/** Longer than an answer takes on the busiest machine. */
const hangMs = 20_000;

/** In generated messages, for the mark of the client that sends them. */
const anyMark = 'mark-00000000';

const marked = generatedRequest.map(({ body, ...request }) =>
  writeRequest({
    ...request,
    target: `/${anyMark}${request.target}`,
    fields: [['X-Marker', anyMark], ...request.fields],
    body: typeof body === 'string' ? anyMark + body : body?.map((chunk) => anyMark + chunk),
  }),
);
const anyRequest = fc.oneof(fc.constantFrom(...refusedSeeds), fc.constantFrom(...takenSeeds), {
  weight: 4,
  arbitrary: marked,
});
const requestStream = fc
  .array(fc.oneof(bent(anyRequest), marked, fc.constantFrom(...takenSeeds)), { minLength: 1, maxLength: 5 })
  .map((list) => list.join(''));
const clients = fc.array(fc.tuple(requestStream, fc.array(fc.integer({ min: 1, max: 200 }), { maxLength: 8 })), {
  minLength: 1,
  maxLength: Object.keys(marks).length,
});

test('requests of one client never get into those of another, and each is answered or refused', async (context) => {
  await using upstream = await startMarkedUpstream(false);
  await assertApart(context, upstream, (port, address, message, cuts) =>
    assertServed(port, address, message, cuts, () => upstream.seen.get(address) ?? []),
  );
});

test('nor do they when the upstream answers before it has read them', async (context) => {
  await using upstream = await startMarkedUpstream(true);
  await assertApart(context, upstream, assertAnswered);
});

/** @param one sends the message of one client and gives the number of answers */
async function assertApart(
  context: TestContext,
  upstream: MarkedUpstream,
  one: (port: number, address: string, message: string, cuts: readonly number[]) => Promise<number>,
): Promise<void> {
  await using gateway = await startGateway({ upstreamPort: upstream.port, settings });
  let answers = 0;
  const details = await fc.check(
    fc.asyncProperty(clients, async (list) => {
      upstream.seen.clear();
      const addresses = Object.keys(marks);
      await Promise.all(
        list.map(async ([text, cuts], index) => {
          const address = addresses[index] ?? '';
          answers += await one(gateway.port, address, text.replaceAll(anyMark, marks[address] ?? ''), cuts);
        }),
      );
      assert.deepEqual(upstream.faults, []);
    }),
    fuzzBudget(context, 200),
  );
  await until('nothing is under way', () => gateway.server.activeConnections === 0);
  assert.deepEqual(upstream.faults, []);
  assert.ok(!details.failed, fc.defaultReportMessage(details));
  context.diagnostic(`${details.numRuns} runs, ${answers} answers`);
}

/** One client: what it sends is served as far as the codec takes it, refused behind that, and nothing else comes back. */
async function assertServed(
  port: number,
  address: string,
  message: string,
  cuts: readonly number[],
  seen: () => readonly GoRequest[],
): Promise<number> {
  const { requests, rest } = readRequests(message);
  const last = requests.findIndex(({ keepAlive }) => keepAlive === false);
  const expected = last === -1 ? requests : requests.slice(0, last + 1);
  const refusal = last === -1 && rest?.outcome !== 'incomplete' ? rest : undefined;
  const methods = [...expected, ...(refusal === undefined ? [] : [refusal])].map(methodOf);
  using client = new Client(net.connect({ port, host: '127.0.0.1', localAddress: address, noDelay: true }));
  await client.send(message, cuts);
  const answers = (): ReadResponse[] => readResponses(client.received, methods, client.ended);
  await client.waitFor(() => answers().filter(({ whole }) => whole).length === methods.length);
  if (last !== -1 || refusal !== undefined) await client.waitFor(() => client.ended);
  const responses = answers();
  for (const [index, { status, body }] of responses.entries()) {
    if (index < expected.length) assert.deepEqual([status, body], [200, methods[index] === 'HEAD' ? '' : address]);
    // Of HEAD that is refused there is no body to tell the code.
    else if (body !== '') assert.equal((JSON.parse(body) as { readonly code: string }).code, refusal?.outcome);
  }
  assert.deepEqual(
    seen().map(({ method, target, body, trailers }) => ({ method, target, body, trailers })),
    expected.map((request) => ({
      method: methodOf(request),
      target: originForm(request),
      body: request.body,
      trailers: request.trailers,
    })),
  );
  return expected.length;
}

/** One client of an upstream that answers early: it gets answers of its own or none, and the connection ends or goes on. */
async function assertAnswered(
  port: number,
  address: string,
  message: string,
  cuts: readonly number[],
): Promise<number> {
  const { requests, rest } = readRequests(message);
  const methods = [...requests, ...(rest?.startLine === undefined ? [] : [rest])].map(methodOf);
  if (rest !== undefined && rest.outcome !== 'incomplete' && rest.startLine === undefined) methods.push('');
  using client = new Client(net.connect({ port, host: '127.0.0.1', localAddress: address, noDelay: true }));
  await client.send(message, cuts);
  const answers = (): ReadResponse[] => readResponses(client.received, methods, client.ended);
  await client.waitFor(() => client.ended || answers().filter(({ whole }) => whole).length === methods.length);
  for (const { status, body, whole } of answers()) {
    if (whole && status === 200) assert.ok(body === address || body === '', body);
    else assert.ok(!whole || status >= 400, client.received);
  }
  return answers().length;
}

test('whatever an upstream answers, it answers that request alone, and the next one gets its own', async (context) => {
  const seeds = fc.oneof(fc.constantFrom(...takenResponseSeeds), fc.constantFrom(...refusedResponseSeeds));
  const responses = fc.array(fc.oneof(bent(seeds), fc.constantFrom(...takenResponseSeeds)), {
    minLength: 1,
    maxLength: 2,
  });
  let answer = '';
  let ends = false;
  const server = net.createServer((socket) => {
    let received = '';
    socket.setEncoding('latin1');
    socket.on('error', () => {});
    socket.on('data', (text: string) => {
      received += text;
      const { requests, restFrom } = readGoRequests(received);
      received = received.slice(restFrom);
      for (const { target } of requests) {
        if (target === '/victim') socket.write('HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nvictim');
        else if (ends) socket.end(answer, 'latin1');
        else socket.write(answer, 'latin1');
      }
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  await using gateway = await startGateway({ upstreamPort: (server.address() as AddressInfo).port, settings });
  let whole = 0;
  const details = await fc.check(
    fc.asyncProperty(responses, fc.boolean(), fc.constantFrom('GET', 'HEAD', 'POST'), async (list, closes, method) => {
      answer = list.join('');
      ends = closes;
      const expected = readResponse(answer, method, closes);
      using client = new Client(net.connect({ port: gateway.port, host: '127.0.0.1', noDelay: true }));
      await client.send(`${method} /attack HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n`, []);
      const answers = (): ReadResponse[] => readResponses(client.received, [method, 'GET'], client.ended);
      if (expected.outcome !== 'incomplete' || closes) await client.waitFor(() => answers()[0]?.whole || client.ended);
      const [first] = answers();
      if (expected.outcome === 'ok') {
        whole += 1;
        assert.equal(first?.status, Number(expected.startLine?.split(' ')[1]));
        assert.equal(first?.body, expected.body);
      } else {
        assert.ok(first === undefined || !first.whole || first.status === 502, client.received);
      }
      if (first?.whole && !client.ended && !/^connection:.*close/im.test(first.head)) {
        await client.send('GET /victim HTTP/1.1\r\nHost: a\r\n\r\n', []);
        await client.waitFor(() => answers()[1]?.whole);
        assert.equal(answers()[1]?.body, 'victim');
      }
      using victim = new Client(net.connect({ port: gateway.port, host: '127.0.0.1', noDelay: true }));
      await victim.send('GET /victim HTTP/1.1\r\nHost: a\r\n\r\n', []);
      await victim.waitFor(() => readResponses(victim.received, ['GET'], victim.ended)[0]?.whole);
      assert.deepEqual(
        readResponses(victim.received, ['GET'], victim.ended).map(({ status, body }) => [status, body]),
        [[200, 'victim']],
      );
    }),
    fuzzBudget(context, 300),
  );
  server.close();
  assert.ok(!details.failed, fc.defaultReportMessage(details));
  context.diagnostic(`${details.numRuns} responses, ${whole} of them whole`);
});

/** The final response in what an upstream says, behind interim ones. */
function readResponse(text: string, method: string, closed: boolean): Reading {
  for (let rest = text; ;) {
    const reading = readMessage('response', rest, { method, closed });
    const status = Number(reading.startLine?.split(' ')[1]);
    if (reading.outcome !== 'ok' || status >= 200) return reading;
    // Nobody asked for a change of protocol.
    if (status === 101) return { outcome: 'HTTP_STATUS_LINE_INVALID' };
    rest = reading.rest ?? '';
    if (rest === '') return { outcome: 'incomplete' };
  }
}

/** Sends bytes in pieces and keeps what comes. */
class Client implements Disposable {
  received = '';
  ended = false;
  readonly #socket: Socket;
  #onChange = (): void => {};

  constructor(socket: Socket) {
    this.#socket = socket;
    socket.setEncoding('latin1');
    socket.on('data', (text: string) => {
      this.received += text;
      this.#onChange();
    });
    socket.on('error', () => {});
    for (const event of ['end', 'close']) {
      socket.on(event, () => {
        this.ended = true;
        this.#onChange();
      });
    }
  }

  async send(text: string, cuts: readonly number[]): Promise<void> {
    let at = 0;
    for (const cut of cuts) {
      if (at >= text.length) return;
      this.#socket.write(text.slice(at, at + cut), 'latin1');
      at += cut;
      await new Promise((resolve) => setImmediate(resolve));
    }
    this.#socket.write(text.slice(at), 'latin1');
  }

  async waitFor(condition: () => boolean | undefined): Promise<void> {
    while (condition() !== true) {
      if (this.ended) throw new Error(`ended with ${JSON.stringify(this.received)}`);
      await this.#change();
    }
  }

  async #change(): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`stands still with ${JSON.stringify(this.received)}`)), hangMs);
      this.#onChange = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  [Symbol.dispose](): void {
    this.#socket.destroy();
  }
}

function methodOf({ startLine = '' }: Reading): string {
  return startLine.slice(0, startLine.indexOf(' '));
}

/** The target as it is forwarded. */
function originForm({ startLine = '' }: Reading): string {
  const target = startLine.split(' ')[1] ?? '';
  const rest = target.replace(/^https?:\/\/[^/?]*/i, '');
  return rest.startsWith('/') || rest === '*' ? rest : `/${rest}`;
}
