// Which distinct values an index of certificates holds, in SQL that both databases understand.

/** A look into the index for each value, from one to the next, whatever the number of rows. */
export function distinctIds(id: string, where: string): string {
  return `
  WITH RECURSIVE ids (id) AS (
    SELECT min(${id}) FROM certificates WHERE ${where}
    UNION ALL
    SELECT (SELECT min(${id}) FROM certificates WHERE ${where} AND ${id} > ids.id) FROM ids WHERE ids.id IS NOT NULL
  )
  SELECT id FROM ids WHERE id IS NOT NULL`;
}
