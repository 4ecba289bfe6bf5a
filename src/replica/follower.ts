// Follows the store: reads `changes` from the last revision on each nudge and hands them on in order. A nudge carries no
// truth; losing one costs latency, never correctness.
import type { Change } from '../model/entities.ts';
import type { Store } from '../store/contract.ts';

/** Changes read from the store at once; a revision is never cut. */
const pageSize = 1000;
const retryAfterMs = 1000;

/** What the workers are told of: changes to follow, or that all they hold may be out of date. */
export type Publish = (revision: number, changes: readonly Change[] | 'everything') => void;

/** What is followed. */
export interface Followed extends Pick<Store, 'changesSince' | 'onCommit' | 'revision'> {
  /** What tells one past of the revisions from another: with another one, nothing that was read still counts. */
  history(): string;
}

export interface Follower extends AsyncDisposable {
  /** The last revision handed on. */
  readonly revision: number;
}

/**
 * @param publish called with the changes of one or more whole revisions, in order, never twice for one revision; with
 *   `everything` when what changed since the last revision is not known any more, or that one was of another past
 * @param failed called when the store could not be read, which is tried again after a second or at the next nudge
 */
export function follow(store: Followed, from: number, publish: Publish, failed: (error: unknown) => void): Follower {
  let revision = from;
  let history = store.history();
  let nudged = false;
  let reading: Promise<void> | undefined;
  let stopped = false;
  let retry: NodeJS.Timeout | undefined;

  const stop = store.onCommit(nudge);
  nudge();

  return {
    get revision() {
      return revision;
    },
    async [Symbol.asyncDispose]() {
      stopped = true;
      stop();
      clearTimeout(retry);
      await reading;
    },
  };

  function nudge(): void {
    nudged = true;
    reading ??= read().then(finished, (error: unknown) => {
      failed(error);
      finished();
      if (!stopped) retry = setTimeout(nudge, retryAfterMs).unref();
    });
  }

  /** A nudge may have come between the last look and here. */
  function finished(): void {
    reading = undefined;
    if (nudged && !stopped) nudge();
  }

  async function read(): Promise<void> {
    while (nudged && !stopped) {
      nudged = false;
      for (;;) {
        // Asked first: what is committed between the two questions is in the changes.
        const past = store.history();
        const latest = await store.revision();
        const changes = await store.changesSince(revision, pageSize);
        const last = changes.at(-1);
        const follows = last === undefined ? latest === revision : changes[0]?.revision === revision + 1;
        if (follows && past === history) {
          if (last === undefined) break;
          revision = last.revision;
          publish(revision, changes);
        } else {
          history = past;
          revision = last?.revision ?? latest;
          publish(revision, 'everything');
        }
      }
    }
  }
}
