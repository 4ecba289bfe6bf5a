// Which revision each worker of this node has applied, and who waits for all of them. Knows no processes and no sockets.

export interface Acknowledgements {
  /** A worker that is about to serve, with the revision it has loaded. */
  join(worker: number, revision: number): void;
  /** In the order in which it applied them. A lower one than before means a store that was put back to an older state. */
  acknowledge(worker: number, revision: number): void;
  leave(worker: number): void;
  /** The revision that every worker has applied; undefined without workers. */
  applied(): number | undefined;
  /** True when every worker has applied `revision`, false when `timeoutMs` passed first. */
  whenApplied(revision: number, timeoutMs: number): Promise<boolean>;
}

interface Waiting {
  readonly revision: number;
  readonly settle: (applied: boolean) => void;
}

/** @param changed called when any worker has joined, left or applied something */
export function createAcknowledgements(changed: () => void = () => undefined): Acknowledgements {
  const revisions = new Map<number, number>();
  const waiting = new Set<Waiting>();

  return {
    join(worker, revision) {
      revisions.set(worker, revision);
      settleWaiting();
    },
    acknowledge(worker, revision) {
      if (!revisions.has(worker)) return;
      revisions.set(worker, revision);
      settleWaiting();
    },
    leave(worker) {
      revisions.delete(worker);
      settleWaiting();
    },
    applied,
    whenApplied(revision, timeoutMs) {
      if (isApplied(revision)) return Promise.resolve(true);
      return new Promise((resolve) => {
        const timer = setTimeout(() => entry.settle(false), timeoutMs);
        const entry: Waiting = {
          revision,
          settle(result) {
            clearTimeout(timer);
            waiting.delete(entry);
            resolve(result);
          },
        };
        waiting.add(entry);
      });
    },
  };

  function applied(): number | undefined {
    return revisions.size === 0 ? undefined : Math.min(...revisions.values());
  }

  /** A node without workers serves nothing that could be out of date: the next worker loads what is there. */
  function isApplied(revision: number): boolean {
    return (applied() ?? revision) >= revision;
  }

  function settleWaiting(): void {
    for (const entry of waiting) if (isApplied(entry.revision)) entry.settle(true);
    changed();
  }
}
