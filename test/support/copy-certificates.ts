// Many certificates in PostgreSQL at once, past every rule: for what depends on their number alone.
import postgres from 'postgres';

/** Copies of the certificate bound to `name`, bound to n1.fill.test, n2.fill.test, …; all have its revision. */
export async function copyCertificates({ url }: { readonly url: string }, name: string, count: number): Promise<void> {
  const sql = postgres(url, { max: 1, onnotice: () => undefined });
  const [found] = await sql`SELECT table_schema AS schema FROM information_schema.tables WHERE table_name = 'bindings'`;
  await sql.unsafe(`SET search_path TO ${String(found?.['schema'])}`);
  const columns = await sql`SELECT column_name AS name FROM information_schema.columns
    WHERE table_name = 'certificates' AND column_name NOT IN ('sequence', 'id')`;
  const list = columns.map((row) => String(row['name'])).join(', ');
  await sql.unsafe(`
    INSERT INTO certificates (id, ${list})
      SELECT 'copy-' || n, ${list} FROM certificates c, generate_series(1, ${count}) n
      WHERE c.id = (SELECT certificate_id FROM snis WHERE name = '${name}');
    INSERT INTO snis (id, name, certificate_id, tags, created_at, updated_at, revision)
      SELECT 'sni-' || n, 'n' || n || '.fill.test', 'copy-' || n, '[]', 0, 0, 1 FROM generate_series(1, ${count}) n;
    INSERT INTO bindings (name, certificate_id, holder, holder_id)
      SELECT 'n' || n || '.fill.test', 'copy-' || n, 'sni', 'sni-' || n FROM generate_series(1, ${count}) n;
  `);
  await sql.end();
}
