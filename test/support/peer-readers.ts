// Other HTTP servers as readers: bytes go to one, and what it took them for comes back. nginx and HAProxy stand in front of a
// server that reads by Go's rules; node:http tells itself.
import { spawn, spawnSync } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import http from 'node:http';
import net, { type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { type GoRequest, readGoRequests } from './go-requests.ts';
import { until } from './until.ts';

export interface PeerReader extends AsyncDisposable {
  /** Requests it read from `bytes`, latin1, sent on one connection, and whether it refused what came behind them. */
  read(bytes: string): Promise<{ readonly requests: readonly GoRequest[]; readonly refused: boolean }>;
}

export const peers = {
  'node:http': startNode,
  nginx: () =>
    startProxy('nginx', '-v', nginxConfiguration, (folder) => ['-p', folder, '-e', 'stderr', '-c', `${folder}/conf`]),
  HAProxy: () => startProxy('haproxy', '-v', haproxyConfiguration, (folder) => ['-db', '-f', `${folder}/conf`]),
} as const satisfies Record<string, () => Promise<PeerReader | undefined>>;

/** What arrived at the last of the servers, told as it comes. */
class Seen {
  requests: GoRequest[] = [];
  onRequest: (request: GoRequest) => void = () => {};

  add(request: GoRequest): void {
    this.requests.push(request);
    this.onRequest(request);
  }
}

const sentinel = 'GET /sentinel HTTP/1.1\r\nHost: a\r\n\r\n';
const ok = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok';

async function startNode(): Promise<PeerReader> {
  const seen = new Seen();
  const server = http.createServer((request, response) => {
    const pieces: Buffer[] = [];
    request.on('data', (piece: Buffer) => pieces.push(piece));
    request.on('end', () => {
      const { method = '', url = '', rawHeaders, rawTrailers } = request;
      seen.add({
        method,
        target: url,
        fields: pairsOf(rawHeaders),
        body: Buffer.concat(pieces).toString('latin1'),
        trailers: pairsOf(rawTrailers),
      });
      response.end('ok');
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    read: (bytes) => readThrough({ port, host: '127.0.0.1' }, bytes, seen),
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** @returns undefined when it is not installed */
async function startProxy(
  command: string,
  versionFlag: string,
  configuration: (folder: string, port: number) => string,
  args: (folder: string) => readonly string[],
): Promise<PeerReader | undefined> {
  if (spawnSync(command, [versionFlag]).error !== undefined) return undefined;
  const seen = new Seen();
  const behind = net.createServer((socket) => {
    let received = '';
    let answered = 0;
    socket.setEncoding('latin1');
    socket.on('error', () => {});
    socket.on('data', (text: string) => {
      received += text;
      const { requests } = readGoRequests(received);
      for (const request of requests.slice(answered)) {
        seen.add(request);
        socket.write(request.method === 'HEAD' ? ok.slice(0, -2) : ok);
      }
      answered = requests.length;
    });
  });
  await new Promise<void>((resolve) => behind.listen(0, '127.0.0.1', resolve));
  const folder = await mkdtemp(path.join(tmpdir(), 'portunus-peer-'));
  await writeFile(path.join(folder, 'conf'), configuration(folder, (behind.address() as AddressInfo).port));
  const child = spawn(command, args(folder), { stdio: ['ignore', 'ignore', 'pipe'] });
  let said = '';
  child.stderr.on('data', (text: Buffer) => {
    said += text.toString();
  });
  const where = { path: path.join(folder, 'socket') };
  await until(`${command} listens`, () => {
    if (child.exitCode !== null) throw new Error(`${command} ended: ${said}`);
    return isListening(where);
  });
  return {
    read: (bytes) => readThrough(where, bytes, seen),
    async [Symbol.asyncDispose]() {
      const ended = new Promise((resolve) => child.once('exit', resolve));
      child.kill('SIGKILL');
      await ended;
      behind.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** Sends the bytes, and a last request behind them that shows where the reader thinks they end. */
async function readThrough(
  where: net.NetConnectOpts,
  bytes: string,
  seen: Seen,
): Promise<{ readonly requests: readonly GoRequest[]; readonly refused: boolean }> {
  seen.requests = [];
  const socket = net.connect(where);
  let answers = '';
  socket.setEncoding('latin1');
  socket.on('data', (text: string) => {
    answers += text;
  });
  socket.on('error', () => {});
  const refused = await new Promise<boolean>((resolve) => {
    seen.onRequest = ({ target }) => target === '/sentinel' && resolve(false);
    socket.on('close', () => resolve(true));
    socket.write(bytes + sentinel, 'latin1');
  });
  socket.destroy();
  if (refused && !/HTTP\/1\.[01] [45]\d\d /.test(answers)) throw new Error(`neither read nor refused: ${answers}`);
  return { requests: refused ? seen.requests : seen.requests.slice(0, -1), refused };
}

async function isListening(where: net.NetConnectOpts): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = net.connect(where);
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}

function pairsOf(flat: readonly string[]): (readonly [string, string])[] {
  return Array.from(
    { length: flat.length / 2 },
    (_, index) => [flat[index * 2] ?? '', flat[index * 2 + 1] ?? ''] as const,
  );
}

function nginxConfiguration(folder: string, port: number): string {
  return `daemon off;
master_process off;
pid ${folder}/pid;
error_log stderr crit;
events {}
http {
  access_log off;
  client_body_temp_path ${folder}/body;
  proxy_temp_path ${folder}/proxy;
  fastcgi_temp_path ${folder}/fastcgi;
  uwsgi_temp_path ${folder}/uwsgi;
  scgi_temp_path ${folder}/scgi;
  ignore_invalid_headers off;
  underscores_in_headers on;
  server {
    listen unix:${folder}/socket;
    location / {
      proxy_http_version 1.1;
      proxy_set_header Host $http_host;
      proxy_set_header Connection "";
      proxy_pass http://127.0.0.1:${port};
    }
  }
}
`;
}

function haproxyConfiguration(folder: string, port: number): string {
  return `defaults
  mode http
  timeout connect 10s
  timeout client 10s
  timeout server 10s
frontend in
  bind unix@${folder}/socket
  default_backend out
backend out
  server one 127.0.0.1:${port}
`;
}
