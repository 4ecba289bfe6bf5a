// The audit trail in SQL, for any database. Filters have no index, which every write would have to pay for: a page reads
// so many rows and no more.
import type { AuditEntry } from '../model/entities.ts';
import type { AuditFilter, AuditPage } from './contract.ts';

/** Rows that are read for one page. */
export const auditRowsReadMax = 100_000;

export interface AuditStatement {
  /** `?` stands for each of `values` in turn. */
  readonly sql: string;
  readonly values: readonly (string | number)[];
}

/**
 * @param before a sequence
 * @param query runs a statement
 */
export async function readAudit(
  query: (statement: AuditStatement) => Promise<readonly Readonly<Record<string, unknown>>[]>,
  before: number | undefined,
  limit: number,
  filter: AuditFilter,
): Promise<AuditPage> {
  const end = before ?? Number.MAX_SAFE_INTEGER;
  const conditions = conditionsOf(filter);
  let floor: number | undefined;
  if (conditions.length > 0) {
    const [row] = await query({
      sql: 'SELECT sequence FROM audit WHERE sequence < ? ORDER BY sequence DESC LIMIT 1 OFFSET ?',
      values: [end, auditRowsReadMax - 1],
    });
    floor = row && Number(row['sequence']);
  }
  const all: (readonly [string, string | number])[] = [
    ['sequence < ?', end],
    ['sequence >= ?', floor ?? 0],
    ...conditions,
  ];
  const rows = await query({
    sql: `SELECT * FROM audit WHERE ${all.map(([sql]) => sql).join(' AND ')} ORDER BY sequence DESC LIMIT ?`,
    values: [...all.map(([, value]) => value), limit],
  });
  const entries = rows.map((row) => ({ ...(row as unknown as AuditEntry) }));
  return { entries, next: entries.length < limit ? floor : entries.at(-1)?.sequence };
}

function conditionsOf({ entity, id, actor, revision, since, until }: AuditFilter) {
  const conditions: readonly (readonly [string, string | number | undefined])[] = [
    ['entity = ?', entity],
    ['id = ?', id],
    ['actor = ?', actor],
    ['revision = ?', revision],
    ['at >= ?', since],
    ['at < ?', until],
  ];
  return conditions.flatMap(([sql, value]) => (value === undefined ? [] : [[sql, value] as const]));
}
