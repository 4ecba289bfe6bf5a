// What an intermediate certificate that is remembered has in the tables of either database: whose it is, and which.
import { createHash } from 'node:crypto';
import type { Intermediate } from './contract.ts';

/** Sorts before every key when there is none. */
export function intermediateKey(of: Intermediate | undefined): readonly [subjectKey: string, sha256: string] {
  return of === undefined ? ['', ''] : [of.subjectKey, createHash('sha256').update(of.pem).digest('hex')];
}
