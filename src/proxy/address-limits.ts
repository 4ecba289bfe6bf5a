// What one address may do: so many connections at once, so many TLS handshakes by time. Remembered are addresses with a
// connection, of which there are no more than connections, and as many others as have handshakes to make up for.
import { createLru } from '../lib/lru.ts';
import { networkOf } from '../lib/network-of.ts';
import { type Rate, takeOne } from './rate.ts';

export interface AddressLimits {
  /** @returns undefined when the address has as many connections as it may have; otherwise `leave` must follow once */
  enter(address: string): Visitor | undefined;
  leave(visitor: Visitor): void;
  /** @returns false: not now */
  mayHandshake(visitor: Visitor): boolean;
  /** Addresses remembered. */
  readonly size: number;
}

/** All connections of an address, or of a /64 of IPv6. */
export interface Visitor {
  readonly network: string;
  open: number;
  madeUpAt: number;
}

export interface AddressLimitOptions {
  /** 0: any number. */
  readonly connectionsMax: number;
  readonly handshakes: Rate | undefined;
  /** Addresses without a connection that are remembered; whoever left first is forgotten first. */
  readonly rememberedMax: number;
}

/** @param now monotonic milliseconds */
export function createAddressLimits(options: AddressLimitOptions, now: () => number): AddressLimits {
  const { connectionsMax, handshakes, rememberedMax } = options;
  const present = new Map<string, Visitor>();
  const away = createLru<string, number>(rememberedMax);

  return {
    enter(address) {
      const network = networkOf(address);
      const visitor = present.get(network) ?? arrive(network);
      if (connectionsMax > 0 && visitor.open >= connectionsMax) return undefined;
      visitor.open += 1;
      return visitor;
    },
    leave(visitor) {
      visitor.open -= 1;
      if (visitor.open > 0) return;
      present.delete(visitor.network);
      if (visitor.madeUpAt > now()) away.set(visitor.network, visitor.madeUpAt);
    },
    mayHandshake(visitor) {
      if (handshakes === undefined) return true;
      const madeUpAt = takeOne(handshakes, visitor.madeUpAt, now());
      if (madeUpAt === undefined) return false;
      visitor.madeUpAt = madeUpAt;
      return true;
    },
    get size() {
      return present.size + away.size;
    },
  };

  function arrive(network: string): Visitor {
    const visitor = { network, open: 0, madeUpAt: away.peek(network) ?? 0 };
    away.delete(network);
    present.set(network, visitor);
    return visitor;
  }
}
