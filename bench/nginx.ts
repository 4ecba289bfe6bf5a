// nginx as the peer and as the upstream: one worker, keep-alive limits lifted, logging on as Portunus has it.

export interface PeerOptions {
  readonly folder: string;
  readonly port: number;
  readonly host: string;
  readonly upstreamPort: number;
}

export function nginxConfig({ folder, port, host, upstreamPort }: PeerOptions): string {
  return `${head(folder, 'nginx')}
http {
  ${paths(folder)}
  access_log ${folder}/nginx-access.log combined buffer=32k flush=1s;
  keepalive_requests 1000000000;
  keepalive_timeout 75s;
  upstream up { server 127.0.0.1:${upstreamPort}; keepalive 64; keepalive_requests 1000000000; }
  server {
    listen 127.0.0.1:${port} ssl;
    server_name ${host} _;
    ssl_certificate ${folder}/cert.pem;
    ssl_certificate_key ${folder}/key.pem;
    ssl_protocols TLSv1.2 TLSv1.3;
    location / {
      proxy_pass http://up;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Host $host;
      proxy_set_header X-Real-IP $remote_addr;
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
      proxy_set_header X-Forwarded-Proto $scheme;
      proxy_set_header X-Forwarded-Host $host;
      proxy_set_header X-Forwarded-Port $server_port;
    }
  }
}
`;
}

export function upstreamConfig({ folder, port }: Pick<PeerOptions, 'folder' | 'port'>): string {
  return `${head(folder, 'upstream')}
http {
  ${paths(folder)}
  access_log off;
  keepalive_requests 1000000000;
  server {
    listen 127.0.0.1:${port};
    location /small { default_type text/plain; return 200 "hello from the upstream\\n"; }
    location /large { root ${folder}; default_type application/octet-stream; }
  }
}
`;
}

function head(folder: string, name: string): string {
  return `daemon off;
worker_processes 1;
user root;
pid ${folder}/${name}.pid;
error_log ${folder}/${name}.log warn;
events { worker_connections 4096; }`;
}

function paths(folder: string): string {
  return ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
    .map((kind) => `${kind}_temp_path ${folder}/${kind};`)
    .join(' ');
}
