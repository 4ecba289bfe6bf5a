// One kind of entities from one store into another. Both list them in the order of creation, and what is written is written
// in that order: so the two lists are read side by side, a page at a time, and where the target's ends there it goes on.
import { isDeepStrictEqual } from 'node:util';
import { type Collection, pageSizeMax } from '../store/contract.ts';
import { migrationConflict } from './migration-conflict.ts';

const pageSize = Math.min(500, pageSizeMax);

export interface TransferOptions<E> {
  /** What one of them is called. */
  readonly what: string;
  readonly from: Pick<Collection<E, never>, 'list'>;
  readonly to: Pick<Collection<E, never>, 'list'>;
  readonly isSame?: (wanted: E, found: E) => boolean;
  /** In this order. */
  readonly insert: (entities: readonly E[]) => Promise<void>;
  readonly progress: (phase: 'comparing' | 'writing', done: number) => void;
}

export interface Transfer {
  /**
   * Compares from where it ended the last time, as far as the target's list goes.
   * @returns whether that is as far as the source's
   * @throws MIGRATION_CONFLICT
   */
  compare(): Promise<boolean>;
  /** Writes what comes after that. */
  write(): Promise<void>;
}

export function createTransfer<E extends { readonly id: string }>(options: TransferOptions<E>): Transfer {
  const { what, from, to, isSame = isDeepStrictEqual, insert, progress } = options;
  // Pages before are equal; of this one, as many.
  let page: { readonly from?: string | undefined; readonly to?: string | undefined } = {};
  let equal = 0;
  let before = 0;

  return {
    async compare() {
      for (;;) {
        const [wanted, found] = await Promise.all([
          from.list({ size: pageSize, after: page.from }),
          to.list({ size: pageSize, after: page.to }),
        ]);
        for (const [index, entity] of found.items.entries()) {
          if (index >= equal) refuseOther(wanted.items[index], entity);
        }
        equal = found.items.length;
        progress('comparing', before + equal);
        if (equal < wanted.items.length) return false;
        if (wanted.next === undefined && found.next !== undefined) {
          throw migrationConflict(`The target holds more than the ${before + equal} ${what}s of the source.`);
        }
        if (wanted.next === undefined) return true;
        if (found.next === undefined) return false;
        page = { from: wanted.next, to: found.next };
        before += equal;
        equal = 0;
      }
    },
    async write() {
      let skipped = equal;
      let done = before + equal;
      for (let after = page.from; ;) {
        const { items, next } = await from.list({ size: pageSize, after });
        const missing = items.slice(skipped);
        if (missing.length > 0) await insert(missing);
        done += missing.length;
        progress('writing', done);
        if (next === undefined) return;
        after = next;
        skipped = 0;
      }
    },
  };

  function refuseOther(wanted: E | undefined, found: E): void {
    if (wanted === undefined || wanted.id !== found.id) {
      const place = wanted === undefined ? 'has none' : `has ${wanted.id}`;
      throw migrationConflict(`The target holds the ${what} ${found.id} where the source ${place}.`);
    }
    if (!isSame(wanted, found)) throw migrationConflict(`The ${what} ${found.id} is another one in the target.`);
  }
}
