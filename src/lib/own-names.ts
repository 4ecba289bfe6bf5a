// Which names a listener of ours answers to: a web page that made its own name resolve to this machine (DNS rebinding) is
// known by the Host that its browser sends.
import { BlockList, isIP, isIPv6 } from 'node:net';
import { hostname } from 'node:os';

/** Lower case. `any`: other machines are let in, and the names they use are not known. */
export type OwnNames = ReadonlySet<string> | 'any';

/** @param configured lower case, besides addresses, `localhost`, names without dots and the name of this machine */
export function ownNames(listensOn: string, configured: readonly string[]): OwnNames {
  const isOnLoopback = loopback.check(listensOn, isIPv6(listensOn) ? 'ipv6' : 'ipv4');
  return configured.length === 0 && !isOnLoopback ? 'any' : new Set([hostname().toLowerCase(), ...configured]);
}

/** @param host a field value; browsers always send one */
export function isOwnName(host: string | undefined, names: OwnNames): boolean {
  if (names === 'any' || host === undefined) return true;
  const name = withoutPort(host);
  // No page on the public web can have a name without dots.
  return isIP(name) !== 0 || !name.includes('.') || name.endsWith('.localhost') || names.has(name);
}

const loopback = new BlockList();
loopback.addSubnet('127.0.0.0', 8, 'ipv4');
loopback.addAddress('::1', 'ipv6');

function withoutPort(host: string): string {
  const bracketed = /^\[([^\]]*)\](?::\d*)?$/.exec(host)?.[1];
  return bracketed ?? host.replace(/:\d*$/, '').replace(/\.$/, '').toLowerCase();
}
