// All of a collection, page by page.
import { pageSizeMax, type Collection } from '../store/contract.ts';

/** In the order of creation; no page is empty. */
export async function* pagesOf<E, F>(
  collection: Collection<E, F>,
  filter: F,
  size = pageSizeMax,
): AsyncIterable<readonly E[]> {
  for (let after: string | undefined; ;) {
    const { items, next } = await collection.list({ size, after }, filter);
    if (items.length > 0) yield items;
    if (next === undefined) return;
    after = next;
  }
}
