// Full handshakes at a steady rate, whatever the answers take, until this process is told to end; then says what they were.
import tls from 'node:tls';

const secureContext = tls.createSecureContext({ minVersion: 'TLSv1.3', ecdhCurve: 'X25519' });

export interface Steady {
  /** Milliseconds of each handshake done. */
  readonly times: readonly number[];
  readonly failed: number;
  readonly seconds: number;
}

/**
 * @param rate a second
 * @param tickMs how often those due are begun
 * @param nameOf the server name of the handshake with this number
 */
export function runSteadily(
  options: { readonly port: number; readonly rate: number; readonly tickMs: number },
  nameOf: (number: number) => string,
  tell: (steady: Steady) => string,
): void {
  const { port, rate, tickMs } = options;
  const startedAt = performance.now();
  const times: number[] = [];
  let begun = 0;
  let failed = 0;

  const timer = setInterval(() => {
    const due = Math.floor(((performance.now() - startedAt) / 1000) * rate);
    for (; begun < due; begun += 1) begin(nameOf(begun));
  }, tickMs);

  process.on('SIGTERM', () => {
    clearInterval(timer);
    const seconds = (performance.now() - startedAt) / 1000;
    process.stdout.write(tell({ times, failed, seconds }), () => process.exit());
  });

  function begin(servername: string): void {
    const begunAt = performance.now();
    const socket = tls.connect({ host: '127.0.0.1', port, servername, secureContext, rejectUnauthorized: false });
    socket.on('secureConnect', () => {
      times.push(performance.now() - begunAt);
      socket.destroy();
    });
    socket.on('error', () => (failed += 1));
  }
}
