// Requests at a fixed rate, at random times (a Poisson process), whatever the answers take. A request that finds no idle
// connection waits for one, and that time counts: latency runs from when the request was due to be sent, on the clock of
// one-millisecond ticks, to the last byte of the answer. So a product that stalls delays nobody's clock (no coordinated
// omission). Runs in a process of its own: <port> <host> <rate> <seconds> <connections, or `new` for one each>.
// Prints {"count":…,"p50":…,"p99":…} in milliseconds.
import tls from 'node:tls';

const [port = '', host = '', rate = '', seconds = '', connections = ''] = process.argv.slice(2);
const path = '/small';
const tickMs = 1;
const secureContext = tls.createSecureContext({ minVersion: 'TLSv1.3', ecdhCurve: 'X25519' });
const request = `GET ${path} HTTP/1.1\r\nHost: ${host}\r\n\r\n`;
const lastRequest = `GET ${path} HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`;
/** The first of a run finds caches cold. */
const leftOutMs = 500;

const idle: tls.TLSSocket[] = [];
const waiting: number[] = [];
const latencies: number[] = [];
let answered = 0;
let sent = 0;

if (connections !== 'new')
  await Promise.all(
    Array.from({ length: Number(connections) }, async () => {
      const socket = await connect();
      socket.on('data', (answer: Buffer) => onAnswer(socket, answer));
      idle.push(socket);
    }),
  );

const startedAt = performance.now();
const endsAt = startedAt + Number(seconds) * 1000;
const begunAt = new Map<tls.TLSSocket, number>();
let dueAt = startedAt;
tick();

function tick(): void {
  const now = performance.now();
  for (; dueAt <= now && dueAt < endsAt; dueAt -= (Math.log(1 - Math.random()) / Number(rate)) * 1000) begin(now);
  if (dueAt < endsAt || answered < sent) setTimeout(tick, tickMs);
  else finish();
}

function begin(now: number): void {
  sent += 1;
  if (connections === 'new') onNewConnection(now);
  else {
    waiting.push(now);
    sendWaiting();
  }
}

function sendWaiting(): void {
  while (idle.length > 0 && waiting.length > 0) {
    const socket = idle.shift();
    const since = waiting.shift();
    if (socket === undefined || since === undefined) return;
    begunAt.set(socket, since);
    socket.write(request);
  }
}

/** Answers are so small that each comes in one piece. */
function onAnswer(socket: tls.TLSSocket, answer: Buffer): void {
  check(answer);
  count(begunAt.get(socket) ?? Number.NaN);
  idle.push(socket);
  sendWaiting();
}

function onNewConnection(since: number): void {
  const socket = tls.connect(
    { host: '127.0.0.1', port: Number(port), servername: host, rejectUnauthorized: false, secureContext },
    () => socket.write(lastRequest),
  );
  socket.once('data', (answer: Buffer) => {
    check(answer);
    count(since);
    socket.end();
  });
  socket.on('error', fail);
}

function connect(): Promise<tls.TLSSocket> {
  return new Promise((resolve, reject) => {
    const options = { host: '127.0.0.1', port: Number(port), servername: host, rejectUnauthorized: false };
    const socket = tls.connect({ ...options, secureContext }, () => resolve(socket));
    socket.on('error', reject);
    socket.on('close', () => answered < sent && fail(new Error('a connection was closed')));
  });
}

function check(answer: Buffer): void {
  const text = answer.toString('latin1');
  if (!text.startsWith('HTTP/1.1 200') || !text.endsWith('hello from the upstream\n'))
    fail(new Error(`unexpected answer: ${text}`));
}

function count(since: number): void {
  answered += 1;
  if (since - startedAt > leftOutMs) latencies.push(performance.now() - since);
}

function fail(error: Error): void {
  process.stderr.write(`${error.message}\n`);
  process.exit(1);
}

function finish(): void {
  const sorted = latencies.toSorted((a, b) => a - b);
  const at = (part: number): number => sorted[Math.floor(part * sorted.length)] ?? Number.NaN;
  process.stdout.write(`${JSON.stringify({ count: sorted.length, p50: at(0.5), p99: at(0.99) })}\n`, () =>
    process.exit(),
  );
}
