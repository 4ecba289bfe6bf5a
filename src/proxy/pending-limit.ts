// What all clients together make a process hold: requests and responses that one side has sent and the other has not taken.
// It is looked at a few times a second and not counted as it moves, which costs nothing on the way. What is too much is shed
// from those who have been waited for longest: who reads and sends is waited for only a moment.
import type { Timed } from './deadlines.ts';
import type { LimitReports } from './limit-reports.ts';

export interface Holder extends Timed {
  /** For the log. */
  readonly connection: { readonly remoteAddress: string };
  readonly heldBytes: number;
  /** Since when one side is waited for; Infinity: none is. */
  readonly heldSince: number;
  /** Gives up what it holds: the request under way is answered with HTTP_CLIENTS_HOLD_TOO_MUCH, or its response is cut. */
  shed(): void;
}

/** @returns looks at all that there is, and sheds what is too much */
export function createPendingLimit(maxBytes: number, reached: LimitReports): (all: Iterable<Timed>) => void {
  return (all) => {
    let held = 0;
    for (const one of all) if (isHolder(one)) held += one.heldBytes;
    if (held > maxBytes) shed(all, held - maxBytes);
  };

  function shed(all: Iterable<Timed>, tooMuch: number): void {
    const holders = [...all].filter((one) => isHolder(one)).filter(({ heldBytes }) => heldBytes > 0);
    holders.sort((one, other) => (one.heldSince === other.heldSince ? 0 : one.heldSince - other.heldSince));
    let left = tooMuch;
    for (const holder of holders) {
      if (left <= 0) return;
      left -= holder.heldBytes;
      reached('client_pending_max_size', holder.connection.remoteAddress);
      holder.shed();
    }
  }
}

function isHolder(one: Timed): one is Holder {
  return 'shed' in one;
}
