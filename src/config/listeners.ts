// Kong 3's listener syntax: `0.0.0.0:8000 reuseport backlog=16384, [::]:8443 ssl`, or `off`. Addresses, not host names.
import { isIP } from 'node:net';
import type { ListenAddress } from './config.ts';
import { normalAddress } from './ip-range.ts';
import { showValue } from './problem.ts';
import type { ListenFlag } from './settings.ts';

export type Listeners =
  | { readonly kind: 'listeners'; readonly listeners: readonly ListenAddress[] }
  | { readonly kind: 'invalid'; readonly part: string; readonly expected: string };

/** What Linux gives by default and at most (net.core.somaxconn). */
const backlogDefault = 4096;
const backlogMax = 65_535;

/**
 * @param items one text for each listener
 * @param allowed flags that this setting has
 */
export function parseListeners(items: readonly string[], allowed: readonly ListenFlag[]): Listeners {
  if (items.length === 1 && items[0] === 'off') return { kind: 'listeners', listeners: [] };
  const listeners: ListenAddress[] = [];
  for (const item of items) {
    const listener = parseListener(item, allowed);
    if (typeof listener === 'string') return { kind: 'invalid', part: item, expected: listener };
    listeners.push(listener);
  }
  const twice = listeners.find((one, index) => one.port !== 0 && listeners.slice(0, index).some(sameAs(one)));
  if (twice !== undefined) {
    return { kind: 'invalid', part: formatAddress(twice), expected: 'each address and port once' };
  }
  return { kind: 'listeners', listeners };
}

export function formatAddress({ host, port }: Pick<ListenAddress, 'host' | 'port'>): string {
  return `${isIP(host) === 6 ? `[${host}]` : host}:${port}`;
}

/** A listener, or what was expected in its place. */
function parseListener(item: string, allowed: readonly ListenFlag[]): ListenAddress | string {
  const [address = '', ...flags] = item.split(/\s+/);
  const [, six, four, digits] = /^(?:\[([^\]]*)\]|([^:[\]]*)):(\d{1,5})$/.exec(address) ?? [];
  const host = (six !== undefined && isIP(six) === 6) || (four !== undefined && isIP(four) === 4) ? (six ?? four) : '';
  const normal = host === undefined ? undefined : normalAddress(host);
  const port = Number(digits);
  if (normal === undefined || !(port <= 65_535)) {
    return 'an address and a port, such as 0.0.0.0:8000 or [::]:8000, then flags; commas between listeners; or off';
  }
  let backlog = backlogDefault;
  const present = new Set<string>();
  for (const flag of flags) {
    const [name = '', value] = flag.split('=');
    const known = allowed.find((candidate) => candidate === name);
    if (known === undefined) return unknownFlag(name, allowed);
    if ((known === 'backlog') !== (value !== undefined)) {
      return known === 'backlog' ? 'backlog=<number>' : `the flag ${known} without a value`;
    }
    if (known === 'backlog') {
      backlog = /^\d{1,5}$/.test(value ?? '') ? Number(value) : 0;
      if (backlog < 1 || backlog > backlogMax) return `backlog=<number from 1 to ${backlogMax}>`;
    }
    present.add(known);
  }
  return {
    host: normal,
    port,
    ssl: present.has('ssl'),
    http2: present.has('http2'),
    proxyProtocol: present.has('proxy_protocol'),
    reuseport: present.has('reuseport'),
    backlog,
  };
}

function unknownFlag(name: string, allowed: readonly ListenFlag[]): string {
  if (name === 'ssl')
    return 'no flag ssl: TLS on this listener is not supported yet; keep it on 127.0.0.1, or put TLS before it';
  const flags = allowed.map((flag) => (flag === 'backlog' ? 'backlog=<number>' : flag));
  return `the flags ${flags.join(', ')}, and not "${showValue(name)}"`;
}

function sameAs(one: ListenAddress): (other: ListenAddress) => boolean {
  return (other) => other.host === one.host && other.port === one.port;
}
