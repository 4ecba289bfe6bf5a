// Handshakes, each on a connection of its own with one small request. h2load asks an nginx in plain HTTP, and that opens a
// TLS connection for each request: OpenSSL in C is a cheap enough client to keep a product busy from one core.
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { nginxConfig } from '../peers/nginx-config.ts';
import { freePort, startPinned, waitForPort } from '../processes.ts';
import { smallBody } from '../upstream.ts';
import { h2load } from './h2load.ts';
import type { LoadOptions } from './load.ts';

export interface Handshakes {
  readonly port: number;
  /** Whose name is asked for: one host, or or the names of so many hosts, `h0.hosts.test` first, in turn. */
  readonly host: string | { readonly countOf: number };
  readonly resumed?: boolean;
}

const concurrency = 16;

/** @returns how many connections were made, used and closed */
export async function handshakes(work: Handshakes, options: LoadOptions): Promise<number> {
  const port = await freePort();
  const config = path.join(options.folder, 'client.conf');
  writeFileSync(
    config,
    nginxConfig({ folder: options.folder, name: 'client', lua: true, http: client(work, port, options.folder) }),
  );
  const args = ['-c', config, '-p', options.folder, '-e', path.join(options.folder, 'client-start.log')];
  if (typeof work.host !== 'string') writeFileSync(path.join(options.folder, 'names.lua'), names(work.host.countOf));
  await using _client = startPinned(options.core, 'nginx', args);
  await waitForPort(port);
  // Awaited here: the client ends with this function.
  return await h2load(
    {
      url: 'http://load.test/small',
      port,
      protocol: 'http/1.1',
      connections: concurrency,
      answerBytes: smallBody.length,
    },
    options,
  );
}

/** One name after the other, from a random one on: as many connections as there are names ask for each of them. */
function names(count: number): string {
  return `math.randomseed(ngx.time())
local number = math.random(0, ${count - 1})
return {
  next = function()
    number = (number + 1) % ${count}
    return "h" .. number .. ".hosts.test"
  end,
}
`;
}

function client({ port, host, resumed = false }: Handshakes, listenPort: number, folder: string): string {
  const name =
    typeof host === 'string'
      ? `set $host_name ${host};`
      : `set_by_lua_block $host_name { return require("names").next() }`;
  return `
  access_log off;
  lua_package_path "${folder}/?.lua;;";
  server {
    listen 127.0.0.1:${listenPort};
    location / {
      ${name}
      proxy_pass https://127.0.0.1:${port};
      proxy_set_header Host $host_name;
      proxy_ssl_name $host_name;
      proxy_ssl_server_name on;
      proxy_ssl_verify off;
      proxy_ssl_protocols TLSv1.2 TLSv1.3;
      proxy_ssl_session_reuse ${resumed ? 'on' : 'off'};
      proxy_ssl_conf_command Groups X25519;
      proxy_ssl_conf_command Ciphersuites TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256;
    }
  }`;
}
