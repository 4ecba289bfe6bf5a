// nginx, choosing certificates by its server blocks; with many hosts by a variable, which reads the file at each handshake.
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { freePort, startPinned, waitForPort } from '../processes.ts';
import { nginxConfig } from './nginx-config.ts';
import type { Peer, Product, Setup } from './peer.ts';

export const nginx: Peer = {
  name: 'nginx',
  title: 'nginx',
  needs: ['nginx'],
  version: nginxVersion,
  start: (setup) => startNginx(setup, { name: 'nginx', before: '', servers: servers(setup) }),
};

export function nginxVersion(): string {
  return /nginx\/(\S+)/.exec(spawnSync('nginx', ['-v'], { encoding: 'utf8' }).stderr)?.[1] ?? '';
}

export interface NginxPeer {
  readonly name: 'nginx' | 'nginx-lua';
  /** Directives of `http` before the servers. */
  readonly before: string;
  /** Which names are served with which certificate. */
  readonly servers: readonly { readonly names: string; readonly tls: string }[];
}

export async function startNginx(setup: Setup, { name, before, servers }: NginxPeer): Promise<Product> {
  const { folder, upstream } = setup;
  const [tlsPort, plainPort] = [await freePort(), await freePort()];
  const config = path.join(folder, 'nginx.conf');
  const http = `
  access_log ${setup.variant === 'unlogged' ? 'off' : `${folder}/access.log combined buffer=64k flush=1s`};
  ${before}
  ssl_protocols TLSv1.2 TLSv1.3;
  ssl_session_cache shared:sessions:16m;
  proxy_max_temp_file_size 0;
  client_max_body_size 0;
  upstream up { server 127.0.0.1:${upstream.port}; keepalive 512; keepalive_requests 1000000000; }
  upstream echo { server 127.0.0.1:${upstream.echoPort}; }
  ${servers
    .map(
      ({ names, tls }, at) => `
  server {
    listen 127.0.0.1:${tlsPort} ssl http2${at === 0 ? ' backlog=4096' : ''};
    ${at === 0 ? `listen 127.0.0.1:${plainPort} backlog=4096;` : ''}
    server_name ${names};
    ${tls}
    location / {
      proxy_pass http://up;
      proxy_http_version 1.1;
      proxy_request_buffering off;
      proxy_set_header Connection "";
      ${forwardedHeaders}
    }
    location /echo {
      proxy_pass http://echo;
      proxy_http_version 1.1;
      proxy_set_header Connection upgrade;
      proxy_set_header Upgrade $http_upgrade;
      ${forwardedHeaders}
    }
  }`,
    )
    .join('')}`;
  writeFileSync(config, nginxConfig({ folder, name, lua: name === 'nginx-lua', http }));
  const started = startPinned(setup.core, 'nginx', ['-c', config, '-p', folder], {
    output: path.join(folder, 'output.log'),
  });
  await waitForPort(tlsPort);
  return { ...started, name, tlsPort, plainPort };
}

function servers({ variant, materials }: Setup): NginxPeer['servers'] {
  if (variant === 'hosts') {
    const file = `${materials.hosts().folder}/$ssl_server_name.pem`;
    return [{ names: '_', tls: `ssl_certificate ${file}; ssl_certificate_key ${file};` }];
  }
  return [materials.ecdsa, materials.rsa].map(({ name, file }) => ({
    names: name,
    tls: `ssl_certificate ${file}; ssl_certificate_key ${file};`,
  }));
}

const forwardedHeaders = `
      proxy_set_header Host $host;
      proxy_set_header X-Real-IP $remote_addr;
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
      proxy_set_header X-Forwarded-Proto $scheme;
      proxy_set_header X-Forwarded-Host $host;
      proxy_set_header X-Forwarded-Port $server_port;`;
