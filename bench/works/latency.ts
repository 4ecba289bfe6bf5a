// How long a request takes when the product has time: at a rate well below what any of them can do.
import { loadProcess } from '../load/load.ts';
import { cpuTimes } from '../processes.ts';
import type { Work } from './work.ts';

export const latencyWorks: readonly Work[] = [
  latency('latency', '1,000 small responses a second on 50 connections', 'request', 1000, 50),
  latency('latency-handshake', '100 full handshakes a second, each with a small request', 'connection', 100, 'new'),
];

function latency(id: string, title: string, unit: string, rate: number, connections: number | 'new'): Work {
  return {
    id,
    title,
    unit,
    kind: 'latency',
    variant: 'logged',
    measure: async (product, { core, seconds, materials }) => {
      const startedAt = performance.now();
      const before = cpuTimes(product.pid).waited;
      const args = [product.tlsPort, materials.ecdsa.name, rate, seconds, connections];
      const { p50, p99 } = JSON.parse(await loadProcess(core, 'open-loop', args)) as { p50: number; p99: number };
      const waited = (cpuTimes(product.pid).waited - before) / 1e6 / (performance.now() - startedAt);
      return { p50, p99, waited };
    },
  };
}
