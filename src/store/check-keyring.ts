// Whether a keyring is complete: every key under which the store, or a replica of it, holds something, and not another key of
// the same id.
import { isPortunusError, PortunusError } from '../lib/errors.ts';
import type { KeyUse, StoreReader } from './contract.ts';
import type { Sealer } from './sealer.ts';

/** @throws KEYRING_MISMATCH naming every key that is missing or another one; facts: `{missing: string[], different: string[]}` */
export async function checkKeyring(
  reader: Pick<StoreReader, 'keysInUse'>,
  sealer: Pick<Sealer, 'keyIds' | 'open'>,
): Promise<void> {
  const held = new Set(sealer.keyIds);
  const uses = await reader.keysInUse();
  const missing = uses.filter(({ keyId }) => !held.has(keyId)).map(({ keyId }) => keyId);
  const different = uses.filter((use) => held.has(use.keyId) && !opens(sealer, use)).map(({ keyId }) => keyId);
  if (missing.length + different.length === 0) return;
  const lacks =
    missing.length === 0
      ? []
      : [`lacks ${keys(missing)}, under which the store's private keys are sealed; it holds ${[...held].join(', ')}`];
  const others =
    different.length === 0
      ? []
      : [`has ${keys(different)} with other bytes than those under which the store's private keys are sealed`];
  throw new PortunusError('KEYRING_MISMATCH', `The keyring ${[...lacks, ...others].join('; it ')}.`, {
    facts: { missing, different },
    hint: 'Copy the keyring from a node that serves, or put back the copy you kept of it.',
  });
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
