// The connections of one process to PostgreSQL: some that read, one that writes, one that listens. Knows when the server is
// away, answers at once while it is, and finds out by itself when it is back.
import { setTimeout as delay } from 'node:timers/promises';
import { isPortunusError, PortunusError, reasonOf } from '../../lib/errors.ts';
import { createQueue } from '../queue.ts';
import type { PgAddress, PgClient, PgState } from './client.ts';
import { lostConnection, reasonIn } from './errors.ts';
import { type Link, type LinkOptions, openLink } from './link.ts';
import { createEar } from './listen.ts';
import { type Asking, snapshot, transact } from './transact.ts';

const backOffMinMs = 50;
const backOffMaxMs = 2000;
/** So long, in `timeoutMs`, PostgreSQL may take to come back and tell what became of a commit. */
const outcomeTimeouts = 3;

/** Connects to nothing by itself. */
export function createPgClient(config: PgAddress): PgClient {
  const closed = new AbortController();
  const watchers = new Set<(state: PgState) => void>();
  let state: PgState = { kind: 'connected' };
  /** Why it is unreachable, as an error with its hint. */
  let trouble = lostConnection();

  const idle: Link[] = [];
  const waiting: (() => void)[] = [];
  let reading = 0;
  const writing = createQueue();
  let writer: Link | undefined;
  let writerBusy = false;
  const ear = createEar(open, closed.signal);
  const asking: Asking = { open: attempt, timeoutMs: outcomeTimeouts * config.timeoutMs, signal: closed.signal };

  return {
    timeoutMs: config.timeoutMs,
    get state() {
      return state;
    },
    onState(changed) {
      const entry = (next: PgState): void => changed(next);
      watchers.add(entry);
      return () => void watchers.delete(entry);
    },
    async query(sql, ...values) {
      return inPool(() => onReader(async (link) => (await link.query(sql, values)).rows));
    },
    async transact(kind, work, waitMaxMs = config.timeoutMs) {
      // A snapshot may take long, and waits for nobody.
      if (kind === 'snapshot') return onReader((link) => snapshot(link, work));
      return writing.run((leftMs) => onWriter((link) => transact(link, kind, work, leftMs, asking)), waitMaxMs);
    },
    listen: ear.listen,
    async [Symbol.asyncDispose]() {
      if (closed.signal.aborted) return;
      await writing.close();
      closed.abort();
      for (const link of [...idle, writer, ear]) link?.destroy();
      for (const wake of waiting) wake();
    },
  };

  async function inPool<T>(work: () => Promise<T>): Promise<T> {
    while (reading >= config.poolSize && !closed.signal.aborted) {
      await new Promise<void>((resolve) => waiting.push(resolve));
    }
    reading += 1;
    try {
      return await work();
    } finally {
      reading -= 1;
      waiting.shift()?.();
    }
  }

  async function onReader<T>(work: (link: Link) => Promise<T>): Promise<T> {
    const link = idle.pop() ?? (await open());
    try {
      return await work(link);
    } finally {
      keep(link);
    }
  }

  async function onWriter<T>(work: (link: Link) => Promise<T>): Promise<T> {
    writerBusy = true;
    try {
      if (writer?.alive !== true) writer = await open();
      return await work(writer);
    } finally {
      writerBusy = false;
    }
  }

  function keep(link: Link): void {
    if (link.alive && !closed.signal.aborted && idle.length <= config.poolSize) idle.push(link);
    else link.destroy();
  }

  /** Fails at once while the server is known to be away: somebody looks for it in the background. */
  async function open(options: Partial<LinkOptions> = {}): Promise<Link> {
    if (closed.signal.aborted) throw new PortunusError('STORE_UNAVAILABLE', 'The store is closed.');
    if (state.kind === 'unreachable') {
      throw new PortunusError(trouble.code, trouble.message, { facts: trouble.facts, hint: trouble.hint });
    }
    try {
      return await attempt(options);
    } catch (error) {
      becomeUnreachable(error);
      throw error;
    }
  }

  async function attempt(options: Partial<LinkOptions> = {}): Promise<Link> {
    const link = await openLink(config, {
      ended() {
        const at = idle.indexOf(link);
        if (at >= 0) idle.splice(at, 1);
      },
      silent() {
        // It is not one connection that is silent but the server, or the way to it: nobody else has to find out.
        becomeUnreachable(lostConnection('it does not answer'));
        for (const other of [...idle, ear, writerBusy ? undefined : writer]) other?.destroy();
      },
      ...options,
    });
    if (closed.signal.aborted) link.destroy();
    return link;
  }

  function becomeUnreachable(error: unknown): void {
    if (state.kind === 'unreachable' || closed.signal.aborted) return;
    trouble = asTrouble(error);
    change({ kind: 'unreachable', since: Date.now(), reason: reasonIn(trouble) });
    void probe();
  }

  async function probe(): Promise<void> {
    for (let pauseMs = backOffMinMs; !closed.signal.aborted; pauseMs = Math.min(pauseMs * 2, backOffMaxMs)) {
      // Many nodes do not come back at the same moment.
      await delay(pauseMs * (0.5 + Math.random() / 2), undefined, { ref: false });
      try {
        keep(await attempt());
        change({ kind: 'connected' });
        ear.resume();
        return;
      } catch (error) {
        trouble = asTrouble(error);
        if (state.kind === 'unreachable') state = { ...state, reason: reasonIn(trouble) };
      }
    }
  }

  function change(next: PgState): void {
    state = next;
    for (const watcher of watchers) watcher(next);
  }
}

function asTrouble(error: unknown): PortunusError {
  return isPortunusError(error) ? error : lostConnection(reasonOf(error), error);
}
