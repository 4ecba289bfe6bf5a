// Commits of other processes on the same file: SQLite tells of none, it has to be asked.
import type { Connection } from './connection.ts';
import { readRevision } from './reader.ts';

const intervalMs = 1000;

/** @param committed called with the revision, within about a second after a commit of another process */
export function watchOthers(writer: Connection, reader: Connection, committed: (revision: number) => void): Disposable {
  let seen = look(() => version(writer));
  const timer = setInterval(() => {
    // The writer's own commits do not change what it is told; the reader sees nothing that is not committed.
    const [now, revision] = [look(() => version(writer)), look(() => readRevision(reader))];
    if (now === undefined || now === seen || revision === undefined) return;
    seen = now;
    committed(revision);
  }, intervalMs).unref();
  return { [Symbol.dispose]: () => clearInterval(timer) };
}

function version(connection: Connection): number {
  return Number(connection.get('PRAGMA data_version')?.['data_version']);
}

/** Undefined when the file cannot be read just now: the next look tells. */
function look(read: () => number): number | undefined {
  try {
    return read();
  } catch {
    return undefined;
  }
}
