// Full handshakes at a steady rate, each for another name, whatever the answers take, until it is told to end; then says how
// long each took, in milliseconds, and how many failed. Run in a process of its own.
//
//   node steady-names.ts <port> <rate> <first> <count>     names of certificates that are there, in turn
//   node steady-names.ts <port> <rate> unknown             names that nobody has, each another one
import { randomBytes } from 'node:crypto';
import tls from 'node:tls';
import { nameOf } from './leaves.ts';

const [port = '', rate = '', first = '', count = ''] = process.argv.slice(2);
const secureContext = tls.createSecureContext({ minVersion: 'TLSv1.3', ecdhCurve: 'X25519' });
const tickMs = 5;
const startedAt = performance.now();
const times: number[] = [];
let begun = 0;
let failed = 0;

const timer = setInterval(() => {
  const due = Math.floor(((performance.now() - startedAt) / 1000) * Number(rate));
  for (; begun < due; begun += 1) begin(nextName());
}, tickMs);

process.on('SIGTERM', () => {
  clearInterval(timer);
  process.stdout.write(JSON.stringify({ times, failed }), () => process.exit());
});

function nextName(): string {
  if (first === 'unknown') return `u${randomBytes(6).toString('hex')}.nowhere.test`;
  return nameOf(Number(first) + (begun % Number(count)));
}

function begin(servername: string): void {
  const begunAt = performance.now();
  const socket = tls.connect({
    host: '127.0.0.1',
    port: Number(port),
    servername,
    secureContext,
    rejectUnauthorized: false,
  });
  socket.on('secureConnect', () => {
    times.push(performance.now() - begunAt);
    socket.destroy();
  });
  socket.on('error', () => (failed += 1));
}
