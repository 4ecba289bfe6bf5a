// What a running gateway leaves in its data directory for the other commands: portunus.pid, portunus.json with its actual
// ports, and the lock that keeps a second gateway out.
import { mkdirSync, rmSync, statSync } from 'node:fs';
import path from 'node:path';
import { isPortunusError, PortunusError, reasonOf } from './lib/errors.ts';
import { replaceFile } from './lib/replace-file.ts';
import { takeFileLock } from './store/sqlite/file-lock.ts';

export interface RunningPort {
  readonly host: string;
  readonly port: number;
  readonly ssl: boolean;
}

export interface RunFacts {
  readonly pid: number;
  readonly version: string;
  readonly proxy: readonly RunningPort[];
  readonly admin: readonly RunningPort[];
  readonly status: readonly RunningPort[];
}

export interface RunDirectory extends Disposable {
  /** Tells the other commands that the gateway serves, and where. */
  publish(facts: RunFacts): void;
}

/**
 * Makes the data directory (mode 0700) where it is missing and takes its lock, which the system lets go of however the
 * process ends.
 *
 * @throws ALREADY_RUNNING; STORE_UNAVAILABLE when the directory cannot be made or written, or everyone may write it
 */
export function openRunDirectory(prefix: string): RunDirectory {
  const pidFile = path.join(prefix, 'portunus.pid');
  const factsFile = path.join(prefix, 'portunus.json');
  const lock = orUnusable(prefix, () => {
    mkdirSync(prefix, { recursive: true, mode: 0o700 });
    refuseOpen(prefix);
    const taken = takeLock(prefix);
    rmSync(factsFile, { force: true });
    replaceFile(pidFile, `${process.pid}\n`);
    return taken;
  });
  return {
    publish(facts) {
      replaceFile(factsFile, `${JSON.stringify(facts)}\n`);
    },
    [Symbol.dispose]() {
      rmSync(factsFile, { force: true });
      rmSync(pidFile, { force: true });
      lock[Symbol.dispose]();
    },
  };
}

/** Whoever can put files there can put in the keyring and the store. */
function refuseOpen(prefix: string): void {
  if ((statSync(prefix).mode & 0o002) === 0) return;
  throw new PortunusError('STORE_UNAVAILABLE', `the data directory ${prefix} can be written by every user`, {
    hint: `Take that from them: chmod 0700 ${prefix}`,
  });
}

/** What the system says of a directory that cannot be used, with its name and what to do. */
function orUnusable<T>(prefix: string, use: () => T): T {
  try {
    return use();
  } catch (error) {
    if (isPortunusError(error)) throw error;
    const reason = reasonOf(error);
    throw new PortunusError('STORE_UNAVAILABLE', `the data directory ${prefix} cannot be used: ${reason}`, {
      hint: `Give a directory that this user can write with prefix, on a disk with room; or make it this user's: chown -R ${process.geteuid?.()} ${prefix}`,
      cause: error,
    });
  }
}

function takeLock(prefix: string): Disposable {
  const lock = takeFileLock(path.join(prefix, 'portunus.lock'));
  if (lock !== undefined) return lock;
  throw new PortunusError('ALREADY_RUNNING', `another gateway runs on ${prefix}`, {
    hint: 'Stop it with "portunus stop", or give this one a data directory of its own with prefix.',
  });
}
