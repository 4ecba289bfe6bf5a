// CPU time per unit: a load that keeps the product as busy as it can, and what the kernel says the product spent meanwhile.
import type { Load } from '../load/load.ts';
import type { Product } from '../peers/peer.ts';
import { cpuTimes } from '../processes.ts';
import type { Context, Work } from './work.ts';

export interface CpuWork extends Omit<Work, 'kind' | 'measure' | 'variant'> {
  readonly variant?: Work['variant'];
  readonly load: (product: Product, context: Context) => Promise<Load>;
}

export function cpuWork({ load, variant = 'logged', ...rest }: CpuWork): Work {
  return {
    ...rest,
    kind: 'cpu',
    variant,
    measure: async (product, context) => {
      const startedAt = performance.now();
      const before = cpuTimes(product.pid);
      const done = await load(product, context);
      const after = cpuTimes(product.pid);
      const spent = after.ran - before.ran;
      const elapsedMs = performance.now() - startedAt;
      if (done.kind === 'not served') return undefined;
      return {
        microseconds: spent / 1000 / done.units,
        perSecond: done.units / context.seconds,
        busy: spent / 1e6 / elapsedMs,
        waited: (after.waited - before.waited) / 1e6 / elapsedMs,
      };
    },
  };
}
