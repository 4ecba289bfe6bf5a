// The Admin API's HTTP server: Fastify for sockets and routing, and nothing else of it. What a request means is in seed/,
// today/ and node/; how its body is read is in bodies/.
import { constants } from 'node:crypto';
import type { Duplex } from 'node:stream';
import { Server as TlsServer, type SecureContextOptions, type SecureVersion } from 'node:tls';
import fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify';
import { type BoundedConnections, boundConnections } from '../lib/bounded-connections.ts';
import { isPortunusError, PortunusError, type ErrorCode } from '../lib/errors.ts';
import { ownNames } from '../lib/own-names.ts';
import { createSparingLog } from '../observe/sparing-log.ts';
import { observeStaleness } from '../store/reading-fallback.ts';
import {
  authenticate,
  type AuthenticateDeps,
  authorize,
  type Caller,
  type CertificateDemands,
  type Credentials,
} from './authenticate.ts';
import { guardAgainstBrowsers } from './browser-guard.ts';
import { clientCertificateOf } from './client-certificate.ts';
import type { AdminDeps, Answer, Route } from './contract.ts';
import { answerForError, clientErrorAnswer } from './error-answers.ts';
import { createFailureLimit } from './failure-limit.ts';
import { createPathTable, type PathTable } from './path-table.ts';
import { readCall } from './read-call.ts';
import { adminRoutes } from './routes.ts';
import { waitMaxMs } from './wait.ts';
import { warningHeader } from './warning-header.ts';

/** Longer than a host name in any spelling. */
const paramMaxLength = 4096;
/** Of a listener. */
const connectionsMax = 1000;
const requestTimeoutMs = 120_000;
const keepAliveTimeoutMs = 60_000;
/** A client that neither sends nor reads for longer than any answer takes. */
const silenceTimeoutMs = waitMaxMs + 60_000;
const handshakeTimeoutMs = 10_000;
const timeouts = { headersTimeout: 30_000, connectionsCheckingInterval: 1000 };
const staleWarning = warningHeader('the store is not available: this is the copy that this node has of it');

export interface AdminListenAddress {
  readonly host: string;
  readonly port: number;
  /** Whether callers have to say who they are. */
  readonly demandsToken: boolean;
  /** Undefined: plain HTTP. */
  readonly tls: AdminTls | undefined;
}

export interface AdminTls {
  /** PEM, of different key types. */
  readonly certificates: readonly { readonly chain: string; readonly key: string }[];
  readonly minVersion: SecureVersion;
  readonly maxVersion: SecureVersion;
  readonly ciphers: string;
  /** For the exchange of keys, in OpenSSL's spelling. */
  readonly groups: string;
  /** Undefined: callers are not asked for certificates. Whether they are is fixed with the first of a listener. */
  readonly clients: AdminClients | undefined;
}

export interface AdminClients extends CertificateDemands {
  /** PEM: a certificate that does not lead to one of these lets nobody in. */
  readonly roots: string;
  /** PEM of a CRL each. With none, nobody asks; with any, there has to be one of every authority. */
  readonly revocations: readonly string[];
}

export interface AdminServer extends AsyncDisposable {
  /** @returns the port, chosen by the system when it is 0. May be called for several addresses, one after the other. */
  listen(address: AdminListenAddress): Promise<number>;
  /** On every listener with TLS. Connections whose callers were verified in another way are ended. */
  renewTls(tls: AdminTls): void;
  /**
   * Stops listening, lets requests in flight finish, ends idle connections. Also before anything listens. Disposing does not
   * wait: it cuts what is in flight.
   */
  close(): Promise<void>;
}

export async function createAdminServer(deps: AdminDeps): Promise<AdminServer> {
  const routes = adminRoutes(deps);
  // Keys are for those who may do everything.
  const withoutKeys = adminRoutes({ ...deps, config: { ...deps.config, adminPrivateKeys: 'sealed' } });
  const surface: Surface = {
    routes: routes.map((route, at) => ({ ...route, handleWithoutKeys: withoutKeys[at]?.handle ?? route.handle })),
    callers: {
      tokens: deps.tokens,
      failures: createFailureLimit(deps.config.adminAuthFailuresMax, () => performance.now()),
      now: () => deps.now(),
    },
    tellOfRefusal: createSparingLog<Refused>(
      (fields) => deps.log.warn(fields, 'a request of the Admin API was turned away'),
      () => performance.now(),
    ),
    tellOfRoom: createSparingLog(
      (fields) => deps.log.warn(fields, 'the Admin API has no room for more connections: idle ones are ended'),
      () => performance.now(),
    ),
  };
  const listening: Listening[] = [];
  let closing: Promise<void> | undefined;
  const close = (): Promise<void> =>
    (closing ??= Promise.all(listening.map((each) => each.close())).then(() => undefined));
  return {
    async listen(address) {
      // One instance for each address: it owns one socket.
      const created = createApp(deps, surface, address);
      const { app } = created;
      await app.listen({ host: address.host, port: address.port });
      listening.push(created);
      const bound = app.server.address();
      return typeof bound === 'object' && bound !== null ? bound.port : address.port;
    },
    renewTls(tls) {
      for (const each of listening) each.renewTls(tls);
    },
    close,
    [Symbol.asyncDispose]() {
      const closed = close();
      for (const { app } of listening) app.server.closeAllConnections();
      return closed;
    },
  };
}

interface Listening {
  readonly app: FastifyInstance;
  renewTls(tls: AdminTls): void;
  /** Resolves when what was under way is answered. */
  close(): Promise<void>;
}

interface Surface {
  readonly routes: readonly (Route & { readonly handleWithoutKeys: Route['handle'] })[];
  readonly callers: AuthenticateDeps;
  readonly tellOfRefusal: (kind: ErrorCode, refused: Refused) => void;
  readonly tellOfRoom: (kind: 'full', fields: { readonly connectionsMax: number }) => void;
}

/** Nothing in it is the client's own words. */
interface Refused {
  readonly code: ErrorCode;
  readonly address: string;
  readonly method: string;
}

function createApp(
  deps: AdminDeps,
  { routes, callers, tellOfRefusal, tellOfRoom }: Surface,
  { host, demandsToken, tls }: AdminListenAddress,
): Listening {
  const { config, log, version } = deps;
  const server = `portunus/${version}`;
  const paths = createPathTable(routes);
  const names = ownNames(host, config.adminHosts);
  let clients = tls?.clients;

  const app: FastifyInstance = fastify({
    logger: false,
    bodyLimit: config.adminBodyMaxBytes,
    requestTimeout: requestTimeoutMs,
    connectionTimeout: silenceTimeoutMs,
    keepAliveTimeout: keepAliveTimeoutMs,
    ...(tls === undefined
      ? { http: timeouts }
      : {
          https: {
            ...contextOptions(tls),
            // What is wrong with a certificate is told as any other refusal is, before anything else is looked at.
            ...(clients !== undefined && { requestCert: true, rejectUnauthorized: false }),
            handshakeTimeout: handshakeTimeoutMs,
            ...timeouts,
          },
        }),
    forceCloseConnections: 'idle',
    return503OnClosing: false,
    exposeHeadRoutes: true,
    routerOptions: { ignoreTrailingSlash: true, ignoreDuplicateSlashes: true, maxParamLength: paramMaxLength },
    frameworkErrors: (error, _request, reply) =>
      void send(reply.header('server', server), answerForError(error, 'own')),
    clientErrorHandler: ({ code }, socket) => {
      // Nonsense behind a request takes nothing from its answer: what was written is not told as refused.
      if (!connections.endAfterAnswers(socket)) refuseUnparsed(socket, code, server);
    },
  });

  const connections = boundConnections(app.server, connectionsMax, () => tellOfRoom('full', { connectionsMax }));
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => done(null, body));

  const known = new WeakMap<FastifyRequest, Caller>();
  // Before the body is read.
  app.addHook('onRequest', async (request, reply) => {
    reply.headers({ ...confining, server });
    refuseAmbiguous(request);
    const { host: asked, origin, 'sec-fetch-site': secFetchSite } = request.headers;
    guardAgainstBrowsers(
      { method: request.method, host: asked, origin, secFetchSite: secFetchSite?.toString() },
      names,
    );
    const demands = { identity: demandsToken, certificates: clients };
    const caller = await authenticate(callers, credentialsOf(request, callers.now, connections), demands);
    known.set(request, caller);
    const { route } = request.routeOptions.config as RouteConfig;
    if (route !== undefined) authorize(caller, route);
    return request.is404 ? answerUnrouted(paths, request, reply) : undefined;
  });

  for (const route of routes) {
    app.route({
      method: route.method,
      url: route.path,
      config: { route } satisfies RouteConfig,
      handler: async (request, reply) => {
        const caller = known.get(request);
        if (caller === undefined) throw new TypeError('nobody has looked who calls');
        const handle = caller.role === 'admin' ? route.handle : route.handleWithoutKeys;
        const { value: answer, stale } = await observeStaleness(() => handle(readCall(request, caller.actor)));
        if (stale) reply.header('portunus-stale', 'yes').header('warning', staleWarning);
        return send(reply, answer);
      },
    });
  }
  app.setNotFoundHandler((request, reply) => answerUnrouted(paths, request, reply));
  app.setErrorHandler((error, request, reply) => {
    const { route } = request.routeOptions.config as RouteConfig;
    const answer = answerForError(error, route?.dialect ?? 'own');
    if (isPortunusError(error) && error.code.startsWith('ADMIN_')) {
      const { code } = error;
      deps.countRefusal(code);
      tellOfRefusal(code, { code, address: addressOf(request), method: request.method });
    }
    if (answer.status >= 500)
      log.error({ err: error, method: request.method, route: request.routeOptions.url }, 'an Admin API request failed');
    // The rest of a body that is too large is read and dropped, so that the client gets to see the answer.
    if (answer.status === 413) reply.removeHeader('connection');
    return send(reply, answer);
  });
  app.addHook('onSend', async (request, reply) => {
    if (connections.isRetired(request.socket)) reply.header('connection', 'close');
  });
  return {
    app,
    renewTls(renewed) {
      if (!(app.server instanceof TlsServer)) return;
      app.server.setSecureContext(contextOptions(renewed));
      // A listener asks for certificates as long as it listens, or never. With no authorities left, none is right.
      const next = clients && (renewed.clients ?? { ...clients, roots: '', role: 'none' });
      if (JSON.stringify(next) === JSON.stringify(clients)) return;
      clients = next;
      connections.retire();
    },
    close() {
      // Node waits for clients that have not said anything yet.
      connections.endIdle();
      return app.close();
    },
  };
}

/** A session is never resumed: each connection proves its certificate anew, against the authorities there are. */
const secureOptions = constants.SSL_OP_NO_TICKET | constants.SSL_OP_NO_RENEGOTIATION;

function contextOptions({
  certificates,
  clients,
  minVersion,
  maxVersion,
  ciphers,
  groups,
}: AdminTls): SecureContextOptions {
  return {
    // None: not the system's, which Node takes where nothing is said.
    ca: clients === undefined || clients.roots === '' ? [] : [clients.roots],
    ...(clients !== undefined && clients.revocations.length > 0 && { crl: [...clients.revocations] }),
    secureOptions,
    cert: certificates.map(({ chain }) => chain),
    key: certificates.map(({ key }) => key),
    minVersion,
    maxVersion,
    ciphers,
    ecdhCurve: groups,
    honorCipherOrder: true,
  };
}

/** What browsers and caches must not do with answers. */
const confining = { 'cache-control': 'no-store', 'x-content-type-options': 'nosniff' };

/** What Node reads in one way and a proxy in front may read in another (RFC 9112 section 3.2). @throws REQUEST_TARGET_INVALID */
function refuseAmbiguous({ raw: { url = '', rawHeaders } }: FastifyRequest): void {
  const hosts = rawHeaders.filter((name, at) => at % 2 === 0 && name.toLowerCase() === 'host');
  if (hosts.length > 1) throw new PortunusError('REQUEST_TARGET_INVALID', 'There is more than one Host');
  if (!url.startsWith('/') && url !== '*')
    throw new PortunusError('REQUEST_TARGET_INVALID', 'The target must be a path');
  // Nothing is called so, and PostgreSQL takes none in a text.
  if (url.includes('%00')) throw new PortunusError('REQUEST_TARGET_INVALID', 'The target has a NUL in it');
}

interface RouteConfig {
  readonly route?: Route;
}

function credentialsOf(request: FastifyRequest, now: () => number, connections: BoundedConnections): Credentials {
  const { headers, socket } = request;
  return {
    // On a connection that is retired it was verified against authorities that were replaced since.
    certificate: connections.isRetired(socket)
      ? { kind: 'refused', reason: 'RENEWED' }
      : clientCertificateOf(socket, now),
    authorization: headers.authorization,
    kongAdminToken: headers['kong-admin-token']?.toString(),
    address: addressOf(request),
  };
}

function addressOf({ socket }: FastifyRequest): string {
  return socket.remoteAddress ?? 'unknown';
}

function answerUnrouted(paths: PathTable, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const methods = paths.methodsOf(request.url);
  if (methods === undefined) return send(reply, { status: 404, body: { message: 'Not found' } });
  const allow = methods.join(', ');
  return request.method === 'OPTIONS'
    ? send(reply, { status: 204, headers: { allow, 'access-control-allow-methods': allow } })
    : send(reply, { status: 405, body: { message: 'Method not allowed' }, headers: { allow } });
}

function refuseUnparsed(socket: Duplex, code: string | undefined, server: string): void {
  if (socket.destroyed || code === 'ECONNRESET') return;
  const [status, message] = clientErrorAnswer(code);
  const body = `${JSON.stringify({ message })}\n`;
  socket.end(
    `HTTP/1.1 ${status}\r\nServer: ${server}\r\nContent-Type: application/json; charset=utf-8\r\n` +
      `Content-Length: ${body.length}\r\nConnection: close\r\n\r\n${body}`,
  );
}

function send(reply: FastifyReply, { status, body, headers = {} }: Answer): FastifyReply {
  reply.code(status);
  for (const [name, value] of Object.entries(headers)) reply.header(name, value);
  if (body === undefined) return reply.send();
  return reply.type('application/json; charset=utf-8').send(`${JSON.stringify(body)}\n`);
}
