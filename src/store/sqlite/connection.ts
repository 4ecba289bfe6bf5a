// One connection to the SQLite file: statements prepared once and kept, and SQLite's errors in Portunus's terms.
import { backup, DatabaseSync, type SQLInputValue, type SQLOutputValue, type StatementSync } from 'node:sqlite';
import { PortunusError } from '../../lib/errors.ts';

/** A row as SQLite gives it: values by column. */
export type SqlRow = Readonly<Record<string, SQLOutputValue>>;

export interface Connection {
  /** @throws STORE_UNAVAILABLE, STORE_DAMAGED; so do all of these */
  get(sql: string, ...values: SQLInputValue[]): SqlRow | undefined;
  all(sql: string, ...values: SQLInputValue[]): SqlRow[];
  /** @returns the number of rows written */
  run(sql: string, ...values: SQLInputValue[]): number;
  /** For what is not worth keeping prepared. */
  exec(sql: string): void;
  /** Page by page over what is in that file, damaged or not, in one transaction: whoever reads it goes on. */
  copyOver(file: string): Promise<void>;
  readonly inTransaction: boolean;
  readonly readOnly: boolean;
  close(): void;
}

/** Of a copy. */
const pagesAtOnce = 1000;

/** @param busyTimeoutMs how long a call may block for another process's lock */
export function connect(
  path: string,
  options: { readonly readOnly: boolean; readonly busyTimeoutMs: number },
): Connection {
  const database = translated(
    () => new DatabaseSync(path, { readOnly: options.readOnly, timeout: options.busyTimeoutMs }),
    path,
  );
  const statements = new Map<string, StatementSync>();
  let closed = false;

  return {
    get: (sql, ...values) => translated(() => prepared(sql).get(...values), path),
    all: (sql, ...values) => translated(() => prepared(sql).all(...values), path),
    run: (sql, ...values) => translated(() => Number(prepared(sql).run(...values).changes), path),
    exec: (sql) => translated(() => open().exec(sql), path),
    async copyOver(file) {
      try {
        await backup(open(), file, { rate: pagesAtOnce });
      } catch (error) {
        throw translate(error, file);
      }
    },
    readOnly: options.readOnly,
    get inTransaction() {
      return !closed && database.isTransaction;
    },
    close() {
      if (closed) return;
      closed = true;
      statements.clear();
      database.close();
    },
  };

  function prepared(sql: string): StatementSync {
    const known = statements.get(sql);
    if (known !== undefined && !closed) return known;
    const statement = open().prepare(sql);
    statements.set(sql, statement);
    return statement;
  }

  function open(): DatabaseSync {
    if (closed) throw new PortunusError('STORE_UNAVAILABLE', 'The store is closed.');
    return database;
  }
}

/** Another process holds the lock; the same call may succeed soon. */
export function isBusy(error: unknown): boolean {
  return error instanceof PortunusError && error.facts['sqlite'] === 5;
}

/** SQLite's primary result codes (sqlite.org/rescode.html) that are not this program's fault. */
const unavailable: ReadonlyMap<number, string> = new Map([
  [3, 'access is denied'],
  [5, 'another process holds its lock'],
  [6, 'a table is locked'],
  [7, 'memory has run out'],
  [8, 'it may not be written'],
  [10, 'reading or writing failed'],
  [13, 'the disk is full'],
  [14, 'it cannot be opened'],
  [15, 'its locks do not work'],
]);
const damaged: ReadonlyMap<number, string> = new Map([
  [11, 'is damaged'],
  [26, 'is not an SQLite database'],
]);

function translated<T>(call: () => T, path: string): T {
  try {
    return call();
  } catch (error) {
    throw translate(error, path);
  }
}

function translate(error: unknown, path: string): unknown {
  if (!(error instanceof Error) || !('errcode' in error) || typeof error.errcode !== 'number') return error;
  const code = error.errcode & 0xff;
  const facts = { sqlite: code };
  const reason = unavailable.get(code);
  if (reason !== undefined) {
    return new PortunusError('STORE_UNAVAILABLE', `The store ${path} is not available: ${reason}.`, {
      facts,
      cause: error,
    });
  }
  const damage = damaged.get(code);
  if (damage === undefined) return error;
  return new PortunusError('STORE_DAMAGED', `The store ${path} ${damage}.`, {
    facts,
    cause: error,
    hint: 'Put it aside and restore a copy; nothing was changed.',
  });
}
