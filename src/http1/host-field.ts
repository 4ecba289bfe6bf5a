// The Host field (RFC 9110 section 7.2) and the authority of an absolute target: which texts are one, and the name in it.
import { isIPv6 } from 'node:net';

const nameWithPort = /^(?:[A-Za-z0-9_~](?:[A-Za-z0-9_.~-]*[A-Za-z0-9_.~-])?)?(?::\d{0,5})?$/;
const addressWithPort = /^\[[0-9A-Fa-f:.]{2,45}\](?::\d{0,5})?$/;
const hostMaxLength = 255 + 6;

/**
 * The host of an authority in the form routes are found by: lower case, without port and trailing dot, an IPv6 address
 * in its brackets. Percent-encoding and the sub-delimiters that RFC 3986 allows in a registered name are refused.
 *
 * @returns undefined when it is not an authority
 */
export function parseHost(authority: string): string | undefined {
  if (authority.length > hostMaxLength) return undefined;
  if (authority.startsWith('[')) {
    const close = authority.indexOf(']');
    if (!addressWithPort.test(authority) || !isIPv6(authority.slice(1, close))) return undefined;
    return isPort(authority, close + 1) ? authority.slice(0, close + 1).toLowerCase() : undefined;
  }
  if (!nameWithPort.test(authority)) return undefined;
  const colon = authority.indexOf(':');
  if (colon === 0 || !isPort(authority, colon)) return undefined;
  let end = colon === -1 ? authority.length : colon;
  if (end > 0 && authority.charCodeAt(end - 1) === 0x2e) end -= 1;
  const name = authority.slice(0, end).toLowerCase();
  return (end === 0 && authority !== '') || name.endsWith('.') || name.includes('..') ? undefined : name;
}

/** Do both name the same host and port? A missing port is the scheme's. */
export function sameAuthority(a: string, b: string, defaultPort: number): boolean {
  return a === b || (parseHost(a) === parseHost(b) && portOf(a, defaultPort) === portOf(b, defaultPort));
}

function isPort(authority: string, colon: number): boolean {
  return colon === -1 || colon === authority.length || Number(authority.slice(colon + 1)) <= 65_535;
}

function portOf(authority: string, defaultPort: number): number {
  const digits = /:(\d+)$/.exec(authority)?.[1];
  return digits === undefined ? defaultPort : Number(digits);
}
