// The connections of an HTTP server, at most so many: whoever is idle for longest makes room for the next, so that clients
// that say nothing keep nobody out.
import type { IncomingMessage, Server as HttpServer } from 'node:http';
import type { Server as HttpsServer } from 'node:https';
import type { Socket } from 'node:net';

export interface BoundedConnections {
  /** Ends those that have no request under way, also those that never had one. */
  endIdle(): void;
  /** The same, and the others have to end with the answers that are under way: see `isRetired`. */
  retire(): void;
  /** @param socket of a request */
  isRetired(socket: Socket): boolean;
  /**
   * Nothing more can be read from it. @returns false when nothing that is whole is under way: then it is the caller's to
   * end
   */
  endAfterAnswers(socket: Socket): boolean;
}

interface Connection {
  readonly socket: Socket;
  requests: number;
  last: IncomingMessage | undefined;
  retired: boolean;
}

/** @param onFull called each time there is no room: an idle connection was ended, or else the new one */
export function boundConnections(
  server: HttpServer | HttpsServer,
  max: number,
  onFull: () => void,
): BoundedConnections {
  /** Those idle for longest first, as far as they are idle. Under TLS they are known by the socket beneath it. */
  const open = new Map<string, Connection>();
  const ofSocket = new WeakMap<Socket, Connection>();

  server.on('connection', (socket: Socket) => {
    const key = keyOf(socket);
    if (key === undefined || !hasRoom()) {
      socket.destroy();
      return;
    }
    const connection = { socket, requests: 0, last: undefined, retired: false };
    open.set(key, connection);
    ofSocket.set(socket, connection);
    socket.once('close', () => {
      if (open.get(key) === connection) open.delete(key);
    });
  });

  server.on('secureConnection', (secured: Socket) => {
    const connection = open.get(keyOf(secured) ?? '');
    if (connection === undefined) secured.destroy();
    else ofSocket.set(secured, connection);
  });

  server.on('request', (request, response) => {
    const { socket } = request;
    const connection = ofSocket.get(socket);
    if (connection === undefined) return;
    connection.requests += 1;
    connection.last = request;
    const key = keyOf(connection.socket) ?? '';
    response.once('close', () => {
      connection.requests -= 1;
      if (connection.retired && connection.requests === 0) socket.end();
      if (open.get(key) !== connection) return;
      // Now it is the one that was idle for the shortest time.
      open.delete(key);
      open.set(key, connection);
    });
  });

  function endIdle(): void {
    for (const { socket, requests } of open.values()) if (requests === 0) socket.destroy();
  }

  function hasRoom(): boolean {
    if (open.size < max) return true;
    onFull();
    for (const [key, { socket, requests }] of open) {
      if (requests > 0) continue;
      open.delete(key);
      socket.destroy();
      return true;
    }
    return false;
  }

  return {
    endIdle,
    retire() {
      for (const connection of open.values()) connection.retired = true;
      endIdle();
    },
    endAfterAnswers(socket) {
      const connection = ofSocket.get(socket);
      if (connection === undefined || connection.requests === 0 || connection.last?.complete !== true) return false;
      connection.retired = true;
      return true;
    },
    isRetired: (socket) => ofSocket.get(socket)?.retired !== false,
  };
}

/** The same for a socket and for the TLS above it. Undefined when the client has gone already. */
function keyOf({ remoteAddress, remotePort }: Socket): string | undefined {
  return remotePort === undefined ? undefined : `${remoteAddress} ${remotePort}`;
}
