// An upstream that tells what it was asked.
import http from 'node:http';
import type { AddressInfo } from 'node:net';

export interface Upstream extends AsyncDisposable {
  readonly url: string;
  readonly port: number;
  readonly requests: number;
}

/** @param answer what it does; by default 200, once the request is whole, with method, target and headers as JSON */
export async function startUpstream(answer: http.RequestListener = echo): Promise<Upstream> {
  let requests = 0;
  const server = http.createServer((request, response) => {
    requests += 1;
    answer(request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    port,
    get requests() {
      return requests;
    },
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

function echo(request: http.IncomingMessage, response: http.ServerResponse): void {
  const { method, url, headers } = request;
  const body = JSON.stringify({ method, url, headers });
  request.resume().on('end', () => {
    response.writeHead(200, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) });
    response.end(body);
  });
}
