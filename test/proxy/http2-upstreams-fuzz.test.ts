// Bent frames of HTTP/2 upstreams: whatever they say, a client gets a whole response of its own request, or what can be told
// from one, and nothing is left.
import assert from 'node:assert/strict';
import net, { type Socket } from 'node:net';
import { test, type TestContext } from 'node:test';
import { fc } from '../support/fast-check.ts';
import {
  bendFrames,
  bytesOf,
  frameMutations,
  octets,
  responses,
  setOctets,
  writeResponses,
} from '../http2/conversations.ts';
import { assertHolds, fuzzBudget } from '../support/fuzz-budget.ts';
import {
  connectFrames,
  fieldBlock,
  flag,
  type Frame,
  frame,
  frameBytes,
  FrameClient,
  postFields,
  readFrames,
  settingsPayload,
  statusOf,
} from '../support/http2-frames.ts';
import { readResponses } from '../support/read-responses.ts';
import { createSteppedClock } from '../support/stepped-clock.ts';
import { connectRaw, listen, startGateway } from './http1-gateway.ts';

const answers = fc.record({
  /** Requests under way at once. */
  requests: fc.integer({ min: 1, max: 3 }),
  frames: responses,
  /** None: it keeps to the rules. */
  mutations: fc.oneof({ weight: 1, arbitrary: fc.constant([]) }, { weight: 4, arbitrary: frameMutations }),
  octets: fc.oneof({ weight: 3, arbitrary: fc.constant([]) }, { weight: 1, arbitrary: octets }),
  /** Of a connection that begins with it. */
  settings: fc.constantFrom<(readonly [number, number])[]>(
    [],
    [],
    [],
    [[3, 0]],
    [[3, 1]],
    [[4, 0]],
    [[5, 20_000]],
    [[1, 0]],
  ),
  cuts: fc.array(fc.integer({ min: 1, max: 200 }), { maxLength: 8 }),
  ends: fc.constantFrom('stays', 'stays', 'ends', 'leaves', 'resets'),
});
type Answers = typeof answers extends fc.Arbitrary<infer T> ? T : never;

/** A body of no bytes whose end is lost, and whose length is said half in HEADERS and half in CONTINUATION. */
const noBytesInPieces: Answers = {
  requests: 1,
  frames: {
    heads: [
      {
        status: '200',
        interim: '',
        more: [],
        body: [],
        length: true,
        trailers: undefined,
        padding: 0,
        continued: true,
      },
    ],
    turns: [0],
    between: [],
  },
  mutations: [['drop', 2, 0, { type: 4, flags: 0, stream: 0, payload: Buffer.alloc(0) }, Buffer.alloc(0)]],
  octets: [],
  settings: [],
  cuts: [],
  ends: 'stays',
};

/** What came of one request, as its client sees it. */
interface Outcome {
  readonly status: number;
  /** Its head said how long the body is. */
  readonly byLength?: boolean;
  readonly body: string;
  readonly whole: boolean;
}

interface Client extends Disposable {
  outcome(): Outcome | undefined;
}

for (const protocol of ['http/1.1', 'h2'] as const) {
  test(`whatever an HTTP/2 upstream says, clients of ${protocol} get whole responses of their own, or none`, async (context) => {
    await assertTold(context, protocol);
  });
}

async function assertTold(context: TestContext, protocol: 'http/1.1' | 'h2'): Promise<void> {
  const clock = createSteppedClock();
  await using upstream = await startBentUpstream();
  await using gateway = await startGateway({
    upstreamPort: upstream.port,
    upstream: { http2: true },
    alpnProtocol: protocol,
    now: clock.now,
    settings: {
      clientIdleTimeoutMs: 2000,
      clientBodyTimeoutMs: 2000,
      clientSendTimeoutMs: 2000,
      upstreamKeepaliveIdleTimeoutMs: 20_000,
      upstreamKeepaliveMaxRequests: 3,
    },
    route: { readTimeoutMs: 2000, sendTimeoutMs: 2000, connectTimeoutMs: 2000, retries: 1 },
  });
  const seen = { whole: 0, cut: 0, refused: 0 };
  let number = 0;
  const details = await fc.check(
    fc.asyncProperty(answers, async (said) => {
      upstream.says(said);
      const bodies = Array.from({ length: said.requests }, () => `request ${(number += 1)}.`);
      const clients = await Promise.all(
        bodies.map((body) => (protocol === 'h2' ? askFrames(gateway.port, body) : askText(gateway.port, body))),
      );
      try {
        const over = (): boolean => clients.every((client) => client.outcome() !== undefined);
        await clock.goOnUntil('every request has an outcome', over, 20);
        for (const [index, client] of clients.entries()) {
          const outcome = client.outcome() as Outcome;
          const { status, body, whole } = outcome;
          if (!whole) seen.cut += 1;
          else if (/^\{"message":.*"code":"/.test(body)) seen.refused += 1;
          else {
            seen.whole += 1;
            assert.ok(
              upstream.saidTo(bodies[index] ?? '', outcome),
              `${bodies[index]} got ${status} ${JSON.stringify(body)}`,
            );
          }
        }
      } finally {
        for (const client of clients) client[Symbol.dispose]();
      }
      await clock.goOnUntil('every client has gone', () => gateway.server.activeConnections === 0);
      assert.equal(gateway.counted.filter((what) => what.startsWith('request:')).length, gateway.entries.length);
    }),
    { ...fuzzBudget(context, 100), examples: [[noBytesInPieces]] },
  );
  assertHolds(details);
  await clock.goOnUntil('no connection to the upstream is left', () => upstream.open === 0);
  await clock.untilUnread();
  context.diagnostic(`${details.numRuns} runs, responses: ${JSON.stringify(seen)}`);
}

async function askText(port: number, body: string): Promise<Client> {
  const client = await connectRaw(port);
  client.send(`POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ${body.length}\r\n\r\n${body}`);
  return {
    outcome() {
      const over = client.ended || client.closed;
      const [first] = readResponses(client.received, ['POST'], over && client.error === undefined);
      if (first?.whole) return { ...first, byLength: /^content-length:/im.test(first.head) };
      return over ? { status: first?.status ?? 0, body: first?.body ?? '', whole: false } : undefined;
    },
    [Symbol.dispose]: () => client[Symbol.dispose](),
  };
}

async function askFrames(port: number, body: string): Promise<Client> {
  const client = await connectFrames(port);
  client.request(1, postFields([['content-length', String(body.length)]]), false);
  client.data(1, body, true);
  return {
    outcome() {
      const whole = client.of(1).some(endsStream);
      if (!whole && !client.closed && client.of(1, frame.rstStream).length === 0) return undefined;
      const head = client.of(1, frame.headers).find((one) => statusOf(one) >= 200);
      return { status: head === undefined ? 0 : statusOf(head), body: client.dataOf(1).toString('latin1'), whole };
    },
    [Symbol.dispose]: () => client[Symbol.dispose](),
  };
}

function endsStream({ type, flags }: Frame): boolean {
  return (type === frame.data || type === frame.headers) && (flags & flag.endStream) !== 0;
}

interface BentUpstream extends AsyncDisposable {
  readonly port: number;
  readonly open: number;
  /** To the next requests, once all of them are there; whatever is asked behind them gets a plain answer. */
  says(answers: Answers): void;
  /** Was that said on the stream of the request with this body, by a reader that knows of nothing but frames? */
  saidTo(request: string, outcome: Outcome): boolean;
}

async function startBentUpstream(): Promise<BentUpstream> {
  let answer: Answers | undefined;
  let hasSaid = false;
  const open = new Set<Socket>();
  /** By what was asked: the connection's bytes, and the stream. */
  const asked = new Map<string, { readonly bytes: Buffer[]; readonly stream: number }>();

  const server = net.createServer((socket) => {
    open.add(socket);
    socket.on('error', () => {});
    socket.on('close', () => open.delete(socket));
    const bytes: Buffer[] = [];
    const say = (piece: Buffer): void => {
      bytes.push(piece);
      socket.write(piece);
    };
    const waiting: number[] = [];
    socket.once('data', (first: Buffer) => {
      say(frameBytes(frame.settings, 0, 0, settingsPayload(answer?.settings ?? [])));
      // oxlint-disable-next-line no-new
      new FrameClient(socket, (one) => {
        if (one.type !== frame.data || one.payload.length === 0) return;
        asked.set(one.payload.toString(), { bytes, stream: one.stream });
        if (hasSaid || answer === undefined) return say(plainAnswer(one.stream, one.payload.toString()));
        waiting.push(one.stream);
        if (waiting.length === answer.requests) void sayAnswers(answer, waiting.splice(0), socket, say);
      });
      // Behind the preface.
      socket.unshift(first.subarray(24));
    });
  });

  async function sayAnswers(
    { frames, mutations, cuts, ends, octets: places }: Answers,
    streams: readonly number[],
    socket: Socket,
    say: (piece: Buffer) => void,
  ): Promise<void> {
    hasSaid = true;
    const all = setOctets(bytesOf(bendFrames(writeResponses(frames, streams), mutations), 'mark-upstream'), places);
    let at = 0;
    for (const cut of cuts) {
      say(all.subarray(at, at + cut));
      at += cut;
      await new Promise((resolve) => setImmediate(resolve));
    }
    say(all.subarray(at));
    if (ends === 'ends') socket.end();
    else if (ends === 'leaves') socket.destroySoon();
    else if (ends === 'resets') socket.resetAndDestroy();
  }

  const port = await listen(server);
  return {
    port,
    get open() {
      return open.size;
    },
    says(next) {
      asked.clear();
      answer = next;
      hasSaid = false;
    },
    saidTo(request, { status, body, byLength }) {
      const { bytes, stream } = asked.get(request) ?? { bytes: [], stream: 0 };
      const frames = readFrames(Buffer.concat(bytes)).frames.filter((one) => one.stream === stream);
      const end = frames.findIndex(endsStream);
      if (status === 204 || status === 304) return body === '';
      // Nor does anybody wait for the end of a body of no bytes.
      const heads = frames.filter(({ type }) => type === frame.headers || type === frame.continuation);
      if (body === '' && Buffer.concat(heads.map(({ payload }) => payload)).includes(noBytes)) return true;
      const until = end === -1 || byLength === true ? frames.length : end + 1;
      const data = Buffer.concat(
        frames
          .slice(0, until)
          .filter(({ type }) => type === frame.data)
          .map(dataOf),
      );
      // A body by its length is whole for a client of HTTP/1.1 as soon as it is there.
      if (byLength === true) return data.toString('latin1').startsWith(body);
      return end !== -1 && data.toString('latin1') === body;
    },
    async [Symbol.asyncDispose]() {
      for (const socket of open) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

const noBytes = fieldBlock([['content-length', '0']]);

/** Without padding (RFC 9113 section 6.1). */
function dataOf({ flags, payload }: Frame): Buffer {
  if ((flags & flag.padded) === 0) return payload;
  return payload.subarray(1, payload.length - (payload[0] ?? 0));
}

function plainAnswer(stream: number, request: string): Buffer {
  return Buffer.concat([
    frameBytes(frame.headers, flag.endHeaders, stream, fieldBlock([[':status', '200']])),
    frameBytes(frame.data, flag.endStream, stream, Buffer.from(`plain answer to ${request}`)),
  ]);
}
