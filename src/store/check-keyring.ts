// Whether a keyring is complete: every key under which the store, or a replica of it, holds something.
import { PortunusError } from '../lib/errors.ts';
import type { StoreReader } from './contract.ts';
import type { Sealer } from './sealer.ts';

/** @throws KEYRING_MISMATCH naming every key id that is missing; facts: `{missing: string[]}` */
export async function checkKeyring(
  reader: Pick<StoreReader, 'keysInUse'>,
  sealer: Pick<Sealer, 'keyIds'>,
): Promise<void> {
  const held = new Set(sealer.keyIds);
  const missing = (await reader.keysInUse()).filter(({ keyId }) => !held.has(keyId)).map(({ keyId }) => keyId);
  if (missing.length === 0) return;
  const keys = missing.length === 1 ? 'the key' : 'the keys';
  throw new PortunusError(
    'KEYRING_MISMATCH',
    `The keyring lacks ${keys} ${missing.join(', ')}, under which the store's private keys are sealed; it holds ${[...held].join(', ')}.`,
    {
      facts: { missing },
      hint: 'Copy the keyring from a node that serves, or put back the copy you kept of it.',
    },
  );
}
