// A TCP proxy in front of PostgreSQL that delays, cuts, swallows, and drops notifications. It speaks no TLS.
import net, { type AddressInfo } from 'node:net';

export interface PostgresProxy extends AsyncDisposable {
  readonly port: number;
  /** Connections that are open. */
  readonly connections: number;
  /** Notifications that were left out. */
  readonly notificationsDropped: number;
  /** What is sent from now on, in either direction, arrives so much later. */
  delay(ms: number): void;
  /** Ends every connection, at whatever byte they are. */
  cut(): void;
  /** Refuses new connections (and ends those that are there), or takes them again. */
  refuse(refusing: boolean): void;
  /** Nothing arrives any more in either direction, and nobody is told; until it is called with false. */
  swallow(swallowing: boolean): void;
  dropNotifications(dropping: boolean): void;
}

export async function startPostgresProxy(target: { readonly port: number }): Promise<PostgresProxy> {
  const pairs = new Set<() => void>();
  let delayMs = 0;
  let swallowing = false;
  let refusing = false;
  let dropping = false;
  let dropped = 0;

  const server = net.createServer((client) => {
    if (refusing) {
      client.destroy();
      return;
    }
    const upstream = net.connect(target.port, '127.0.0.1');
    const filter = createNotificationFilter(() => {
      if (dropping) dropped += 1;
      return dropping;
    });
    const end = (): void => {
      client.destroy();
      upstream.destroy();
      pairs.delete(end);
    };
    pairs.add(end);
    pass(client, upstream, (chunk) => chunk);
    pass(upstream, client, filter);
    for (const socket of [client, upstream]) socket.on('error', end).on('close', end);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));

  return {
    port: (server.address() as AddressInfo).port,
    get connections() {
      return pairs.size;
    },
    get notificationsDropped() {
      return dropped;
    },
    delay(ms) {
      delayMs = ms;
    },
    cut,
    refuse(value) {
      refusing = value;
      if (value) cut();
    },
    swallow(value) {
      swallowing = value;
    },
    dropNotifications(value) {
      dropping = value;
    },
    async [Symbol.asyncDispose]() {
      cut();
      await new Promise((resolve) => server.close(resolve));
    },
  };

  function cut(): void {
    for (const end of pairs) end();
  }

  function pass(from: net.Socket, to: net.Socket, filter: (chunk: Buffer) => Buffer): void {
    from.on('data', (chunk) => {
      if (swallowing) return;
      const passed = filter(chunk);
      if (passed.length === 0) return;
      if (delayMs === 0) to.write(passed);
      else setTimeout(() => to.write(passed), delayMs);
    });
  }
}

/** Leaves NotificationResponse messages (`A`) out of what the server sends: a type, a length, a body each. */
function createNotificationFilter(isDropped: () => boolean): (chunk: Buffer) => Buffer {
  let rest = Buffer.alloc(0);
  return (chunk) => {
    const bytes = Buffer.concat([rest, chunk]);
    const kept: Buffer[] = [];
    let at = 0;
    while (bytes.length - at >= 5) {
      const end = at + 1 + bytes.readUInt32BE(at + 1);
      if (end > bytes.length) break;
      if (bytes[at] !== 0x41 || !isDropped()) kept.push(bytes.subarray(at, end));
      at = end;
    }
    rest = bytes.subarray(at);
    return Buffer.concat(kept);
  };
}
