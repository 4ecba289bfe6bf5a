// Filters of lists as SQL. The entity's table is `e`; every condition is one that an index answers.
import type { SQLInputValue } from 'node:sqlite';
import type { ApiFilter, CertificateFilter, PluginFilter, SniFilter, TagFilter } from '../contract.ts';

export interface Query {
  readonly from: string;
  /** The column that holds the order of creation. */
  readonly key: string;
  /** Joined by AND; their placeholders in order are `values`. */
  readonly where: readonly string[];
  readonly values: readonly SQLInputValue[];
}

/** Placeholders: the query's values, the sequence number to go on after, the limit. */
export function listSql({ from, key, where }: Query): string {
  return `SELECT e.* FROM ${from} WHERE ${[...where, `${key} > ?`].join(' AND ')} ORDER BY ${key} LIMIT ?`;
}

export function countSql({ from, where }: Query): string {
  return `SELECT count(*) AS count FROM ${from}${where.length === 0 ? '' : ` WHERE ${where.join(' AND ')}`}`;
}

type Condition = readonly [sql: string, ...values: SQLInputValue[]];

export function apiQuery(filter: ApiFilter = {}): Query {
  return query('apis', {}, [
    equals('e.id', filter.id),
    equals('e.name', filter.name),
    holds('e.id IN (SELECT api_id FROM api_hosts WHERE host = ?)', filter.host),
    holds('e.id IN (SELECT api_id FROM api_uris WHERE uri = ?)', filter.uri),
    equals(`json_extract(e.doc, '$.upstreamUrl')`, filter.upstreamUrl),
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

/**
 * One tag, or the first of all, leads: its index is in the order of creation, so a page reads only a page's worth of it.
 * CROSS JOIN keeps that order of tables.
 */
function tagQuery(
  entities: string,
  tagTable: string | undefined,
  tags: TagFilter['tags'],
): { readonly from: string; readonly key: string; readonly conditions: readonly Condition[] } {
  const plain = { from: `${entities} e`, key: 'e.sequence' };
  if (tagTable === undefined || tags === undefined) return { ...plain, conditions: [] };
  if ('any' in tags && tags.any.length !== 1) {
    const sql = `e.sequence IN (SELECT sequence FROM ${tagTable} WHERE tag IN (SELECT value FROM json_each(?)))`;
    return { ...plain, conditions: [[sql, JSON.stringify(tags.any)]] };
  }
  const [first, ...others] = 'any' in tags ? tags.any : tags.all;
  if (first === undefined) return { ...plain, conditions: [] };
  const conditions: Condition[] = [['t.tag = ?', first]];
  if (others.length > 0) {
    const untagged = `SELECT 1 FROM ${tagTable} o WHERE o.tag = j.value AND o.sequence = t.sequence`;
    conditions.push([
      `NOT EXISTS (SELECT 1 FROM json_each(?) j WHERE NOT EXISTS (${untagged}))`,
      JSON.stringify(others),
    ]);
  }
  return { from: `${tagTable} t CROSS JOIN ${entities} e ON e.sequence = t.sequence`, key: 't.sequence', conditions };
}

function equals(column: string, value: SQLInputValue | undefined): Condition | undefined {
  return holds(`${column} = ?`, value);
}

function holds(sql: string, value: SQLInputValue | undefined): Condition | undefined {
  return value === undefined ? undefined : [sql, value];
}
