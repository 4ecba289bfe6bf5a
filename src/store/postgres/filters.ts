// Filters of lists as PostgreSQL has them: its placeholders have numbers.
import * as shared from '../filters.ts';
import type { PgValue } from './client.ts';

export type Query = shared.Query<PgValue>;

export const { apiQuery, pluginQuery, certificateQuery, sniQuery, tokenQuery, caCertificateQuery, hostPolicyQuery } =
  shared.createFilters<PgValue>({
    upstreamUrl: `(e.doc::json ->> 'upstreamUrl')`,
    anyTag: ({ entities, tags: tagTable }, tags) => ({
      from: `${entities} e`,
      values: [],
      key: 'e.sequence',
      conditions: [[`e.sequence IN (SELECT sequence FROM ${tagTable} WHERE tag = ANY(?))`, tags]],
    }),
    allTags({ entities, tags: tagTable }, [first, ...others]) {
      const has = `EXISTS (SELECT 1 FROM ${tagTable} o WHERE o.tag = ? AND o.sequence = t.sequence)`;
      return {
        from: `${tagTable} t JOIN ${entities} e ON e.sequence = t.sequence`,
        values: [],
        key: 't.sequence',
        conditions: [['t.tag = ?', first ?? ''], ...others.map((tag) => [has, tag] as const)],
      };
    },
  });

export const listSql = (query: Query): string => numbered(shared.listSql(query));

export const countSql = (query: Query): string => numbered(shared.countSql(query));

export function numbered(sql: string): string {
  let number = 0;
  return sql.replaceAll('?', () => `$${(number += 1)}`);
}
