// An upstream for several clients at a time, each with a mark of its own: it notes marks that come with another's address.
import { once } from 'node:events';
import net, { type AddressInfo } from 'node:net';
import { type GoRequest, readGoRequests } from './go-requests.ts';

/** By the address that a client comes from. */
export const marks: Readonly<Record<string, string>> = {
  '127.0.0.2': 'mark-a7c1e5d2',
  '127.0.0.3': 'mark-b39f6e84',
  '127.0.0.4': 'mark-c85d2b17',
};

export interface MarkedUpstream extends AsyncDisposable {
  readonly port: number;
  /** Whole requests, by the address that the gateway says they came from. */
  readonly seen: Map<string, GoRequest[]>;
  /** Requests with the mark of another client, and what is no request. */
  readonly faults: readonly string[];
  /** Connections that are open. */
  readonly open: number;
}

/** Answers each request with the address that it came from. @param early as soon as its head is there */
export async function startMarkedUpstream(early: boolean): Promise<MarkedUpstream> {
  const seen = new Map<string, GoRequest[]>();
  const faults: string[] = [];
  let open = 0;
  const checkMarks = (address: string, text: string): void => {
    for (const [other, mark] of Object.entries(marks)) {
      if (other !== address && text.includes(mark)) faults.push(`${mark} with ${address}: ${text}`);
    }
  };
  const server = net.createServer((socket) => {
    let received = '';
    open += 1;
    socket.on('close', () => (open -= 1));
    let answeredEarly = false;
    const answer = (method: string, address: string): void => {
      const head = `HTTP/1.1 200 OK\r\nContent-Length: ${address.length}\r\n\r\n`;
      socket.write(method === 'HEAD' ? head : head + address);
    };
    socket.setEncoding('latin1');
    socket.on('error', () => {});
    socket.on('data', (text: string) => {
      received += text;
      const { requests, rest, restFrom } = readGoRequests(received);
      if (rest !== undefined && rest !== 'unfinished') faults.push(`${rest}: ${received}`);
      received = received.slice(restFrom);
      for (const request of requests) {
        const address = request.fields.find(([name]) => name === 'X-Real-IP')?.[1] ?? '';
        checkMarks(address, JSON.stringify(request));
        if (isAmbiguous(request)) faults.push(`two readings: ${JSON.stringify(request)}`);
        seen.set(address, [...(seen.get(address) ?? []), request]);
        if (!answeredEarly) answer(request.method, address);
        answeredEarly = false;
      }
      if (early && !answeredEarly && received.includes('\r\n\r\n')) {
        answeredEarly = true;
        answer(received.slice(0, received.indexOf(' ')), addressIn(received));
      }
    });
    socket.on('close', () => {
      if (received !== '') checkMarks(addressIn(received), received);
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    seen,
    faults,
    get open() {
      return open;
    },
    async [Symbol.asyncDispose]() {
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

function addressIn(head: string): string {
  return /^X-Real-IP: (.*)\r$/m.exec(head)?.[1] ?? '';
}

/** Does it leave a server that reads it in its own way the choice of a host or a length? */
function isAmbiguous({ fields }: GoRequest): boolean {
  const count = (wanted: string): number =>
    fields.filter(([name]) => name.toLowerCase().replaceAll('_', '-') === wanted).length;
  return count('host') !== 1 || count('content-length') + count('transfer-encoding') > 1 || count('x-real-ip') !== 1;
}
