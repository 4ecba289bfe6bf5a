// What a running gateway leaves in its data directory for the other commands: portunus.pid, portunus.json with its actual
// ports, and the lock that keeps a second gateway out.
import { mkdirSync, rmSync, statSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { findLeavingGateways, leavingFile } from './cli/running-gateway.ts';
import { isPortunusError, PortunusError, reasonOf } from './lib/errors.ts';
import { replaceFile } from './lib/replace-file.ts';
import { takeFileLock } from './store/sqlite/file-lock.ts';

/** How long a start waits for a gateway that is stopping to close its Admin API and store. */
const letGoMaxMs = 15_000;
const letGoPollMs = 20;

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
  /**
   * Tells a successor that this gateway is about to let go of the directory, and may serve for a while beyond that.
   * @throws the system's error
   */
  leave(): void;
}

/**
 * Makes the data directory (mode 0700) where it is missing and takes its lock, which the system lets go of however the
 * process ends.
 *
 * @throws ALREADY_RUNNING; STORE_UNAVAILABLE when the directory cannot be made or written, everyone may write it, or it is another
 *   user's
 */
export function openRunDirectory(prefix: string): RunDirectory {
  const pidFile = path.join(prefix, 'portunus.pid');
  const factsFile = path.join(prefix, 'portunus.json');
  const lock = orUnusable(prefix, () => {
    mkdirSync(prefix, { recursive: true, mode: 0o700 });
    refuseOpen(prefix);
    refuseAnothers(prefix);
    const taken = takeLock(prefix);
    rmSync(factsFile, { force: true });
    replaceFile(pidFile, `${process.pid}\n`);
    return taken;
  });
  return {
    publish(facts) {
      replaceFile(factsFile, `${JSON.stringify(facts)}\n`);
    },
    leave() {
      writeLeaving(prefix, [...leavingBesides(prefix), process.pid]);
    },
    [Symbol.dispose]() {
      removeIfItCan(factsFile);
      removeIfItCan(pidFile);
      lock[Symbol.dispose]();
    },
  };
}

/**
 * As `openRunDirectory`, and waits until a gateway that is stopping has let go of the directory.
 *
 * @returns with `besideOther` where it may still be serving
 */
export async function takeRunDirectory(
  prefix: string,
): Promise<{ readonly directory: RunDirectory; readonly besideOther: boolean }> {
  const endsAt = performance.now() + letGoMaxMs;
  let besideOther = false;
  for (;;) {
    // Also when it is killed meanwhile: its workers serve on for a moment.
    besideOther ||= isBeingLeft(prefix);
    try {
      return { directory: openRunDirectory(prefix), besideOther };
    } catch (error) {
      if (!isPortunusError(error, 'ALREADY_RUNNING') || !besideOther || performance.now() > endsAt) throw error;
    }
    await pause(letGoPollMs);
  }
}

/** The gateway that left it has ended. */
export function forgetLeaving(prefix: string): void {
  if (!findLeavingGateways(prefix).includes(process.pid)) return;
  const others = leavingBesides(prefix);
  if (others.length === 0) removeIfItCan(leavingFile(prefix));
  else writeLeaving(prefix, others);
}

/** One that stops while it takes over has another one before it that may serve for longer. */
function leavingBesides(prefix: string): readonly number[] {
  return findLeavingGateways(prefix).filter((pid) => pid !== process.pid);
}

function writeLeaving(prefix: string, pids: readonly number[]): void {
  replaceFile(leavingFile(prefix), `${pids.join('\n')}\n`);
}

/** On a disk that has become read-only it stays, and tells of a process that is gone. */
function removeIfItCan(file: string): void {
  try {
    rmSync(file, { force: true });
  } catch {
    // Whoever reads it looks whether the process is there.
  }
}

function isBeingLeft(prefix: string): boolean {
  return leavingBesides(prefix).length > 0;
}

/** Whoever can put files there can put in the keyring and the store. */
function refuseOpen(prefix: string): void {
  if ((statSync(prefix).mode & 0o002) === 0) return;
  throw new PortunusError('STORE_UNAVAILABLE', `the data directory ${prefix} can be written by every user`, {
    hint: `Take that from them: chmod 0700 ${prefix}`,
  });
}

/** Its owner can put files there too; and what root made in it, its owner's gateway could not read. */
function refuseAnothers(prefix: string): void {
  const { uid, gid } = statSync(prefix);
  const own = process.geteuid?.();
  if (own === undefined || uid === own || uid === 0) return;
  throw new PortunusError('STORE_UNAVAILABLE', `the data directory ${prefix} belongs to another user (${uid})`, {
    hint: `Run this as that user, or as root with user = ${uid}:${gid}; or make the directory this user's: chown -R ${own} ${prefix}`,
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
  throw new PortunusError('ALREADY_RUNNING', `a gateway runs on ${prefix}`, {
    hint: 'Stop it with "portunus stop", or take another data directory with prefix.',
  });
}
