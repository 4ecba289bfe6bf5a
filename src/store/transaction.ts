// The life of one transaction, over any database's rows: reads and writes while it is open, each write whole or not at
// all, nothing once it has ended. The rules are in writes.ts; beginning and committing are the database's.
import type { Milliseconds } from '../model/entities.ts';
import { createChangeLog } from './change-log.ts';
import type { StoreTransaction } from './contract.ts';
import { createQueue } from './queue.ts';
import type { Rows } from './rows.ts';
import { createWrites } from './writes.ts';

export interface OpenTransaction {
  readonly tx: StoreTransaction;
  /** Undefined as long as no entity was written. */
  readonly revision: number | undefined;
  /** From now on every call of `tx` is a TypeError. Waits for the writes under way. */
  end(): Promise<void>;
}

export function openTransaction(rows: Rows, actor: string, at: Milliseconds): OpenTransaction {
  const log = createChangeLog(rows, actor, at);
  // `work` may write several things at once; each write looks before it writes.
  const queue = createQueue();
  let ended = false;
  const { apis, plugins, certificates, snis, tokens, caCertificates, hostPolicies, ...questions } = rows.read;
  const writes = createWrites(rows, log);

  return {
    tx: {
      ...wrapped(questions, whileOpen),
      apis: { ...wrapped(apis, whileOpen), ...wrapped(writes.apis, whole) },
      plugins: { ...wrapped(plugins, whileOpen), ...wrapped(writes.plugins, whole) },
      certificates: { ...wrapped(certificates, whileOpen), ...wrapped(writes.certificates, whole) },
      snis: { ...wrapped(snis, whileOpen), ...wrapped(writes.snis, whole) },
      tokens: { ...wrapped(tokens, whileOpen), ...wrapped(writes.tokens, whole) },
      caCertificates: { ...wrapped(caCertificates, whileOpen), ...wrapped(writes.caCertificates, whole) },
      hostPolicies: { ...wrapped(hostPolicies, whileOpen), ...wrapped(writes.hostPolicies, whole) },
      ...wrapped(writes.intermediates, whole),
      ...wrapped(writes.many, whole),
    },
    get revision() {
      return log.revision;
    },
    async end() {
      ended = true;
      await queue.idle();
    },
  };

  async function whileOpen<T>(call: () => Promise<T>): Promise<T> {
    if (ended) throw new TypeError('the transaction has ended');
    return call();
  }

  async function whole<T>(call: () => Promise<T>): Promise<T> {
    return whileOpen(() => queue.run(() => log.atomically(call)));
  }
}

type Call = (...values: unknown[]) => Promise<unknown>;

/** The same methods, each called through `around`. */
function wrapped<M extends object>(methods: M, around: (call: () => Promise<unknown>) => Promise<unknown>): M {
  const entries = Object.entries(methods) as [string, Call][];
  return Object.fromEntries(
    entries.map(([name, call]) => [name, (...values: unknown[]) => around(() => call(...values))]),
  ) as M;
}
