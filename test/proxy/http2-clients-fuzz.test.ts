// Bent HTTP/2 conversations through the whole gateway, several clients at a time over the same upstream connections, each with
// a mark of its own. No mark may turn up with another client, whoever keeps to the rules is served, and of the others nothing
// is left: no connection, no deadline, no upstream connection.
import assert from 'node:assert/strict';
import net from 'node:net';
import { test, type TestContext } from 'node:test';
import { fc } from '../support/fast-check.ts';
import {
  bendFrames,
  bytesOf,
  clientStart,
  frameMutations,
  octets,
  requests,
  setOctets,
} from '../http2/conversations.ts';
import { assertHolds, fuzzBudget } from '../support/fuzz-budget.ts';
import { flag, type Frame, frame, FrameClient, statusOf } from '../support/http2-frames.ts';
import { type MarkedUpstream, marks, startMarkedUpstream } from '../support/marked-upstream.ts';
import { createSteppedClock } from '../support/stepped-clock.ts';
import { until } from '../support/until.ts';
import { startGateway } from './http1-gateway.ts';

const addresses = Object.keys(marks);

const client = fc.record({
  frames: requests,
  /** None: it keeps to the rules. */
  mutations: fc.oneof({ weight: 1, arbitrary: fc.constant([]) }, { weight: 3, arbitrary: frameMutations }),
  octets: fc.oneof({ weight: 3, arbitrary: fc.constant([]) }, { weight: 1, arbitrary: octets }),
  cuts: fc.array(fc.integer({ min: 1, max: 200 }), { maxLength: 8 }),
  ends: fc.constantFrom('stays', 'ends', 'leaves', 'resets', 'reads nothing'),
});
type Client = typeof client extends fc.Arbitrary<infer T> ? T : never;
const clients = fc.array(client, { minLength: 1, maxLength: addresses.length });

for (const early of [false, true]) {
  const when = early ? 'that answers early' : 'that answers whole requests';
  test(`frames of one client never get into requests of another, with an upstream ${when}`, async (context) => {
    await using upstream = await startMarkedUpstream(early);
    await assertApart(context, upstream, early);
  });
}

async function assertApart(context: TestContext, upstream: MarkedUpstream, early: boolean): Promise<void> {
  const clock = createSteppedClock();
  await using gateway = await startGateway({
    upstreamPort: upstream.port,
    alpnProtocol: 'h2',
    now: clock.now,
    settings: {
      clientIdleTimeoutMs: 2000,
      clientBodyTimeoutMs: 2000,
      clientSendTimeoutMs: 2000,
      upstreamKeepalivePoolSize: 3,
    },
    route: { readTimeoutMs: 2000, sendTimeoutMs: 2000, connectTimeoutMs: 2000 },
  });
  const outcomes: Record<string, number> = {};
  const details = await fc.check(
    fc.asyncProperty(clients, async (list) => {
      upstream.seen.clear();
      const talks = list.map((one, index) => new Talk(gateway.port, addresses[index] ?? '', one));
      try {
        await Promise.all(talks.map((talk) => talk.say()));
        for (const talk of talks) await talk.assertServed(early);
        await clock.goOnUntil('every connection has ended', () => gateway.server.activeConnections === 0);
        for (const talk of talks)
          for (const outcome of talk.outcomes()) outcomes[outcome] = (outcomes[outcome] ?? 0) + 1;
      } finally {
        for (const talk of talks) talk[Symbol.dispose]();
      }
      assert.deepEqual(upstream.faults, []);
      assert.equal(gateway.counted.filter((what) => what.startsWith('request:')).length, gateway.entries.length);
    }),
    fuzzBudget(context, 100),
  );
  assertHolds(details);
  await clock.goOnUntil('no connection to the upstream is left', () => upstream.open === 0);
  await clock.untilUnread();
  context.diagnostic(`${details.numRuns} runs, streams: ${JSON.stringify(outcomes)}`);
}

/** What one client says and hears. */
class Talk implements Disposable {
  readonly #address: string;
  readonly #said: Client;
  readonly #client: FrameClient;

  constructor(port: number, address: string, said: Client) {
    this.#address = address;
    this.#said = said;
    this.#client = new FrameClient(net.connect({ port, host: '127.0.0.1', localAddress: address, noDelay: true }));
  }

  get #keepsToTheRules(): boolean {
    return this.#said.mutations.length === 0 && this.#said.octets.length === 0;
  }

  async say(): Promise<void> {
    const { frames, mutations, cuts, ends } = this.#said;
    const { socket } = this.#client;
    const bytes = setOctets(bytesOf(bendFrames(frames, mutations), marks[this.#address] ?? ''), this.#said.octets);
    let at = 0;
    socket.write(clientStart);
    // Its acknowledgement must not come between two pieces of a frame.
    await until('the gateway’s settings', () => this.#client.settled);
    for (const cut of cuts) {
      socket.write(bytes.subarray(at, at + cut));
      at += cut;
      await new Promise((resolve) => setImmediate(resolve));
    }
    if (ends === 'reads nothing' && !this.#keepsToTheRules) socket.pause();
    await new Promise((resolve) => socket.write(bytes.subarray(at), resolve));
    if (this.#keepsToTheRules) return;
    if (ends === 'ends') socket.end();
    else if (ends === 'leaves') socket.destroy();
    else if (ends === 'resets') socket.resetAndDestroy();
  }

  /** Who keeps to the rules gets all its answers; whatever anybody gets is its own. */
  async assertServed(early: boolean): Promise<void> {
    if (this.#keepsToTheRules)
      await until('all its answers', () => this.#begun.every((stream) => this.#isOver(stream)));
    const body = (stream: number): string => this.#client.dataOf(stream).toString();
    for (const stream of new Set(this.#client.frames.map((one) => one.stream))) {
      const head = this.#client.of(stream, frame.headers).find((one) => statusOf(one) >= 200);
      if (head === undefined) continue;
      if (statusOf(head) === 200) assert.ok(this.#address.startsWith(body(stream)), body(stream));
      else assert.ok(!this.#keepsToTheRules, `${statusOf(head)} on stream ${stream}`);
    }
    if (!this.#keepsToTheRules) return;
    for (const stream of this.#begun) {
      const head = this.#client.of(stream, frame.headers).find((one) => statusOf(one) >= 200);
      assert.ok(head !== undefined || early, `stream ${stream} has no answer`);
      if (head !== undefined) assert.equal(statusOf(head), 200);
    }
  }

  outcomes(): string[] {
    const heads = this.#client.frames.filter(({ type }) => type === frame.headers).map((one) => String(statusOf(one)));
    const resets = this.#client.frames.filter(({ type }) => type === frame.rstStream).map(() => 'reset');
    const goaways = this.#client.frames
      .filter(({ type }) => type === frame.goaway)
      .map(({ payload }) => `goaway ${payload.readUInt32BE(4)}`);
    return [...heads, ...resets, ...goaways];
  }

  get #begun(): number[] {
    return [...new Set(this.#said.frames.filter(({ type }) => type === frame.headers).map(({ stream }) => stream))];
  }

  #isOver(stream: number): boolean {
    return this.#client.of(stream).some(endsStream);
  }

  [Symbol.dispose](): void {
    this.#client[Symbol.dispose]();
  }
}

function endsStream({ type, flags }: Frame): boolean {
  return (
    type === frame.rstStream || ((type === frame.data || type === frame.headers) && (flags & flag.endStream) !== 0)
  );
}
