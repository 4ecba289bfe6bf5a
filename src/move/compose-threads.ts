// Composing certificates on every core: parsing them is most of what an import costs. Results come in the order of the
// items, and are what they would be if the items were composed one after the other.
import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import type { Milliseconds } from '../model/entities.ts';
import type { Keyring } from '../store/keyring.ts';
import type { CertificateItem, Composed } from './compose-entry.ts';

export interface ThreadData {
  readonly keyring: Keyring;
  readonly minRsaBits: number;
  readonly force: boolean;
  readonly passphrase: string | undefined;
  readonly tags: readonly string[];
}

export interface ComposeTask {
  readonly kind: 'compose';
  readonly id: number;
  readonly items: readonly CertificateItem[];
  readonly now: Milliseconds;
}

export type ThreadMessage =
  | ComposeTask
  | { readonly kind: 'known'; readonly subjectKey: string; readonly pems: readonly string[] };

interface ThreadAnswer {
  readonly id: number;
  readonly composed: readonly Composed[];
}

export interface ComposeThreads extends AsyncDisposable {
  compose(items: readonly CertificateItem[], now: Milliseconds): Promise<readonly Composed[]>;
  /** Intermediates that every later `compose` knows. */
  tell(subjectKey: string, pems: readonly string[]): void;
}

const threadsMax = 8;

export function startComposeThreads(data: ThreadData): ComposeThreads {
  const url = new URL(`./compose-thread${import.meta.url.endsWith('.ts') ? '.ts' : '.js'}`, import.meta.url);
  const threads = Array.from({ length: Math.min(threadsMax, availableParallelism()) }, () => startThread(url, data));
  let ids = 0;
  return {
    async compose(items, now) {
      const [thread] = threads.toSorted((a, b) => a.waiting.size - b.waiting.size);
      if (thread === undefined) throw new TypeError('there is no thread');
      return thread.ask({ kind: 'compose', id: (ids += 1), items, now });
    },
    tell(subjectKey, pems) {
      for (const thread of threads) thread.post({ kind: 'known', subjectKey, pems });
    },
    async [Symbol.asyncDispose]() {
      await Promise.all(threads.map((thread) => thread.end()));
    },
  };
}

function startThread(url: URL, workerData: ThreadData) {
  const worker = new Worker(url, { workerData });
  const waiting = new Map<number, { resolve(composed: readonly Composed[]): void; reject(error: unknown): void }>();
  worker.on('message', ({ id, composed }: ThreadAnswer) => {
    waiting.get(id)?.resolve(composed);
    waiting.delete(id);
  });
  worker.on('error', fail);
  worker.on('exit', () => fail(new Error('a thread that composes certificates ended')));
  return {
    waiting,
    post: (message: ThreadMessage): void => worker.postMessage(message),
    ask(task: ComposeTask): Promise<readonly Composed[]> {
      return new Promise((resolve, reject) => {
        waiting.set(task.id, { resolve, reject });
        worker.postMessage(task);
      });
    },
    end: () => worker.terminate(),
  };

  function fail(error: unknown): void {
    for (const each of waiting.values()) each.reject(error);
    waiting.clear();
  }
}
