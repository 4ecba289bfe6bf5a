// Opens TLS connections, asks for something small once on each, and keeps them open and idle until it is told to end. Runs in
// a process of its own: <port> <host> <connections>. Says `open` when all of them are; ends with an error if one is closed.
import tls from 'node:tls';

const [port = '', host = '', connections = ''] = process.argv.slice(2);
const atOnce = 32;
const request = `GET /small HTTP/1.1\r\nHost: ${host}\r\n\r\n`;
const secureContext = tls.createSecureContext({ minVersion: 'TLSv1.3', ecdhCurve: 'X25519' });
let begun = 0;

await Promise.all(Array.from({ length: atOnce }, openInTurn));
process.stdout.write('open\n');

async function openInTurn(): Promise<void> {
  while (begun < Number(connections)) {
    begun += 1;
    await open();
  }
}

function open(): Promise<void> {
  return new Promise((resolve, reject) => {
    const options = { host: '127.0.0.1', port: Number(port), servername: host, rejectUnauthorized: false };
    const socket = tls.connect({ ...options, secureContext }, () => socket.write(request));
    socket.once('data', (answer: Buffer) => {
      if (answer.toString('latin1', 0, 12) === 'HTTP/1.1 200') resolve();
      else reject(new Error(`unexpected answer: ${answer.toString('latin1', 0, 100)}`));
    });
    socket.on('error', reject);
    socket.on('close', () => fail());
  });
}

function fail(): void {
  process.stderr.write('a connection was closed\n');
  process.exit(1);
}
