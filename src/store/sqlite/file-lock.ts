// A file lock by way of SQLite: Node.js has none of its own, and this one cannot outlive its process.
import { chmodSync, closeSync, fchownSync, openSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { ownerOfNew } from '../../lib/owner-of.ts';

/** SQLITE_BUSY (sqlite.org/rescode.html). */
const busy = 5;

/** Undefined when somebody has it, in this process or another. @throws what SQLite says of a directory or disk that does not work */
export function takeFileLock(file: string): Disposable | undefined {
  make(file);
  const lock = new DatabaseSync(file, { timeout: 0 });
  try {
    lock.exec('PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE');
    chmodSync(file, 0o600);
    return { [Symbol.dispose]: () => lock.close() };
  } catch (error) {
    lock.close();
    if ((error as { errcode?: number }).errcode === busy) return undefined;
    throw error;
  }
}

/** SQLite would make it root's where root takes the lock of a gateway that is not. */
function make(file: string): void {
  const owner = ownerOfNew(file);
  if (owner === undefined) return;
  try {
    const made = openSync(file, 'wx', 0o600);
    fchownSync(made, owner.uid, owner.gid);
    closeSync(made);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
}
