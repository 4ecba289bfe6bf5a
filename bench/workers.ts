// Two workers beside one: CPU per handshake, so that it shows whether they hinder each other even where the load shares their
// cores; and how connections spread over them, many short ones and few that stay. Results go to bench/results/workers.md.
//
//   npm run bench:workers -- [--workers 2] [--rounds 5] [--seconds 4] [--json]
import { type ChildProcess, spawn } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import tls from 'node:tls';
import { fileURLToPath } from 'node:url';
import { readOptions } from '../scripts/options.ts';
import { expectOk } from '../test/support/admin.ts';
import { makeSelfSigned } from '../test/support/certificates.ts';
import { type Gateway, startGateway } from '../test/support/gateway.ts';
import { startUpstream } from '../test/support/upstream.ts';
import { median, progress, type Row } from './scale/figures.ts';
import { writeTable } from './report/write-table.ts';

const options = readOptions({
  workers: { type: 'string', default: '2' },
  rounds: { type: 'string', default: '5' },
  seconds: { type: 'string', default: '4' },
  json: { type: 'boolean', default: false },
});
const workers = Number(options.workers);
const rounds = Number(options.rounds);
const seconds = Number(options.seconds);
const host = 'workers.bench.test';
/** Processes that make handshakes: enough to keep every worker busy. */
const loads = workers + 1;

await using upstream = await startUpstream((_request, response) => response.end('ok'));
await using one = await startServing(1);
await using many = await startServing(workers);
const rows: Row[] = [...(await measureHandshakes()), ...(await measureStaying())];
report();

async function startServing(count: number): Promise<Gateway> {
  const gateway = await startGateway({ workers: count, settings: { proxy_access_log: 'off', log_level: 'warn' } });
  const pair = makeSelfSigned({ names: [host] });
  await expectOk(gateway.admin, 'POST', '/certificates', { ...pair, snis: [host] });
  await expectOk(gateway.admin, 'POST', '/apis', { name: 'bench', hosts: [host], upstream_url: upstream.url });
  return gateway;
}

/** Each with a small request on a connection of its own, as many as there is CPU for. */
async function measureHandshakes(): Promise<readonly Row[]> {
  const perCpuSecond = new Map<Gateway, number[]>([
    [one, []],
    [many, []],
  ]);
  const shares: number[] = [];
  for (let round = -1; round < rounds; round += 1) {
    // Round -1 warms up. The order changes from round to round.
    for (const gateway of round % 2 === 0 ? [one, many] : [many, one]) {
      progress(`handshakes: round ${round + 1} of ${rounds}, ${gateway === one ? 1 : workers} workers`);
      const before = gateway.workerPids().map(cpuSeconds);
      const done = await handshakes(gateway);
      const spent = gateway.workerPids().map((pid, at) => cpuSeconds(pid) - (before[at] ?? 0));
      const all = spent.reduce((sum, each) => sum + each, 0);
      if (round < 0) continue;
      perCpuSecond.get(gateway)?.push(done / all);
      if (gateway === many) shares.push(...spent.map((each) => each / all));
    }
  }
  const [single = [], several = []] = [...perCpuSecond.values()];
  const ratios = several.map((each, at) => each / (single[at] ?? 0));
  return [
    ['full handshakes with one small request, per second of CPU, 1 worker', range(single, 0)],
    [`… ${workers} workers, of all their CPU`, range(several, 0)],
    ['… the ratio, round by round: 1.00 is no hindrance', range(ratios, 2)],
    [
      `… so ${workers} workers with a core each do, beside one`,
      `${(median(ratios) * workers).toFixed(2)} times as many`,
    ],
    [
      `share of the CPU of one of ${workers} workers, which is its share of the handshakes`,
      `least ${percent(Math.min(...shares))}, most ${percent(Math.max(...shares))} in ${rounds} rounds`,
    ],
  ];
}

async function handshakes(gateway: Gateway): Promise<number> {
  const script = fileURLToPath(new URL('./load/processes/full-handshakes.ts', import.meta.url));
  const counts = await Promise.all(
    Array.from({ length: loads }, () =>
      output(
        spawn(process.execPath, [script, String(gateway.tlsPort), host, String(seconds)], {
          stdio: ['ignore', 'pipe', 'inherit'],
        }),
      ),
    ),
  );
  return counts.reduce((sum, count) => sum + Number(count), 0);
}

/** The kernel spreads connections by their addresses and ports, whatever the workers have to do. */
async function measureStaying(): Promise<readonly Row[]> {
  const found: Row[] = [];
  for (const [connections, times] of [
    [1000, 3],
    [100, 10],
    [16, 30],
    [4, 50],
  ] as const) {
    const least: number[] = [];
    for (let time = 0; time < times; time += 1) {
      progress(`connections that stay: ${connections}, ${time} of ${times}`);
      const sockets = await Promise.all(Array.from({ length: connections }, open));
      const { body } = await expectOk(many.admin, 'GET', '/status');
      const counts = (body.workers.processes as { connections: number }[]).map((each) => each.connections);
      const all = counts.reduce((sum, count) => sum + count, 0);
      if (all !== connections) throw new Error(`${all} connections are open, not ${connections}`);
      least.push(Math.min(...counts) / connections);
      await Promise.all(sockets.map(close));
      await settled();
    }
    const starved = least.filter((share) => share === 0).length;
    found.push([
      `${connections} connections that stay, ${times} times: the share of the worker that has least`,
      `median ${percent(median(least))}, least ${percent(Math.min(...least))}${starved === 0 ? '' : `; none at all in ${starved} of ${times}`}`,
    ]);
  }
  return found;
}

function open(): Promise<tls.TLSSocket> {
  return new Promise((resolve, reject) => {
    const socket = tls.connect({ host: '127.0.0.1', port: many.tlsPort, servername: host, rejectUnauthorized: false });
    socket.once('secureConnect', () => resolve(socket)).once('error', reject);
  });
}

function close(socket: tls.TLSSocket): Promise<void> {
  return new Promise((resolve) => {
    socket.once('close', () => resolve());
    socket.destroy();
  });
}

/** Until the workers have seen them go. */
async function settled(): Promise<void> {
  for (;;) {
    const { body } = await expectOk(many.admin, 'GET', '/status');
    if ((body.workers.processes as { connections: number }[]).every((each) => each.connections === 0)) return;
  }
}

/** Of all threads of a process, user and system. */
function cpuSeconds(pid: number): number {
  return readdirSync(`/proc/${pid}/task`).reduce(
    (sum, task) => sum + Number(readFileSync(`/proc/${pid}/task/${task}/schedstat`, 'utf8').split(' ')[0]) / 1e9,
    0,
  );
}

async function output(child: ChildProcess): Promise<string> {
  let said = '';
  child.stdout?.setEncoding('utf8').on('data', (text: string) => (said += text));
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
  if (code !== 0) throw new Error(`the load ended with ${code}`);
  return said;
}

function range(values: readonly number[], digits: number): string {
  const [middle, least, most] = [median(values), Math.min(...values), Math.max(...values)].map((each) =>
    each.toFixed(digits),
  );
  return `${middle} (${least} to ${most})`;
}

function percent(share: number): string {
  return `${(share * 100).toFixed(share < 0.1 ? 1 : 0)} %`;
}

function report(): void {
  progress('');
  writeTable(
    {
      name: 'workers',
      title: 'Workers',
      conditions: `ECDSA P-256, X25519, TLS 1.3. The clients, ${loads} processes, share the cores\nwith the workers, so what counts is the CPU that the workers spent.`,
      rows,
    },
    options.json,
  );
}
