// What an idle connection costs in memory, of a product that has just been started and has seen a few connections.
import { setTimeout as wait } from 'node:timers/promises';
import { openConnections } from '../load/open-connections.ts';
import { residentBytes } from '../processes.ts';
import type { Work } from './work.ts';

const connections = 10_000;
const warmUp = 200;
/** For what is freed or made a little later. */
const settleMs = 2000;

export const memoryWorks: readonly Work[] = [
  {
    id: 'idle',
    title: '10,000 idle TLS connections',
    unit: 'connection',
    kind: 'memory',
    variant: 'logged',
    fresh: true,
    roundsMax: 2,
    measure: async (product, { core, materials }) => {
      const host = materials.ecdsa.name;
      await using warm = await openConnections(core, product.tlsPort, host, warmUp);
      await warm[Symbol.asyncDispose]();
      await wait(settleMs);
      const start = residentBytes(product.pid);
      await using _open = await openConnections(core, product.tlsPort, host, connections);
      await wait(settleMs);
      const full = residentBytes(product.pid);
      return { perUnit: (full - start) / connections / 1024, start: start / 1024 ** 2, full: full / 1024 ** 2 };
    },
  },
];
