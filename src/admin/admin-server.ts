// The Admin API's HTTP server: Fastify for sockets and routing, and nothing else of it. What a request means is in seed/,
// today/ and node/; how its body is read is in bodies/.
import { hostname } from 'node:os';
import fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify';
import { isPortunusError, PortunusError } from '../lib/errors.ts';
import { parseRequestBody } from './bodies/request-body.ts';
import { emptyBody } from './bodies/fields.ts';
import { guardAgainstBrowsers } from './browser-guard.ts';
import type { AdminDeps, Answer, Call, Dialect, Route } from './contract.ts';
import { unexpectedError } from './http-errors.ts';
import { adminRoutes } from './routes.ts';
import { createPathTable } from './path-table.ts';
import { inputInvalid, invalid } from './problems.ts';
import { seedError } from './seed/errors.ts';
import { todayError } from './today/errors.ts';

/** Longer than a host name in any spelling. */
const paramMaxLength = 2048;
const requestTimeoutMs = 120_000;
const headersTimeoutMs = 30_000;

export interface AdminServer extends AsyncDisposable {
  /** @returns the port, chosen by the system when it is 0. May be called for several addresses, one after the other. */
  listen(address: { readonly host: string; readonly port: number }): Promise<number>;
  /** Stops listening, lets requests in flight finish, ends idle connections. */
  close(): Promise<void>;
}

export async function createAdminServer(deps: AdminDeps): Promise<AdminServer> {
  const apps: FastifyInstance[] = [];
  const routes = adminRoutes(deps);
  let closing: Promise<void> | undefined;
  const close = (): Promise<void> => (closing ??= Promise.all(apps.map((app) => app.close())).then(() => undefined));
  return {
    async listen({ host, port }) {
      const app = createApp(deps, routes);
      await app.listen({ host, port });
      apps.push(app);
      const address = app.server.address();
      return typeof address === 'object' && address !== null ? address.port : port;
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}

/** One Fastify instance for each address: each owns one socket. */
function createApp(deps: AdminDeps, routes: readonly Route[]): FastifyInstance {
  const { config, log, version } = deps;
  const app = fastify({
    logger: false,
    bodyLimit: config.adminBodyMaxBytes,
    requestTimeout: requestTimeoutMs,
    http: { headersTimeout: headersTimeoutMs },
    forceCloseConnections: 'idle',
    return503OnClosing: false,
    routerOptions: {
      ignoreTrailingSlash: true,
      ignoreDuplicateSlashes: true,
      maxParamLength: paramMaxLength,
      onBadUrl,
    },
    exposeHeadRoutes: true,
  });
  const paths = createPathTable(routes);
  const names = new Set(
    [hostname(), ...(config.adminHosts ?? []), ...config.adminListen.map(({ host }) => host)].map((name) =>
      name.toLowerCase(),
    ),
  );

  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => done(null, body));
  app.setReplySerializer((payload) => `${JSON.stringify(payload)}\n`);

  app.addHook('onRequest', (request, reply, done) => {
    reply.header('server', `portunus/${version}`);
    try {
      guardAgainstBrowsers(
        {
          method: request.method,
          host: request.headers.host,
          origin: request.headers.origin,
          secFetchSite: request.headers['sec-fetch-site'] as string | undefined,
        },
        names,
      );
    } catch (error) {
      done(error as Error);
      return;
    }
    // Before the body is read: nobody needs it.
    if (request.is404) answerUnrouted(request, reply);
    else done();
  });

  for (const route of routes) {
    app.route({
      method: route.method,
      url: route.path,
      config: { dialect: route.dialect },
      handler: async (request, reply) => send(reply, await route.handle(callOf(request))),
    });
  }
  app.setNotFoundHandler((request, reply) => answerUnrouted(request, reply));
  app.setErrorHandler((error, request, reply) => {
    // The rest of a body that is too large is read and dropped, so that the client gets to see the answer.
    reply.removeHeader('connection');
    return send(reply, answerFor(error, (request.routeOptions.config as { dialect?: Dialect }).dialect ?? 'own'));
  });
  return app;

  function answerUnrouted(request: FastifyRequest, reply: FastifyReply): FastifyReply {
    const methods = paths.methodsOf(request.url);
    if (methods === undefined) return send(reply, { status: 404, body: { message: 'Not found' } });
    const allow = methods.join(', ');
    return request.method === 'OPTIONS'
      ? send(reply, { status: 204, headers: { allow, 'access-control-allow-methods': allow } })
      : send(reply, { status: 405, body: { message: 'Method not allowed' }, headers: { allow } });
  }

  function answerFor(error: unknown, dialect: Dialect): Answer {
    const known = isPortunusError(error) ? error : fromFastify(error);
    const answer = known === undefined ? unexpectedError : dialects[dialect](known);
    if (answer.status >= 500) log.error({ err: error }, 'an Admin API request failed');
    return answer;
  }

  function onBadUrl(_path: string, _request: unknown, reply: unknown): void {
    const raw =
      (reply as { raw?: import('node:http').ServerResponse }).raw ?? (reply as import('node:http').ServerResponse);
    raw.writeHead(400, { 'content-type': 'application/json; charset=utf-8', server: `portunus/${version}` });
    raw.end('{"message":"The path has a malformed percent-encoding"}\n');
  }
}

const dialects: Readonly<Record<Dialect, (error: PortunusError) => Answer>> = {
  seed: seedError,
  today: todayError,
  own: seedError,
};

function callOf(request: FastifyRequest): Call {
  const query = new URLSearchParams(request.url.split('?').slice(1).join('?'));
  const body =
    request.body instanceof Buffer
      ? parseRequestBody(request.headers['content-type'], request.headers['content-encoding'], request.body)
      : emptyBody;
  return {
    params: request.params as Readonly<Record<string, string>>,
    query,
    body,
    actor: `admin:${request.socket.remoteAddress ?? 'unknown'}`,
    origin: `http://${request.headers.host ?? 'localhost'}`,
    dryRun: flag(query, 'dry_run'),
    force: flag(query, 'force'),
  };
}

/** @throws INPUT_INVALID */
function flag(query: URLSearchParams, name: string): boolean {
  const value = query.get(name);
  if (value === null || value === 'false' || value === '0') return false;
  if (value === 'true' || value === '1' || value === '') return true;
  throw inputInvalid([invalid(name, 'must be true or false')]);
}

/** Fastify's own refusals; undefined for everything else, which is a defect of ours. */
function fromFastify(error: unknown): PortunusError | undefined {
  switch ((error as { code?: string }).code) {
    case 'FST_ERR_CTP_BODY_TOO_LARGE':
      return new PortunusError('BODY_TOO_LARGE', 'Payload too large');
    case 'FST_ERR_CTP_INVALID_MEDIA_TYPE':
      return new PortunusError('MEDIA_TYPE_UNSUPPORTED', 'Unsupported Content-Type');
    case 'FST_ERR_CTP_INVALID_CONTENT_LENGTH':
    case 'ECONNRESET':
      return new PortunusError('BODY_UNPARSABLE', 'The body ended early');
    default:
      return undefined;
  }
}

function send(reply: FastifyReply, { status, body, headers = {} }: Answer): FastifyReply {
  reply.code(status);
  for (const [name, value] of Object.entries(headers)) reply.header(name, value);
  return reply.send(body);
}
