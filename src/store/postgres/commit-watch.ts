// Who is told of commits: at once of this store's own; of other nodes' by notification, by looking after each time that
// notifications were cut off, and by looking once a second, so that a lost one costs time and nothing else. Anybody in the
// database may notify: what a notification says is worth a nudge and is not kept.
import type { Store } from '../contract.ts';
import { createNudges } from '../nudges.ts';
import type { PgClient } from './client.ts';

const lookEveryMs = 1000;
/** Own commits whose notification is awaited at most; those of older ones are told once more. */
const echoesMax = 1000;

export interface CommitWatch extends Disposable {
  readonly onCommit: Store['onCommit'];
  /** This store has committed. */
  committed(revision: number): void;
}

export function createCommitWatch(client: PgClient, channel: string, readRevision: () => Promise<number>): CommitWatch {
  const nudges = createNudges();
  /** The last revision that this store committed or read. */
  let seen = 0;
  /** The last one that was told, by whoever. */
  let told = 0;
  /** Commits of this store that were told and whose notification is still to come: they may be many behind. */
  const echoes = new Set<number>();
  let stop: (() => void) | undefined;
  let looking = false;
  let closed = false;

  return {
    onCommit(nudge) {
      if (!closed) stop ??= begin();
      return nudges.onCommit(nudge);
    },
    committed(revision) {
      seen = revision;
      // The notification may have been faster.
      if (revision === told) return;
      if (stop !== undefined && echoes.size < echoesMax) echoes.add(revision);
      tell(revision);
    },
    [Symbol.dispose]() {
      closed = true;
      stop?.();
      nudges.clear();
    },
  };

  function begin(): () => void {
    let wasListening = false;
    const unlisten = client.listen(
      channel,
      (payload) => {
        // Anyone who may connect to the database may notify: this makes others look, and changes nothing here.
        const revision = Number(payload);
        if (!Number.isSafeInteger(revision) || echoes.delete(revision)) return;
        if (revision !== told) tell(revision);
      },
      // Another database may have come in the place of the one before, with the same revision.
      () => {
        // Notifications that were sent before do not come any more.
        echoes.clear();
        void look(wasListening);
        wasListening = true;
      },
    );
    const timer = setInterval(() => void look(), lookEveryMs).unref();
    return () => {
      clearInterval(timer);
      unlisten();
    };
  }

  async function look(anew = false): Promise<void> {
    if (looking && !anew) return;
    looking = true;
    try {
      const before = seen;
      const revision = await readRevision();
      // This store has committed meanwhile.
      if (!anew && seen !== before) return;
      // Smaller, when the database was put back to an older state, which the last look may have seen before notifications told of
      // later ones. What was told may have been made up.
      if (anew || revision !== seen || revision !== told) tell(revision);
      seen = revision;
    } catch {
      // Whoever reads or writes is told; the next look comes soon.
    } finally {
      looking = false;
    }
  }

  function tell(revision: number): void {
    told = revision;
    nudges.tell(revision);
  }
}
