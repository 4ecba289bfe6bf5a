// Who is told of commits: at once of this store's own; of other nodes' by notification, by looking after each time that
// notifications were cut off, and by looking once a second, so that a lost one costs time and nothing else.
import type { Store } from '../contract.ts';
import type { PgClient } from './client.ts';

const lookEveryMs = 1000;

export interface CommitWatch extends Disposable {
  readonly onCommit: Store['onCommit'];
  /** This store has committed. */
  committed(revision: number): void;
}

export function createCommitWatch(client: PgClient, channel: string, readRevision: () => Promise<number>): CommitWatch {
  const nudges = new Set<(revision: number) => void>();
  let latest = 0;
  let stop: (() => void) | undefined;
  let looking = false;
  let closed = false;

  return {
    onCommit(nudge) {
      // Wrapped, so that one function given twice is called twice and stopped once.
      const entry = (revision: number): void => nudge(revision);
      nudges.add(entry);
      if (!closed) stop ??= begin();
      return () => void nudges.delete(entry);
    },
    committed(revision) {
      // The notification may have been faster.
      if (revision !== latest) tell(revision);
    },
    [Symbol.dispose]() {
      closed = true;
      stop?.();
      nudges.clear();
    },
  };

  function begin(): () => void {
    const unlisten = client.listen(
      channel,
      (payload) => {
        const revision = Number(payload);
        if (Number.isSafeInteger(revision) && revision > latest) tell(revision);
      },
      () => void look(),
    );
    const timer = setInterval(() => void look(), lookEveryMs).unref();
    return () => {
      clearInterval(timer);
      unlisten();
    };
  }

  async function look(): Promise<void> {
    if (looking) return;
    looking = true;
    try {
      const revision = await readRevision();
      if (revision > latest) tell(revision);
    } catch {
      // Whoever reads or writes is told; the next look comes soon.
    } finally {
      looking = false;
    }
  }

  function tell(revision: number): void {
    latest = Math.max(latest, revision);
    for (const nudge of nudges) callNudge(nudge, revision);
  }
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
