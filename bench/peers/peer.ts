// What a gateway under measurement is given, and what it is once it runs. The settings are the same for all: TLS 1.2 and 1.3,
// one worker, no limit on requests per connection, connections kept to the upstream, forwarded headers, one line of
// access log for each request, or none.
import type { Materials } from '../materials.ts';
import type { Upstream } from '../upstream.ts';

export type PeerName =
  | 'portunus'
  | 'nginx'
  | 'nginx-lua'
  | 'haproxy'
  | 'caddy'
  /** Portunus without its access log, and with many routes: beside itself alone. */
  | 'portunus-unlogged'
  | 'portunus-routes';

/**
 * `logged`: two hosts, one certificate each, access log to a file. `unlogged`: the same without a log. `hosts`: one
 * certificate for each of many hosts, logged.
 */
export type Variant = 'logged' | 'unlogged' | 'hosts';

export interface Setup {
  /** Its own, empty at first. */
  readonly folder: string;
  readonly core: number;
  readonly variant: Variant;
  readonly materials: Materials;
  readonly upstream: Upstream;
}

export interface Product extends AsyncDisposable {
  readonly name: PeerName;
  /** The process whose descendants, itself included, are measured. */
  readonly pid: number;
  readonly tlsPort: number;
  readonly plainPort: number;
}

export interface Peer {
  readonly name: PeerName;
  readonly title: string;
  /** Programs and files it needs; see docs/performance.md for the packages. */
  readonly needs: readonly string[];
  readonly version: () => string;
  readonly start: (setup: Setup) => Promise<Product>;
}
