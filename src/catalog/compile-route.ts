// An API and the ssl plugin that governs it → what the router indexes. Pure.
import type { Api, Plugin } from '../model/entities.ts';
import type { Route, Upstream } from './contract.ts';
import type { Entry } from './router.ts';

/** @param plugin the enabled ssl plugin of the API, else the enabled global one */
export function compileRoute(api: Api, sequence: number, plugin: Plugin | undefined): readonly Entry[] {
  const byPlugin = plugin?.config.onlyHttps ?? false;
  const route: Route = {
    apiId: api.id,
    apiName: api.name,
    upstream: compileUpstream(api.upstreamUrl),
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
    hosts: api.hosts,
    uris: api.uris,
    methods: api.methods,
    route,
    looseUri: undefined,
  };
  if (api.dialect === '0.12' || api.hosts.length === 0 || api.uris.length === 0) return [entry];
  return [
    { ...entry, uris: [], looseUri: api.uris[0] },
    { ...entry, hosts: [] },
  ];
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
