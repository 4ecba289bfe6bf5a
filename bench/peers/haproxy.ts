// HAProxy with one thread. It writes its log to standard output, which goes to a file here, a line at a time.
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { freePort, startPinned, waitForPort } from '../processes.ts';
import type { Peer, Setup } from './peer.ts';

export const haproxy: Peer = {
  name: 'haproxy',
  title: 'HAProxy',
  needs: ['haproxy'],
  version: () => /version (\d+\.\d+\.\d+)/.exec(spawnSync('haproxy', ['-v'], { encoding: 'utf8' }).stdout)?.[1] ?? '',
  start: async (setup) => {
    const [tlsPort, plainPort] = [await freePort(), await freePort()];
    const config = path.join(setup.folder, 'haproxy.cfg');
    writeFileSync(config, haproxyConfig(setup, tlsPort, plainPort));
    const started = startPinned(setup.core, 'haproxy', ['-db', '-q', '-f', config], {
      output: path.join(setup.folder, 'output.log'),
    });
    await waitForPort(tlsPort);
    return { ...started, name: 'haproxy', tlsPort, plainPort };
  },
};

function haproxyConfig({ variant, materials, upstream }: Setup, tlsPort: number, plainPort: number): string {
  const certificates = variant === 'hosts' ? [materials.hosts().folder] : [materials.ecdsa.file, materials.rsa.file];
  return `global
  nbthread 1
  # Where the system lets a process have fewer than twice as many descriptors, that many must do.
  maxconn 16384
  no strict-limits
  ssl-default-bind-options ssl-min-ver TLSv1.2 prefer-client-ciphers
  log stdout format raw local0

defaults
  mode http
  timeout connect 5s
  timeout client 3600s
  timeout server 60s
  timeout tunnel 3600s
  timeout http-keep-alive 3600s
  option http-keep-alive
  http-reuse always
${variant === 'unlogged' ? '' : '  log global\n  option httplog\n'}
frontend clients
  bind 127.0.0.1:${tlsPort} ssl ${certificates.map((file) => `crt ${file}`).join(' ')} alpn h2,http/1.1 backlog 4096
  bind 127.0.0.1:${plainPort} backlog 4096
  option forwardfor
  http-request set-header X-Real-IP %[src]
  http-request set-header X-Forwarded-Proto https if { ssl_fc }
  http-request set-header X-Forwarded-Proto http unless { ssl_fc }
  http-request set-header X-Forwarded-Host %[req.hdr(host)]
  http-request set-header X-Forwarded-Port %[dst_port]
  use_backend echo if { path /echo }
  default_backend up

backend up
  server up 127.0.0.1:${upstream.port} pool-max-conn 512

backend echo
  server echo 127.0.0.1:${upstream.echoPort}
`;
}
