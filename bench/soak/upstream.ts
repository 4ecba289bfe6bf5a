// The upstream of the soak: what the first segment of the path asks for, and failures among it.
import http from 'node:http';
import net, { type AddressInfo } from 'node:net';

export const largeBytes = 2 * 1024 * 1024;
const large = Buffer.alloc(largeBytes, 'abcdefghijklmnopqrstuvwxyz');

export interface SoakUpstream extends AsyncDisposable {
  readonly url: string;
  /** An address that nobody listens on. */
  readonly refusingUrl: string;
}

export async function startSoakUpstream(): Promise<SoakUpstream> {
  // Longer than the gateway keeps idle connections, so that it is never this end that closes one under a request.
  const server = http.createServer({ keepAliveTimeout: 600_000 }, (request, response) => {
    const kind = request.url?.split('/')[1] ?? '';
    request.on('error', () => undefined);
    answers[kind]?.(request, response);
    if (answers[kind] === undefined) response.writeHead(404).end();
  });
  server.requestTimeout = 0;
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const refusing = net.createServer();
  await new Promise<void>((resolve) => refusing.listen(0, '127.0.0.1', resolve));
  const refusingPort = (refusing.address() as AddressInfo).port;
  await new Promise((resolve) => refusing.close(resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    refusingUrl: `http://127.0.0.1:${refusingPort}`,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

const answers: Readonly<Record<string, http.RequestListener>> = {
  small: (request, response) => void request.resume().on('end', () => response.end('small')),
  large: (request, response) => {
    request.resume();
    response.writeHead(200, { 'content-length': largeBytes }).end(large);
  },
  /** Without a length, a piece at a time. */
  pieces: (request, response) => {
    request.resume();
    let left = 20;
    const timer = setInterval(() => {
      response.write('piece');
      if ((left -= 1) === 0) response.end();
    }, 10);
    response.on('close', () => clearInterval(timer));
  },
  /** How many bytes came. */
  count: (request, response) => {
    let bytes = 0;
    request.on('data', (chunk: Buffer) => (bytes += chunk.length)).on('end', () => response.end(String(bytes)));
  },
  reset: (request) => request.socket.resetAndDestroy(),
  cut: (request, response) => {
    response.writeHead(200, { 'content-length': 1000 }).write('only so much');
    setTimeout(() => request.socket.destroy(), 20);
  },
  hang: (request) => void request.resume(),
  garbage: (request) => void request.socket.end('this is no HTTP\r\n\r\n'),
};
