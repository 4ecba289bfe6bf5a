// Ids of requests: unique in the cluster, cheap to make. They are names, not secrets: who sees one can tell its neighbours.
import { randomBytes } from 'node:crypto';

const lowDigits: readonly string[] = Array.from({ length: 4096 }, (_, low) => low.toString(16).padStart(3, '0'));

/** @returns a function that gives 32 hexadecimal digits: 18 random ones of this process, 14 that count */
export function createRequestIds(prefix: string = randomBytes(9).toString('hex')): () => string {
  let high = 0;
  let low = 0;
  let start = startOf(prefix, high);
  return () => {
    if (low === lowDigits.length) {
      low = 0;
      high += 1;
      start = startOf(prefix, high);
    }
    const id = start + (lowDigits[low] ?? '');
    low += 1;
    return id;
  };
}

function startOf(prefix: string, high: number): string {
  return prefix + high.toString(16).padStart(11, '0');
}
