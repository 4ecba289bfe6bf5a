// What the gateway makes of the requests of one client, as bytes of its upstream, and what of it concerns both ends.
import { until } from '../support/until.ts';
import { type GoRequest, readGoRequests } from '../support/go-requests.ts';
import { type RawClient, startGateway, startRawUpstream } from './http1-gateway.ts';

const ok = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok';

export interface Forwarder extends AsyncDisposable {
  /** @param count of requests in the message. @returns all bytes that came for them, latin1 */
  forward(message: string, count: number): Promise<string>;
}

/** For one client at a time. */
export async function startForwarder(): Promise<Forwarder> {
  const connections: { readonly client: RawClient; answered: number }[] = [];
  const upstream = await startRawUpstream((client) => {
    const connection = { client, answered: 0 };
    connections.push(connection);
    client.socket.on('data', () => {
      const { requests } = readGoRequests(client.received);
      for (; connection.answered < requests.length; connection.answered += 1) {
        client.send(requests[connection.answered]?.method === 'HEAD' ? ok.slice(0, -2) : ok);
      }
    });
  });
  const gateway = await startGateway({ upstreamPort: upstream.port });
  return {
    async forward(message, count) {
      for (const connection of connections) {
        connection.client.received = '';
        connection.answered = 0;
      }
      using client = await gateway.connect();
      client.send(message);
      await until(`${count} answers`, () => client.received.split('HTTP/1.1 200 ').length > count);
      return connections.map((connection) => connection.client.received).join('');
    },
    async [Symbol.asyncDispose]() {
      await gateway[Symbol.asyncDispose]();
      await upstream[Symbol.asyncDispose]();
    },
  };
}

/** Without what concerns one connection or frames a body, which a peer writes anew. */
export function endToEnd({ method, target, fields, body }: GoRequest): object {
  const own = new Set(['connection', 'content-length', 'host', 'te', 'trailer', 'transfer-encoding', 'upgrade']);
  const lines = fields.map(([name, value]) => [name.toLowerCase(), value] as const).filter(([name]) => !own.has(name));
  return { method, target, body, lines };
}
