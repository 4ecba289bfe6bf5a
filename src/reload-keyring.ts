// The primary's part of a reload: the keyring is read again, and taken when it opens all that is in use.
import { isPortunusError, reasonOf } from './lib/errors.ts';
import type { Log } from './observe/contract.ts';
import { checkKeyring } from './store/check-keyring.ts';
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
    await checkKeyring(reader, next);
    const before = sealer.keyIds.join();
    sealer.replace(next);
    if (next.keyIds.join() !== before)
      log.info({ keys: next.keyIds }, 'the keyring was read again; its first key seals');
    return keyring;
  } catch (error) {
    const hint = isPortunusError(error) ? error.hint : undefined;
    log.error({ reason: reasonOf(error), hint }, 'the keyring was not taken; the one read before stays in use');
    return undefined;
  }
}
