// Clients that mean harm, many of them, in a process of their own: each kind holds or makes as many connections as it is told,
// and opens another for each that is ended. Tells its parent how many are open and how many were ended.
import net, { type Socket } from 'node:net';
import process from 'node:process';
import tls from 'node:tls';
import {
  fieldBlock,
  flag,
  frame,
  frameBytes,
  getFields,
  postFields,
  settingsPayload,
  uint32,
} from '../../support/http2-frames.ts';

export interface AttackOrder {
  readonly kind: keyof typeof kinds;
  readonly count: number;
  readonly plainPort: number;
  readonly tlsPort: number;
  readonly host: string;
  /** The address to come from; undefined: as the system chooses. */
  readonly from: string | undefined;
  /** A whole ClientHello, base64. */
  readonly hello: string;
}

export interface AttackReport {
  readonly open: number;
  /** By the gateway. */
  readonly ended: number;
  /** Of those that hang up by themselves. */
  readonly done: number;
}

interface Kind {
  readonly tls?: boolean;
  /** What is said at once. */
  readonly first?: (order: AttackOrder) => Buffer | string;
  /** What is said every now and then, a little at a time. */
  readonly drip?: (order: AttackOrder, step: number) => Buffer | string | undefined;
  /** Reads this much each time instead of all. */
  readonly reads?: number;
  /** Hangs up as soon as it is connected, or its handshake is done. */
  readonly hangsUp?: boolean;
}

const preface = Buffer.concat([
  Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'),
  // Windows of nothing.
  frameBytes(frame.settings, 0, 0, settingsPayload([[4, 0]])),
]);
const streams = Array.from({ length: 50 }, (_, index) => index * 2 + 1);

const kinds = {
  'silence, plain': {},
  'silence, TLS': { tls: true },
  'a ClientHello that drips': {
    tls: true,
    drip: ({ hello }, step) => Buffer.from(hello, 'base64').subarray(step, step + 1),
  },
  'heads that drip (Slowloris)': {
    first: ({ host }) => `GET / HTTP/1.1\r\nHost: ${host}\r\n`,
    drip: () => 'X',
  },
  'bodies that drip': {
    first: ({ host }) => `POST / HTTP/1.1\r\nHost: ${host}\r\nContent-Length: 1000000\r\n\r\n`,
    drip: () => 'x',
  },
  'responses read a byte at a time': {
    first: ({ host }) => `GET /large HTTP/1.1\r\nHost: ${host}\r\n\r\n`,
    reads: 1,
  },
  'HTTP/2 streams that are not read': {
    first: ({ host }) =>
      Buffer.concat([
        preface,
        ...streams.map((stream) =>
          frameBytes(
            frame.headers,
            flag.endHeaders | flag.endStream,
            stream,
            fieldBlock(getFields([], '/large', host)),
          ),
        ),
      ]),
    drip: (_, step) => frameBytes(frame.windowUpdate, 0, streams[step % streams.length] ?? 1, uint32(1)),
  },
  'HTTP/2 bodies that drip': {
    first: ({ host }) =>
      Buffer.concat([
        preface,
        ...streams.map((stream) =>
          frameBytes(
            frame.headers,
            flag.endHeaders,
            stream,
            fieldBlock([...postFields().slice(0, 3), [':authority', host]]),
          ),
        ),
      ]),
    drip: (_, step) => frameBytes(frame.data, 0, streams[step % streams.length] ?? 1, Buffer.from('x')),
  },
  'connections opened and closed': { hangsUp: true },
  'handshakes and nothing more': { tls: true, hangsUp: true },
} as const satisfies Record<string, Kind>;

const dripEveryMs = 200;
/** As a client would that does not want to be noticed at once. */
const openEachTick = 100;
const tickMs = 10;

if (process.send !== undefined) process.once('message', (order: AttackOrder) => attack(order));

function attack(order: AttackOrder): void {
  const kind: Kind = kinds[order.kind];
  const open = new Map<Socket, number>();
  let ended = 0;
  let done = 0;
  setInterval(() => {
    for (let count = 0; count < openEachTick && open.size < order.count; count += 1) begin();
  }, tickMs);
  setInterval(() => {
    for (const [socket, step] of open) {
      open.set(socket, step + 1);
      const bytes = kind.drip?.(order, step);
      if (bytes !== undefined && bytes.length > 0 && !socket.connecting) socket.write(bytes);
      if (kind.reads !== undefined) socket.read(kind.reads);
    }
  }, dripEveryMs);
  setInterval(() => process.send?.({ open: open.size, ended, done } satisfies AttackReport), 50);
  process.on('disconnect', () => process.exit());

  function begin(): void {
    const port = kind.tls === true ? order.tlsPort : order.plainPort;
    const tcp = net.connect({
      port,
      host: '127.0.0.1',
      noDelay: true,
      ...(order.from !== undefined && { localAddress: order.from }),
    });
    const handshakes = kind.tls === true && kind.hangsUp === true;
    const socket = handshakes ? tls.connect({ socket: tcp, servername: order.host, rejectUnauthorized: false }) : tcp;
    open.set(socket, 0);
    for (const each of [tcp, socket]) each.on('error', () => undefined);
    socket.on(handshakes ? 'secureConnect' : 'connect', () => {
      if (kind.hangsUp === true) {
        open.delete(socket);
        done += 1;
        tcp.resetAndDestroy();
        return;
      }
      const first = kind.first?.(order);
      if (first !== undefined) socket.write(first);
    });
    if (kind.reads === undefined) socket.resume();
    socket.on('end', () => socket.destroy());
    socket.on('close', () => {
      if (open.delete(socket)) ended += 1;
    });
  }
}
