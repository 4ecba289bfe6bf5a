// The HTTP/1.1 data path between real sockets: a listener that hands its connections over, raw clients, raw upstreams.
import net, { type AddressInfo, type Socket } from 'node:net';
import type { Route, RouteMatch } from '../../src/catalog/contract.ts';
import type { AccessEntry } from '../../src/observe/contract.ts';
import { createHttpServer, type HttpServer } from '../../src/proxy/http-server.ts';
import type { ProxySettings } from '../../src/proxy/settings.ts';
import { createTrustedPeers } from '../../src/proxy/trusted-peers.ts';
import { noPolicies } from '../support/no-policies.ts';
import { until } from '../support/until.ts';

const settings: ProxySettings = {
  sslMinVersion: 'TLSv1.2',
  sslCiphers: 'any',
  trustedIps: [],
  realIpHeader: 'X-Real-IP',
  realIpRecursive: false,
  requestHeadMaxBytes: 32 * 1024,
  requestHeadersMax: 100,
  requestTargetMaxBytes: 8192,
  clientMaxBodyBytes: 0,
  clientHeadTimeoutMs: 60_000,
  clientBodyTimeoutMs: 60_000,
  clientIdleTimeoutMs: 60_000,
  clientSendTimeoutMs: 60_000,
  clientRateMin: 0,
  clientPendingMaxBytes: 1024 ** 3,
  requestsPerConnectionMax: 1000,
  http2StreamsMax: 128,
  http2ResetBurst: 1000,
  http2ResetRate: 33,
  upstreamKeepalivePoolSize: 16,
  upstreamIdleConnectionsMax: 1000,
  upstreamKeepaliveMaxRequests: 1000,
  upstreamKeepaliveIdleTimeoutMs: 60_000,
  upstreamConnectionsMax: 100,
  upstreamResponseHeadMaxBytes: 64 * 1024,
  upstreamTlsVerify: true,
  upstreamTrustedCertificates: undefined,
};

export interface Gateway extends AsyncDisposable {
  readonly port: number;
  readonly server: HttpServer;
  /** What the access log was given. */
  readonly entries: readonly AccessEntry[];
  /** What the counters were told: `kind` or `kind:detail`. */
  readonly counted: readonly string[];
  connect(): Promise<RawClient>;
}

export interface GatewayOptions {
  readonly settings?: Partial<ProxySettings>;
  readonly upstreamPort?: number;
  readonly route?: Partial<Route>;
  readonly upstream?: Partial<Route['upstream']>;
  /** Instead of the one route for everything. */
  readonly match?: (method: string, host: string, path: string, route: Route) => RouteMatch | undefined;
  /** As if the connection had come over TLS. */
  readonly tls?: boolean;
  readonly alpnProtocol?: 'http/1.1' | 'h2';
  /** Instead of the clock. */
  readonly now?: () => number;
}

export async function startGateway(options: GatewayOptions = {}): Promise<Gateway> {
  const { upstreamPort = 1, tls = false, alpnProtocol = 'http/1.1' } = options;
  const config = { ...settings, ...options.settings };
  const route: Route = {
    apiId: 'id',
    apiName: 'api',
    stripUri: false,
    preserveHost: false,
    httpsOnly: false,
    httpIfTerminated: false,
    retries: 0,
    connectTimeoutMs: 60_000,
    sendTimeoutMs: 60_000,
    readTimeoutMs: 60_000,
    clientCertificate: undefined,
    hsts: undefined,
    ...options.route,
    upstream: {
      tls: false,
      http2: false,
      host: '127.0.0.1',
      port: upstreamPort,
      path: '',
      authority: 'upstream.test',
      key: `http://127.0.0.1:${upstreamPort}`,
      ...options.upstream,
    },
  };
  const entries: AccessEntry[] = [];
  const counted: string[] = [];
  const nothing = (): void => {};
  const server = createHttpServer({
    config,
    routes: {
      matchRoute: (method, host, path) =>
        options.match === undefined ? { route, prefix: '' } : options.match(method, host, path, route),
    },
    policies: noPolicies,
    counters: {
      connectionOpened: nothing,
      connectionClosed: nothing,
      connectionRefused: nothing,
      limitReached: (limit) => counted.push(`limit:${limit}`),
      handshakeDone: nothing,
      handshakeFailed: nothing,
      clientAsked: nothing,
      clientRefused: nothing,
      contextHit: nothing,
      contextMade: nothing,
      contextEvicted: nothing,
      requestDone: (status) => counted.push(`request:${status}`),
      upstreamFailed: (kind) => counted.push(`failed:${kind}`),
      upstreamConnection: (reused) => counted.push(reused ? 'reused' : 'opened'),
    },
    accessLog: { write: (entry) => entries.push(copyOf(entry)) },
    reached: (limit) => counted.push(`limit:${limit}`),
    log: { debug: nothing, info: nothing, warn: nothing, error: nothing },
    sweepIntervalMs: 5,
    ...(options.now === undefined ? {} : { now: options.now }),
  });
  const isTrusted = createTrustedPeers(config.trustedIps);
  const listener = net.createServer({ pauseOnConnect: true }, (socket) => {
    const remoteAddress = socket.remoteAddress ?? '';
    server.serve({
      socket,
      tls,
      security: undefined,
      serverName: undefined,
      alpnProtocol,
      remoteAddress,
      remotePort: socket.remotePort ?? 0,
      localPort: 8000,
      trusted: isTrusted(remoteAddress),
    });
  });
  const port = await listen(listener);
  return {
    port,
    server,
    entries,
    counted,
    connect: () => connectRaw(port),
    async [Symbol.asyncDispose]() {
      listener.close();
      await server[Symbol.asyncDispose]();
    },
  };
}

/** A client, or one connection at an upstream, that says and hears bytes. */
export class RawClient implements Disposable {
  readonly socket: Socket;
  /** All that has been received and not been taken, latin1. */
  received = '';
  ended = false;
  closed = false;
  error: string | undefined;

  constructor(socket: Socket) {
    this.socket = socket;
    socket.setEncoding('latin1');
    socket.on('data', (text: string) => {
      this.received += text;
    });
    socket.on('end', () => {
      this.ended = true;
    });
    socket.on('error', (error: NodeJS.ErrnoException) => {
      this.error = error.code;
    });
    socket.on('close', () => {
      this.closed = true;
    });
  }

  send(text: string): void {
    this.socket.write(text, 'latin1');
  }

  /** Waits for `mark` and takes all up to its end. */
  async take(mark: string): Promise<string> {
    await until(`${JSON.stringify(mark)} in ${JSON.stringify(this.received.slice(0, 300))}`, () => {
      if (!this.received.includes(mark) && (this.ended || this.closed)) throw new Error(`ended with ${this.received}`);
      return this.received.includes(mark);
    });
    const end = this.received.indexOf(mark) + mark.length;
    const taken = this.received.slice(0, end);
    this.received = this.received.slice(end);
    return taken;
  }

  /** One response with Content-Length, or without a body. */
  async response(method = 'GET'): Promise<Response> {
    const head = await this.take('\r\n\r\n');
    const length = method === 'HEAD' ? 0 : Number(/^content-length: (\d+)\r$/im.exec(head)?.[1] ?? 0);
    await until(`a body of ${length} bytes`, () => this.received.length >= length);
    const body = this.received.slice(0, length);
    this.received = this.received.slice(length);
    return { status: Number(head.slice(9, 12)), head, body, field: (name) => fieldOf(head, name) };
  }

  /** All until the other side ends. */
  async rest(): Promise<string> {
    await until('the end of the connection', () => this.ended || this.closed);
    return this.received;
  }

  [Symbol.dispose](): void {
    this.socket.destroy();
  }
}

export interface Response {
  readonly status: number;
  readonly head: string;
  readonly body: string;
  readonly field: (name: string) => string | undefined;
}

export interface RawUpstream extends AsyncDisposable {
  readonly port: number;
  readonly connections: readonly RawClient[];
  /** The connection with this number, once it is there. */
  connection(index: number): Promise<RawClient>;
}

/** @param onConnection what it does by itself with each */
export async function startRawUpstream(onConnection?: (client: RawClient) => void): Promise<RawUpstream> {
  const connections: RawClient[] = [];
  const server = net.createServer({ allowHalfOpen: true }, (socket) => {
    const client = new RawClient(socket);
    connections.push(client);
    onConnection?.(client);
  });
  const port = await listen(server);
  return {
    port,
    connections,
    connection: (index) => until(`connection ${index} at the upstream`, () => connections[index]),
    async [Symbol.asyncDispose]() {
      for (const { socket } of connections) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** Answers every request head with the same bytes. */
export function answering(answer: string): (client: RawClient) => void {
  return (client) => {
    client.socket.on('data', () => {
      while (client.received.includes('\r\n\r\n')) {
        client.received = client.received.slice(client.received.indexOf('\r\n\r\n') + 4);
        client.send(answer);
      }
    });
  };
}

export async function connectRaw(port: number): Promise<RawClient> {
  const socket = net.connect({ port, host: '127.0.0.1', allowHalfOpen: true, noDelay: true });
  await new Promise<void>((resolve, reject) => {
    socket.once('connect', resolve);
    socket.once('error', reject);
  });
  return new RawClient(socket);
}

export function fieldOf(head: string, name: string): string | undefined {
  return new RegExp(`^${name}: (.*)\\r$`, 'im').exec(head)?.[1];
}

/** @returns the port */
export async function listen(server: net.Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return (server.address() as AddressInfo).port;
}

/** The log may not keep the entry, so this keeps what it said. */
function copyOf(entry: AccessEntry): AccessEntry {
  const { remoteAddress, method, target, httpVersion, host, status, responseBodyBytes, requestBodyBytes } = entry;
  const { totalMs, upstreamMs, tls, serverName, apiName, requestId, userAgent } = entry;
  const { errorCode, errorReason, clientCertificate } = entry;
  return {
    remoteAddress,
    method,
    target,
    httpVersion,
    host,
    status,
    responseBodyBytes,
    requestBodyBytes,
    totalMs,
    upstreamMs,
    tls,
    serverName,
    apiName,
    requestId,
    userAgent,
    errorCode,
    errorReason,
    clientCertificate,
  };
}
