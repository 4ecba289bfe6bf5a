// One message at a time on each of many WebSocket connections, each checked against what was sent. Runs in a process of its
// own: <port> <host> <path> <connections> <seconds>. Prints how many came back.
import { WebSocket } from 'ws';

const [port = '', host = '', path = '', connections = '', seconds = ''] = process.argv.slice(2);
const message = Buffer.alloc(64, 'm');
let endsAt = 0;

const sockets = await Promise.all(Array.from({ length: Number(connections) }, open));
endsAt = performance.now() + Number(seconds) * 1000;
const counts = await Promise.all(sockets.map(exchange));
process.stdout.write(`${counts.reduce((sum, count) => sum + count, 0)}\n`);

function open(): Promise<WebSocket> {
  return new Promise((resolve, reject) => {
    const tls = { servername: host, rejectUnauthorized: false };
    const options = { ...tls, headers: { host }, perMessageDeflate: false };
    const socket = new WebSocket(`wss://127.0.0.1:${port}${path}`, options);
    socket.on('open', () => resolve(socket)).on('error', reject);
  });
}

function exchange(socket: WebSocket): Promise<number> {
  return new Promise((resolve, reject) => {
    let count = 0;
    socket.on('message', (data: Buffer) => {
      if (!data.equals(message)) return reject(new Error('another message came back'));
      count += 1;
      if (performance.now() < endsAt) return socket.send(message);
      socket.terminate();
      return resolve(count);
    });
    socket.on('close', () => reject(new Error('a connection was closed')));
    socket.send(message);
  });
}
