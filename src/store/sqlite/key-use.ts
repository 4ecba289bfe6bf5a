// Which master keys the file's private keys and secrets are sealed under: indexes answer, whatever the number of rows.
import type { Certificate } from '../../model/entities.ts';
import type { KeyUse, StoreReader } from '../contract.ts';
import { distinctIds } from '../distinct-ids.ts';
import { toSample } from '../key-sample.ts';
import type { Connection } from './connection.ts';
import { toCertificate } from './encoding.ts';

/** The master key's id in a sealed text, null in any other text. Part of the schema: indexes hold it. */
export function keyIdSql(column: string): string {
  const rest = `substr(${column}, 4)`;
  return `CASE WHEN substr(${column}, 1, 3) = 'v1.' THEN substr(${rest}, 1, nullif(instr(${rest}, '.'), 0) - 1) END`;
}

const primary = keyIdSql('sealed_key');
const alternative = keyIdSql('sealed_key_alt');
const hasAlternative = 'sealed_key_alt IS NOT NULL';

const idsSql = `
  SELECT id FROM (${distinctIds(primary, 'true')})
  UNION SELECT id FROM (${distinctIds(alternative, hasAlternative)})
  UNION SELECT ${keyIdSql('value')} AS id FROM meta WHERE ${keyIdSql('value')} IS NOT NULL
  ORDER BY id`;

const countSql = `
  SELECT (SELECT count(*) FROM certificates WHERE ${primary} = ?1)
    + (SELECT count(*) FROM certificates
       WHERE ${hasAlternative} AND ${alternative} = ?1 AND ${primary} IS NOT ?1) AS certificates`;

const sampleSql = `SELECT value AS sealed, 'meta ' || key AS binding FROM meta
  WHERE ${keyIdSql('value')} = ?1 ORDER BY key LIMIT 1`;

const notUnderSql = `
  SELECT * FROM certificates WHERE sequence IN (
    SELECT * FROM (SELECT sequence FROM certificates WHERE ${primary} < ?1 LIMIT ?2)
    UNION SELECT * FROM (SELECT sequence FROM certificates WHERE ${primary} > ?1 LIMIT ?2)
    UNION SELECT * FROM (SELECT sequence FROM certificates WHERE ${hasAlternative} AND ${alternative} < ?1 LIMIT ?2)
    UNION SELECT * FROM (SELECT sequence FROM certificates WHERE ${hasAlternative} AND ${alternative} > ?1 LIMIT ?2)
  ) ORDER BY sequence LIMIT ?2`;

export function keyUse(connection: Connection): Pick<StoreReader, 'keysInUse' | 'certificatesNotSealedUnder'> {
  return {
    async keysInUse() {
      return connection.all(idsSql).map((row): KeyUse => {
        const keyId = String(row['id']);
        const certificates = Number(connection.get(countSql, keyId)?.['certificates'] ?? 0);
        return { keyId, certificates, sample: toSample(connection.get(sampleSql, keyId)) };
      });
    },
    async certificatesNotSealedUnder(keyId, limit): Promise<readonly Certificate[]> {
      return connection.all(notUnderSql, keyId, limit).map(toCertificate);
    },
  };
}
