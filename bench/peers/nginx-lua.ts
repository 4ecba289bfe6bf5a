// nginx that chooses the certificate of each handshake in Lua, as Kong does: read once, parsed once, then kept in an LRU.
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { luaModules } from './nginx-config.ts';
import { nginxVersion, startNginx } from './nginx.ts';
import type { Peer, Setup } from './peer.ts';

export const nginxLua: Peer = {
  name: 'nginx-lua',
  title: 'nginx + Lua',
  needs: ['nginx', ...luaModules],
  version: nginxVersion,
  start: (setup) => {
    writeFileSync(path.join(setup.folder, 'certificates.lua'), chooser(setup));
    return startNginx(setup, {
      name: 'nginx-lua',
      before: `lua_package_path "${setup.folder}/?.lua;;";
  init_by_lua_block { require "resty.core" require "certificates" }
  ssl_certificate_by_lua_block { require("certificates").choose() }`,
      // The certificate written here is never served.
      servers: [
        {
          names: '_',
          tls: `ssl_certificate ${setup.materials.ecdsa.file}; ssl_certificate_key ${setup.materials.ecdsa.file};`,
        },
      ],
    });
  },
};

function chooser({ variant, materials }: Setup): string {
  return `local ssl = require "ngx.ssl"
local folder = "${variant === 'hosts' ? materials.hosts().folder : materials.folder}/"
local known = assert(require("resty.lrucache").new(20000))

local function find(name)
  local pair = known:get(name)
  if pair then return pair end
  local file = assert(io.open(folder .. name .. ".pem"))
  local text = file:read("*a")
  file:close()
  pair = { cert = assert(ssl.parse_pem_cert(text)), key = assert(ssl.parse_pem_priv_key(text)) }
  known:set(name, pair)
  return pair
end

return {
  choose = function()
    local name = ssl.server_name()
    if not name or not name:find("^[a-z0-9.-]+$") then return ngx.exit(ngx.ERROR) end
    local pair = find(name)
    assert(ssl.clear_certs())
    assert(ssl.set_cert(pair.cert))
    assert(ssl.set_priv_key(pair.key))
  end,
}
`;
}
