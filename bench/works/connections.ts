// New connections, each with one small request: full and resumed handshakes, one host and many.
import { handshakes, type Handshakes } from '../load/handshakes.ts';
import { hostCount } from '../materials.ts';
import { cpuWork } from './cpu-work.ts';
import type { Context, Work } from './work.ts';

export const connectionWorks: readonly Work[] = [
  {
    ...connections('handshake', 'full handshake, ECDSA P-256', ({ materials }) => ({
      host: materials.ecdsa.name,
    })),
    goals: { nginx: { most: 1.25, next: 1 } },
  },
  connections('handshake-rsa', 'full handshake, RSA 2048', ({ materials }) => ({
    host: materials.rsa.name,
  })),
  connections('resumed', 'resumed handshake', ({ materials }) => ({
    host: materials.ecdsa.name,
    resumed: true,
  })),
  {
    ...connections('hosts', 'full handshake, 10,000 hosts in turn', () => ({ host: { countOf: hostCount } }), 'hosts'),
    // Each host once, for what keeps certificates in memory.
    warmUpSeconds: 14,
  },
];

function connections(
  id: string,
  title: string,
  which: (context: Context) => Omit<Handshakes, 'port'>,
  variant: Work['variant'] = 'logged',
): Work {
  return cpuWork({
    id,
    title,
    unit: 'connection with one small request',
    variant,
    load: async (product, context) => ({
      kind: 'done',
      units: await handshakes({ ...which(context), port: product.tlsPort }, context),
    }),
  });
}
