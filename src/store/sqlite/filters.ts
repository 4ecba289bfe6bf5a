// Filters of lists as SQLite has them. It reads in the process that asks, so a page must never read more than its worth.
import type { SQLInputValue } from 'node:sqlite';
import { createFilters, type Query as AnyQuery } from '../filters.ts';

export { countSql, listSql } from '../filters.ts';

export type Query = AnyQuery<SQLInputValue>;

/** Beyond as many tags, each with an index of its own to merge, the set of all that have one is made first. */
const mergedTagsMax = 32;
/** How far it is counted which of several tags is the rarest. */
const rarityMax = 10_000;

export const { apiQuery, pluginQuery, certificateQuery, sniQuery, tokenQuery, caCertificateQuery, hostPolicyQuery } =
  createFilters<SQLInputValue>({
    upstreamUrl: `json_extract(e.doc, '$.upstreamUrl')`,
    anyTag({ entities, tags: tagTable }, tags) {
      if (tags.length > mergedTagsMax) {
        const tagged = `SELECT sequence FROM ${tagTable} WHERE tag IN (SELECT value FROM json_each(?))`;
        return {
          from: `${entities} e`,
          values: [],
          key: 'e.sequence',
          conditions: [[`e.sequence IN (${tagged})`, JSON.stringify(tags)]],
        };
      }
      // Merged in order as they are read, and from where the page begins.
      const merged = tags.map(() => `SELECT sequence FROM ${tagTable} WHERE tag = ?`).join(' UNION ');
      return { from: joined(`(${merged})`, entities), values: tags, key: 't.sequence', conditions: [] };
    },
    allTags({ entities, tags: tagTable }, tags) {
      const all = JSON.stringify(tags);
      const count = `SELECT count(*) FROM (SELECT 1 FROM ${tagTable} WHERE tag = value LIMIT ${rarityMax})`;
      const untagged = `SELECT 1 FROM ${tagTable} o WHERE o.tag = j.value AND o.sequence = t.sequence`;
      const [first, ...others] = tags;
      // The rarest leads: `value` is of the row that has the least (sqlite.org/lang_select.html, bare columns).
      const conditions =
        others.length === 0
          ? [['t.tag = ?', first ?? ''] as const]
          : [
              [`t.tag = (SELECT value FROM (SELECT value, min((${count})) FROM json_each(?)))`, all] as const,
              [`NOT EXISTS (SELECT 1 FROM json_each(?) j WHERE NOT EXISTS (${untagged}))`, all] as const,
            ];
      return { from: joined(tagTable, entities), values: [], key: 't.sequence', conditions };
    },
  });

/** CROSS JOIN keeps the order of the tables. */
function joined(tagged: string, entities: string): string {
  return `${tagged} t CROSS JOIN ${entities} e ON e.sequence = t.sequence`;
}
