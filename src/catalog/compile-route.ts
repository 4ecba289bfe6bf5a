// An API and the ssl plugin that governs it → what the router indexes. There may be very many, so what many have in common
// is there once: upstreams, rules, and that there is none of something.
import { createLru } from '../lib/lru.ts';
import type { Api, SslPluginConfig, StrictTransportSecurity } from '../model/entities.ts';
import { routingPath } from '../model/routing-path.ts';
import type { ClientCertificateRule, Route, Upstream } from './contract.ts';
import type { Entry } from './router.ts';

/** Upstreams that are remembered, so that the next API with the same one shares it. */
const upstreamsMax = 1000;
const rulesMax = 1000;
const none: readonly string[] = [];

/** @param plugin of the enabled ssl plugin of the API, else of the enabled global one */
export type CompileRoute = (api: Api, sequence: number, plugin: SslPluginConfig | undefined) => readonly Entry[];

export function createRouteCompiler(): CompileRoute {
  const upstreams = createLru<string, Upstream>(upstreamsMax);
  const rules = createLru<string, ClientCertificateRule>(rulesMax);
  return (api, sequence, plugin) => {
    let upstream = upstreams.get(api.upstreamUrl);
    if (upstream === undefined) {
      upstream = compileUpstream(api.upstreamUrl);
      upstreams.set(api.upstreamUrl, upstream);
    }
    return compileRoute(api, sequence, plugin, { upstream, clientCertificate: compileRule(api.clientCertificate) });
  };

  /** @param rule rows of earlier versions have none */
  function compileRule(rule: ClientCertificateRule | null | undefined): ClientCertificateRule | undefined {
    if (rule === null || rule === undefined) return undefined;
    const key = JSON.stringify([rule.mode, rule.depth, rule.authorities]);
    let known = rules.get(key);
    if (known === undefined) rules.set(key, (known = rule));
    return known;
  }
}

/** RFC 6797 section 6.1. */
function compileHsts({ maxAge, includeSubdomains, preload }: StrictTransportSecurity): string {
  return `max-age=${maxAge}${includeSubdomains ? '; includeSubDomains' : ''}${preload ? '; preload' : ''}`;
}

/** Another plugin governs the API from here on, or none; exchanges under way keep the route they have. */
export function governRoute(entry: Entry, plugin: SslPluginConfig | undefined): void {
  const policy = policyOf(entry.own, plugin);
  const { httpsOnly, httpIfTerminated } = entry.route;
  if (policy.httpsOnly === httpsOnly && policy.httpIfTerminated === httpIfTerminated) return;
  entry.route = { ...entry.route, ...policy };
}

type Policy = Pick<Route, 'httpsOnly' | 'httpIfTerminated'>;

function policyOf(own: Policy, plugin: SslPluginConfig | undefined): Policy {
  const byPlugin = plugin?.onlyHttps ?? false;
  return {
    httpsOnly: own.httpsOnly || byPlugin,
    // Where both demand HTTPS, both must accept a connection that was terminated in front.
    httpIfTerminated:
      (!own.httpsOnly || own.httpIfTerminated) && (!byPlugin || (plugin?.acceptHttpIfAlreadyTerminated ?? false)),
  };
}

/** Every API has one of four. */
const ownPolicies: readonly Policy[] = [false, true].flatMap((httpsOnly) =>
  [false, true].map((httpIfTerminated) => ({ httpsOnly, httpIfTerminated })),
);

function ownPolicy({ httpsOnly, httpIfTerminated }: Api): Policy {
  return (
    ownPolicies.find((each) => each.httpsOnly === httpsOnly && each.httpIfTerminated === httpIfTerminated) ?? {
      httpsOnly,
      httpIfTerminated,
    }
  );
}

function compileRoute(
  api: Api,
  sequence: number,
  plugin: SslPluginConfig | undefined,
  { upstream, clientCertificate }: Pick<Route, 'upstream' | 'clientCertificate'>,
): readonly Entry[] {
  const own = ownPolicy(api);
  const { httpsOnly, httpIfTerminated } = policyOf(own, plugin);
  const route: Route = {
    apiId: api.id,
    apiName: api.name,
    upstream,
    stripUri: api.stripUri,
    preserveHost: api.preserveHost,
    httpsOnly,
    httpIfTerminated,
    retries: api.retries,
    connectTimeoutMs: api.upstreamConnectTimeoutMs,
    sendTimeoutMs: api.upstreamSendTimeoutMs,
    readTimeoutMs: api.upstreamReadTimeoutMs,
    clientCertificate,
    hsts: api.hsts ? compileHsts(api.hsts) : undefined,
  };
  const entry: Entry = {
    apiId: api.id,
    sequence,
    hosts: shared(api.hosts),
    uris: shared(api.uris.map(routingPath)),
    methods: shared(api.methods),
    route,
    own,
    looseUri: undefined,
  };
  if (api.dialect === '0.12' || api.hosts.length === 0 || api.uris.length === 0) return [entry];
  return [
    { ...entry, uris: none, looseUri: entry.uris[0] },
    { ...entry, hosts: none },
  ];
}

function shared(list: readonly string[]): readonly string[] {
  return list.length === 0 ? none : list;
}

function compileUpstream(text: string): Upstream {
  const http2 = /^grpc/i.test(text);
  // What URL knows of http and https, a normal form of the host and default ports, it does not know of others.
  const url = new URL(http2 ? text.replace(/^grpc/i, 'http') : text);
  const tls = url.protocol === 'https:';
  const host = url.hostname.replace(/^\[(.*)\]$/, '$1');
  const port = url.port === '' ? (tls ? 443 : 80) : Number(url.port);
  return {
    tls,
    http2,
    host,
    port,
    path: url.pathname.replace(/\/+$/, ''),
    authority: url.host,
    key: `${http2 ? 'h2+' : ''}${url.protocol}//${url.hostname}:${port}`,
  };
}
