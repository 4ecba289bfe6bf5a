// How many files this process and its workers may open: every connection is one.
import { readFileSync } from 'node:fs';
import type { Config } from './config/config.ts';
import type { Log } from './observe/contract.ts';

/** For listeners, the store and logs. */
const besidesConnections = 500;

/** Tells once, at the start, where `client_connections_max` is more than the system permits: a client and its upstream are two. */
export function tellOfFileLimit(
  config: Pick<Config, 'clientConnectionsMax' | 'upstreamIdleConnectionsMax'>,
  log: Log,
): void {
  const { clientConnectionsMax, upstreamIdleConnectionsMax } = config;
  const limit = fileLimit();
  const wanted = clientConnectionsMax * 2 + upstreamIdleConnectionsMax + besidesConnections;
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
