// From root to a user that cannot come back: for those who start a gateway as root, so that it may listen on ports below 1024.
import { accessSync, constants, existsSync, lchownSync, mkdirSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { PortunusError, reasonOf } from './errors.ts';

export interface User {
  readonly uid: number;
  readonly gid: number;
  /** All that it is in, `gid` too. */
  readonly groups: readonly number[];
}

export interface Becoming {
  /** Root once more, while this runs. */
  asRoot<T>(act: () => T): T;
  /** From here on nothing makes it root again. @throws USER_REFUSED, also when the user cannot read a file of `needed` */
  forGood(needed: readonly string[]): void;
}

export function isRoot(): boolean {
  return process.geteuid?.() === 0;
}

/**
 * What is done from here on is done as the user. Nothing happens without a user, and to those who are not root.
 * @param directory made for the user where it is missing
 * @throws USER_REFUSED
 */
export function beginAs(user: User | undefined, directory: string): Becoming {
  const { setgroups, setgid, seteuid, setuid } = process;
  if (user === undefined || !isRoot() || !setgroups || !setgid || !seteuid || !setuid) {
    return { asRoot: (act) => act(), forGood: () => undefined };
  }
  const { uid, gid, groups } = user;
  orRefused(user, () => {
    makeDirectory(directory, user);
    // Groups first: afterwards it may not change them.
    setgroups([...groups]);
    setgid(gid);
    seteuid(uid);
  });
  return {
    asRoot(act) {
      seteuid(0);
      try {
        return act();
      } finally {
        seteuid(uid);
      }
    },
    forGood(needed) {
      orRefused(user, () => {
        seteuid(0);
        setuid(uid);
        if (!isOnly(user)) throw new Error('the system kept a privilege');
        for (const file of needed) accessSync(file, constants.R_OK);
      });
    },
  };
}

/** Whether this process is that user, in all its ids, and can be no other any more. */
function isOnly({ uid, gid, groups }: User): boolean {
  const ids = [process.getuid?.(), process.geteuid?.()];
  const groupIds = [process.getgid?.(), process.getegid?.()];
  return (
    ids.every((id) => id === uid) &&
    groupIds.every((id) => id === gid) &&
    (process.getgroups?.() ?? []).every((id) => groups.includes(id)) &&
    [() => process.setuid?.(0), () => process.seteuid?.(0), () => process.setgid?.(0)].every(fails)
  );
}

function fails(act: () => void): boolean {
  try {
    act();
    return false;
  } catch {
    return true;
  }
}

/** A directory that is there keeps its owner: what is in it may be anybody's. */
function makeDirectory(directory: string, { uid, gid }: User): void {
  if (existsSync(directory)) return;
  mkdirSync(path.dirname(directory), { recursive: true });
  mkdirSync(directory, { mode: 0o700 });
  lchownSync(directory, uid, gid);
}

function orRefused({ uid, gid }: User, act: () => void): void {
  try {
    act();
  } catch (error) {
    throw new PortunusError('USER_REFUSED', `Root cannot become the user ${uid}:${gid}: ${reasonOf(error)}`, {
      cause: error,
      hint: 'The user has to be able to read Portunus and its Node.js; in a container, start it as that user instead.',
    });
  }
}
