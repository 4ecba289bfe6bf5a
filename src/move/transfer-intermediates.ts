// Remembered intermediate certificates from one store into another, which may know others besides.
import { intermediateKey } from '../store/intermediate-key.ts';
import type { Intermediate, Store, StoreReader } from '../store/contract.ts';
import { migrationConflict } from './migration-conflict.ts';

const pageSize = 500;

/** @returns how many each of them then remembers. @throws MIGRATION_CONFLICT; what stores throw */
export async function transferIntermediates(
  from: StoreReader,
  to: Store,
  actor: string,
  progress: (done: number) => void,
): Promise<{ readonly from: number; readonly to: number }> {
  let done = 0;
  const known = await keysOf(to);
  for await (const page of pages(from)) {
    const missing = page.filter((each) => !known.has(keyOf(each)));
    // Whatever the source has taken is taken over.
    const taken = missing.map((each) => ({ ...each, isAnchored: true }));
    if (taken.length > 0) await to.transact(actor, (tx) => tx.rememberIntermediates(taken));
    progress((done += page.length));
  }
  const [wanted, found] = [await keysOf(from), await keysOf(to)];
  for (const key of wanted)
    if (!found.has(key)) throw migrationConflict('The target has not remembered all intermediates.');
  return { from: wanted.size, to: found.size };
}

async function keysOf(store: StoreReader): Promise<ReadonlySet<string>> {
  const keys = new Set<string>();
  for await (const page of pages(store)) for (const each of page) keys.add(keyOf(each));
  return keys;
}

function keyOf(intermediate: Intermediate): string {
  return intermediateKey(intermediate).join(' ');
}

async function* pages(store: StoreReader): AsyncIterable<readonly Intermediate[]> {
  for (let last: Intermediate | undefined; ;) {
    const page = await store.rememberedIntermediates(last, pageSize);
    if (page.length === 0) return;
    yield page;
    last = page.at(-1);
  }
}
