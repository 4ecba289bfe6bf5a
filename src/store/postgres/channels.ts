// Names of what belongs to a whole database, not to a schema: channels of notifications, advisory locks. Stores in several
// schemas of one database do not hear or wait for one another.
import { createHash } from 'node:crypto';

const locks = { migrate: 1, prune: 2, rotate: 3 } as const;

/** Carries the revision of each commit, which is taken as a hint: anyone who may connect may notify. */
export function commitChannel(schema: string): string {
  return `portunus_${digest(schema).toString('hex').slice(0, 24)}`;
}

/** Each report of a node, without what it says. */
export function nodesChannel(schema: string): string {
  return `${commitChannel(schema)}_nodes`;
}

/** A 32-bit number, and one for each kind of work beside it. */
export function advisoryLock(schema: string, work: keyof typeof locks): readonly [number, number] {
  return [digest(schema).readInt32BE(0), locks[work]];
}

function digest(schema: string): Buffer {
  return createHash('sha256').update(`portunus ${schema}`).digest();
}
