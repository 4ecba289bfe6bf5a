// What a route demands of a request before an upstream sees it.
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
  const { fields } = request;
  return fields.countOf(field.xForwardedProto) !== 1 || fields.find(field.xForwardedProto)?.toLowerCase() !== 'https';
}
