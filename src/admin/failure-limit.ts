// How often an address may fail to say who it is: so many at once, and as many again over each minute.
import { isIPv6 } from 'node:net';
import { createLru } from '../lib/lru.ts';

/** Addresses that are remembered; whoever failed longest ago is forgotten first. */
const addressesMax = 10_000;
const minuteMs = 60_000;

export interface FailureLimit {
  /** Milliseconds until the address may try again; 0: now. */
  waitMs(address: string): number;
  countFailure(address: string): void;
}

/** @param now milliseconds of any clock that does not go back */
export function createFailureLimit(perMinute: number, now: () => number): FailureLimit {
  const eachMs = minuteMs / perMinute;
  /** When the last of an address's failures is made up for. */
  const until = createLru<string, number>(addressesMax);
  return {
    waitMs: (address) => Math.max(0, (until.peek(networkOf(address)) ?? 0) - now() - minuteMs + eachMs),
    countFailure(address) {
      const network = networkOf(address);
      until.set(network, Math.max(until.peek(network) ?? 0, now()) + eachMs);
    },
  };
}

/** One caller has a whole /64 of IPv6 addresses. */
function networkOf(address: string): string {
  if (!isIPv6(address)) return address;
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1];
  if (mapped !== undefined) return mapped;
  const [head = '', tail = ''] = address.split('::');
  const first = head === '' ? [] : head.split(':');
  const last = tail === '' ? [] : tail.split(':');
  const zeros = address.includes('::') ? Array.from({ length: 8 - first.length - last.length }, () => '0') : [];
  return [...first, ...zeros, ...last].slice(0, 4).join(':');
}
