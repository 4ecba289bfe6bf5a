// Portunus with one worker; its primary process is counted too.
import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { freePort, startPinned, waitForHandshake, waitForPort } from '../processes.ts';
import type { Peer, PeerName, Product, Setup } from './peer.ts';

const main = path.join(import.meta.dirname, '..', '..', 'src', 'main.ts');
const manyRoutes = 10_000;

export const portunus: Peer = {
  name: 'portunus',
  title: 'Portunus',
  needs: [],
  version,
  start: (setup) => startPortunus(setup, 'portunus'),
};

/** Portunus beside itself, to tell what some of it costs. */
export const ownVariants: readonly Peer[] = [
  portunus,
  {
    ...portunus,
    name: 'portunus-unlogged',
    title: 'no access log',
    start: (setup) => startPortunus({ ...setup, variant: 'unlogged' }, 'portunus-unlogged'),
  },
  {
    ...portunus,
    name: 'portunus-routes',
    title: `${manyRoutes.toLocaleString('en')} more routes`,
    start: (setup) => startPortunus(setup, 'portunus-routes'),
  },
];

function version(): string {
  const file = path.join(import.meta.dirname, '..', '..', 'package.json');
  const commit = spawnSync('git', ['rev-parse', '--short', 'HEAD'], { encoding: 'utf8', cwd: import.meta.dirname });
  return `${JSON.parse(readFileSync(file, 'utf8')).version} ${commit.stdout.trim()}`.trim();
}

async function startPortunus({ folder, core, variant, materials, upstream }: Setup, name: PeerName): Promise<Product> {
  const [tlsPort, plainPort, adminPort] = [await freePort(), await freePort(), await freePort()];
  const env = {
    PORTUNUS_PREFIX: path.join(folder, 'data'),
    PORTUNUS_WORKERS: '1',
    PORTUNUS_PROXY_LISTEN: `127.0.0.1:${tlsPort} ssl http2, 127.0.0.1:${plainPort}`,
    PORTUNUS_ADMIN_LISTEN: `127.0.0.1:${adminPort}`,
    PORTUNUS_STATUS_LISTEN: `127.0.0.1:${await freePort()}`,
    PORTUNUS_PROXY_ACCESS_LOG: variant === 'unlogged' ? 'off' : path.join(folder, 'access.log'),
    PORTUNUS_LOG_LEVEL: 'error',
    PORTUNUS_TLS_CONTEXTS_MAX: '20000',
    PORTUNUS_CLIENT_IDLE_TIMEOUT: '3600',
    PORTUNUS_REQUESTS_PER_CONNECTION_MAX: '1000000000',
    PORTUNUS_UPSTREAM_KEEPALIVE_MAX_REQUESTS: '1000000000',
  };
  const started = startPinned(core, process.execPath, [main, 'start'], {
    env,
    output: path.join(folder, 'output.log'),
  });
  await waitForPort(adminPort);
  const admin = `http://127.0.0.1:${adminPort}`;
  const everyHost = variant === 'hosts' ? {} : { hosts: [materials.ecdsa.name, materials.rsa.name] };
  const api = { ...everyHost, strip_uri: false };
  await post(`${admin}/apis`, { ...api, name: 'up', uris: ['/'], upstream_url: `http://127.0.0.1:${upstream.port}` });
  const echo = `http://127.0.0.1:${upstream.echoPort}`;
  await post(`${admin}/apis`, { ...api, name: 'echo', uris: ['/echo'], upstream_url: echo });
  if (variant === 'hosts') importInto(env, materials.hosts().folder);
  for (const host of [materials.ecdsa, materials.rsa])
    await post(`${admin}/certificates`, { cert: host.chain, key: host.key, snis: [host.name] });
  if (name === 'portunus-routes') importInto(env, routesFile(folder, upstream.port));
  await waitForHandshake(tlsPort, variant === 'hosts' ? materials.hosts().names[0] : materials.ecdsa.name);
  return { ...started, name, tlsPort, plainPort };
}

/** Straight into the store: many at once by the Admin API would take minutes. */
function importInto(env: NodeJS.ProcessEnv, from: string): void {
  const options = { env: { ...process.env, ...env }, encoding: 'utf8' } as const;
  const done = spawnSync(process.execPath, [main, 'import', from], options);
  if (done.status !== 0) throw new Error(`import: ${done.stdout}${done.stderr}`);
}

function routesFile(folder: string, upstreamPort: number): string {
  const file = path.join(folder, 'routes.json');
  const apis = Array.from({ length: manyRoutes }, (_, number) => ({
    name: `route-${number}`,
    hosts: [`route-${number}.bench.test`],
    upstream_url: `http://127.0.0.1:${upstreamPort}`,
  }));
  writeFileSync(file, JSON.stringify({ _format_version: '3.0', apis }));
  return file;
}

async function post(url: string, body: object): Promise<void> {
  const answer = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  if (!answer.ok) throw new Error(`POST ${url}: ${answer.status} ${await answer.text()}`);
}
