// Filters of lists as conditions of SQL, for any database. The entity's table is `e`; every condition is one that an index
// answers. What databases say differently is their dialect's.
import type { Order } from './cursor.ts';
import type { ApiFilter, CertificateFilter, PluginFilter, SniFilter, TagFilter } from './contract.ts';

export interface Query<Value> {
  readonly from: string;
  /** The columns that lists are ordered by, the number of its creation last. */
  readonly key: readonly string[];
  readonly order: Order;
  /** Joined by AND; `?` stands for each of `values` in turn. */
  readonly where: readonly string[];
  readonly values: readonly Value[];
}

export type Condition<Value> = readonly [sql: string, ...values: Value[]];

export interface FilterDialect<Value> {
  /** The upstream URL in the document of an API. */
  readonly upstreamUrl: string;
  /** Entities that have any of `tags`, of which there are two at least. */
  anyTag(tables: TaggedTables, tags: readonly string[]): Tagged<Value>;
  /** Those that have all of `tags`, of which there is one at least. */
  allTags(tables: TaggedTables, tags: readonly string[]): Tagged<Value>;
}

export interface TaggedTables {
  readonly entities: string;
  readonly tags: string;
}

/** Where tagged entities are found. Tags are sorted by the order of creation too, so a page reads a page's worth of them. */
export interface Tagged<Value> {
  readonly from: string;
  /** For each `?` in `from`. */
  readonly values: readonly Value[];
  readonly key: string;
  readonly conditions: readonly Condition<Value>[];
}

export interface Filters<Value> {
  readonly apiQuery: (filter?: ApiFilter) => Query<Value>;
  readonly pluginQuery: (filter?: PluginFilter) => Query<Value>;
  readonly certificateQuery: (filter?: CertificateFilter) => Query<Value>;
  readonly sniQuery: (filter?: SniFilter) => Query<Value>;
  readonly tokenQuery: () => Query<Value>;
  readonly caCertificateQuery: (filter?: TagFilter) => Query<Value>;
  readonly hostPolicyQuery: () => Query<Value>;
}

/** Values: the query's, the position to go on after, the limit. */
export function listSql({ from, key, where }: Omit<Query<unknown>, 'values'>): string {
  const columns = key.join(', ');
  const after = key.length === 1 ? `${columns} > ?` : `(${columns}) > (${key.map(() => '?').join(', ')})`;
  return `SELECT e.* FROM ${from} WHERE ${[...where, after].join(' AND ')} ORDER BY ${columns} LIMIT ?`;
}

export function countSql({ from, where }: Omit<Query<unknown>, 'values'>): string {
  return `SELECT count(*) AS count FROM ${from}${where.length === 0 ? '' : ` WHERE ${where.join(' AND ')}`}`;
}

export function createFilters<Value>(
  dialect: FilterDialect<string | number | Value>,
): Filters<string | number | Value> {
  type Any = string | number | Value;
  return {
    apiQuery: (filter = {}) =>
      query('apis', {}, [
        equals('e.id', filter.id),
        equals('e.name', filter.name),
        holds('e.id IN (SELECT api_id FROM api_hosts WHERE host = ?)', filter.host),
        holds('e.id IN (SELECT api_id FROM api_uris WHERE uri = ?)', filter.uri),
        equals(dialect.upstreamUrl, filter.upstreamUrl),
      ]),
    pluginQuery: (filter = {}) =>
      query('plugins', {}, [
        equals('e.id', filter.id),
        equals('e.name', filter.name),
        filter.apiId === null ? ['e.api_id IS NULL'] : equals('e.api_id', filter.apiId),
        equals('e.enabled', filter.enabled === undefined ? undefined : Number(filter.enabled)),
      ]),
    certificateQuery(filter = {}) {
      const { owner = 'admin', expires } = filter;
      const owned = equals('e.owner', owner === 'any' ? undefined : owner);
      if (expires === undefined) return query('certificates', { table: 'certificate_tags', filter }, [owned]);
      if (filter.tags !== undefined) throw new TypeError('no index answers for tags and expiry at once');
      const { from, where, values } = query('certificates', {}, [
        owned,
        holds('e.not_after >= ?', expires.from),
        holds('e.not_after < ?', expires.before),
      ]);
      return { from, where, values, key: ['e.not_after', 'e.sequence'], order: 'expiry' };
    },
    sniQuery: (filter = {}) =>
      query('snis', { table: 'sni_tags', filter }, [equals('e.certificate_id', filter.certificateId)]),
    tokenQuery: () => query('tokens', {}, []),
    caCertificateQuery: (filter = {}) => query('ca_certificates', { table: 'ca_certificate_tags', filter }, []),
    hostPolicyQuery: () => query('host_policies', {}, []),
  };

  function query(
    table: string,
    tagged: { readonly table?: string; readonly filter?: TagFilter },
    conditions: readonly (Condition<Any> | undefined)[],
  ): Query<Any> {
    const { from, values, key, conditions: ofTags } = tagQuery(table, tagged.table, tagged.filter?.tags);
    const all = [...ofTags, ...conditions.filter((condition) => condition !== undefined)];
    return {
      from,
      key: [key],
      order: 'creation',
      where: all.map(([sql]) => sql),
      values: [...values, ...all.flatMap(([, ...each]) => each)],
    };
  }

  function tagQuery(entities: string, tagTable: string | undefined, tags: TagFilter['tags']): Tagged<Any> {
    const plain = { from: `${entities} e`, values: [], key: 'e.sequence', conditions: [] };
    if (tagTable === undefined || tags === undefined) return plain;
    const tables = { entities, tags: tagTable };
    if ('all' in tags) return tags.all.length === 0 ? plain : dialect.allTags(tables, tags.all);
    if (tags.any.length === 0) return { ...plain, conditions: [['1 = 0']] };
    return tags.any.length === 1 ? dialect.allTags(tables, tags.any) : dialect.anyTag(tables, tags.any);
  }

  function equals(column: string, value: Any | undefined): Condition<Any> | undefined {
    return holds(`${column} = ?`, value);
  }

  function holds(sql: string, value: Any | undefined): Condition<Any> | undefined {
    return value === undefined ? undefined : [sql, value];
  }
}
