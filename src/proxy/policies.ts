// What a route demands of a request before an upstream sees it, and says to a client. Client certificates are admissions.ts's.
import type { Route } from '../catalog/contract.ts';
import { field } from '../http1/field-names.ts';
import type { Request } from '../http1/message.ts';
import type { Connection } from '../tls/connection.ts';

/**
 * Must the client come back over TLS? Not when it did, nor when the route accepts that a proxy in front terminated TLS
 * and exactly one X-Forwarded-Proto says `https`. That is believed from a trusted peer; with no trusted_ips at all, from
 * anyone, as the plugin of 0.9 documents.
 */
export function demandsTls(
  route: Route,
  connection: Connection,
  request: Request,
  settings: { readonly trustedIps: readonly string[] },
): boolean {
  if (connection.tls) return false;
  if (!route.httpIfTerminated || !(connection.trusted || settings.trustedIps.length === 0)) return true;
  return !saysHttps(request);
}

/**
 * Strict-Transport-Security of the route as a field line. Nothing where it has none, and over plain HTTP (RFC 6797 section
 * 7.2), unless a trusted proxy in front says that it terminated TLS.
 */
export function hstsLine({ hsts }: Route, connection: Connection, request: Request): string {
  if (hsts === undefined || !(connection.tls || (connection.trusted && saysHttps(request)))) return '';
  return `Strict-Transport-Security: ${hsts}\r\n`;
}

function saysHttps({ fields }: Request): boolean {
  return fields.countOf(field.xForwardedProto) === 1 && fields.find(field.xForwardedProto)?.toLowerCase() === 'https';
}
