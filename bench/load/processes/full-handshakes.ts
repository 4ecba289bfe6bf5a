// A load of full TLS 1.3 handshakes over X25519, each on a connection of its own with one small request. Run by workers.ts
// in a process of its own; prints how many were done.
import tls from 'node:tls';

const [port = 0, host = '', seconds = 0] = process.argv.slice(2).map((value, at) => (at === 1 ? value : Number(value)));
const concurrency = 8;
const request = `GET /small HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`;
const endsAt = performance.now() + Number(seconds) * 1000;
const secureContext = tls.createSecureContext({ minVersion: 'TLSv1.3', ecdhCurve: 'X25519' });

const counts = await Promise.all(Array.from({ length: concurrency }, run));
process.stdout.write(`${counts.reduce((sum, count) => sum + count, 0)}\n`);

async function run(): Promise<number> {
  let count = 0;
  while (performance.now() < endsAt) {
    await exchange();
    count += 1;
  }
  return count;
}

function exchange(): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = tls.connect({
      host: '127.0.0.1',
      port: Number(port),
      servername: String(host),
      secureContext,
      rejectUnauthorized: false,
    });
    let answer = '';
    socket.setEncoding('latin1');
    socket.on('secureConnect', () => socket.write(request));
    socket.on('data', (text: string) => (answer += text));
    socket.on('error', reject);
    socket.on('end', () => {
      socket.end();
      if (socket.isSessionReused()) reject(new Error('a session was resumed: this measures full handshakes'));
      else if (!answer.startsWith('HTTP/1.1 200')) reject(new Error(`unexpected answer: ${answer.slice(0, 100)}`));
      else resolve();
    });
  });
}
