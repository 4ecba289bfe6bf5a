// What the configurations of nginx have in common, whether it is a peer, the upstream or the load.
export interface NginxProcess {
  readonly folder: string;
  readonly name: string;
  readonly lua?: boolean;
  /** The inside of `http { }`. */
  readonly http: string;
}

export const luaModules = [
  '/usr/lib/nginx/modules/ndk_http_module.so',
  '/usr/lib/nginx/modules/ngx_http_lua_module.so',
  '/usr/share/lua/5.1/resty/core.lua',
  '/usr/share/lua/5.1/resty/lrucache.lua',
];

export function nginxConfig({ folder, name, lua = false, http }: NginxProcess): string {
  const modules = lua ? luaModules.filter((file) => file.endsWith('.so')) : [];
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'];
  return `daemon off;
worker_processes 1;
${process.getuid?.() === 0 ? 'user root;' : ''}
pid ${folder}/${name}.pid;
error_log ${folder}/${name}-error.log error;
${modules.map((file) => `load_module ${file};`).join('\n')}
events { worker_connections 16384; }
http {
  ${temporary.map((kind) => `${kind}_temp_path ${folder}/${kind};`).join('\n  ')}
  keepalive_requests 1000000000;
  keepalive_timeout 3600s;
${http}
}
`;
}
