// Caddy with one thread of Go's (GOMAXPROCS=1).
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { freePort, startPinned, waitForPort } from '../processes.ts';
import type { Peer, Setup } from './peer.ts';

export const caddy: Peer = {
  name: 'caddy',
  title: 'Caddy',
  needs: ['caddy'],
  version: () => spawnSync('caddy', ['version'], { encoding: 'utf8' }).stdout.trim().split(' ')[0] ?? '',
  start: async (setup) => {
    const { folder } = setup;
    const [tlsPort, plainPort] = [await freePort(), await freePort()];
    const config = path.join(folder, 'Caddyfile');
    writeFileSync(config, caddyfile(setup, tlsPort, plainPort));
    const started = startPinned(setup.core, 'caddy', ['run', '--adapter', 'caddyfile', '--config', config], {
      output: path.join(folder, 'output.log'),
      env: { GOMAXPROCS: '1', HOME: folder, XDG_DATA_HOME: folder, XDG_CONFIG_HOME: folder },
    });
    await waitForPort(tlsPort);
    return { ...started, name: 'caddy', tlsPort, plainPort };
  },
};

function caddyfile({ folder, variant, materials, upstream }: Setup, tlsPort: number, plainPort: number): string {
  const certificates = variant === 'hosts' ? materials.hosts().folder : materials.folder;
  return `{
  admin off
  auto_https off
  grace_period 1s
  log {
    level ERROR
    output file ${folder}/error.log
  }
  servers {
    protocols h1 h2
    timeouts {
      idle 1h
    }
  }
}

(site) {
  bind 127.0.0.1
  ${variant === 'unlogged' ? '' : `log {\n    output file ${folder}/access.log\n    level INFO\n  }`}
  reverse_proxy /echo 127.0.0.1:${upstream.echoPort}
  reverse_proxy 127.0.0.1:${upstream.port} {
    header_up X-Real-IP {remote_host}
    header_up X-Forwarded-Port {http.request.local.port}
    transport http {
      keepalive_idle_conns_per_host 512
      compression off
    }
  }
}

https://:${tlsPort} {
  tls {
    load ${certificates}
  }
  import site
}

http://:${plainPort} {
  import site
}
`;
}
