// Sealing everything in a store anew under the key that seals now, batch by batch, while others read and write. What was
// done stays done: called again after an interruption, it goes on with the rest.
import { isPortunusError } from '../lib/errors.ts';
import type { Certificate, KeyPair } from '../model/entities.ts';
import type { Store, StoreTransaction } from './contract.ts';
import type { Sealer } from './sealer.ts';

export interface Resealed {
  /** Sealed anew by this call. */
  readonly certificates: number;
  /** Certificates with a key that does not open, altered for instance: they stay as they are. */
  readonly unopened: readonly string[];
}

export interface ResealOptions {
  /** Certificates a transaction. Others' writes wait for as long as one takes. */
  readonly batchSize?: number;
  /** After each batch; `total` is at least what there is to do. */
  readonly progress?: (done: number, total: number) => void;
}

/** Which batches may hold certificates that do not open, besides those that do. */
const unopenedMax = 1000;
const batchSizeDefault = 100;

/** @throws KEYRING_MISMATCH when the keyring lacks a key, or too many certificates do not open; what Store.transact throws */
export async function resealStore(store: Store, sealer: Sealer, options: ResealOptions = {}): Promise<Resealed> {
  const { batchSize = batchSizeDefault, progress } = options;
  const [target] = sealer.keyIds;
  const uses = await store.keysInUse();
  let total = uses.reduce((sum, { keyId, certificates }) => sum + (keyId === target ? 0 : certificates), 0);
  let done = 0;
  const unopened = new Set<string>();
  // First: what follows makes every replica take over the secrets too.
  await store.resealSecrets();
  for (;;) {
    const { value } = await store.transact('keyring', (tx) => resealBatch(tx, sealer, batchSize, unopened));
    if (value === 0) break;
    done += value;
    // Others may write under an old key meanwhile.
    total = Math.max(total, done + unopened.size);
    progress?.(done, total);
  }
  return { certificates: done, unopened: [...unopened] };
}

/** @returns how many were sealed anew; none when there are no more */
async function resealBatch(tx: StoreTransaction, sealer: Sealer, size: number, unopened: Set<string>): Promise<number> {
  for (;;) {
    const known = unopened.size;
    const found = await tx.certificatesNotSealedUnder(sealer.keyIds[0], size + known);
    let written = 0;
    for (const certificate of found.filter(({ id }) => !unopened.has(id))) {
      const resealed = resealCertificate(certificate, sealer, unopened);
      if (resealed === undefined) continue;
      await tx.certificates.replace(resealed);
      written += 1;
    }
    if (written > 0 || unopened.size === known) return written;
  }
}

function resealCertificate(certificate: Certificate, sealer: Sealer, unopened: Set<string>): Certificate | undefined {
  try {
    const { primary, alternative } = certificate;
    return {
      ...certificate,
      primary: resealPair(primary, sealer),
      alternative: alternative === null ? null : resealPair(alternative, sealer),
    };
  } catch (error) {
    if (!isPortunusError(error, 'KEYRING_MISMATCH') || unopened.size >= unopenedMax) throw error;
    unopened.add(certificate.id);
    return undefined;
  }
}

function resealPair(pair: KeyPair, sealer: Sealer): KeyPair {
  const keyId = sealer.keyIdOf(pair.sealedKey);
  if (keyId === undefined || keyId === sealer.keyIds[0]) return pair;
  const plain = sealer.open(pair.sealedKey, pair.publicKeySha256);
  try {
    return { ...pair, sealedKey: sealer.seal(plain, pair.publicKeySha256) };
  } finally {
    plain.fill(0);
  }
}
