// One task at a time, in the order in which they came. None waits for its turn for longer than it says.
import { PortunusError } from '../lib/errors.ts';

export interface Queue {
  /**
   * @param task is told how much of `waitMaxMs` is left when its turn comes
   * @throws what the task throws; STORE_UNAVAILABLE, and the task is never begun, when `waitingMax` tasks wait already, when
   *   it has waited for `waitMaxMs`, or when the queue is closed
   */
  run<T>(task: (leftMs: number) => Promise<T>, waitMaxMs?: number): Promise<T>;
  /** Resolves when no task is left. */
  idle(): Promise<void>;
  /** Refuses the tasks that wait. Resolves when the one under way is done. */
  close(): Promise<void>;
}

interface Waiting {
  readonly begin: () => void;
  readonly refuse: (reason: string) => void;
}

export function createQueue(waitingMax = Infinity): Queue {
  const waiting = new Set<Waiting>();
  /** Defined while a task is under way; resolved when none is left. */
  let busy: PromiseWithResolvers<void> | undefined;
  let closed = false;

  return {
    async run(task, waitMaxMs = Infinity) {
      if (closed) throw refusal('The store is closed.');
      const leftMs = busy === undefined ? waitMaxMs : await turn(waitMaxMs);
      busy ??= Promise.withResolvers();
      try {
        return await task(leftMs);
      } finally {
        next();
      }
    },
    async idle() {
      await busy?.promise;
    },
    async close() {
      closed = true;
      for (const { refuse } of waiting) refuse('The store is closed.');
      waiting.clear();
      await busy?.promise;
    },
  };

  /** @returns what is left of `waitMaxMs` */
  async function turn(waitMaxMs: number): Promise<number> {
    if (waiting.size >= waitingMax) throw refusal(`More than ${waitingMax} writes wait for the store.`);
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const deadline = performance.now() + waitMaxMs;
    const entry: Waiting = { begin: resolve, refuse: (reason) => reject(refusal(reason)) };
    waiting.add(entry);
    const timer = waitMaxMs === Infinity ? undefined : setTimeout(giveUp, waitMaxMs);
    try {
      await promise;
      return Math.max(0, deadline - performance.now());
    } finally {
      clearTimeout(timer);
    }

    function giveUp(): void {
      // Its turn may have come in this moment.
      if (waiting.delete(entry)) entry.refuse(`Other writes hold the store: this one has waited for ${waitMaxMs} ms.`);
    }
  }

  function next(): void {
    const [first] = waiting;
    if (first === undefined) {
      busy?.resolve();
      busy = undefined;
      return;
    }
    // It is busy until then too: nobody comes in between.
    waiting.delete(first);
    first.begin();
  }
}

function refusal(message: string): PortunusError {
  return new PortunusError('STORE_UNAVAILABLE', message, { hint: 'Nothing was changed; try again.' });
}
