// What the products forward to: nginx for requests, and an echo of WebSocket messages. Both run on the core of the load.
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { scriptOf } from './load/load.ts';
import { nginxConfig } from './peers/nginx-config.ts';
import { freePort, startPinned, waitForPort } from './processes.ts';

export interface Upstream extends AsyncDisposable {
  /** `/small`, `/1k`, `/64k`, `/1m`; `/upload` answers how many bytes came. */
  readonly port: number;
  /** WebSocket at any path. */
  readonly echoPort: number;
}

export const smallBody = 'hello from the upstream\n';

export async function startUpstream(folder: string, core: number): Promise<Upstream> {
  const [port, echoPort] = [await freePort(), await freePort()];
  const config = path.join(folder, 'upstream.conf');
  writeFileSync(config, nginxConfig({ folder, name: 'upstream', lua: true, http: server(folder, port) }));
  const stack = new AsyncDisposableStack();
  stack.use(startPinned(core, 'nginx', ['-c', config, '-p', folder, '-e', path.join(folder, 'upstream-start.log')]));
  stack.use(startPinned(core, process.execPath, [scriptOf('echo-upstream'), String(echoPort)]));
  await Promise.all([waitForPort(port), waitForPort(echoPort)]);
  return { port, echoPort, [Symbol.asyncDispose]: () => stack.disposeAsync() };
}

function server(folder: string, port: number): string {
  return `
  access_log off;
  server {
    listen 127.0.0.1:${port} backlog=4096;
    default_type application/octet-stream;
    location = /small { default_type text/plain; return 200 "${smallBody.replace('\n', '\\n')}"; }
    location / { root ${folder}; }
    location = /upload {
      client_max_body_size 16m;
      client_body_buffer_size 16m;
      content_by_lua_block {
        ngx.req.read_body()
        local answer = string.format("%024d", #(ngx.req.get_body_data() or ""))
        ngx.header.content_length = #answer
        ngx.print(answer)
      }
    }
  }`;
}
