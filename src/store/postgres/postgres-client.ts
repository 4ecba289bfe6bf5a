// The connections of one process to PostgreSQL: some that read, one that writes, one that listens. Knows when the server is
// away, answers at once while it is, and finds out by itself when it is back.
import { setTimeout as delay } from 'node:timers/promises';
import type { PostgresConfig } from '../../config/config.ts';
import { PortunusError, reasonOf } from '../../lib/errors.ts';
import { createQueue } from '../queue.ts';
import type { PgClient, PgState, PgTransaction, PgValue } from './client.ts';
import { lostConnection } from './errors.ts';
import { type Link, type LinkOptions, openLink } from './link.ts';

const backOffMinMs = 50;
const backOffMaxMs = 2000;
/** How often the connection that listens shows that it still can. */
const listenCheckMs = 5000;
const outcomeRetryMs = 50;
/** So long, in `timeoutMs`, PostgreSQL may take to come back and tell what became of a commit. */
const outcomeTimeouts = 3;

export function createPgClient(config: PostgresConfig): PgClient {
  const idle: Link[] = [];
  const waiting: (() => void)[] = [];
  const listeners = new Set<{ channel: string; heard: (payload: string) => void; listening: () => void }>();
  const watchers = new Set<(state: PgState) => void>();
  const writing = createQueue();
  let reading = 0;
  let writer: Link | undefined;
  let writerBusy = false;
  let ear: Link | undefined;
  let hearing = false;
  let state: PgState = { kind: 'connected' };
  let probing = false;
  const closed = new AbortController();

  return {
    get state() {
      return state;
    },
    onState(changed) {
      const entry = (next: PgState): void => changed(next);
      watchers.add(entry);
      return () => void watchers.delete(entry);
    },
    async query(sql, ...values) {
      return withReader(async (link) => (await link.query(sql, values)).rows);
    },
    transact(kind, work) {
      if (kind === 'snapshot') {
        return withReader((link) =>
          within(link, 'BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY', work, commitReads),
        );
      }
      return writing.run(async () => {
        const link = await takeWriter();
        writerBusy = true;
        try {
          return await withinWrite(link, kind, work);
        } finally {
          writerBusy = false;
        }
      });
    },
    listen(channel, heard, listening) {
      const entry = { channel, heard, listening };
      listeners.add(entry);
      if (ear?.alive === true) void subscribe(ear, entry);
      else void keepListening();
      return () => void listeners.delete(entry);
    },
    async [Symbol.asyncDispose]() {
      if (closed.signal.aborted) return;
      closed.abort();
      await writing.idle();
      for (const link of [...idle, writer, ear]) link?.destroy();
      for (const wake of waiting) wake();
    },
  };

  async function withReader<T>(work: (link: Link) => Promise<T>): Promise<T> {
    while (reading >= config.poolSize && !closed.signal.aborted) {
      await new Promise<void>((resolve) => waiting.push(resolve));
    }
    reading += 1;
    try {
      const link = idle.pop() ?? (await open());
      try {
        return await work(link);
      } finally {
        if (link.alive && !closed.signal.aborted) idle.push(link);
        else link.destroy();
      }
    } finally {
      reading -= 1;
      waiting.shift()?.();
    }
  }

  async function takeWriter(): Promise<Link> {
    if (writer?.alive !== true) writer = await open();
    return writer;
  }

  /** Fails at once while the server is known to be away: somebody looks for it in the background. */
  async function open(listening: Partial<LinkOptions> = {}): Promise<Link> {
    if (closed.signal.aborted) throw new PortunusError('STORE_UNAVAILABLE', 'The store is closed.');
    if (state.kind === 'unreachable') throw lostConnection(state.reason);
    try {
      return await attempt(listening);
    } catch (error) {
      becomeUnreachable(error);
      throw error;
    }
  }

  async function attempt(listening: Partial<LinkOptions> = {}): Promise<Link> {
    const link = await openLink(config, {
      ended: () => {
        const at = idle.indexOf(link);
        if (at >= 0) idle.splice(at, 1);
      },
      silent: () => {
        // It is not one connection that is silent but the server, or the way to it: nobody else has to find out.
        becomeUnreachable(lostConnection('it does not answer'));
        for (const other of [...idle, ear, ...(writerBusy ? [] : [writer])]) other?.destroy();
      },
      ...listening,
    });
    if (closed.signal.aborted) link.destroy();
    return link;
  }

  function becomeUnreachable(error: unknown): void {
    if (state.kind === 'unreachable' || closed.signal.aborted) return;
    change({
      kind: 'unreachable',
      since: Date.now(),
      reason: reasonOf(error).replace(/^PostgreSQL is not available: |\.$/g, ''),
    });
    if (!probing) void probe();
  }

  async function probe(): Promise<void> {
    probing = true;
    for (let pauseMs = backOffMinMs; !closed.signal.aborted; pauseMs = Math.min(pauseMs * 2, backOffMaxMs)) {
      // Jitter: many nodes do not come back at the same moment.
      await delay(pauseMs * (0.5 + Math.random() / 2), undefined, { ref: false });
      try {
        const link = await attempt();
        probing = false;
        if (idle.length < config.poolSize) idle.push(link);
        else link.destroy();
        change({ kind: 'connected' });
        void keepListening();
        return;
      } catch (error) {
        if (state.kind === 'unreachable')
          state = { ...state, reason: reasonOf(error).replace(/^PostgreSQL is not available: |\.$/g, '') };
      }
    }
  }

  function change(next: PgState): void {
    state = next;
    for (const watcher of watchers) watcher(next);
  }

  /** One loop while anyone listens: opens, subscribes, looks after the connection, opens again. */
  async function keepListening(): Promise<void> {
    if (hearing) return;
    hearing = true;
    try {
      while (listeners.size > 0 && !closed.signal.aborted && state.kind === 'connected') {
        await listenUntilCut();
        await delay(backOffMinMs * (0.5 + Math.random() / 2), undefined, { ref: false });
      }
    } finally {
      hearing = false;
    }
  }

  async function listenUntilCut(): Promise<void> {
    const cut = new AbortController();
    const link = await open({
      notified(channel, payload) {
        for (const each of listeners) if (each.channel === channel) each.heard(payload);
      },
      ended: () => cut.abort(),
    }).catch(() => undefined);
    if (link === undefined) return;
    ear = link;
    await Promise.all(Array.from(listeners, (each) => subscribe(link, each)));
    while (link.alive && listeners.size > 0 && !closed.signal.aborted) {
      await delay(listenCheckMs, undefined, { ref: false, signal: cut.signal }).catch(() => undefined);
      await link.query('SELECT 1', []).catch(() => link.destroy());
    }
    link.destroy();
  }

  async function subscribe(
    link: Link,
    entry: { readonly channel: string; readonly listening: () => void },
  ): Promise<void> {
    try {
      await link.query(`LISTEN "${entry.channel}"`, []);
      entry.listening();
    } catch {
      link.destroy();
    }
  }

  async function within<T>(
    link: Link,
    begin: string,
    work: (tx: PgTransaction) => Promise<T>,
    finish: (link: Link) => Promise<void>,
  ): Promise<T> {
    let savepoints = 0;
    const tx: PgTransaction = {
      query: async (sql, ...values: readonly PgValue[]) => (await link.query(sql, values)).rows,
      async savepoint(inner) {
        const name = `s${(savepoints += 1)}`;
        try {
          // Sent along with the first statement of `inner`.
          const [, value] = await Promise.all([link.query(`SAVEPOINT ${name}`, []), inner()]);
          await link.query(`RELEASE ${name}`, []);
          return value;
        } catch (error) {
          if (link.alive) await link.query(`ROLLBACK TO ${name}`, []);
          throw error;
        }
      },
    };
    // Sent along with the first statement: its answer is awaited below.
    const begun = link.query(begin, []);
    let value: T;
    try {
      [, value] = await Promise.all([begun, work(tx)]);
    } catch (error) {
      if (link.alive) await link.query('ROLLBACK', []).catch(() => link.destroy());
      throw error;
    }
    await finish(link);
    return value;
  }

  async function withinWrite<T>(
    link: Link,
    kind: 'write' | 'rehearsal',
    work: (tx: PgTransaction) => Promise<T>,
  ): Promise<T> {
    let transactionId = '';
    const named = async (tx: PgTransaction): Promise<T> => {
      const [value, [row]] = await Promise.all([work(tx), tx.query('SELECT txid_current()::text AS id')]);
      transactionId = String(row?.['id']);
      return value;
    };
    return within(link, 'BEGIN', named, kind === 'rehearsal' ? rollBack : (one) => commit(one, () => transactionId));
  }

  async function commitReads(link: Link): Promise<void> {
    await link.query('COMMIT', []);
  }

  async function rollBack(link: Link): Promise<void> {
    await link.query('ROLLBACK', []);
  }

  async function commit(link: Link, transactionId: () => string): Promise<void> {
    let command: string;
    try {
      ({ command } = await link.query('COMMIT', []));
    } catch (error) {
      link.destroy();
      return outcome(transactionId(), error);
    }
    // PostgreSQL answers so when a statement before had failed.
    if (command !== 'COMMIT') throw lostConnection('it gave the transaction up');
  }

  /** Resolves when the transaction is committed after all. */
  async function outcome(transactionId: string, lost: unknown): Promise<void> {
    const deadline = performance.now() + outcomeTimeouts * config.timeoutMs;
    while (performance.now() < deadline && !closed.signal.aborted) {
      try {
        const link = await attempt();
        const { rows } = await link.query('SELECT txid_status($1::text::bigint) AS status', [transactionId]);
        link.destroy();
        const status = rows[0]?.['status'];
        if (status === 'committed') return;
        if (status === 'aborted') throw new Aborted();
        if (status === null) break;
      } catch (error) {
        if (error instanceof Aborted) throw lostConnection('the connection was lost before the commit', lost);
      }
      await delay(outcomeRetryMs);
    }
    throw new PortunusError(
      'STORE_OUTCOME_UNKNOWN',
      'PostgreSQL was lost while it committed, and did not come back in time to tell whether it did.',
      { hint: 'Read back whether the write is there before you repeat it.' },
    );
  }
}

class Aborted extends Error {}
