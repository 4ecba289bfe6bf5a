// The primitives of ../rows.ts in SQL, within one transaction. Statements that do not wait for one another's answer are
// sent together: they are carried out in the order in which they were sent.
import type { NewAuditEntry, Rows } from '../rows.ts';
import type { PgTransaction } from './client.ts';
import { fromBinding, fromCertificate, fromSni, toBinding, toPlugin } from './encoding.ts';
import { createReader } from './reader.ts';
import {
  addTags,
  apiTable,
  caCertificateTable,
  certificateTable,
  hostPolicyTable,
  insertRows,
  pluginTable,
  sniTable,
  tokenTable,
} from './tables.ts';

export function createRows(tx: PgTransaction): Rows {
  return {
    read: createReader(tx),
    apis: apiTable(tx),
    plugins: pluginTable(tx),
    certificates: certificateTable(tx),
    snis: sniTable(tx),
    tokens: tokenTable(tx),
    caCertificates: caCertificateTable(tx),
    hostPolicies: hostPolicyTable(tx),

    async pluginsOfApi(apiId) {
      return (await tx.query('SELECT * FROM plugins WHERE api_id = $1 ORDER BY sequence', apiId)).map(toPlugin);
    },
    async findPlugin(name, apiId) {
      const [row] = await tx.query(
        `SELECT * FROM plugins WHERE name = $1 AND coalesce(api_id, '') = $2`,
        name,
        apiId ?? '',
      );
      return row && toPlugin(row);
    },
    async findPluginOfCertificate(certificateId) {
      const [row] = await tx.query('SELECT * FROM plugins WHERE certificate_id = $1', certificateId);
      return row && toPlugin(row);
    },

    async knownAuthorities(ids) {
      const rows = await tx.query('SELECT id FROM ca_certificates WHERE id = ANY($1)', ids);
      return new Set(rows.map((row) => String(row['id'])));
    },
    async holderOfAuthority(authorityId) {
      const [row] = await tx.query(
        'SELECT holder_id FROM rule_authorities WHERE authority_id = $1 LIMIT 1',
        authorityId,
      );
      return row && String(row['holder_id']);
    },

    async bindingsOf(holderId) {
      return (await tx.query('SELECT * FROM bindings WHERE holder_id = $1', holderId)).map(toBinding);
    },
    async bind({ name, certificateId, holder }) {
      await tx.query(
        `INSERT INTO bindings (name, certificate_id, holder, holder_id) VALUES ($1, $2, $3, $4)
         ON CONFLICT (name) DO UPDATE SET certificate_id = excluded.certificate_id, holder = excluded.holder,
           holder_id = excluded.holder_id`,
        name,
        certificateId,
        holder.kind,
        holder.id,
      );
    },
    async unbind(name) {
      await tx.query('DELETE FROM bindings WHERE name = $1', name);
    },

    async known({ certificateIds, sniIds, names }) {
      const rows = await tx.query(
        `SELECT 'certificate' AS kind, id AS value FROM certificates WHERE id = ANY($1)
         UNION ALL SELECT 'sni', id FROM snis WHERE id = ANY($2)
         UNION ALL SELECT 'name', name FROM snis WHERE name = ANY($3)
         UNION ALL SELECT 'name', name FROM bindings WHERE name = ANY($3)`,
        certificateIds,
        sniIds,
        names,
      );
      const of = (kind: string): ReadonlySet<string> =>
        new Set(rows.filter((row) => row['kind'] === kind).map((row) => String(row['value'])));
      return { certificateIds: of('certificate'), sniIds: of('sni'), names: of('name') };
    },
    async insertMany({ certificates, snis, bindings, changes, audit, position }) {
      const revision = changes[0]?.revision ?? 0;
      await Promise.all([
        insertRows(
          tx,
          'certificates',
          certificates.map((certificate) => ({ ...fromCertificate(certificate), revision })),
        ),
        addTags(tx, 'certificates', 'certificate_tags', certificates),
        insertRows(
          tx,
          'snis',
          snis.map((sni) => ({ ...fromSni(sni), revision })),
        ),
        addTags(tx, 'snis', 'sni_tags', snis),
        insertRows(tx, 'bindings', bindings.map(fromBinding)),
        insertRows(
          tx,
          'changes',
          changes.map((change, index) => ({ ...change, position: position + index })),
        ),
        insertAudit(audit),
      ]);
    },

    async takeRevision() {
      const [row] = await tx.query('UPDATE revision SET revision = revision + 1 RETURNING revision');
      if (row === undefined) throw new Error('the table of the revision is empty');
      return Number(row['revision']);
    },
    async appendChange(change, position) {
      await insertRows(tx, 'changes', [{ ...change, position }]);
    },
    appendAudit: insertAudit,
    async rememberIntermediate(subjectKey, sha256, pem, room) {
      await tx.query(
        `INSERT INTO intermediates (subject_key, sha256, pem) SELECT $1, $2, $3 WHERE $4::boolean OR
         ((SELECT count(*) FROM intermediates WHERE subject_key = $1) < $5::int AND (SELECT count(*) FROM intermediates) < $6::int)
         ON CONFLICT DO NOTHING`,
        subjectKey,
        sha256,
        pem,
        room === undefined,
        room?.ofSubject ?? 0,
        room?.all ?? 0,
      );
    },

    atomically: (work) => tx.savepoint(work),
  };

  async function insertAudit(entries: readonly NewAuditEntry[]): Promise<void> {
    await insertRows(
      tx,
      'audit',
      entries.map((entry) => ({ ...entry })),
    );
  }
}
