// Which master keys the store's private keys and secrets are sealed under: indexes answer, whatever the number of rows.
import type { KeyUse, StoreReader } from '../contract.ts';
import { distinctIds } from '../distinct-ids.ts';
import { toSample } from '../key-sample.ts';
import type { PgStatements } from './client.ts';
import { toCertificate } from './encoding.ts';
import { keyIdSql } from './schema.ts';

const primary = keyIdSql('sealed_key');
const alternative = keyIdSql('sealed_key_alt');
const hasAlternative = 'sealed_key_alt IS NOT NULL';

const usesSql = `
  WITH used (id) AS (
    SELECT id FROM (${distinctIds(primary, 'true')}) a
    UNION SELECT id FROM (${distinctIds(alternative, hasAlternative)}) b
    UNION SELECT ${keyIdSql('value')} FROM meta WHERE ${keyIdSql('value')} IS NOT NULL
  )
  SELECT id, (SELECT count(*) FROM certificates WHERE ${primary} = used.id)
    + (SELECT count(*) FROM certificates WHERE ${hasAlternative} AND ${alternative} = used.id
       AND ${primary} IS DISTINCT FROM used.id) AS certificates
  FROM used ORDER BY id`;

const sampleSql = `SELECT value AS sealed, 'meta ' || key AS binding FROM meta
  WHERE ${keyIdSql('value')} = $1 ORDER BY key LIMIT 1`;

const notUnderSql = `
  SELECT * FROM certificates WHERE sequence IN (
    (SELECT sequence FROM certificates WHERE ${primary} < $1 LIMIT $2)
    UNION (SELECT sequence FROM certificates WHERE ${primary} > $1 LIMIT $2)
    UNION (SELECT sequence FROM certificates WHERE ${hasAlternative} AND ${alternative} < $1 LIMIT $2)
    UNION (SELECT sequence FROM certificates WHERE ${hasAlternative} AND ${alternative} > $1 LIMIT $2)
  ) ORDER BY sequence LIMIT $2`;

export function keyUse(statements: PgStatements): Pick<StoreReader, 'keysInUse' | 'certificatesNotSealedUnder'> {
  return {
    async keysInUse() {
      const rows = await statements.query(usesSql);
      const uses = rows.map(async (row): Promise<KeyUse> => {
        const keyId = String(row['id']);
        const [sample] = await statements.query(sampleSql, keyId);
        return { keyId, certificates: Number(row['certificates']), sample: toSample(sample) };
      });
      return Promise.all(uses);
    },
    async certificatesNotSealedUnder(keyId, limit) {
      return (await statements.query(notUnderSql, keyId, limit)).map(toCertificate);
    },
  };
}
