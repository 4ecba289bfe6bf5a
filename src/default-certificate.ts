// The certificate served when no other is chosen: made at first start, ECDSA and RSA, and kept in the store like any other.
import { newId } from './lib/new-id.ts';
import type { KeyPair } from './model/entities.ts';
import type { Store } from './store/contract.ts';
import type { Sealer } from './store/sealer.ts';
import { describeCertificate } from './x509/certificate.ts';
import { selfSigned } from './x509/self-signed.ts';

const commonName = 'localhost';
const twentyYears = 20 * 365;

/** Makes it unless the store has one. */
export async function ensureDefaultCertificate(store: Store, sealer: Sealer, now: number): Promise<void> {
  if ((await store.certificates.count({ owner: 'default' })) > 0) return;
  const [primary, alternative] = [makePair('ec', sealer, now), makePair('rsa', sealer, now)];
  await store.transact('system', async (tx) => {
    if ((await tx.certificates.count({ owner: 'default' })) > 0) return;
    const id = newId();
    const owner = { kind: 'default' } as const;
    await tx.certificates.insert({ id, owner, primary, alternative, tags: [], createdAt: now, updatedAt: now });
  });
}

function makePair(keyType: 'ec' | 'rsa', sealer: Sealer, now: number): KeyPair {
  const { chain, key } = selfSigned({ commonName, dnsNames: [commonName], keyType, now, days: twentyYears });
  const facts = describeCertificate(chain);
  if (facts === undefined) throw new Error('a certificate made here cannot be read');
  return { ...facts, keyType, chain, sealedKey: sealer.seal(key, facts.publicKeySha256) };
}
