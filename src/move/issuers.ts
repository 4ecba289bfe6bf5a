// The intermediates that an import knows: those of the store, and those of the certificates before. A chain that ends
// without its issuer is completed as the Admin API would do it.
import { createLru } from '../lib/lru.ts';
import { unanchoredOfOneSubjectMax, type StoreReader } from '../store/contract.ts';
import type { Intermediate } from '../x509/intake.ts';
import type { ComposeThreads } from './compose-threads.ts';

/** Subjects whose certificates are kept at hand; what is forgotten is read from the store again. */
const subjectsMax = 10_000;
/** Certificates of one subject; of those that are not anchored, as the store keeps them. */
const sameSubjectMax = 32;

export interface Issuers {
  /** Of the moment; compared with what `news` was told meanwhile. */
  readonly now: number;
  learn(found: readonly Intermediate[]): void;
  /** Tells the threads. @returns whether any of these subjects is known and was not at `since` */
  news(subjectKeys: readonly string[], since: number): Promise<boolean>;
}

export function createIssuers(store: StoreReader, threads: Pick<ComposeThreads, 'tell'>): Issuers {
  const stored = createLru<string, readonly string[]>(subjectsMax);
  const learnt = createLru<string, readonly string[]>(subjectsMax);
  /** When the threads were told of a subject; what was learnt since is told when it is asked for. */
  const toldAt = createLru<string, number>(subjectsMax);
  let now = 0;

  return {
    get now() {
      return now;
    },
    learn(found) {
      for (const { subjectKey, pem, isAnchored } of found) {
        const before = learnt.get(subjectKey) ?? [];
        if (before.includes(pem) || before.length >= (isAnchored ? sameSubjectMax : unanchoredOfOneSubjectMax))
          continue;
        learnt.set(subjectKey, isAnchored ? [pem, ...before] : [...before, pem]);
        toldAt.delete(subjectKey);
      }
    },
    async news(subjectKeys, since) {
      let any = false;
      for (const subjectKey of subjectKeys) {
        const pems = await known(subjectKey);
        if (pems.length === 0) continue;
        if (toldAt.get(subjectKey) === undefined) {
          threads.tell(subjectKey, pems);
          toldAt.set(subjectKey, (now += 1));
        }
        any ||= (toldAt.get(subjectKey) ?? 0) > since;
      }
      return any;
    },
  };

  async function known(subjectKey: string): Promise<readonly string[]> {
    const fromStore = stored.get(subjectKey) ?? (await store.intermediates(subjectKey));
    stored.set(subjectKey, fromStore);
    return [...new Set([...fromStore, ...(learnt.get(subjectKey) ?? [])])].slice(0, sameSubjectMax);
  }
}
