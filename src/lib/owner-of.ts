// Whose a file is that root makes in the data directory of a gateway that is not root's.
import { statSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';

export interface Owner {
  readonly uid: number;
  readonly gid: number;
}

/** That of its directory, whose gateway could not read it otherwise; undefined where it is this process's own. */
export function ownerOfNew(file: string): Owner | undefined {
  if (process.geteuid?.() !== 0) return undefined;
  const { uid, gid } = statSync(path.dirname(file));
  return uid === 0 ? undefined : { uid, gid };
}
