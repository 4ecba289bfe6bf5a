// A request's head as the upstream gets it: target, Host, the client's fields less those that end here, and those that say
// where it came from.
import type { RouteMatch } from '../catalog/contract.ts';
import { field, fieldSet } from '../http1/field-names.ts';
import type { Request } from '../http1/message.ts';
import { withoutPrefix } from '../model/routing-path.ts';
import type { ProvenClient } from '../tls/client-proof.ts';
import type { Connection } from '../tls/connection.ts';
import { clientAddress } from './client-address.ts';
import { hopByHop } from './hop-by-hop.ts';

const endsHere: readonly number[] = [
  ...hopByHop,
  // Written anew.
  field.host,
  field.via,
  field.xRealIp,
  field.xForwardedFor,
  field.xForwardedProto,
  field.xForwardedHost,
  field.xForwardedPort,
  field.xForwardedPath,
  field.xForwardedPrefix,
  field.xPortunusRequestId,
  // 100 is answered here, when there is an upstream to take the body.
  field.expect,
  // Of a change to h2c, which is not offered: behind it requests would pass unseen.
  field.http2Settings,
  // For a proxy in front that asked for it, not for an upstream.
  field.proxyAuthorization,
  // `HTTP_PROXY` to a CGI program, which then sends its own requests through that (httpoxy).
  field.proxy,
  // What a client proved is said here and nowhere else (RFC 9440 section 4). The last two are of proxies that say more.
  field.clientCert,
  field.xClientCertDn,
  field.xClientCertFingerprint,
  field.xClientCertSerial,
  field.clientCertChain,
  field.xClientCertSan,
  // `X_Forwarded_For` is X-Forwarded-For to a server that reads it from a CGI variable.
  field.lookalike,
];

const withBody = fieldSet(endsHere);
const withoutBody = fieldSet([...endsHere, field.trailer]);
/** RFC 7239's field is believed only where its X- forerunners are. */
const withBodyUntrusted = fieldSet([...endsHere, field.forwarded]);
const withoutBodyUntrusted = fieldSet([...endsHere, field.trailer, field.forwarded]);

/** Changing to these would take the requests that follow out of sight. */
const refusedUpgrade = /^(?:h2c?|http|tls)\b/i;

export interface ForwardSettings {
  readonly realIpHeader: string;
  readonly realIpRecursive: boolean;
  readonly isTrusted: (address: string) => boolean;
}

/** What is the same for every request of one connection from a peer that is not trusted. */
export function peerFields(connection: Connection): string {
  const { remoteAddress, tls, localPort } = connection;
  return `X-Real-IP: ${remoteAddress}\r\nX-Forwarded-For: ${remoteAddress}\r\nX-Forwarded-Proto: ${tls ? 'https' : 'http'}\r\nX-Forwarded-Port: ${localPort}\r\n`;
}

/** The client's address: the peer, or what a trusted peer says it is. */
export function realAddress(connection: Connection, request: Request, settings: ForwardSettings): string {
  if (!connection.trusted) return connection.remoteAddress;
  const header = settings.realIpHeader.toLowerCase();
  if (header === 'proxy_protocol') return connection.remoteAddress;
  return clientAddress(
    connection.remoteAddress,
    valueNamed(request, header),
    settings.realIpRecursive,
    settings.isTrusted,
  );
}

/** Gateways like this one that a request may have come through: an upstream that leads back here would have it come round for ever. */
const hopsMax = 10;

export function isLoop({ fields }: Request): boolean {
  const via = fields.findAll(field.via);
  return via !== undefined && via.split(' portunus').length > hopsMax;
}

/** The protocols that a request may change to, or undefined. */
export function allowedUpgrade(request: Request): string | undefined {
  const { upgrade } = request;
  if (upgrade === undefined) return undefined;
  return upgrade.split(',').some((protocol) => refusedUpgrade.test(protocol.trim())) ? undefined : upgrade;
}

/** RFC 9110 section 7.8: a server changes to nothing that it was not asked for, and says to what. */
export function isAskedFor(asked: string | undefined, answered: string | undefined): boolean {
  if (asked === undefined || answered === undefined) return false;
  const offered = asked.split(',').map((protocol) => protocol.trim().toLowerCase());
  return answered.split(',').every((protocol) => offered.includes(protocol.trim().toLowerCase()));
}

/**
 * @param peer `peerFields(connection)`
 * @param address `realAddress(connection, request, settings)`
 * @param upgrade `allowedUpgrade(request)`
 * @param client undefined: the upstream is told nothing of who it is
 * @returns the whole head, latin1
 */
export function forwardRequest(
  request: Request,
  match: RouteMatch,
  connection: Connection,
  peer: string,
  address: string,
  upgrade: string | undefined,
  requestId: string,
  close: boolean,
  client?: ProvenClient,
): string {
  const { route, prefix } = match;
  const { fields } = request;
  const chunked = request.bodyKind === 'chunked';
  const trusted = connection.trusted;
  const dropped = trusted ? (chunked ? withBody : withoutBody) : chunked ? withBodyUntrusted : withoutBodyUntrusted;
  const via = fields.findAll(field.via);

  let out = `${request.method} ${targetOf(request, match)} HTTP/1.1\r\nHost: ${
    route.preserveHost && request.authority !== '' ? request.authority : route.upstream.authority
  }\r\n`;
  out += fields.serialize(dropped, request.connectionNames);
  if (chunked) out += 'Transfer-Encoding: chunked\r\n';
  if (upgrade !== undefined) out += `Connection: upgrade\r\nUpgrade: ${upgrade}\r\n`;
  else if (request.acceptsTrailers)
    out += close ? 'Connection: close, TE\r\nTE: trailers\r\n' : 'Connection: TE\r\nTE: trailers\r\n';
  else if (close) out += 'Connection: close\r\n';
  out += trusted
    ? trustedFields(request, match, connection, address)
    : `${peer}X-Forwarded-Host: ${request.host}\r\nX-Forwarded-Path: ${request.path}\r\n${
        route.stripUri && prefix !== '' ? `X-Forwarded-Prefix: ${prefix}\r\n` : ''
      }`;
  if (client !== undefined) out += client.fields;
  const protocol = request.version === 20 ? '2' : '1.1';
  out += via === undefined ? `Via: ${protocol} portunus\r\n` : `Via: ${via}, ${protocol} portunus\r\n`;
  return `${out}X-Portunus-Request-Id: ${requestId}\r\n\r\n`;
}

/** What a trusted peer says stays; what it does not say is said as for anyone. */
function trustedFields(request: Request, match: RouteMatch, connection: Connection, address: string): string {
  const { fields } = request;
  const before = fields.findAll(field.xForwardedFor);
  const said = (id: number, otherwise: string): string => fields.findAll(id) ?? otherwise;
  const prefix = said(field.xForwardedPrefix, match.route.stripUri ? match.prefix : '');
  return (
    `X-Real-IP: ${address}\r\n` +
    `X-Forwarded-For: ${before === undefined || before === '' ? '' : `${before}, `}${connection.remoteAddress}\r\n` +
    `X-Forwarded-Proto: ${said(field.xForwardedProto, connection.tls ? 'https' : 'http')}\r\n` +
    `X-Forwarded-Port: ${said(field.xForwardedPort, String(connection.localPort))}\r\n` +
    `X-Forwarded-Host: ${said(field.xForwardedHost, request.host)}\r\n` +
    `X-Forwarded-Path: ${said(field.xForwardedPath, request.path)}\r\n${
      prefix === '' ? '' : `X-Forwarded-Prefix: ${prefix}\r\n`
    }`
  );
}

function targetOf(request: Request, { route, prefix }: RouteMatch): string {
  if (request.asterisk) return '*';
  const path = route.stripUri && prefix !== '' ? withoutPrefix(request.path, prefix) : request.path;
  return route.upstream.path + path + request.query;
}

function valueNamed(request: Request, name: string): string | undefined {
  const { fields } = request;
  let found: string | undefined;
  for (let index = 0; index < fields.count; index += 1) {
    if (fields.name(index).toLowerCase() !== name) continue;
    found = found === undefined ? fields.value(index) : `${found}, ${fields.value(index)}`;
  }
  return found;
}
