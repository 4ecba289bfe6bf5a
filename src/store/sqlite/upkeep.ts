// What keeps the file from growing for ever: old rows of `changes`, and a write-ahead log that readers hold open.
import { statSync } from 'node:fs';
import type { AuditLimits } from '../contract.ts';
import type { Connection } from './connection.ts';

/** A log this long means that no checkpoint finished, since some reader was always in the way. */
const walMaxBytes = 128 * 1024 * 1024;

/** Forgets whole revisions, as long as `kept` rows remain. */
export function pruneChanges(connection: Connection, kept: number): void {
  connection.run(
    `DELETE FROM changes WHERE revision <
       (SELECT revision FROM changes ORDER BY revision DESC, position DESC LIMIT 1 OFFSET ?)`,
    kept - 1,
  );
}

/** Forgets what is older than the trail is kept for, and what is beyond its rows. */
export function pruneAudit(connection: Connection, { keptForMs, rowsMax }: AuditLimits, now: number): void {
  connection.run(
    `DELETE FROM audit WHERE sequence <= max(
       coalesce((SELECT sequence FROM audit ORDER BY sequence DESC LIMIT 1 OFFSET ?), 0),
       coalesce((SELECT sequence - 1 FROM audit WHERE at >= ? ORDER BY sequence LIMIT 1),
         (SELECT max(sequence) FROM audit), 0))`,
    rowsMax,
    now - keptForMs,
  );
}

/** SQLite checkpoints by itself, as far as readers let it; this one waits for them, within the busy timeout. */
export function checkpointIfLong(connection: Connection, path: string, maxBytes = walMaxBytes): void {
  const bytes = statSync(`${path}-wal`, { throwIfNoEntry: false })?.size ?? 0;
  if (bytes > maxBytes) connection.get('PRAGMA wal_checkpoint(TRUNCATE)');
}

/**
 * Before the end, so that the file alone is a whole copy: SQLite does it by itself only for the last that closes it, and others
 * may read on.
 */
export function emptyLog(connection: Connection): void {
  try {
    connection.exec('PRAGMA wal_checkpoint(TRUNCATE)');
  } catch {
    // A full disk, say. The log is read at the next start.
  }
}
