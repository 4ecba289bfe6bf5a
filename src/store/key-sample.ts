// The sample of a key's use as a row of either database.
import type { KeyUse } from './contract.ts';

export function toSample(row: Readonly<Record<string, unknown>> | undefined): KeyUse['sample'] | undefined {
  return row && { sealed: String(row['sealed']), binding: String(row['binding']) };
}
