// Listening sockets that outlive the process which accepts from them. The primary holds each socket open and a worker
// accepts from it: when that worker dies, connections wait in the socket's queue for the next one, and none is refused.
import net from 'node:net';
import { getSystemErrorName } from 'node:util';
import type { ListenAddress } from '../config/config.ts';
import { PortunusError } from '../lib/errors.ts';

/** A bound TCP handle of libuv, as `child.send` passes on and `server.listen` takes. */
export interface ListeningSocket extends Disposable {
  readonly address: ListenAddress;
  /** The port bound, also where 0 was asked for. */
  readonly port: number;
  readonly handle: object;
}

interface BoundHandle {
  close(): void;
  getsockname(out: { port?: number }): number;
}

/** libuv's flags of uv_tcp_bind. */
const flags = { ipv6Only: 1, reusePort: 2 } as const;

/** `net.Server` cannot bind without starting to accept, so this takes the function it and `node:cluster` bind with. */
const { _createServerHandle: createServerHandle } = net as unknown as {
  _createServerHandle: (host: string, port: number, family: 4 | 6, fd: number, flags: number) => BoundHandle | number;
};

/**
 * One set of sockets for each of `workers`, over which the kernel spreads connections; where the system cannot, the
 * workers share one set.
 *
 * @param besideOther a gateway of ours that is stopping still listens there
 * @throws LISTEN_FAILED with nothing left bound
 */
export function bindListeningSockets(
  addresses: readonly ListenAddress[],
  workers: number,
  besideOther = false,
): readonly (readonly ListeningSocket[])[] {
  const sets: ListeningSocket[][] = Array.from({ length: workers }, () => []);
  try {
    for (const address of addresses) bindOne(address, sets, besideOther);
    return sets;
  } catch (error) {
    for (const socket of sets.flat()) socket[Symbol.dispose]();
    throw error;
  }
}

function bindOne(address: ListenAddress, sets: ListeningSocket[][], besideOther: boolean): void {
  const [first, ...others] = sets;
  if (first === undefined) return;
  // A socket that shares its port binds beside any other that does: only one that does not finds a stranger there.
  if (!besideOther) bind(address, address.port, false)[Symbol.dispose]();
  // Also where there is but one: a successor binds beside it.
  const leading = bindShared(address, address.port);
  first.push(leading);
  for (const set of others) set.push(leading.shared ? bind(address, leading.port, true) : leading);
}

function bindShared(address: ListenAddress, port: number): ListeningSocket & { readonly shared: boolean } {
  try {
    return { ...bind(address, port, true), shared: true };
  } catch (error) {
    if (!(error instanceof PortunusError) || error.facts['errno'] !== 'ENOTSUP') throw error;
    return { ...bind(address, port, false), shared: false };
  }
}

function bind(address: ListenAddress, port: number, reusePort: boolean): ListeningSocket {
  const family = net.isIPv6(address.host) ? 6 : 4;
  const bits = (reusePort ? flags.reusePort : 0) | (family === 6 ? flags.ipv6Only : 0);
  const handle = createServerHandle(address.host, port, family, -1, bits);
  if (typeof handle === 'number') throw listenError(getSystemErrorName(handle), address, port);
  const name: { port?: number } = {};
  // libuv keeps "address in use" back until the socket is asked for something.
  const failed = handle.getsockname(name);
  if (failed !== 0) {
    handle.close();
    throw listenError(getSystemErrorName(failed), address, port);
  }
  let open = true;
  return {
    address,
    port: name.port ?? port,
    handle,
    [Symbol.dispose]() {
      if (open) handle.close();
      open = false;
    },
  };
}

/** What to say, and to do, when an address cannot be listened on. */
export function listenError(errno: string, address: ListenAddress, port: number): PortunusError {
  return new PortunusError('LISTEN_FAILED', `cannot listen on ${address.host} port ${port} (${errno})`, {
    facts: { errno },
    hint: hints[errno],
  });
}

const hints: Readonly<Record<string, string>> = {
  EADDRINUSE:
    'Another process listens there: stop it, or give another port with proxy_listen, admin_listen or status_listen.',
  EACCES: 'Ports below 1024 need privileges: use a higher port, or grant CAP_NET_BIND_SERVICE.',
  EMFILE: 'This process may open no more files: raise its limit (ulimit -n, LimitNOFILE).',
  EADDRNOTAVAIL: 'No interface of this machine has that address.',
};
