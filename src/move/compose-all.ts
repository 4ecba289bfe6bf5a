// Items in the order of their source, certificates among them composed on all cores.
import type { Milliseconds } from '../model/entities.ts';
import type { CertificateItem, Composed } from './compose-entry.ts';
import type { ComposeThreads } from './compose-threads.ts';
import type { Issuers } from './issuers.ts';
import type { SourceItem } from './sources.ts';

export type ComposedItem = Composed | Exclude<SourceItem, CertificateItem>;

/** Certificates that a thread gets at a time. */
const groupSize = 16;
/** Enough for the threads to go on while a batch is written. */
const groupsUnderWay = 80;

interface Group {
  readonly items: readonly SourceItem[];
  readonly composed: Promise<readonly Composed[]>;
  /** What was known of issuers when it began. */
  readonly since: number;
}

export async function* composeAll(
  items: AsyncIterable<SourceItem>,
  threads: ComposeThreads,
  issuers: Issuers,
  now: () => Milliseconds,
): AsyncIterable<ComposedItem> {
  const underWay: Group[] = [];
  let gathered: SourceItem[] = [];
  for await (const item of items) {
    gathered.push(item);
    if (gathered.length < groupSize) continue;
    underWay.push(begin(gathered));
    gathered = [];
    if (underWay.length >= groupsUnderWay) yield* settle(underWay.shift());
  }
  underWay.push(begin(gathered));
  while (underWay.length > 0) yield* settle(underWay.shift());

  function begin(group: readonly SourceItem[]): Group {
    const composed = threads.compose(group.filter(isCertificate), now());
    // It is awaited when its turn comes; until then its failure is nobody's.
    composed.catch(() => undefined);
    return { items: group, composed, since: issuers.now };
  }

  async function* settle(group: Group | undefined): AsyncIterable<ComposedItem> {
    if (group === undefined) return;
    const results = (await group.composed).values();
    for (const item of group.items) {
      if (!isCertificate(item)) {
        yield item;
        continue;
      }
      let composed = results.next().value;
      let { since } = group;
      while (composed?.kind === 'certificate' && (await issuers.news(composed.missingIssuers, since))) {
        since = issuers.now;
        [composed] = await threads.compose([item], now());
      }
      if (composed === undefined) throw new TypeError('a thread composed fewer certificates than it was given');
      if (composed.kind === 'certificate') issuers.learn(composed.intermediates);
      yield composed;
    }
  }
}

function isCertificate(item: SourceItem): item is CertificateItem {
  return item.kind === 'text' || item.kind === 'value' || item.kind === 'pair';
}
