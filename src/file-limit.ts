// How many files this process and its workers may open: every connection is one.
import { readFileSync } from 'node:fs';
import type { Config } from './config/config.ts';
import type { Log } from './observe/contract.ts';

/** For listeners, the store, logs and idle connections to upstreams. */
const besidesClients = 500;

/** Tells once, at the start, where `client_connections_max` is more than the system permits: a client and its upstream are two. */
export function tellOfFileLimit({ clientConnectionsMax }: Pick<Config, 'clientConnectionsMax'>, log: Log): void {
  const limit = fileLimit();
  const wanted = clientConnectionsMax * 2 + besidesClients;
  if (limit === undefined || limit >= wanted) return;
  log.warn(
    { limit, wanted, clientConnectionsMax },
    'a worker may open fewer files than client_connections_max needs: raise the limit (ulimit -n, LimitNOFILE), or lower the setting',
  );
}

/** Undefined where it is not known. Node.js has raised it as far as it may. */
function fileLimit(): number | undefined {
  try {
    const [, soft] = /^Max open files\s+(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8')) ?? [];
    return soft === undefined ? undefined : Number(soft);
  } catch {
    return undefined;
  }
}
