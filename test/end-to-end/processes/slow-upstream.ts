// What attackers ask: an upstream that reads all and answers `/large` with more than anybody's buffers hold. In a process of its
// own, so that it takes no time from the good client.
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import process from 'node:process';

const large = Buffer.alloc(20_000_000);
const server = http.createServer((request, response) => {
  request.on('error', () => undefined).resume();
  if (request.url === '/large') response.end(large);
});
server.listen(0, '127.0.0.1', () => process.send?.((server.address() as AddressInfo).port));
process.on('disconnect', () => process.exit());
