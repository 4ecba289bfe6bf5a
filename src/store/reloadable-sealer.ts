// A sealer whose keyring can be exchanged while others hold it.
import type { Sealer } from './sealer.ts';

export interface ReloadableSealer extends Sealer {
  /** From the next call on. */
  replace(next: Sealer): void;
}

export function createReloadableSealer(first: Sealer): ReloadableSealer {
  let current = first;
  return {
    get keyIds() {
      return current.keyIds;
    },
    keyIdOf: (sealed) => current.keyIdOf(sealed),
    seal: (plain, binding) => current.seal(plain, binding),
    open: (sealed, binding) => current.open(sealed, binding),
    replace(next) {
      current = next;
    },
  };
}
