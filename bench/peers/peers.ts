// All peers; ratios are to nginx.
import { caddy } from './caddy.ts';
import { haproxy } from './haproxy.ts';
import { nginxLua } from './nginx-lua.ts';
import { nginx } from './nginx.ts';
import type { Peer } from './peer.ts';
import { portunus } from './portunus.ts';

export const peers: readonly Peer[] = [portunus, nginx, haproxy, caddy, nginxLua];
