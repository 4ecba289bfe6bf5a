// How often an address may fail to say who it is: so many at once, and as many again over each minute.
import { createLru } from '../lib/lru.ts';
import { networkOf } from '../lib/network-of.ts';

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
