// A gateway under everything at once for a long time: connections that come and go, HTTP/1.1 and HTTP/2, slow clients, clients
// that go away, upstreams that fail, certificates and APIs that change. Memory and descriptors must stay flat, and nothing may
// fail that was not made to. Results go to bench/results/soak.md; ends with 1 when something did.
//
//   npm run bench:soak -- [--minutes 20] [--workers 2] [--names 500] [--json]
import { setTimeout as pause } from 'node:timers/promises';
import { readOptions } from '../scripts/options.ts';
import { expectOk } from '../test/support/admin.ts';
import { startGateway } from '../test/support/gateway.ts';
import { until } from '../test/support/until.ts';
import { mib, progress, type Row } from './scale/figures.ts';
import { change, publish, soakName } from './soak/changes.ts';
import { clients } from './soak/clients.ts';
import { createSampler, type Sample, trendOf } from './soak/samples.ts';
import { startSoakUpstream } from './soak/upstream.ts';
import { writeTable } from './report/write-table.ts';

const options = readOptions({
  minutes: { type: 'string', default: '20' },
  workers: { type: 'string', default: '2' },
  names: { type: 'string', default: '500' },
  json: { type: 'boolean', default: false },
});
const minutes = Number(options.minutes);
const names = Number(options.names);
/** Under this, growth is no leak but caches and heaps that fill. */
const growthMaxBytes = 24 * 1024 * 1024;
/** In shorter runs they fill until the end, and growth says nothing. */
const growthMinutes = 5;
const changePauseMs = 250;
/** Files that are opened when they are first needed. */
const descriptorsSlack = 4;

await using upstream = await startSoakUpstream();
await using gateway = await startGateway({
  workers: Number(options.workers),
  settings: {
    proxy_listen: '127.0.0.1:0, 127.0.0.1:0 ssl http2',
    proxy_access_log: 'access.log',
    log_level: 'error',
  },
});
await publish(gateway, upstream, names);

const problems = new Map<string, number>();
const turns = new Map<string, number>();
const sampler = createSampler(gateway);
const idle = sampleOf();
const endsAt = performance.now() + minutes * 60_000;

const target = {
  tlsPort: gateway.tlsPort,
  plainPort: gateway.plainPort,
  name: () => soakName(Math.floor(Math.random() * names)),
};
const sampling = setInterval(
  () => {
    sampler.take();
    progress(`${Math.round((endsAt - performance.now()) / 1000)} s left, ${total(problems)} problems`);
  },
  Math.min(5000, minutes * 500),
);
await Promise.all([
  ...Object.entries(clients).flatMap(([what, { turn, count, pauseMs }]) =>
    Array.from({ length: count }, () => repeat(what, pauseMs, () => turn(target))),
  ),
  repeat('changes', changePauseMs, (turn) => change(gateway, names, turn)),
]);
clearInterval(sampling);
const left = await descriptorsAfter();
report();

async function repeat(what: string, pauseMs: number, work: (turn: number) => Promise<void>): Promise<void> {
  while (performance.now() < endsAt) {
    const turn = (turns.get(what) ?? 0) + 1;
    turns.set(what, turn);
    try {
      await work(turn);
    } catch (error) {
      note(`${what}: ${error instanceof Error ? error.message : String(error)}`);
    }
    await pause(pauseMs);
  }
}

function note(problem: string): void {
  const known = problems.get(problem);
  if (known === undefined && problems.size >= 100) return;
  problems.set(problem, (known ?? 0) + 1);
}

function sampleOf(): ReadonlyMap<string, Sample> {
  sampler.take();
  return new Map(Array.from(sampler.samples, ([name, list]) => [name, list.at(-1) as Sample]));
}

/** When all clients are gone and idle upstream connections are counted: what is open beyond that is a leak. */
async function descriptorsAfter(): Promise<ReadonlyMap<string, Sample>> {
  progress('waiting until every connection is closed');
  await until('no connection is open', async () => {
    const { body } = await expectOk(gateway.admin, 'GET', '/status');
    return (body.workers.processes as { connections: number }[]).every((each) => each.connections === 0);
  }).catch((error: unknown) => note(String(error)));
  // The upstream's end of what the gateway keeps idle.
  await upstream[Symbol.asyncDispose]();
  await pause(1000);
  return sampleOf();
}

function report(): void {
  const rows: Row[] = [];
  for (const [name, samples] of sampler.samples) {
    // The last one is of the time after the load.
    const during = samples.slice(1, -1);
    const memory = trendOf(during, (sample) => sample.residentBytes);
    const grown = memory.after - memory.before;
    if (grown > growthMaxBytes && minutes >= growthMinutes) note(`${name}: resident memory has grown by ${mib(grown)}`);
    rows.push([
      `resident memory of the ${name}: median of the second quarter → of the last; the line through the second half`,
      `${mib(memory.before)} → ${mib(memory.after)}; ${(memory.perHour / 1024 / 1024).toFixed(0)} MiB an hour`,
    ]);
    const [first, last] = [idle.get(name)?.descriptors ?? 0, left.get(name)?.descriptors ?? 0];
    const most = Math.max(...during.map((sample) => sample.descriptors));
    if (last > first + descriptorsSlack) note(`${name}: ${last - first} descriptors more than before`);
    rows.push([`descriptors of the ${name}: before, most, after every client had gone`, `${first}, ${most}, ${last}`]);
  }
  for (const [what, count] of turns) rows.push([`turns: ${what}`, String(count)]);
  const output = gateway.output().trim();
  rows.push(['lines in the error log', String(output === '' ? 0 : output.split('\n').length)]);
  rows.push(['**problems**: what failed and was not made to', String(total(problems))]);

  progress('');
  writeTable(
    {
      name: 'soak',
      title: 'Soak',
      conditions: `${minutes} minutes, ${options.workers} workers, ${names} names;\nclients, upstream and gateway share the cores.`,
      rows,
      notes: Array.from(problems, ([problem, count]) => `${count} times: ${problem}`),
    },
    options.json,
  );
  if (output !== '') process.stderr.write(`${output.slice(0, 4000)}\n`);
  if (problems.size > 0) process.exitCode = 1;
}

function total(counts: ReadonlyMap<string, number>): number {
  return [...counts.values()].reduce((sum, count) => sum + count, 0);
}
