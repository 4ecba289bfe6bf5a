// Forgets what no node needs any more: old rows of `changes`, and nodes that have been silent for long. One node at a time.
import { createSteadyClock } from '../../lib/steady-clock.ts';
import type { Milliseconds } from '../../model/entities.ts';
import type { AuditLimits } from '../contract.ts';
import { advisoryLock } from './channels.ts';
import type { PgClient } from './client.ts';

/** What a node that has been away for longer needs is not kept for it, and the node itself is forgotten. */
export const nodesKeptForMs = 7 * 24 * 3_600_000;
const changesMax = 1_000_000;
/** Few enough to be deleted well within the time of one statement. */
const batch = 20_000;
const everyMs = 60_000;

export interface PruneOptions {
  readonly client: PgClient;
  readonly schema: string;
  readonly changesKeptForMs: number;
  readonly now: () => Milliseconds;
  readonly changesMax?: number;
}

export interface PruneAuditOptions extends Pick<PruneOptions, 'client' | 'now'> {
  readonly audit: AuditLimits;
}

/** Once a minute, on whatever node comes first. */
export function schedulePruning(given: PruneOptions & Pick<PruneAuditOptions, 'audit'>): Disposable {
  const options = { ...given, now: createSteadyClock(given.now) };
  const timer = setInterval(() => {
    // It will be tried again, and nobody waits for it.
    void pruneChanges(options).catch(() => undefined);
    void pruneAudit(options).catch(() => undefined);
  }, everyMs).unref();
  return { [Symbol.dispose]: () => clearInterval(timer) };
}

/**
 * Deletes whole revisions from the oldest on: those that are older than `changesKeptForMs` and that every node has applied
 * that was seen within `nodesKeptForMs`; and whatever nodes need, those older than that, or beyond `changesMax` rows.
 */
export async function pruneChanges(options: PruneOptions): Promise<void> {
  const { client, schema, changesKeptForMs, now, changesMax: kept = changesMax } = options;
  const lock = advisoryLock(schema, 'prune');
  for (;;) {
    const deleted = await client.transact('write', async (tx) => {
      const [locked] = await tx.query('SELECT pg_try_advisory_xact_lock($1, $2) AS taken', ...lock);
      if (locked?.['taken'] !== true) return 0;
      await tx.query(
        `DELETE FROM nodes WHERE seen_at < clock_timestamp() - $1::bigint * interval '1 millisecond'`,
        nodesKeptForMs,
      );
      // Greatest and least pass over null: without nodes nobody needs anything.
      const [row] = await tx.query(
        `WITH gone AS (
           DELETE FROM changes WHERE revision < least(
             greatest(
               least(
                 coalesce((SELECT revision FROM changes WHERE at >= $1 ORDER BY revision LIMIT 1),
                   (SELECT revision + 1 FROM revision)),
                 (SELECT min(coalesce(applied, 0)) + 1 FROM nodes)),
               coalesce((SELECT revision FROM changes WHERE at >= $2 ORDER BY revision LIMIT 1),
                 (SELECT revision + 1 FROM revision)),
               (SELECT revision FROM changes ORDER BY revision DESC, position DESC LIMIT 1 OFFSET $3)),
             -- A batch, or one revision that is more than that.
             (SELECT greatest(revision, (SELECT min(revision) + 1 FROM changes)) FROM changes
              ORDER BY revision, position LIMIT 1 OFFSET $4))
           RETURNING 1)
         SELECT count(*) AS count FROM gone`,
        now() - changesKeptForMs,
        now() - nodesKeptForMs,
        kept - 1,
        batch,
      );
      return Number(row?.['count'] ?? 0);
    });
    if (deleted === 0) return;
  }
}

/** Forgets what is older than the trail is kept for, and what is beyond its rows. */
export async function pruneAudit({ client, now, audit }: PruneAuditOptions): Promise<void> {
  await client.query(
    `DELETE FROM audit WHERE sequence <= greatest(
       (SELECT sequence FROM audit ORDER BY sequence DESC LIMIT 1 OFFSET $1),
       coalesce((SELECT sequence - 1 FROM audit WHERE at >= $2 ORDER BY sequence LIMIT 1),
         (SELECT max(sequence) FROM audit)))`,
    audit.rowsMax,
    now() - audit.keptForMs,
  );
}
