// A user of this machine by name or number, from /etc/passwd and /etc/group. Names that only a directory service knows are given by
// their numbers.
import { readFileSync } from 'node:fs';
import type { User } from '../lib/become-user.ts';

export interface UserFiles {
  readonly passwd: string;
  readonly group: string;
}

export function readUserFiles(): UserFiles {
  return { passwd: textOf('/etc/passwd'), group: textOf('/etc/group') };
}

/** @param text `name`, `name:group`, `uid:gid`. Undefined for those that are not there, and for root. */
export function findUser(text: string, files: UserFiles): User | undefined {
  const [, name = '', groupName] = /^([^:]+)(?::([^:]+))?$/.exec(text) ?? [];
  const known = rowsOf(files.passwd).find(([login]) => login === name);
  const uid = idOf(known?.[2] ?? name);
  const group = rowsOf(files.group).find(([called]) => called === groupName);
  const gid = idOf(groupName === undefined ? (known?.[3] ?? '') : (group?.[2] ?? groupName));
  if (uid === undefined || gid === undefined || uid === 0) return undefined;
  const others = rowsOf(files.group)
    .filter(([, , , members = '']) => known !== undefined && members.split(',').includes(name))
    .flatMap(([, , id = '']) => idOf(id) ?? []);
  return { uid, gid, groups: [...new Set([gid, ...others])] };
}

/** Beyond it are ids that stand for none. */
const idMax = 2 ** 31 - 1;

function idOf(text: string): number | undefined {
  return /^\d{1,10}$/.test(text) && Number(text) <= idMax ? Number(text) : undefined;
}

function rowsOf(text: string): readonly (readonly string[])[] {
  return text
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map((line) => line.split(':'));
}

function textOf(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}
