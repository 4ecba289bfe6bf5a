// TLS records of a real client, split and bent on their way: a connection is served as its client meant it or ends, and nothing
// of it is left.
import assert from 'node:assert/strict';
import net, { type Socket } from 'node:net';
import { test, type TestContext } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { connect as connectTls } from 'node:tls';
import { fc } from '../support/fast-check.ts';
import { askingPolicies } from '../support/asking-policies.ts';
import { makeAuthority } from '../support/certificates.ts';
import { assertHolds, fuzzBudget } from '../support/fuzz-budget.ts';
import { fakeCatalog, makeRecord, road, type RunningAcceptor, startAcceptor } from '../support/tls-acceptor.ts';
import { until } from '../support/until.ts';

const authority = makeAuthority();
/** Of clients for the last one a certificate is asked. */
const names = ['a.test', 'b.test', 'asks.test'] as const;
const shown = authority.intermediate().intermediate().issue({ names: [], commonName: 'client' });
const message = 'what the client says';
/** How long a client that may have been spoiled is waited for. */
const patienceMs = 50;

const garbage: readonly Buffer[] = [
  Buffer.from('160303000100', 'hex'),
  Buffer.from('1603030000', 'hex'),
  Buffer.from('1503030002010a', 'hex'),
  Buffer.from('15030300020228', 'hex'),
  Buffer.from('15030300020100', 'hex'),
  Buffer.from('140303000101', 'hex'),
  Buffer.from('1703030001ff', 'hex'),
  Buffer.from('18030300030140', 'hex'),
  Buffer.from('1603034000', 'hex'),
  Buffer.from('160303ffff', 'hex'),
  Buffer.from('GET / HTTP/1.1\r\n\r\n'),
  Buffer.from('PROXY TCP4 127.0.0.1 127.0.0.1 1 2\r\n'),
  Buffer.from('0d0a0d0a000d0a515549540a21110000', 'hex'),
  Buffer.alloc(400, 0x16),
  Buffer.of(0),
];

type Change = (record: Buffer, number: number, word: Buffer) => readonly Buffer[];

const changes = {
  set: (record, number) => [
    Buffer.from(record).fill(number >>> 16, number % record.length, (number % record.length) + 1),
  ],
  header: (record, number) => [Buffer.from(record).fill(number >>> 16, number % 5, (number % 5) + 1)],
  drop: () => [],
  repeat: (record) => [record, record],
  cut: (record, number) => [record.subarray(0, number % record.length)],
  longer: (record, _number, word) => [record, word],
  before: (record, _number, word) => [word, record],
  /** Bytes put into it, and its length with them. */
  within: (record, number, word) => {
    const at = 5 + (number % (record.length - 4));
    const bytes = Buffer.concat([record.subarray(0, at), word, record.subarray(at)]);
    bytes.writeUInt16BE(Math.min(bytes.length - 5, 0xffff), 3);
    return [bytes];
  },
} as const satisfies Record<string, Change>;

const mutation = fc.tuple(
  fc.constantFrom(...(Object.keys(changes) as (keyof typeof changes)[])),
  fc.nat({ max: 6 }),
  fc.nat(),
  fc.constantFrom(...garbage),
);

type Mutation = typeof mutation extends fc.Arbitrary<infer T> ? T : never;

const client = fc.record({
  name: fc.constantFrom(...names),
  version: fc.constantFrom('TLSv1.2' as const, 'TLSv1.3' as const),
  resumes: fc.boolean(),
  /** What it is asked for. */
  shows: fc.boolean(),
  /** Of its first record, which becomes several. */
  splits: fc.array(fc.integer({ min: 1, max: 300 }), { maxLength: 4 }),
  /** Of all that it sends. */
  segments: fc.array(fc.integer({ min: 1, max: 300 }), { maxLength: 12 }),
  /** None: it was only split. */
  mutations: fc.oneof(fc.constant<Mutation[]>([]), fc.array(mutation, { minLength: 1, maxLength: 3 })),
  ends: fc.constantFrom('ends', 'leaves', 'resets'),
});
type Client = typeof client extends fc.Arbitrary<infer T> ? T : never;

for (const kind of ['handle', 'socket'] as const) {
  test(`bent records leave nothing behind, by the road of a ${kind}`, async (context) => {
    road.kind = kind;
    await assertServedOrEnded(context);
  });
}

async function assertServedOrEnded(context: TestContext): Promise<void> {
  const catalog = { ...fakeCatalog(), ...askingPolicies('asks.test', authority.certificate) };
  for (const name of names) catalog.bind(name, makeRecord(name, [authority.issue({ names: [name] })]));
  await using running = await startAcceptor({ catalog, echo: true });
  const sessions = new Map<string, Buffer>();
  const seen = { served: 0, ended: 0, resumed: 0, proven: 0 };
  const reached = { connections: 0 };
  const details = await fc.check(
    fc.asyncProperty(fc.array(client, { minLength: 1, maxLength: 4 }), async (list) => {
      await Promise.all(
        list.map(async (one) => {
          const answer = await talk(running, one, sessions, reached);
          if (answer === undefined) {
            seen.ended += 1;
            assert.notDeepEqual(one.mutations, [], 'one that was only split is served');
            return;
          }
          seen.served += 1;
          if (answer.resumed) seen.resumed += 1;
          assert.equal(answer.text, message);
          // The certificate of a session that was resumed is not shown again.
          if (!answer.resumed) assert.equal(answer.shown, one.name);
        }),
      );
      const counted = (): number => running.counted.versions.length + running.counted.failures.length;
      await until('every connection is counted', () => counted() >= reached.connections);
      await until('every connection has ended', () => running.open.size === 0);
      assert.equal(running.acceptor.pending, 0);
      assert.equal(counted(), reached.connections, 'each once');
      assert.deepEqual(running.errors, []);
      for (const { serverName, security } of running.connections) {
        // Signed over by the client: what was bent gets nowhere.
        assert.ok(['valid', 'none', undefined].includes(security.proof?.kind));
        assert.equal(security.proof !== undefined, serverName === 'asks.test');
        if (security.proof?.kind === 'valid') seen.proven += 1;
      }
      running.connections.length = 0;
    }),
    fuzzBudget(context, 100),
  );
  assertHolds(details);
  context.diagnostic(`${details.numRuns} runs, clients: ${JSON.stringify(seen)}`);
}

interface Answer {
  readonly text: string;
  /** The name of the certificate. */
  readonly shown: string | undefined;
  readonly resumed: boolean;
}

/** One client, through somebody who changes what it sends. Undefined: it was not served. */
async function talk(
  running: RunningAcceptor,
  one: Client,
  sessions: Map<string, Buffer>,
  reached: Reached,
): Promise<Answer | undefined> {
  const bender = await startBender(running.port, one, reached);
  const key = `${one.name} ${one.version}`;
  const socket = connectTls({
    port: bender.port,
    host: '127.0.0.1',
    servername: one.name,
    minVersion: one.version,
    maxVersion: one.version,
    rejectUnauthorized: false,
    ...(one.resumes && sessions.has(key) ? { session: sessions.get(key) } : {}),
    ...(one.shows ? { cert: shown.chain, key: shown.key } : {}),
  });
  let text = '';
  let over = false;
  let subject: string | undefined;
  let resumed = false;
  socket.on('error', () => {});
  socket.on('close', () => (over = true));
  socket.on('session', (session: Buffer) => sessions.set(key, session));
  socket.on('data', (bytes: Buffer) => (text += bytes.toString()));
  socket.on('secureConnect', () => {
    subject = socket.getPeerX509Certificate()?.subject.replace('CN=', '');
    resumed = socket.isSessionReused();
    socket.write(message);
  });
  if (one.mutations.length === 0) await until('an echo', () => text.length === message.length || over);
  else await Promise.race([pause(patienceMs), until('an outcome', () => text.length >= message.length || over)]);
  const answer = text === '' ? undefined : { text, shown: subject, resumed };
  if (one.ends === 'ends') socket.end();
  else if (one.ends === 'leaves') socket.destroy();
  await bender.close(one.ends === 'resets');
  socket.destroy();
  return answer;
}

/** Connections to the gateway. A client may give up before its own is one. */
interface Reached {
  connections: number;
}

interface Bender {
  readonly port: number;
  close(byReset: boolean): Promise<void>;
}

async function startBender(port: number, { splits, segments, mutations }: Client, reached: Reached): Promise<Bender> {
  const sockets: Socket[] = [];
  const server = net.createServer((from) => {
    const to = net.connect({ port, host: '127.0.0.1', noDelay: true });
    sockets.push(from, to);
    for (const socket of [from, to]) socket.on('error', () => {});
    to.on('connect', () => (reached.connections += 1));
    to.pipe(from);
    const left = [...segments];
    let rest = Buffer.alloc(0);
    let number = 0;
    from.on('data', (bytes: Buffer) => {
      rest = Buffer.concat([rest, bytes]);
      while (rest.length >= 5 && rest.length >= 5 + rest.readUInt16BE(3)) {
        const record = rest.subarray(0, 5 + rest.readUInt16BE(3));
        rest = rest.subarray(record.length);
        for (const piece of bend(number === 0 ? split(record, splits) : [record], number, mutations))
          send(to, piece, left);
        number += 1;
      }
    });
    from.on('end', () => to.end());
    to.on('close', () => from.destroy());
    from.on('close', () => to.destroySoon());
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    port: (server.address() as net.AddressInfo).port,
    async close(byReset) {
      for (const socket of sockets) {
        if (byReset) socket.resetAndDestroy();
        else socket.destroySoon();
      }
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** One record as several, which say the same. */
function split(record: Buffer, lengths: readonly number[]): Buffer[] {
  const pieces: Buffer[] = [];
  let rest = record.subarray(5);
  for (const length of lengths) {
    if (length >= rest.length) break;
    pieces.push(recordOf(record, rest.subarray(0, length)));
    rest = rest.subarray(length);
  }
  return [...pieces, recordOf(record, rest)];
}

function recordOf(like: Buffer, content: Buffer): Buffer {
  const head = Buffer.from(like.subarray(0, 5));
  head.writeUInt16BE(content.length, 3);
  return Buffer.concat([head, content]);
}

function bend(records: readonly Buffer[], number: number, mutations: Client['mutations']): readonly Buffer[] {
  return mutations
    .filter(([, at]) => at === number)
    .reduce<readonly Buffer[]>(
      (list, [kind, , seed, word]) =>
        list.flatMap((record, index) =>
          index === seed % list.length && record.length >= 5 ? changes[kind](record, seed, word) : [record],
        ),
      records,
    );
}

function send(to: Socket, bytes: Buffer, segments: number[]): void {
  let rest = bytes;
  while (rest.length > 0) {
    const length = segments.shift() ?? rest.length;
    to.write(rest.subarray(0, length));
    rest = rest.subarray(length);
  }
}
