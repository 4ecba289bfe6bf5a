// Who wants to hear of commits.
import type { Store } from './contract.ts';

export interface Nudges {
  readonly onCommit: Store['onCommit'];
  readonly tell: (revision: number) => void;
  /** Nobody is told any more. */
  clear(): void;
}

export function createNudges(): Nudges {
  const nudges = new Set<(revision: number) => void>();
  return {
    onCommit(nudge) {
      // Wrapped, so that one function given twice is called twice and stopped once.
      const entry = (revision: number): void => nudge(revision);
      nudges.add(entry);
      return () => void nudges.delete(entry);
    },
    tell(revision) {
      for (const nudge of nudges) callNudge(nudge, revision);
    },
    clear: () => nudges.clear(),
  };
}

/** The transaction is committed whatever a listener does; its error surfaces as uncaught, not as a failed write. */
function callNudge(nudge: (revision: number) => void, revision: number): void {
  try {
    nudge(revision);
  } catch (error) {
    queueMicrotask(() => {
      throw error;
    });
  }
}
