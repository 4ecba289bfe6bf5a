// Whether a keyring is the one of a store, or of a replica: it opens the store's own secrets and what most certificates hold.
// The few whose key it lacks fail for their own names alone.
import { isPortunusError, PortunusError } from '../lib/errors.ts';
import type { KeyUse, StoreReader } from './contract.ts';
import type { Sealer } from './sealer.ts';

/**
 * @returns keys that the keyring lacks and that some certificates need
 * @throws KEYRING_MISMATCH naming every key that is missing or another one; facts: `{missing: string[], different: string[]}`
 */
export async function checkKeyring(
  reader: Pick<StoreReader, 'keysInUse'>,
  sealer: Pick<Sealer, 'keyIds' | 'open'>,
): Promise<readonly KeyUse[]> {
  const uses = await reader.keysInUse();
  const lacked = uses.filter(({ keyId }) => !sealer.keyIds.includes(keyId));
  const held = uses.filter((use) => !lacked.includes(use));
  const different = held.filter((use) => !opens(sealer, use)).map(({ keyId }) => keyId);
  const isAnother = lacked.some(({ sample }) => sample !== undefined) || certificatesOf(lacked) > certificatesOf(held);
  if (!isAnother && different.length === 0) return lacked;
  throw mismatch(sealer, isAnother ? lacked.map(({ keyId }) => keyId) : [], different);
}

/** That not one certificate is out of its reach either. @throws KEYRING_MISMATCH as `checkKeyring` */
export async function checkWholeKeyring(
  reader: Pick<StoreReader, 'keysInUse'>,
  sealer: Pick<Sealer, 'keyIds' | 'open'>,
): Promise<void> {
  const lacked = await checkKeyring(reader, sealer);
  if (lacked.length === 0) return;
  const missing = lacked.map(({ keyId }) => keyId);
  const count = certificatesOf(lacked);
  throw new PortunusError(
    'KEYRING_MISMATCH',
    `The keyring lacks ${keys(missing)}, under which the private keys of ${count} certificates are sealed.`,
    { facts: { missing }, hint: 'Put back the copy you kept of it; or replace those certificates, or delete them.' },
  );
}

function mismatch(
  { keyIds }: Pick<Sealer, 'keyIds'>,
  missing: readonly string[],
  different: readonly string[],
): PortunusError {
  const lacks =
    missing.length === 0
      ? []
      : [`lacks ${keys(missing)}, under which the store's private keys are sealed; it holds ${keyIds.join(', ')}`];
  const others =
    different.length === 0
      ? []
      : [`has ${keys(different)} with other bytes than those under which the store's private keys are sealed`];
  return new PortunusError('KEYRING_MISMATCH', `The keyring ${[...lacks, ...others].join('; it ')}.`, {
    facts: { missing, different },
    hint: 'Copy the keyring from a node that serves, or put back the copy you kept of it.',
  });
}

export function certificatesOf(uses: readonly KeyUse[]): number {
  return uses.reduce((sum, { certificates }) => sum + certificates, 0);
}

function opens(sealer: Pick<Sealer, 'open'>, { sample }: KeyUse): boolean {
  if (sample === undefined) return true;
  try {
    sealer.open(sample.sealed, sample.binding).fill(0);
    return true;
  } catch (error) {
    if (isPortunusError(error, 'KEYRING_MISMATCH')) return false;
    throw error;
  }
}

function keys(ids: readonly string[]): string {
  return `${ids.length === 1 ? 'the key' : 'the keys'} ${ids.join(', ')}`;
}
