// Portunus and nginx side by side: the same certificate, the same upstream, one core each in turn while load and upstream
// have the other. CPU time of the product per unit of work, as ratios round by round. Results go to bench/results/.
//
//   npm run bench -- [--rounds 5] [--seconds 4] [--json]
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { selfSigned } from '../src/x509/self-signed.ts';
import { nginxConfig, upstreamConfig } from './nginx.ts';
import { cpuSeconds, freePort, type Pinned, residentBytes, runPinned, startPinned, waitForPort } from './processes.ts';

const { values: options } = parseArgs({
  options: {
    rounds: { type: 'string', default: '5' },
    seconds: { type: 'string', default: '4' },
    json: { type: 'boolean', default: false },
  },
});
const rounds = Number(options.rounds);
const seconds = Number(options.seconds);
const productCore = 0;
const loadCore = 1;
const host = 'bench.test';

interface Product extends AsyncDisposable {
  readonly name: string;
  readonly pid: number;
  readonly tlsPort: number;
}

interface Work {
  readonly name: string;
  readonly unit: string;
  /** Puts load on a product for `seconds`. @returns how many units were done */
  readonly load: (product: Product) => Promise<number>;
}

const works: readonly Work[] = [
  { name: 'keep-alive, small response', unit: 'request', load: (product) => wrk(product, '/small', 32) },
  { name: 'keep-alive, 1 MiB response', unit: 'MiB', load: (product) => wrk(product, '/large', 8) },
  { name: 'full handshake, ECDSA P-256, X25519, one small request', unit: 'connection', load: handshakes },
];

for (const tool of ['nginx', 'wrk', 'taskset']) requireTool(tool);
const folder = mkdtempSync(path.join(os.tmpdir(), 'portunus-bench-'));
try {
  await measure();
} finally {
  rmSync(folder, { recursive: true, force: true });
}

async function measure(): Promise<void> {
  const pair = selfSigned({ commonName: host, dnsNames: [host], keyType: 'ec', now: Date.now(), days: 30 });
  writeFileSync(path.join(folder, 'cert.pem'), pair.chain);
  writeFileSync(path.join(folder, 'key.pem'), pair.key, { mode: 0o600 });
  writeFileSync(path.join(folder, 'large'), Buffer.alloc(1024 * 1024, 'x'));
  await using upstream = await startUpstream();
  await using portunus = await startPortunus(upstream.port, pair);
  await using nginx = await startNginx(upstream.port);
  const rows: Row[] = [];
  for (const work of works) {
    const samples: Record<string, number[]> = { portunus: [], nginx: [] };
    for (let round = -1; round < rounds; round += 1) {
      // Round -1 warms up. The order changes from round to round.
      for (const product of round % 2 === 0 ? [portunus, nginx] : [nginx, portunus]) {
        progress(`${work.name}: round ${round + 1} of ${rounds}, ${product.name}`);
        const before = cpuSeconds(product.pid);
        const units = await work.load(product);
        const microseconds = ((cpuSeconds(product.pid) - before) * 1e6) / units;
        if (round >= 0) samples[product.name]?.push(microseconds);
      }
    }
    rows.push(toRow(work, samples['portunus'] ?? [], samples['nginx'] ?? []));
  }
  report(rows, { portunus: residentBytes(portunus.pid), nginx: residentBytes(nginx.pid) });
}

async function startUpstream(): Promise<Pinned & { readonly port: number }> {
  const port = await freePort();
  const config = path.join(folder, 'upstream.conf');
  writeFileSync(config, upstreamConfig({ folder, port }));
  const started = startPinned(loadCore, 'nginx', ['-c', config, '-p', folder, '-e', path.join(folder, 'upstream.log')]);
  await waitForPort(port);
  return { ...started, port };
}

async function startNginx(upstreamPort: number): Promise<Product> {
  const tlsPort = await freePort();
  const config = path.join(folder, 'nginx.conf');
  writeFileSync(config, nginxConfig({ folder, port: tlsPort, host, upstreamPort }));
  const started = startPinned(productCore, 'nginx', ['-c', config, '-p', folder, '-e', path.join(folder, 'nginx.log')]);
  await waitForPort(tlsPort);
  return { ...started, name: 'nginx', tlsPort };
}

async function startPortunus(upstreamPort: number, pair: { chain: string; key: string }): Promise<Product> {
  const [tlsPort, adminPort, statusPort] = [await freePort(), await freePort(), await freePort()];
  const main = path.join(import.meta.dirname, '..', 'src', 'main.ts');
  const started = startPinned(productCore, process.execPath, [main, 'start'], {
    PORTUNUS_PREFIX: path.join(folder, 'portunus-data'),
    PORTUNUS_WORKERS: '1',
    PORTUNUS_PROXY_LISTEN: `127.0.0.1:${tlsPort} ssl`,
    PORTUNUS_ADMIN_LISTEN: `127.0.0.1:${adminPort}`,
    PORTUNUS_STATUS_LISTEN: `127.0.0.1:${statusPort}`,
    PORTUNUS_PROXY_ACCESS_LOG: path.join(folder, 'portunus-access.log'),
    PORTUNUS_LOG_LEVEL: 'warn',
    PORTUNUS_UPSTREAM_KEEPALIVE_POOL_SIZE: '64',
  });
  await waitForPort(adminPort);
  const admin = `http://127.0.0.1:${adminPort}`;
  await post(`${admin}/apis`, { name: 'bench', hosts: [host], upstream_url: `http://127.0.0.1:${upstreamPort}` });
  await post(`${admin}/certificates`, { cert: pair.chain, key: pair.key, snis: [host] });
  return { ...started, name: 'portunus', tlsPort };
}

async function post(url: string, body: object): Promise<void> {
  const answer = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  if (!answer.ok) throw new Error(`POST ${url}: ${answer.status} ${await answer.text()}`);
}

async function wrk(product: Product, target: string, connections: number): Promise<number> {
  const url = `https://127.0.0.1:${product.tlsPort}${target}`;
  const args = ['-t1', `-c${connections}`, `-d${seconds}s`, '-H', `Host: ${host}`, url];
  const output = await runPinned(loadCore, 'wrk', args);
  const bad = /Non-2xx or 3xx responses: (\d+)|Socket errors: (.*)/.exec(output);
  if (bad !== null) throw new Error(`${product.name}: ${bad[0]}`);
  return Number(/(\d+) requests in/.exec(output)?.[1]);
}

async function handshakes(product: Product): Promise<number> {
  const load = path.join(import.meta.dirname, 'handshake-load.ts');
  return Number(await runPinned(loadCore, process.execPath, [load, String(product.tlsPort), host, String(seconds)]));
}

interface Row {
  readonly work: string;
  readonly unit: string;
  readonly portunusMicroseconds: number;
  readonly nginxMicroseconds: number;
  readonly ratio: { readonly median: number; readonly min: number; readonly max: number };
}

function toRow(work: Work, portunus: readonly number[], nginx: readonly number[]): Row {
  const ratios = portunus.map((value, round) => value / (nginx[round] ?? Number.NaN));
  return {
    work: work.name,
    unit: work.unit,
    portunusMicroseconds: median(portunus),
    nginxMicroseconds: median(nginx),
    ratio: { median: median(ratios), min: Math.min(...ratios), max: Math.max(...ratios) },
  };
}

function report(rows: readonly Row[], memory: { readonly portunus: number; readonly nginx: number }): void {
  const machine = {
    cpu: os.cpus()[0]?.model ?? 'unknown',
    cores: os.availableParallelism(),
    kernel: os.release(),
    node: process.versions.node,
    openssl: process.versions.openssl,
    nginx: /nginx\/(\S+)/.exec(spawnSync('nginx', ['-v'], { encoding: 'utf8' }).stderr)?.[1],
  };
  const result = { date: new Date().toISOString(), machine, rounds, seconds, rows, residentBytes: memory };
  const results = path.join(import.meta.dirname, 'results');
  mkdirSync(results, { recursive: true });
  writeFileSync(path.join(results, 'latest.json'), `${JSON.stringify(result, null, 2)}\n`);
  writeFileSync(path.join(results, 'latest.md'), markdown(result));
  process.stdout.write(
    options.json ? `${JSON.stringify(result)}\n` : readFileSync(path.join(results, 'latest.md'), 'utf8'),
  );
}

function markdown(result: {
  readonly date: string;
  readonly machine: object;
  readonly rows: readonly Row[];
  readonly residentBytes: { readonly portunus: number; readonly nginx: number };
}): string {
  const number = (value: number): string => (value >= 100 ? value.toFixed(0) : value.toFixed(1));
  const lines = result.rows.map(
    (row) =>
      `| ${row.work} | ${row.unit} | ${number(row.portunusMicroseconds)} | ${number(row.nginxMicroseconds)} | ` +
      `${row.ratio.median.toFixed(2)} (${row.ratio.min.toFixed(2)}–${row.ratio.max.toFixed(2)}) |`,
  );
  const mib = (bytes: number): string => `${(bytes / 1024 / 1024).toFixed(0)} MiB`;
  return `# Portunus beside nginx

${result.date}. ${Object.entries(result.machine)
    .map(([name, value]) => `${name}: ${value}`)
    .join(', ')}.
${rounds} rounds of ${seconds} s after a warm-up, in turn; one core for the product, the other for load and upstream. TLS 1.3, access
log to a file on both. CPU µs per unit, user and system, all processes of the product; the ratio is taken round by round.

| work | unit | Portunus µs | nginx µs | ratio: median (min–max) |
|---|---|---|---|---|
${lines.join('\n')}

Resident memory after it: Portunus ${mib(result.residentBytes.portunus)} (primary and one worker), nginx ${mib(result.residentBytes.nginx)}.
`;
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 === 1
    ? (sorted[middle] ?? Number.NaN)
    : ((sorted[middle - 1] ?? 0) + (sorted[middle] ?? 0)) / 2;
}

function requireTool(tool: string): void {
  try {
    execFileSync('which', [tool], { stdio: 'ignore' });
  } catch {
    throw new Error(`bench needs ${tool}: on Debian, apt-get install nginx-light wrk util-linux`);
  }
}

function progress(text: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\u001B[K${text}`);
}
