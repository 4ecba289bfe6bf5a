// Leaves of certificates as rows of either database.
import type { Leaf } from './contract.ts';

/** Of `certificates c`; beside them stands `key`, which the row was found by. */
export const leafColumns = 'c.id, c.fingerprint, c.fingerprint_alt';

export function toLeaves(rows: readonly Readonly<Record<string, unknown>>[]): ReadonlyMap<string, Leaf> {
  return new Map(
    rows.map((row) => [
      String(row['key']),
      {
        certificateId: String(row['id']),
        fingerprint: String(row['fingerprint']),
        fingerprintAlt: row['fingerprint_alt'] as string | null,
      },
    ]),
  );
}
