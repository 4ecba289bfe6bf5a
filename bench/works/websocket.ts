// Messages through a WebSocket: each goes to an echo behind the product and comes back.
import { loadProcess } from '../load/load.ts';
import { cpuWork } from './cpu-work.ts';
import type { Work } from './work.ts';

const connections = 64;

export const websocketWorks: readonly Work[] = [
  cpuWork({
    id: 'websocket',
    title: 'WebSocket message of 64 bytes',
    unit: 'message there and back',
    load: async (product, { core, seconds, materials }) => {
      const args = [product.tlsPort, materials.ecdsa.name, '/echo', connections, seconds];
      return { kind: 'done', units: Number(await loadProcess(core, 'websocket-load', args)) };
    },
  }),
];
