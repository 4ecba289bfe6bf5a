// Filters of lists as SQLite has them.
import type { SQLInputValue } from 'node:sqlite';
import { createFilters, type Query as AnyQuery } from '../filters.ts';

export { countSql, listSql } from '../filters.ts';

export type Query = AnyQuery<SQLInputValue>;

export const { apiQuery, pluginQuery, certificateQuery, sniQuery } = createFilters<SQLInputValue>({
  upstreamUrl: `json_extract(e.doc, '$.upstreamUrl')`,
  // Keeps the order of the tables.
  join: 'CROSS JOIN',
  anyTag: (tagTable, tags) => [
    `e.sequence IN (SELECT sequence FROM ${tagTable} WHERE tag IN (SELECT value FROM json_each(?)))`,
    JSON.stringify(tags),
  ],
  allTags(tagTable, tags) {
    const untagged = `SELECT 1 FROM ${tagTable} o WHERE o.tag = j.value AND o.sequence = t.sequence`;
    return [[`NOT EXISTS (SELECT 1 FROM json_each(?) j WHERE NOT EXISTS (${untagged}))`, JSON.stringify(tags)]];
  },
});
