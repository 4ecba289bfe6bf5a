// Reads that go on while the shared store is away: the replica answers in its place, and says that it did.
import { AsyncLocalStorage } from 'node:async_hooks';
import { isPortunusError } from '../lib/errors.ts';
import type { Collection, Store, StoreReader } from './contract.ts';

/** What `observeStaleness` tells of the reads within it. */
const observed = new AsyncLocalStorage<{ stale: boolean }>();

/** Runs `work`. @returns its value, and whether any read in it was answered by the replica */
export async function observeStaleness<T>(
  work: () => Promise<T>,
): Promise<{ readonly value: T; readonly stale: boolean }> {
  const marker = { stale: false };
  const value = await observed.run(marker, work);
  return { value, stale: marker.stale };
}

/** Writes are the store's alone. @param isUsable whether the replica holds everything */
export function withFallback(store: Store, replica: StoreReader, isUsable: () => boolean): Store {
  return {
    ...store,
    ...readers(store, replica),
    apis: { ...collection(store.apis, replica.apis), ...methods(store.apis, replica.apis, 'findByName') },
    plugins: collection(store.plugins, replica.plugins),
    certificates: collection(store.certificates, replica.certificates),
    snis: {
      ...collection(store.snis, replica.snis),
      ...methods(store.snis, replica.snis, 'findByName', 'ofCertificate'),
    },
    tokens: {
      ...collection(store.tokens, replica.tokens),
      ...methods(store.tokens, replica.tokens, 'findByName', 'findByPrefix'),
    },
    caCertificates: {
      ...collection(store.caCertificates, replica.caCertificates),
      ...methods(store.caCertificates, replica.caCertificates, 'findByFingerprint'),
    },
    hostPolicies: {
      ...collection(store.hostPolicies, replica.hostPolicies),
      ...methods(store.hostPolicies, replica.hostPolicies, 'findByName'),
    },
    [Symbol.asyncDispose]: () => store[Symbol.asyncDispose](),
  };

  function readers(from: StoreReader, instead: StoreReader) {
    return methods(
      from,
      instead,
      'binding',
      'leaves',
      'intermediates',
      'rememberedIntermediates',
      'soonestToExpire',
      'authoritiesSoonestToExpire',
      'keysInUse',
      'certificatesNotSealedUnder',
      'sealedSecret',
      'revision',
      'changesSince',
    );
  }

  function collection<E, F>(from: Collection<E, F>, instead: Collection<E, F>): Collection<E, F> {
    return methods(from, instead, 'get', 'list', 'count');
  }

  function methods<T extends object, K extends keyof T>(from: T, instead: T, ...names: readonly K[]): Pick<T, K> {
    type Call = (...values: unknown[]) => Promise<unknown>;
    const entries = names.map((name) => [
      name,
      async (...values: unknown[]) => {
        try {
          return await (from[name] as Call)(...values);
        } catch (error) {
          if (!isPortunusError(error, 'STORE_UNAVAILABLE') || !isUsable()) throw error;
          const marker = observed.getStore();
          if (marker !== undefined) marker.stale = true;
          return (instead[name] as Call)(...values);
        }
      },
    ]);
    return Object.fromEntries(entries) as Pick<T, K>;
  }
}
