// The limits on connections and handshakes of a process, over all its listeners. Each process counts for itself.
import { type AddressLimits, createAddressLimits, type Visitor } from './address-limits.ts';
import { createConnectionLimit } from './connection-limit.ts';
import type { LimitReports } from './limit-reports.ts';
import { rateOf, takeOne } from './rate.ts';

export interface ClientLimitSettings {
  readonly clientConnectionsMax: number;
  /** These three: 0 is no limit. */
  readonly clientConnectionsPerAddress: number;
  readonly handshakeRate: number;
  readonly handshakeRatePerAddress: number;
  readonly clientAddressesMax: number;
}

export interface ClientLimits {
  /** Connections. */
  readonly open: number;
  /** @returns false when there is no room for another; otherwise `leave` must follow once */
  enter(address: string): boolean;
  leave(): void;
  /**
   * The address of a connection is known.
   *
   * @param proxy the connection is of a proxy in front, behind which anyone may be: its address is not one client's
   * @returns undefined when the address has too many; otherwise `leave` must follow once
   */
  visit(address: string, proxy: boolean): Visit | undefined;
}

export interface Visit {
  /** May its TLS handshake begin? Asked once. Undefined: it may. */
  readonly mayHandshake: (() => boolean) | undefined;
  leave(): void;
}

/** Handshakes at once: a page opens several connections, and behind one address there may be many clients. */
const burstPerAddressMs = 10_000;
/** Of all clients together, what the processor can do is no more at once than over time. */
const burstMs = 1000;

/**
 * @param now monotonic milliseconds
 * @param makeRoom as of `createConnectionLimit`
 */
export function createClientLimits(
  settings: ClientLimitSettings,
  reached: LimitReports,
  now: () => number,
  makeRoom: (most: number) => number = () => 0,
): ClientLimits {
  const { clientConnectionsMax, clientConnectionsPerAddress, handshakeRate, handshakeRatePerAddress } = settings;
  const connections = createConnectionLimit(clientConnectionsMax, (most) => {
    const ended = makeRoom(most);
    for (let count = 0; count < ended; count += 1) reached('client_connections_max', undefined);
    return ended;
  });
  const addresses =
    clientConnectionsPerAddress > 0 || handshakeRatePerAddress > 0
      ? createAddressLimits(
          {
            connectionsMax: clientConnectionsPerAddress,
            handshakes: handshakeRatePerAddress > 0 ? rateOf(handshakeRatePerAddress, burstPerAddressMs) : undefined,
            rememberedMax: settings.clientAddressesMax,
          },
          now,
        )
      : undefined;
  const rate = handshakeRate > 0 ? rateOf(handshakeRate, burstMs) : undefined;
  let madeUpAt = 0;

  return {
    get open() {
      return connections.open;
    },
    enter(address) {
      const entered = connections.enter();
      if (!entered) reached('client_connections_max', address);
      return entered;
    },
    leave: () => connections.leave(),
    visit: (address, proxy) =>
      addresses === undefined || proxy ? visitOfAnyone(address) : visitOfOne(addresses, address),
  };

  function visitOfAnyone(address: string): Visit {
    return rate === undefined ? unlimited : { mayHandshake: () => isInRate(address), leave: nothing };
  }

  function visitOfOne(limits: AddressLimits, address: string): Visit | undefined {
    const visitor = limits.enter(address);
    if (visitor === undefined) {
      reached('client_connections_per_address', address);
      return undefined;
    }
    return { mayHandshake: () => mayHandshake(limits, visitor, address), leave: () => limits.leave(visitor) };
  }

  /** What is too much of one address takes nothing from the others. */
  function mayHandshake(limits: AddressLimits, visitor: Visitor, address: string): boolean {
    if (limits.mayHandshake(visitor)) return isInRate(address);
    reached('handshake_rate_per_address', address);
    return false;
  }

  function isInRate(address: string): boolean {
    if (rate === undefined) return true;
    const next = takeOne(rate, madeUpAt, now());
    if (next === undefined) reached('handshake_rate', address);
    else madeUpAt = next;
    return next !== undefined;
  }
}

function nothing(): void {}

const unlimited: Visit = { mayHandshake: undefined, leave: nothing };
