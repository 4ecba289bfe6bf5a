// Leaves of certificates as rows of either database.
import type { Leaf } from './contract.ts';

/** Of `certificates c`; beside them stands `key`, which the row was found by. */
export const leafColumns = 'c.id, c.fingerprint, c.sealed_key, c.fingerprint_alt, c.sealed_key_alt';

export function toLeaves(rows: readonly Readonly<Record<string, unknown>>[]): ReadonlyMap<string, Leaf> {
  return new Map(
    rows.map((row) => [
      String(row['key']),
      {
        certificateId: String(row['id']),
        fingerprint: String(row['fingerprint']),
        sealedKey: String(row['sealed_key']),
        fingerprintAlt: row['fingerprint_alt'] as string | null,
        sealedKeyAlt: row['sealed_key_alt'] as string | null,
      },
    ]),
  );
}
