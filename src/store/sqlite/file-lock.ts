// A file lock by way of SQLite: Node.js has none of its own, and this one cannot outlive its process.
import { chmodSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';

/** SQLITE_BUSY (sqlite.org/rescode.html). */
const busy = 5;

/** Undefined when somebody has it, in this process or another. @throws what SQLite says of a directory or disk that does not work */
export function takeFileLock(file: string): Disposable | undefined {
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
