// Filters of lists as SQL. The entity's table is `e`; every condition is one that an index answers.
import type { ApiFilter, CertificateFilter, PluginFilter, SniFilter, TagFilter } from '../contract.ts';
import type { PgValue } from './client.ts';

export interface Query {
  readonly from: string;
  /** The column that holds the order of creation. */
  readonly key: string;
  /** Joined by AND; `?` stands for each of `values` in turn. */
  readonly where: readonly string[];
  readonly values: readonly PgValue[];
}

/** Values: the query's, the sequence number to go on after, the limit. */
export function listSql({ from, key, where }: Query): string {
  return numbered(`SELECT e.* FROM ${from} WHERE ${[...where, `${key} > ?`].join(' AND ')} ORDER BY ${key} LIMIT ?`);
}

export function countSql({ from, where }: Query): string {
  return numbered(`SELECT count(*) AS count FROM ${from}${where.length === 0 ? '' : ` WHERE ${where.join(' AND ')}`}`);
}

type Condition = readonly [sql: string, ...values: PgValue[]];

export function apiQuery(filter: ApiFilter = {}): Query {
  return query('apis', {}, [
    equals('e.id', filter.id),
    equals('e.name', filter.name),
    holds('e.id IN (SELECT api_id FROM api_hosts WHERE host = ?)', filter.host),
    holds('e.id IN (SELECT api_id FROM api_uris WHERE uri = ?)', filter.uri),
    equals(`(e.doc::json ->> 'upstreamUrl')`, filter.upstreamUrl),
  ]);
}

export function pluginQuery(filter: PluginFilter = {}): Query {
  return query('plugins', {}, [
    equals('e.id', filter.id),
    equals('e.name', filter.name),
    filter.apiId === null ? ['e.api_id IS NULL'] : equals('e.api_id', filter.apiId),
    equals('e.enabled', filter.enabled === undefined ? undefined : Number(filter.enabled)),
  ]);
}

export function certificateQuery(filter: CertificateFilter = {}): Query {
  const { owner = 'admin' } = filter;
  return query('certificates', { table: 'certificate_tags', filter }, [
    equals('e.owner', owner === 'any' ? undefined : owner),
  ]);
}

export function sniQuery(filter: SniFilter = {}): Query {
  return query('snis', { table: 'sni_tags', filter }, [equals('e.certificate_id', filter.certificateId)]);
}

function query(
  table: string,
  tagged: { readonly table?: string; readonly filter?: TagFilter },
  conditions: readonly (Condition | undefined)[],
): Query {
  const { from, key, conditions: tagConditions } = tagQuery(table, tagged.table, tagged.filter?.tags);
  const all = [...tagConditions, ...conditions.filter((condition) => condition !== undefined)];
  return { from, key, where: all.map(([sql]) => sql), values: all.flatMap(([, ...values]) => values) };
}

/** One tag, or the first of all, leads: its index is in the order of creation. */
function tagQuery(
  entities: string,
  tagTable: string | undefined,
  tags: TagFilter['tags'],
): { readonly from: string; readonly key: string; readonly conditions: readonly Condition[] } {
  const plain = { from: `${entities} e`, key: 'e.sequence' };
  if (tagTable === undefined || tags === undefined) return { ...plain, conditions: [] };
  if ('any' in tags && tags.any.length !== 1) {
    return {
      ...plain,
      conditions: [[`e.sequence IN (SELECT sequence FROM ${tagTable} WHERE tag = ANY(?))`, tags.any]],
    };
  }
  const [first, ...others] = 'any' in tags ? tags.any : tags.all;
  if (first === undefined) return { ...plain, conditions: [] };
  const conditions: Condition[] = [['t.tag = ?', first]];
  for (const other of others) {
    conditions.push([`EXISTS (SELECT 1 FROM ${tagTable} o WHERE o.tag = ? AND o.sequence = t.sequence)`, other]);
  }
  return { from: `${tagTable} t JOIN ${entities} e ON e.sequence = t.sequence`, key: 't.sequence', conditions };
}

function equals(column: string, value: PgValue | undefined): Condition | undefined {
  return holds(`${column} = ?`, value);
}

function holds(sql: string, value: PgValue | undefined): Condition | undefined {
  return value === undefined ? undefined : [sql, value];
}

function numbered(sql: string): string {
  let number = 0;
  return sql.replaceAll('?', () => `$${(number += 1)}`);
}
