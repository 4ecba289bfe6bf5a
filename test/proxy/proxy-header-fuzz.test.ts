// Headers of the PROXY protocol, right and bent and in pieces, in front of bytes and of real TLS, through a listener: a
// connection is the client's whom its header names, with the bytes behind it, or nobody's; and nothing is left of it.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import net, { type Socket } from 'node:net';
import { test, type TestContext } from 'node:test';
import { connect as connectTls } from 'node:tls';
import { fc } from '../support/fast-check.ts';
import { createClientLimits } from '../../src/proxy/client-limits.ts';
import { createListener, type Listener } from '../../src/proxy/listener.ts';
import { parseProxyHeader } from '../../src/proxy/proxy-protocol.ts';
import { createTlsAcceptor, type TlsAcceptor } from '../../src/tls/accept.ts';
import { makeSelfSigned } from '../support/certificates.ts';
import { assertHolds, fuzzBudget } from '../support/fuzz-budget.ts';
import { fakeCatalog, makeRecord, tlsSettings } from '../support/tls-acceptor.ts';
import { until } from '../support/until.ts';

const own = makeSelfSigned({ names: ['a.test'] });
const signature = Buffer.from('\r\n\r\n\0\r\nQUIT\n', 'latin1');
const port = fc.nat({ max: 65_535 });

const version1 = fc
  .tuple(
    fc.oneof(fc.tuple(fc.constant('TCP4'), fc.ipV4(), fc.ipV4()), fc.tuple(fc.constant('TCP6'), fc.ipV6(), fc.ipV6())),
    port,
    port,
    fc.boolean(),
  )
  .map(([[family, from, to], one, other, unknown]) =>
    Buffer.from(unknown && one % 8 === 0 ? 'PROXY UNKNOWN\r\n' : `PROXY ${family} ${from} ${to} ${one} ${other}\r\n`),
  );

const typeLengthValue = fc
  .tuple(fc.nat({ max: 255 }), fc.uint8Array({ maxLength: 30 }))
  .map(([type, value]) => Buffer.from([type, 0, value.length, ...value]));

const version2 = fc
  .tuple(
    fc.constantFrom(0x21, 0x21, 0x21, 0x20),
    fc.constantFrom([0x11, 12], [0x21, 36], [0x00, 0], [0x31, 216], [0x12, 12]),
    fc.uint8Array({ minLength: 216, maxLength: 216 }),
    fc.array(typeLengthValue, { maxLength: 3 }),
  )
  .map(([command, [family = 0, length = 0], bytes, values]) => {
    const content = Buffer.concat([bytes.subarray(0, length), ...values]);
    return Buffer.concat([signature, Buffer.of(command, family, content.length >> 8, content.length & 0xff), content]);
  });

const edit = fc.record({
  at: fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true }),
  remove: fc.nat({ max: 3 }),
  insert: fc.oneof(
    fc.constant(''),
    fc.constantFrom('\r\n', ' ', '0', '-', '::', '1.1.1.1', 'PROXY ', '\0', '\xff', '\x11'),
    fc.string({ unit: 'binary-ascii', maxLength: 3 }),
  ),
});

const client = fc.record({
  header: fc.oneof(version1, version2),
  /** None: the header is right. */
  edits: fc.array(edit, { maxLength: 3 }),
  /** Headers one behind the other: the second is the client's own bytes. */
  again: fc.constantFrom(false, false, false, true),
  cuts: fc.array(fc.integer({ min: 1, max: 40 }), { maxLength: 6 }),
});
type Client = typeof client extends fc.Arbitrary<infer T> ? T : never;

function headerOf({ header, edits, again }: Client): Buffer {
  const bent = edits.reduce((bytes, { at, remove, insert }) => {
    const offset = Math.floor(at * bytes.length);
    return Buffer.concat([bytes.subarray(0, offset), Buffer.from(insert, 'latin1'), bytes.subarray(offset + remove)]);
  }, header);
  return again ? Buffer.concat([bent, header]) : bent;
}

test('bytes behind a bent PROXY header are of the client that it names, or nobody’s', async (context) => {
  await using running = await start(false);
  const seen = { given: 0, refused: 0 };
  await hold(context, 150, running, async (one, index) => {
    const bytes = Buffer.concat([headerOf(one), Buffer.from(`client ${index}`)]);
    const header = parseProxyHeader(bytes);
    const { socket, localPort } = await send(running.listener.port, bytes, one.cuts);
    socket.end();
    await closed(socket);
    if (header.kind !== 'header') {
      seen.refused += 1;
      return undefined;
    }
    seen.given += 1;
    const { address, port: from } = header.client ?? { address: '127.0.0.1', port: localPort };
    return `${address} ${from} ${bytes.toString('hex', header.length)}`;
  });
  context.diagnostic(JSON.stringify(seen));
});

test('TLS behind a PROXY header begins where the header ends, and nowhere else', async (context) => {
  await using running = await start(true);
  const seen = { served: 0, refused: 0 };
  await hold(context, 60, running, async (one) => {
    const bytes = headerOf(one);
    // A ClientHello begins so.
    const header = parseProxyHeader(Buffer.concat([bytes, Buffer.from('160301', 'hex'), Buffer.alloc(300)]));
    const { socket, localPort } = await send(running.listener.port, bytes, one.cuts);
    const secure = connectTls({ socket, servername: 'a.test', rejectUnauthorized: false });
    secure.on('error', () => {});
    const right = header.kind === 'header' && header.length === bytes.length;
    if (right) {
      await once(secure, 'secureConnect');
      seen.served += 1;
      secure.end('hello');
    } else {
      // What is to come may be taken for a part of the header: it is not waited for.
      secure.on('secureConnect', () => running.faults.push(bytes.toString('hex')));
      await Promise.race([closed(socket), new Promise((resolve) => setTimeout(resolve, 20))]);
      seen.refused += 1;
      secure.destroy();
    }
    await closed(socket);
    if (!right) return undefined;
    const { address, port: from } = header.client ?? { address: '127.0.0.1', port: localPort };
    return `${address} ${from} ${Buffer.from('hello').toString('hex')}`;
  });
  context.diagnostic(JSON.stringify(seen));
});

/** @param say one client; what the gateway is to see of it, or undefined where it is to see nothing */
async function hold(
  context: TestContext,
  runs: number,
  running: Running,
  say: (one: Client, index: number) => Promise<string | undefined>,
): Promise<void> {
  const details = await fc.check(
    fc.asyncProperty(fc.array(client, { minLength: 1, maxLength: 4 }), async (list) => {
      running.arrivals.length = 0;
      const expected = (await Promise.all(list.map(say))).filter((one) => one !== undefined);
      await until(
        'every connection is closed',
        () => running.listener.preparing === 0 && running.opened === running.closed,
      );
      assert.deepEqual(running.arrivals.toSorted(), expected.toSorted());
      assert.equal(running.acceptor?.pending ?? 0, 0);
      assert.deepEqual(running.faults, []);
    }),
    fuzzBudget(context, runs),
  );
  assertHolds(details);
}

interface Running extends AsyncDisposable {
  readonly listener: Listener;
  readonly acceptor: TlsAcceptor | undefined;
  /** Address, port and bytes of each connection that was handed over, once it has ended. */
  readonly arrivals: string[];
  readonly faults: string[];
  readonly opened: number;
  readonly closed: number;
}

async function start(ssl: boolean): Promise<Running> {
  const arrivals: string[] = [];
  const faults: string[] = [];
  const counts = { opened: 0, closed: 0 };
  const acceptor = ssl ? startAcceptor() : undefined;
  const fault = (_: object, message: string): void => void faults.push(message);
  const listener = await createListener({
    listen: { host: '127.0.0.1', port: 0, ssl, http2: false, proxyProtocol: true, backlog: 16 },
    config: { trustedIps: ['127.0.0.1/32'], handshakeTimeoutMs: 60_000 },
    tls: acceptor,
    limits: createClientLimits(
      {
        clientConnectionsMax: 100,
        clientConnectionsPerAddress: 0,
        handshakeRate: 0,
        handshakeRatePerAddress: 0,
        clientAddressesMax: 10,
      },
      fault.bind(undefined, {}),
      () => 0,
    ),
    counters: {
      connectionOpened: () => (counts.opened += 1),
      connectionClosed: () => (counts.closed += 1),
      connectionRefused: () => {},
    },
    log: { debug: () => {}, info: () => {}, warn: fault, error: fault },
    onConnection({ socket, remoteAddress, remotePort }) {
      const received: Buffer[] = [];
      socket.on('error', () => {});
      socket.on('data', (bytes: Buffer) => received.push(bytes));
      socket.on('close', () =>
        arrivals.push(`${remoteAddress} ${remotePort} ${Buffer.concat(received).toString('hex')}`),
      );
      socket.resume();
    },
  });
  return {
    listener,
    acceptor,
    arrivals,
    faults,
    get opened() {
      return counts.opened;
    },
    get closed() {
      return counts.closed;
    },
    async [Symbol.asyncDispose]() {
      await listener[Symbol.asyncDispose]();
      await acceptor?.[Symbol.asyncDispose]();
    },
  };
}

function startAcceptor(): TlsAcceptor {
  const catalog = fakeCatalog();
  catalog.bind('a.test', makeRecord('a', [{ chain: own.cert, key: own.key }]));
  const nothing = (): void => {};
  return createTlsAcceptor({
    config: tlsSettings,
    catalog,
    openKey: (sealedKey) => Buffer.from(sealedKey),
    fetchCertificate: () => Promise.reject(new Error('nothing is absent')),
    ticketSecret: Buffer.alloc(32),
    now: () => 0,
    counters: {
      handshakeDone: nothing,
      handshakeFailed: nothing,
      clientAsked: nothing,
      contextHit: nothing,
      contextMade: nothing,
      contextEvicted: nothing,
    },
    chainTooCostly: nothing,
    log: { debug: nothing, error: nothing },
  });
}

async function send(
  to: number,
  bytes: Buffer,
  cuts: readonly number[],
): Promise<{ socket: Socket; localPort: number }> {
  const socket = net.connect({ port: to, host: '127.0.0.1', noDelay: true });
  socket.on('error', () => {});
  await once(socket, 'connect');
  const localPort = socket.localPort ?? 0;
  let rest = bytes;
  for (const cut of cuts) {
    socket.write(rest.subarray(0, cut));
    rest = rest.subarray(cut);
    await new Promise((resolve) => setImmediate(resolve));
  }
  socket.write(rest);
  return { socket, localPort };
}

async function closed(socket: Socket): Promise<void> {
  socket.resume();
  await until('its end', () => socket.closed);
}
