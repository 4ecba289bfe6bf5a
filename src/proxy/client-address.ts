// The address of the client behind trusted proxies, by the rules of nginx's realip module, but for what the table of
// `departures` in its test tells.
import { isIPv4, isIPv6 } from 'node:net';
import { normalizeAddress } from './proxy-protocol.ts';

/**
 * @param value of the header that names the client, every line of it joined; its last address is the nearest
 * @param recursive pass over trusted addresses from the end
 * @returns `peer` when the header holds no address
 */
export function clientAddress(
  peer: string,
  value: string | undefined,
  recursive: boolean,
  isTrusted: (address: string) => boolean,
): string {
  if (value === undefined) return peer;
  let found = peer;
  for (const element of value.split(/[ \t,]+/).reverse()) {
    if (element === '') continue;
    const address = addressOf(element);
    if (address === undefined) return found;
    found = address;
    if (!recursive || !isTrusted(address)) return found;
  }
  return found;
}

/** An address as proxies write it: bare, `[v6]`, or with a port; in its one form. */
function addressOf(text: string): string | undefined {
  const [, bracketed, v4, port] = /^(?:\[(.*)\]|([\d.]+))(?::(\d{1,5}))?$/.exec(text) ?? [];
  if (port !== undefined && (Number(port) === 0 || Number(port) > 65_535)) return undefined;
  if (v4 !== undefined) return isIPv4(v4) ? v4 : undefined;
  const v6 = bracketed ?? text;
  // A zone is this machine's own, and no client's.
  return isIPv6(v6) && !v6.includes('%') ? normalizeAddress(v6) : undefined;
}
