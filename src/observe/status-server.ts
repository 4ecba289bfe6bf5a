// The status listener: /metrics, /status, /status/ready. It only reads, knows nothing of what it tells, and is not the
// data path.
import { createServer } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { boundConnections } from '../lib/bounded-connections.ts';
import { isOwnName, type OwnNames, ownNames } from '../lib/own-names.ts';
import type { Log } from './contract.ts';
import { metricsContentType } from './metrics.ts';
import { createSparingLog } from './sparing-log.ts';

export interface StatusServerOptions {
  /** Text of the Prometheus exposition format. */
  readonly metrics: () => Promise<string>;
  /** Becomes JSON. Never key material. */
  readonly status: () => Promise<object>;
  /** Whether this node serves clients, and in `details` what to show about it. */
  readonly ready: () => Promise<Readiness>;
  /** Names with dots that it answers to, lower case. */
  readonly hosts: readonly string[];
  readonly log: Log;
}

export interface Readiness {
  readonly ready: boolean;
  readonly details?: object;
}

export interface StatusServer extends AsyncDisposable {
  /** May be called for several addresses. @returns the port. @throws the system's error */
  listen(address: { readonly host: string; readonly port: number; readonly backlog?: number }): Promise<number>;
}

interface Answer {
  readonly status: number;
  readonly contentType: string;
  readonly body: string;
}

/** To send a request, to be idle, to read nothing of an answer. */
const timeoutMs = 10_000;
const connectionsMax = 256;
const jsonType = 'application/json; charset=utf-8';

export function createStatusServer(options: StatusServerOptions): StatusServer {
  const paths: Readonly<Record<string, () => Promise<Answer>>> = {
    '/metrics': async () => ({ status: 200, contentType: metricsContentType, body: await options.metrics() }),
    '/status': async () => json(200, await options.status()),
    '/status/ready': async () => {
      const { ready, details } = await options.ready();
      return json(ready ? 200 : 503, { message: ready ? 'ready' : 'not ready', ...details });
    },
  };
  const servers: ReturnType<typeof createServer>[] = [];
  const tellOfRoom = createSparingLog(
    (fields) => options.log.warn(fields, 'the status listener has no room for more connections: idle ones are ended'),
    () => performance.now(),
  );

  return {
    async listen({ host, port, backlog }) {
      const names = ownNames(host, options.hosts);
      const server = createServer(
        {
          requestTimeout: timeoutMs,
          headersTimeout: timeoutMs,
          keepAliveTimeout: timeoutMs,
          connectionsCheckingInterval: 1000,
        },
        (request, response) => void serve(request, response, names),
      );
      server.setTimeout(timeoutMs);
      boundConnections(server, connectionsMax, () => tellOfRoom('full', { connectionsMax }));
      await new Promise<void>((resolve, reject) => {
        server.once('error', reject);
        server.listen({ host, port, ...(backlog === undefined ? {} : { backlog }) }, resolve);
      });
      server.on('error', (error) => options.log.warn({ reason: error.message }, 'the status listener failed'));
      servers.push(server);
      return (server.address() as AddressInfo).port;
    },
    async [Symbol.asyncDispose]() {
      await Promise.all(
        servers.splice(0).map(async (server) => {
          const closed = new Promise((resolve) => server.close(resolve));
          server.closeAllConnections();
          await closed;
        }),
      );
    },
  };

  async function serve(request: IncomingMessage, response: ServerResponse, names: OwnNames): Promise<void> {
    const { status, contentType, body } = await answer(request, names);
    response.writeHead(status, {
      'content-type': contentType,
      'content-length': Buffer.byteLength(body),
      'cache-control': 'no-store',
      'x-content-type-options': 'nosniff',
      ...(status === 405 ? { allow: 'GET, HEAD' } : {}),
    });
    response.end(request.method === 'HEAD' ? undefined : body);
  }

  async function answer(request: IncomingMessage, names: OwnNames): Promise<Answer> {
    if (!isOwnName(request.headers.host, names)) return json(403, { message: 'Not under this Host: see admin_hosts' });
    const path = withoutEnd(request.url ?? '');
    const read = Object.hasOwn(paths, path) ? paths[path] : undefined;
    if (read === undefined) return json(404, { message: 'Not found', paths: Object.keys(paths) });
    if (request.method !== 'GET' && request.method !== 'HEAD') return json(405, { message: 'Method not allowed' });
    try {
      return await read();
    } catch (error) {
      options.log.error({ path, error }, 'the status could not be read');
      return json(500, { message: 'An unexpected error occurred' });
    }
  }
}

function json(status: number, content: object): Answer {
  return { status, contentType: jsonType, body: `${JSON.stringify(content)}\n` };
}

/** Without a query, and slashes at the end. By hand: a regular expression takes time that grows with the square of the slashes. */
function withoutEnd(target: string): string {
  const [path = ''] = target.split('?', 1);
  let end = path.length;
  while (end > 1 && path[end - 1] === '/') end -= 1;
  return path.slice(0, end);
}
