// An API and the ssl plugin that governs it → what the router indexes. There may be very many, so what many have in common
// is there once: upstreams, and that there is none of something.
import { createLru } from '../lib/lru.ts';
import type { Api, Plugin } from '../model/entities.ts';
import type { Route, Upstream } from './contract.ts';
import type { Entry } from './router.ts';

/** Upstreams that are remembered, so that the next API with the same one shares it. */
const upstreamsMax = 1000;
const none: readonly string[] = [];

/** @param plugin the enabled ssl plugin of the API, else the enabled global one */
export type CompileRoute = (api: Api, sequence: number, plugin: Plugin | undefined) => readonly Entry[];

export function createRouteCompiler(): CompileRoute {
  const upstreams = createLru<string, Upstream>(upstreamsMax);
  return (api, sequence, plugin) => {
    let upstream = upstreams.get(api.upstreamUrl);
    if (upstream === undefined) {
      upstream = compileUpstream(api.upstreamUrl);
      upstreams.set(api.upstreamUrl, upstream);
    }
    return compileRoute(api, sequence, plugin, upstream);
  };
}

function compileRoute(api: Api, sequence: number, plugin: Plugin | undefined, upstream: Upstream): readonly Entry[] {
  const byPlugin = plugin?.config.onlyHttps ?? false;
  const route: Route = {
    apiId: api.id,
    apiName: api.name,
    upstream,
    stripUri: api.stripUri,
    preserveHost: api.preserveHost,
    httpsOnly: api.httpsOnly || byPlugin,
    // Where both demand HTTPS, both must accept a connection that was terminated in front.
    httpIfTerminated:
      (!api.httpsOnly || api.httpIfTerminated) &&
      (!byPlugin || (plugin?.config.acceptHttpIfAlreadyTerminated ?? false)),
    retries: api.retries,
    connectTimeoutMs: api.upstreamConnectTimeoutMs,
    sendTimeoutMs: api.upstreamSendTimeoutMs,
    readTimeoutMs: api.upstreamReadTimeoutMs,
  };
  const entry: Entry = {
    apiId: api.id,
    sequence,
    hosts: shared(api.hosts),
    uris: shared(api.uris),
    methods: shared(api.methods),
    route,
    looseUri: undefined,
  };
  if (api.dialect === '0.12' || api.hosts.length === 0 || api.uris.length === 0) return [entry];
  return [
    { ...entry, uris: none, looseUri: api.uris[0] },
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
