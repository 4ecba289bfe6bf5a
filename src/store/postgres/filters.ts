// Filters of lists as PostgreSQL has them: its placeholders have numbers.
import * as shared from '../filters.ts';
import type { PgValue } from './client.ts';

export type Query = shared.Query<PgValue>;

export const { apiQuery, pluginQuery, certificateQuery, sniQuery } = shared.createFilters<PgValue>({
  upstreamUrl: `(e.doc::json ->> 'upstreamUrl')`,
  join: 'JOIN',
  anyTag: (tagTable, tags) => [`e.sequence IN (SELECT sequence FROM ${tagTable} WHERE tag = ANY(?))`, tags],
  allTags: (tagTable, tags) =>
    tags.map(
      (tag) => [`EXISTS (SELECT 1 FROM ${tagTable} o WHERE o.tag = ? AND o.sequence = t.sequence)`, tag] as const,
    ),
});

export const listSql = (query: Query): string => numbered(shared.listSql(query));

export const countSql = (query: Query): string => numbered(shared.countSql(query));

function numbered(sql: string): string {
  let number = 0;
  return sql.replaceAll('?', () => `$${(number += 1)}`);
}
