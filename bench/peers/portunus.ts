// Portunus with one worker; its primary process is counted too.
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { freePort, startPinned, waitForHandshake, waitForPort } from '../processes.ts';
import type { Peer, Product, Setup } from './peer.ts';

const main = path.join(import.meta.dirname, '..', '..', 'src', 'main.ts');
const manyRoutes = 10_000;

export const portunus: Peer = {
  name: 'portunus',
  title: 'Portunus',
  variants: ['logged', 'unlogged', 'hosts', 'routes'],
  needs: [],
  version: () => {
    const file = path.join(import.meta.dirname, '..', '..', 'package.json');
    const commit = spawnSync('git', ['rev-parse', '--short', 'HEAD'], { encoding: 'utf8', cwd: import.meta.dirname });
    return `${JSON.parse(readFileSync(file, 'utf8')).version} ${commit.stdout.trim()}`.trim();
  },
  start: startPortunus,
};

async function startPortunus({ folder, core, variant, materials, upstream }: Setup): Promise<Product> {
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
  if (variant === 'hosts') importCertificates(materials.hosts().folder, env);
  for (const { name, chain, key } of [materials.ecdsa, materials.rsa])
    await post(`${admin}/certificates`, { cert: chain, key, snis: [name] });
  if (variant === 'routes') await addRoutes(admin, upstream.port);
  await waitForHandshake(tlsPort, variant === 'hosts' ? materials.hosts().names[0] : materials.ecdsa.name);
  return { ...started, name: 'portunus', tlsPort, plainPort };
}

function importCertificates(from: string, env: NodeJS.ProcessEnv): void {
  const done = spawnSync(process.execPath, [main, 'import', from], {
    env: { ...process.env, ...env },
    encoding: 'utf8',
  });
  if (done.status !== 0) throw new Error(`import: ${done.stderr}`);
}

async function addRoutes(admin: string, upstreamPort: number): Promise<void> {
  const batch = 16;
  for (let at = 0; at < manyRoutes; at += batch) {
    const numbers = Array.from({ length: batch }, (_, offset) => at + offset);
    await Promise.all(
      numbers.map((number) =>
        post(`${admin}/apis`, {
          name: `route-${number}`,
          hosts: [`route-${number}.bench.test`],
          upstream_url: `http://127.0.0.1:${upstreamPort}`,
        }),
      ),
    );
  }
}

async function post(url: string, body: object): Promise<void> {
  const answer = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  if (!answer.ok) throw new Error(`POST ${url}: ${answer.status} ${await answer.text()}`);
}
