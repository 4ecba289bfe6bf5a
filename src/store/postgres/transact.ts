// The life of one transaction on one connection. What became of a commit whose answer was lost is asked on another one.
// Its number alone does not tell: a server that is killed forgets numbers it had given out and not written down, and another
// transaction may have got the same one since. What this one has written must be there too, where that can be asked for.
import { setTimeout as delay } from 'node:timers/promises';
import { PortunusError } from '../../lib/errors.ts';
import type { PgTransaction, PgValue } from './client.ts';
import { lostConnection } from './errors.ts';
import type { Link } from './link.ts';

const outcomeRetryMs = 50;
/** Of the time that one waits: the server gives up before this side does. */
const lockShare = 0.9;

interface Witness {
  readonly sql: string;
  readonly values: readonly PgValue[];
}

/** How another connection is opened, to ask; and for how long it is tried. */
export interface Asking {
  readonly open: () => Promise<Link>;
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
}

/** As `PgClient.transact` promises. */
export async function snapshot<T>(link: Link, work: (tx: PgTransaction) => Promise<T>): Promise<T> {
  const value = await begun(link, 'BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY', work);
  await link.query('COMMIT', []);
  return value;
}

/** As `PgClient.transact` promises. @param waitMaxMs for a lock that others hold */
export async function transact<T>(
  link: Link,
  kind: 'write' | 'rehearsal',
  work: (tx: PgTransaction) => Promise<T>,
  waitMaxMs: number,
  asking: Asking,
): Promise<T> {
  const lockTimeoutMs = Math.max(1, Math.ceil(waitMaxMs * lockShare));
  const begin = `BEGIN; SET LOCAL lock_timeout = ${lockTimeoutMs}`;
  if (kind === 'rehearsal') {
    const value = await begun(link, begin, work);
    await link.query('ROLLBACK', []);
    return value;
  }
  const { value, id, witness } = await begun(link, begin, async (tx) => {
    let seen: Witness | undefined;
    const witnessed = { ...tx, witness: (sql: string, ...values: readonly PgValue[]) => void (seen = { sql, values }) };
    const working = work(witnessed);
    // Sent after the first statement of `work`, which takes a lock: the number is given out then.
    const numbering = tx.query('SELECT txid_current()::text AS id');
    // When `work` fails this fails too, and says less.
    numbering.catch(() => undefined);
    const result = await working;
    const [row] = await numbering;
    return { value: result, id: String(row?.['id']), witness: seen };
  });
  await commit(link, { id, witness }, asking);
  return value;
}

async function begun<T>(link: Link, begin: string, work: (tx: PgTransaction) => Promise<T>): Promise<T> {
  let savepoints = 0;
  const tx: PgTransaction = {
    query: async (sql, ...values) => (await link.query(sql, values)).rows,
    async savepoint(inner) {
      const name = `s${(savepoints += 1)}`;
      try {
        // Sent along with the first statement of `inner`, as BEGIN is with that of `work`.
        const [, value] = await Promise.all([link.query(`SAVEPOINT ${name}`, []), inner()]);
        await link.query(`RELEASE ${name}`, []);
        return value;
      } catch (error) {
        if (link.alive) await link.query(`ROLLBACK TO ${name}`, []);
        throw error;
      }
    },
    witness: () => undefined,
  };
  try {
    const [, value] = await Promise.all([link.query(begin, []), work(tx)]);
    return value;
  } catch (error) {
    if (link.alive) await link.query('ROLLBACK', []).catch(() => link.destroy());
    throw error;
  }
}

interface Transaction {
  /** PostgreSQL's number of it. */
  readonly id: string;
  readonly witness: Witness | undefined;
}

async function commit(link: Link, transaction: Transaction, asking: Asking): Promise<void> {
  let command: string;
  try {
    ({ command } = await link.query('COMMIT', []));
  } catch (error) {
    link.destroy();
    if (await askOutcome(transaction, asking)) return;
    throw lostConnection('the connection was lost before the commit', error);
  }
  // PostgreSQL answers so when a statement before had failed.
  if (command !== 'COMMIT') throw lostConnection('it gave the transaction up');
}

/** @returns whether it is committed. @throws STORE_OUTCOME_UNKNOWN */
async function askOutcome(transaction: Transaction, { open, timeoutMs, signal }: Asking): Promise<boolean> {
  const deadline = performance.now() + timeoutMs;
  while (performance.now() < deadline && !signal.aborted) {
    // Also `in progress`, as long as PostgreSQL has not noticed that the connection is gone.
    const status = await statusOf(transaction, open);
    if (status === 'committed') return true;
    if (status === 'aborted') return false;
    await delay(outcomeRetryMs);
  }
  throw new PortunusError(
    'STORE_OUTCOME_UNKNOWN',
    'PostgreSQL was lost while it committed, and did not come back in time to tell whether it did.',
    { hint: 'Read back whether the write is there before you repeat it.' },
  );
}

/** Undefined when it cannot be asked. */
async function statusOf({ id, witness }: Transaction, open: Asking['open']): Promise<unknown> {
  try {
    const link = await open();
    try {
      const { rows } = await link.query('SELECT txid_status($1::text::bigint) AS status', [id]);
      const status = rows[0]?.['status'];
      if (status !== 'committed' || witness === undefined) return status;
      const found = await link.query(witness.sql, witness.values);
      return found.rows.length > 0 ? 'committed' : 'aborted';
    } finally {
      link.destroy();
    }
  } catch {
    return undefined;
  }
}
