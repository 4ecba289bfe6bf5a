// The primary's part of a reload: the keyring is read again, and taken when it opens all that is in use.
import { isPortunusError, reasonOf } from './lib/errors.ts';
import type { Log } from './observe/contract.ts';
import { checkWholeKeyring } from './store/check-keyring.ts';
import type { StoreReader } from './store/contract.ts';
import { loadKeyring, type Keyring, type KeyringSource } from './store/keyring.ts';
import type { ReloadableSealer } from './store/reloadable-sealer.ts';
import { createSealer } from './store/sealing.ts';

export interface KeyringReload {
  readonly source: KeyringSource;
  readonly reader: Pick<StoreReader, 'keysInUse'>;
  readonly sealer: ReloadableSealer;
  readonly log: Log;
}

/** @returns undefined when the new one was refused, which is logged, and the old one stays: workers must not be renewed with it */
export async function reloadKeyring({ source, reader, sealer, log }: KeyringReload): Promise<Keyring | undefined> {
  try {
    const keyring = await loadKeyring(source);
    const next = createSealer(keyring);
    // A key that the one before lacked too is no reason to refuse this one.
    await checkWholeKeyring(heldBy([...sealer.keyIds, ...next.keyIds], reader), next);
    const before = sealer.keyIds.join();
    sealer.replace(next);
    if (next.keyIds.join() !== before)
      log.info({ key_ids: next.keyIds }, 'the keyring was read again; its first key seals');
    return keyring;
  } catch (error) {
    const hint = isPortunusError(error) ? error.hint : undefined;
    log.error({ reason: reasonOf(error), hint }, 'the keyring was not taken; the one read before stays in use');
    return undefined;
  }
}

function heldBy(keyIds: readonly string[], reader: KeyringReload['reader']): KeyringReload['reader'] {
  return { keysInUse: async () => (await reader.keysInUse()).filter(({ keyId }) => keyIds.includes(keyId)) };
}
