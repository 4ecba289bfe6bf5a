// Opens the store's file for writing: made with mode 0600 if absent, recognised, set to survive a loss of power, migrated.
import { open } from 'node:fs/promises';
import path from 'node:path';
import { PortunusError } from '../../lib/errors.ts';
import { ownerOfNew } from '../../lib/owner-of.ts';
import { syncDirectory } from '../sync-directory.ts';
import { connect, type Connection } from './connection.ts';
import { migrations } from './schema.ts';

/** Marks the file as ours (sqlite.org/fileformat.html, offset 68): `Port`. */
const applicationId = 0x506f7274;
/** Short, since it blocks the process; sqlite-store.ts tries again for longer without blocking. */
const busyTimeoutMs = 100;
const walKeptMaxBytes = 64 * 1024 * 1024;
const cacheKib = 16 * 1024;

/** @throws STORE_UNAVAILABLE, STORE_DAMAGED, STORE_NEWER */
export async function openDatabase(file: string): Promise<Connection> {
  await createFile(file);
  const connection = connect(file, { readOnly: false, busyTimeoutMs });
  try {
    recognise(connection, file);
    configure(connection, file);
    for (let version = 0; version < migrations.length; version += 1) migrate(connection, version);
    refuseLateRevision(connection, file);
  } catch (error) {
    connection.close();
    throw error;
  }
  return connection;
}

/** The readers of this process: they see what is committed, and only that. */
export function openForReading(file: string): Connection {
  const connection = connect(file, { readOnly: true, busyTimeoutMs });
  connection.exec(`PRAGMA cache_size = -${cacheKib}`);
  return connection;
}

/** SQLite gives its -wal and -shm files the mode of this one. */
async function createFile(file: string): Promise<void> {
  try {
    const handle = await open(file, 'wx', 0o600);
    const owner = ownerOfNew(file);
    if (owner !== undefined) await handle.chown(owner.uid, owner.gid);
    await handle.close();
    await syncDirectory(path.dirname(file));
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined;
    if (code === 'EEXIST') return;
    throw new PortunusError('STORE_UNAVAILABLE', `The store ${file} cannot be made (${String(code)}).`, {
      cause: error,
    });
  }
}

function recognise(connection: Connection, file: string): void {
  const id = pragma(connection, 'application_id');
  if (id !== applicationId && (id !== 0 || !isEmpty(connection))) {
    throw new PortunusError('STORE_DAMAGED', `The store ${file} is the SQLite database of another program.`);
  }
  const version = pragma(connection, 'user_version');
  if (version > migrations.length) {
    throw new PortunusError(
      'STORE_NEWER',
      `The store ${file} has schema version ${version}; this version of Portunus knows ${migrations.length}.`,
      { facts: { version, known: migrations.length }, hint: 'Start the newer version again.' },
    );
  }
}

function configure(connection: Connection, file: string): void {
  const mode = connection.get('PRAGMA journal_mode = WAL')?.['journal_mode'];
  if (mode !== 'wal') {
    throw new PortunusError(
      'STORE_UNAVAILABLE',
      `The store ${file} cannot be used: its file system has no shared memory.`,
      {
        hint: 'Put the data directory on a local disk.',
      },
    );
  }
  // FULL: a commit returns when the write-ahead log is on the disk.
  connection.exec(`
    PRAGMA synchronous = FULL;
    PRAGMA foreign_keys = ON;
    PRAGMA journal_size_limit = ${walKeptMaxBytes};
    PRAGMA cache_size = -${cacheKib};
  `);
}

function migrate(connection: Connection, version: number): void {
  connection.exec('BEGIN IMMEDIATE');
  try {
    // Looked at under the lock: another process may have come first.
    if (pragma(connection, 'user_version') === version) {
      connection.exec(migrations[version] ?? '');
      connection.exec(`PRAGMA application_id = ${applicationId}; PRAGMA user_version = ${version + 1}`);
    }
    connection.exec('COMMIT');
  } catch (error) {
    if (connection.inTransaction) connection.exec('ROLLBACK');
    throw error;
  }
}

/** Whoever followed such a store would go back and forth without an end. What cannot be read is found by who needs it. */
function refuseLateRevision(connection: Connection, file: string): void {
  let row: ReturnType<Connection['get']>;
  try {
    row = connection.get(
      'SELECT (SELECT revision FROM revision) AS held, (SELECT max(revision) FROM changes) AS least',
    );
  } catch {
    return;
  }
  if (row?.['held'] !== null && Number(row?.['held']) >= Number(row?.['least'] ?? 0)) return;
  throw new PortunusError(
    'STORE_DAMAGED',
    `The store ${file} is damaged: its revision is not that of its last change.`,
    {
      hint: 'Put it aside and restore a copy; or import what "portunus export --with-keys" still reads of it into a new one.',
    },
  );
}

function pragma(connection: Connection, name: 'application_id' | 'user_version'): number {
  return Number(connection.get(`PRAGMA ${name}`)?.[name] ?? 0);
}

function isEmpty(connection: Connection): boolean {
  return connection.get('SELECT 1 FROM sqlite_schema LIMIT 1') === undefined;
}
