// Clients that ask without end, each its next request as soon as the last is answered, and tell what became of each.
import net, { type Socket } from 'node:net';
import tls from 'node:tls';

export interface Load {
  readonly answered: number;
  /** Connections that were cut before their first answer: what happened to them. */
  readonly cutNew: readonly string[];
  /** Later requests of kept connections that got no whole answer, and answers other than 200. */
  readonly lost: readonly string[];
  /** Connections that nobody took: the gateway has stopped. */
  readonly refused: number;
  stop(): Promise<void>;
}

export interface LoadOptions {
  readonly port: number;
  readonly host: string;
  readonly tls?: boolean;
  /** One request after another on each connection, as long as it is kept open. */
  readonly kept?: boolean;
  readonly clients?: number;
}

/** Answers are expected with 200 and a Content-Length. */
export function startLoad({ port, host, tls: secure = false, kept = false, clients = 4 }: LoadOptions): Load {
  const request = `GET / HTTP/1.1\r\nHost: ${host}\r\n${kept ? '' : 'Connection: close\r\n'}\r\n`;
  const cutNew: string[] = [];
  const lost: string[] = [];
  let answered = 0;
  let refused = 0;
  let running = true;

  const all = Array.from({ length: clients }, async () => {
    while (running && refused < 100) await connection();
  });
  return {
    get answered() {
      return answered;
    },
    cutNew,
    lost,
    get refused() {
      return refused;
    },
    async stop() {
      running = false;
      await Promise.all(all);
    },
  };

  function connect(): Socket {
    if (!secure) return net.connect(port, '127.0.0.1');
    return tls.connect({ port, host: '127.0.0.1', servername: host, rejectUnauthorized: false });
  }

  function connection(): Promise<void> {
    return new Promise((resolve) => {
      const socket = connect();
      let text = '';
      let waiting = true;
      let first = true;
      let error = 'closed';
      const ask = (): void => {
        waiting = running;
        text = '';
        if (running) socket.write(request);
        else socket.destroy();
      };
      socket.once(secure ? 'secureConnect' : 'connect', ask);
      socket.setEncoding('latin1');
      socket.on('data', (chunk: string) => {
        text += chunk;
        const body = text.indexOf('\r\n\r\n') + 4;
        const length = /^content-length: (\d+)\r$/im.exec(text)?.[1];
        if (body === 3 || !waiting || text.length < body + Number(length ?? 0)) return;
        waiting = false;
        first = false;
        if (text.startsWith('HTTP/1.1 200 ')) answered += 1;
        else lost.push(text.slice(0, body));
        if (/^connection: close\r$/im.test(text)) socket.destroy();
        else ask();
      });
      socket.on('error', (cause: NodeJS.ErrnoException) => {
        error = cause.code ?? cause.message;
      });
      socket.on('close', () => {
        if (error === 'ECONNREFUSED') refused += 1;
        // Between two requests either side may close.
        else if (waiting || error !== 'closed') (first ? cutNew : lost).push(error);
        resolve();
      });
    });
  }
}
