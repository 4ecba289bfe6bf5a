// One connection to PostgreSQL, from its first byte to its end. It is never opened again: whoever needs another one makes
// another one, so no statement can slip into a session it was not meant for. The protocol is the library's.
import net from 'node:net';
import postgres from 'postgres';
import type { PgAddress, PgRow, PgValue } from './client.ts';
import { lostConnection, translated } from './errors.ts';

export interface Link {
  readonly alive: boolean;
  /** Statements are sent as they come, without waiting for the answers before them. @throws STORE_UNAVAILABLE */
  query(sql: string, values: readonly PgValue[]): Promise<LinkResult>;
  /** Ends it at once; whatever waits fails. */
  destroy(): void;
}

export interface LinkResult {
  readonly rows: readonly PgRow[];
  /** The command that PostgreSQL says it carried out: `COMMIT`, or `ROLLBACK` in its place. */
  readonly command: string;
}

export interface LinkOptions {
  readonly ended: () => void;
  /** It did not answer in time, and will be destroyed. */
  readonly silent?: () => void;
  readonly notified?: (channel: string, payload: string) => void;
}

/** The server gives a statement up before this side does. */
const graceMs = 500;

/** @throws STORE_UNAVAILABLE when it is not there, does not answer in time, or refuses the login */
export async function openLink(config: PgAddress, options: LinkOptions): Promise<Link> {
  const socket = await connectInTime(config);
  let alive = true;
  let opened = false;
  let given = false;
  const unanswered = new Set<() => void>();
  socket.once('close', end);
  // The library would connect again by itself: there is one socket, and no other. Its types do not know of this option.
  const theSocket = {
    socket: () => {
      if (given) throw new Error('the connection has ended');
      given = true;
      return socket;
    },
  };
  const sql = postgres({
    host: config.host,
    port: config.port,
    user: config.user,
    password: config.password,
    database: config.database,
    max: 1,
    idle_timeout: 0,
    max_lifetime: null,
    connect_timeout: 0,
    fetch_types: false,
    ssl:
      config.tls === undefined
        ? false
        : {
            rejectUnauthorized: config.tls.verify,
            ...(config.tls.trustedCertificates !== undefined && { ca: config.tls.trustedCertificates }),
            // The name or address that its certificate must have.
            host: config.host,
            ...(net.isIP(config.host) === 0 && { servername: config.host }),
          },
    ...theSocket,
    connection: {
      application_name: `portunus ${config.schema}`,
      search_path: `"${config.schema.replaceAll('"', '""')}"`,
      statement_timeout: config.timeoutMs,
      // A node that stands still in the middle of a write holds up all others: its session ends.
      idle_in_transaction_session_timeout: Math.ceil(config.timeoutMs * 0.6),
      // Longer: whoever waits for that write gets through.
      lock_timeout: Math.ceil(config.timeoutMs * 0.9),
    },
    types: { int8: { to: 20, from: [20], serialize: String, parse: Number } },
    onnotice: () => undefined,
    onclose: end,
    ...(options.notified !== undefined && { onnotify: options.notified }),
  });
  const link: Link = {
    get alive() {
      return alive;
    },
    async query(text, values) {
      if (!alive) throw lostConnection();
      return inTime(
        async () => {
          const cut = Promise.withResolvers<never>();
          const fail = (): void => cut.reject(lostConnection());
          unanswered.add(fail);
          const answer = sql.unsafe(text, values.map(toParameter), { prepare: values.length > 0 });
          const result = await Promise.race([answer, cut.promise]).finally(() => unanswered.delete(fail));
          return { rows: Array.from(result as unknown as readonly PgRow[]), command: result.command };
        },
        config.timeoutMs + graceMs,
        () => {
          socket.destroy();
          if (opened) options.silent?.();
        },
      );
    },
    destroy() {
      socket.destroy();
      end();
    },
  };
  try {
    await link.query('SELECT 1', []);
    opened = true;
    return link;
  } catch (error) {
    link.destroy();
    throw error;
  }

  function end(): void {
    if (!alive) return;
    alive = false;
    socket.destroy();
    if (opened) options.ended();
    // The library forgets a statement that it was about to send. What the server said last has been told by then.
    setImmediate(() => {
      for (const fail of unanswered) fail();
    });
  }
}

async function connectInTime({ host, port, timeoutMs }: PgAddress): Promise<net.Socket> {
  const socket = net.connect({ host, port, noDelay: true, keepAlive: true });
  // The library asks the socket which name its certificate must have.
  Object.assign(socket, { host });
  return inTime(
    () =>
      new Promise<net.Socket>((resolve, reject) => {
        socket.once('error', reject);
        socket.once('connect', () => {
          socket.off('error', reject);
          // What goes wrong from here on is told by `close`.
          socket.on('error', () => undefined);
          resolve(socket);
        });
      }),
    timeoutMs,
    () => socket.destroy(),
  );
}

async function inTime<T>(work: () => Promise<T>, timeoutMs: number, late: () => void): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const deadline = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => {
      late();
      reject(lostConnection(`it did not answer within ${timeoutMs} ms`));
    }, timeoutMs);
  });
  try {
    return await Promise.race([translated(work), deadline]);
  } finally {
    clearTimeout(timer);
  }
}

/** Arrays as PostgreSQL writes them: the library would have to ask the server for their types first. */
function toParameter(value: PgValue): string | number | boolean | null {
  if (!Array.isArray(value)) return value as string | number | boolean | null;
  const items = (value as readonly (string | number | null)[]).map((item) => {
    if (item === null) return 'NULL';
    return typeof item === 'number' ? String(item) : `"${item.replaceAll(/["\\]/g, String.raw`\$&`)}"`;
  });
  return `{${items.join(',')}}`;
}
