// What keeps the file from growing for ever: old rows of `changes`, and a write-ahead log that readers hold open.
import { statSync } from 'node:fs';
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

/** SQLite checkpoints by itself, as far as readers let it; this one waits for them, within the busy timeout. */
export function checkpointIfLong(connection: Connection, path: string, maxBytes = walMaxBytes): void {
  const bytes = statSync(`${path}-wal`, { throwIfNoEntry: false })?.size ?? 0;
  if (bytes > maxBytes) connection.get('PRAGMA wal_checkpoint(TRUNCATE)');
}
