// Tunnels of all kinds through the gateway, by Upgrade on HTTP/1.1 and by extended CONNECT on HTTP/2, several at a time: the
// bytes of each arrive untouched and in order, each side ends on its own, what is cut can be told from what is whole, and
// nothing is left.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import http2, { type ClientHttp2Session } from 'node:http2';
import net, { type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { test, type TestContext } from 'node:test';
import { fc } from '../support/fast-check.ts';
import { assertHolds, fuzzBudget } from '../support/fuzz-budget.ts';
import { createRandom } from '../support/random.ts';
import { createSteppedClock } from '../support/stepped-clock.ts';
import { until } from '../support/until.ts';
import { type Gateway, listen, startGateway } from './http1-gateway.ts';

const sizes = fc.array(
  fc.oneof(fc.integer({ min: 1, max: 10 }), fc.integer({ min: 1, max: 3000 }), fc.integer({ min: 1, max: 150_000 })),
  { maxLength: 6 },
);

const tunnel = fc.record({
  client: sizes,
  upstream: sizes,
  /** The client's first piece does not wait for the upstream's word. */
  early: fc.boolean(),
  /** The upstream's first piece comes with its head. */
  together: fc.boolean(),
  /** Of the upstream's head. */
  cuts: fc.array(fc.integer({ min: 1, max: 60 }), { maxLength: 4 }),
  /** Before which pieces a sender waits for a turn. */
  rests: fc.array(fc.boolean(), { maxLength: 6 }),
  /** Who reads nothing for a while. */
  slow: fc.constantFrom('nobody', 'client', 'upstream'),
  /** Who is the first to end, and how. The other one follows when it has heard of it, unless it is a cut. */
  first: fc.constantFrom('client', 'upstream', 'both'),
  ends: fc.constantFrom('ends', 'ends', 'leaves', 'resets'),
});
type Tunnel = typeof tunnel extends fc.Arbitrary<infer T> ? T : never;

const head =
  'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: x\r\n\r\n';

for (const protocol of ['http/1.1', 'h2'] as const) {
  test(`bytes pass untouched through tunnels of ${protocol}`, (context) => assertUntouched(context, protocol));
}

async function assertUntouched(context: TestContext, protocol: 'http/1.1' | 'h2'): Promise<void> {
  const clock = createSteppedClock();
  await using upstream = await startUpstream();
  await using gateway = await startGateway({ upstreamPort: upstream.port, alpnProtocol: protocol, now: clock.now });
  const seen = { whole: 0, cut: 0, bytes: 0 };
  const details = await fc.check(
    fc.asyncProperty(fc.array(tunnel, { minLength: 1, maxLength: 3 }), async (list) => {
      upstream.arrivals.clear();
      const before = gateway.entries.length;
      await using clients = await openClients(gateway, protocol);
      const talks = await Promise.all(list.map((one, index) => talk(one, index, clients, upstream)));
      await clients.end();
      await clock.goOnUntil(
        'every connection has ended',
        () => gateway.server.activeConnections === 0 && upstream.open.size === 0,
        20,
      );
      await until('all is logged', () => gateway.entries.length === before + list.length);
      const logged = new Map(gateway.entries.slice(before).map((entry) => [entry.target, entry]));
      for (const [index, { one, sent, client, server }] of talks.entries()) {
        const [fromClient, fromServer] = [server.bytes(), client.bytes()];
        if (one.ends === 'ends') {
          assert.ok(fromClient.equals(sent.client), 'what the client sent');
          assert.ok(fromServer.equals(sent.upstream), 'what the upstream sent');
          assert.ok(client.ended && server.ended, 'both have heard the end');
          const { status, requestBodyBytes, responseBodyBytes } = logged.get(`/${index}`) ?? {};
          assert.deepEqual(
            [status, requestBodyBytes, responseBodyBytes],
            [101, sent.client.length, sent.upstream.length],
          );
          seen.whole += 1;
          seen.bytes += fromClient.length + fromServer.length;
        } else {
          assert.ok(fromClient.equals(sent.client.subarray(0, fromClient.length)), 'a beginning of the client’s');
          assert.ok(fromServer.equals(sent.upstream.subarray(0, fromServer.length)), 'a beginning of the upstream’s');
          if (one.ends === 'resets' && fromServer.length < sent.upstream.length && protocol === 'h2')
            assert.ok(!client.ended || one.first !== 'upstream', 'a cut is no end');
          seen.cut += 1;
        }
      }
    }),
    fuzzBudget(context, protocol === 'h2' ? 25 : 60),
  );
  assertHolds(details);
  await clock.untilUnread();
  context.diagnostic(`${details.numRuns} runs, tunnels: ${JSON.stringify(seen)}`);
}

interface Talk {
  readonly one: Tunnel;
  readonly sent: { readonly client: Buffer; readonly upstream: Buffer };
  readonly client: Side;
  readonly server: Side;
}

async function talk(one: Tunnel, index: number, clients: Clients, upstream: Upstream): Promise<Talk> {
  const [fromClient, fromServer] = [piecesOf(one.client, index * 2 + 1), piecesOf(one.upstream, index * 2 + 2)];
  const sent = { client: Buffer.concat(fromClient), upstream: Buffer.concat(fromServer) };
  const early = one.early ? fromClient.shift() : undefined;
  const opening = clients.open(`/${index}`, early ?? Buffer.alloc(0));
  const server = await until('a request at the upstream', () => upstream.arrivals.get(`/${index}`));
  await server.sendIn(
    Buffer.concat([Buffer.from(head), (one.together ? fromServer.shift() : undefined) ?? Buffer.alloc(0)]),
    one.cuts,
  );
  const client = await opening;
  const slow = { nobody: undefined, client, upstream: server }[one.slow];
  slow?.pause();
  await Promise.all([client.sendAll(fromClient, one.rests), server.sendAll(fromServer, one.rests)]);
  if (slow !== undefined) for (let turns = 0; turns < 30; turns += 1) await turn();
  slow?.resume();
  const [first, second] = one.first === 'upstream' ? [server, client] : [client, server];
  if (one.ends === 'leaves') first.leave();
  else if (one.ends === 'resets') first.reset();
  else first.end();
  if (one.first !== 'both') await until('the other side hears of it', () => second.ended || second.closed);
  second.end();
  if (one.ends === 'ends')
    await until('both have heard the end', () => (first.ended || first.closed) && (second.ended || second.closed));
  return { one, sent, client, server };
}

/** One end of a tunnel. */
class Side {
  ended = false;
  closed = false;
  readonly #stream: Duplex;
  readonly #reset: () => void;
  readonly #received: Buffer[] = [];

  constructor(stream: Duplex, reset: () => void) {
    this.#stream = stream;
    this.#reset = reset;
    stream.on('data', (bytes: Buffer) => this.#received.push(bytes));
    stream.on('end', () => (this.ended = true));
    stream.on('close', () => (this.closed = true));
    stream.on('error', () => {});
  }

  bytes(): Buffer {
    return Buffer.concat(this.#received);
  }

  /** Takes the head off what has been received, once it is whole. */
  takeHead(): string | undefined {
    const text = this.bytes();
    const end = text.indexOf('\r\n\r\n');
    if (end === -1) return undefined;
    this.#received.splice(0, this.#received.length, text.subarray(end + 4));
    return text.toString('latin1', 0, end + 4);
  }

  async sendIn(bytes: Buffer, cuts: readonly number[]): Promise<void> {
    let rest = bytes;
    for (const cut of cuts) {
      this.#stream.write(rest.subarray(0, cut));
      rest = rest.subarray(cut);
      await turn();
    }
    this.#stream.write(rest);
  }

  async sendAll(pieces: readonly Buffer[], rests: readonly boolean[]): Promise<void> {
    for (const [index, piece] of pieces.entries()) {
      if (rests[index] === true) await turn();
      this.#stream.write(piece);
    }
    await turn();
  }

  pause(): void {
    this.#stream.pause();
  }

  resume(): void {
    this.#stream.resume();
  }

  end(): void {
    this.#stream.end();
  }

  leave(): void {
    this.#stream.destroy();
  }

  reset(): void {
    this.#reset();
  }
}

interface Clients extends AsyncDisposable {
  /** Resolves once the tunnel is open. */
  open(target: string, early: Buffer): Promise<Side>;
  /** Nothing more is opened. */
  end(): Promise<void>;
}

async function openClients(gateway: Gateway, protocol: 'http/1.1' | 'h2'): Promise<Clients> {
  const sockets: Socket[] = [];
  const connect = async (): Promise<Socket> => {
    const socket = net.connect({ port: gateway.port, host: '127.0.0.1', allowHalfOpen: true, noDelay: true });
    sockets.push(socket);
    socket.on('error', () => {});
    await once(socket, 'connect');
    return socket;
  };
  const session = protocol === 'h2' ? await connectSession(await connect()) : undefined;
  return {
    open: async (target, early) =>
      session === undefined ? upgrade(await connect(), target, early) : connectTunnel(session, target, early),
    end: async () => session?.close(),
    async [Symbol.asyncDispose]() {
      session?.destroy();
      for (const socket of sockets) socket.destroy();
    },
  };
}

async function upgrade(socket: Socket, target: string, early: Buffer): Promise<Side> {
  const side = new Side(socket, () => socket.resetAndDestroy());
  const lines = 'Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: eA==\r\n';
  socket.write(Buffer.concat([Buffer.from(`GET ${target} HTTP/1.1\r\nHost: a\r\n${lines}\r\n`), early]));
  const answer = await until('an answer', () => side.takeHead());
  assert.match(answer, /^HTTP\/1\.1 101 /);
  return side;
}

async function connectSession(socket: Socket): Promise<ClientHttp2Session> {
  const session = http2.connect('http://a', { createConnection: () => socket });
  session.on('error', () => {});
  await once(session, 'remoteSettings');
  return session;
}

async function connectTunnel(session: ClientHttp2Session, target: string, early: Buffer): Promise<Side> {
  const stream = session.request(
    {
      ':method': 'CONNECT',
      ':protocol': 'websocket',
      ':path': target,
      ':authority': 'a',
      'sec-websocket-version': '13',
    },
    { endStream: false },
  );
  const side = new Side(stream, () => stream.close(http2.constants.NGHTTP2_CANCEL));
  if (early.length > 0) stream.write(early);
  const [answer] = (await once(stream, 'response')) as [http2.IncomingHttpHeaders];
  assert.equal(answer[':status'], 200);
  return side;
}

interface Upstream extends AsyncDisposable {
  readonly port: number;
  /** Those whose request has come, by its target. */
  readonly arrivals: Map<string, Side>;
  readonly open: ReadonlySet<Socket>;
}

async function startUpstream(): Promise<Upstream> {
  const arrivals = new Map<string, Side>();
  const open = new Set<Socket>();
  const server = net.createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
    open.add(socket);
    socket.on('close', () => open.delete(socket));
    const side = new Side(socket, () => socket.resetAndDestroy());
    const onData = (): void => {
      const request = side.takeHead();
      if (request === undefined) return;
      socket.off('data', onData);
      arrivals.set(request.split(' ')[1] ?? '', side);
    };
    socket.on('data', onData);
  });
  const port = await listen(server);
  return {
    port,
    arrivals,
    open,
    async [Symbol.asyncDispose]() {
      for (const socket of open) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}

/** Bytes that are nobody else's. */
function piecesOf(lengths: readonly number[], seed: number): Buffer[] {
  const random = createRandom(seed);
  return lengths.map((length) => Buffer.from(Uint8Array.from({ length }, () => random() * 256)));
}

async function turn(): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve));
}
