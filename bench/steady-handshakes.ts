// Full handshakes at a steady rate for one name; at the end says how many there were and how long they took. Run by
// cluster.ts in a process of its own.
import { runSteadily } from './load/steady.ts';

const [port = '', host = '', rate = ''] = process.argv.slice(2);

runSteadily(
  { port: Number(port), rate: Number(rate), tickMs: 10 },
  () => host,
  ({ times, failed, seconds }) => {
    const sorted = times.toSorted((a, b) => a - b);
    const at = (part: number): string => (sorted[Math.floor(part * sorted.length)] ?? 0).toFixed(1);
    return `${Math.round(times.length / seconds)} a second done, p50 ${at(0.5)} ms, p99 ${at(0.99)} ms, ${failed} failed\n`;
  },
);
