// Full handshakes at a steady rate, whatever the answer takes, until it is told to end; then says how many there were and
// how long they took. Run by cluster.ts in a process of its own.
import tls from 'node:tls';

const [port = '', host = '', rate = ''] = process.argv.slice(2);
const secureContext = tls.createSecureContext({ minVersion: 'TLSv1.3', ecdhCurve: 'X25519' });
const tickMs = 10;
const startedAt = performance.now();
const times: number[] = [];
let begun = 0;
let failed = 0;

const timer = setInterval(() => {
  const due = Math.floor(((performance.now() - startedAt) / 1000) * Number(rate));
  for (; begun < due; begun += 1) begin();
}, tickMs);

process.on('SIGTERM', () => {
  clearInterval(timer);
  const sorted = times.toSorted((a, b) => a - b);
  const at = (part: number): string => (sorted[Math.floor(part * sorted.length)] ?? 0).toFixed(1);
  const perSecond = times.length / ((performance.now() - startedAt) / 1000);
  process.stdout.write(
    `${Math.round(perSecond)} a second done, p50 ${at(0.5)} ms, p99 ${at(0.99)} ms, ${failed} failed\n`,
    () => process.exit(),
  );
});

function begin(): void {
  const begunAt = performance.now();
  const socket = tls.connect({
    host: '127.0.0.1',
    port: Number(port),
    servername: host,
    secureContext,
    rejectUnauthorized: false,
  });
  socket.on('secureConnect', () => {
    times.push(performance.now() - begunAt);
    socket.destroy();
  });
  socket.on('error', () => (failed += 1));
}
