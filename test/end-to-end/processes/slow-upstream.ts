// The upstream of attackers and of the good client: it reads bodies that never end, answers `/large` with more than anybody's
// buffers hold, and all else at once. In a process of its own, so that it takes no time from the good client.
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import process from 'node:process';

const large = Buffer.alloc(20_000_000);
const server = http.createServer((request, response) => {
  request.on('error', () => undefined).resume();
  if (request.method === 'GET') response.end(request.url === '/large' ? large : 'good');
});
server.listen(0, '127.0.0.1', () => process.send?.((server.address() as AddressInfo).port));
process.on('disconnect', () => process.exit());
