// A cluster on one machine: how long a change takes from the node that accepted it to a handshake on another, how many
// writes a second there are, how long a new node takes to fill its replica, and a start with PostgreSQL down. Results go to
// bench/results/cluster.md. Everything, PostgreSQL and the clients included, shares the machine.
//
//   npm run bench:cluster -- [--changes 1000] [--certificates 100000] [--json]
import { spawn } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import { readOptions } from '../scripts/options.ts';
import { expectOk } from '../test/support/admin.ts';
import { makeSelfSigned } from '../test/support/certificates.ts';
import { type Cluster, startCluster } from '../test/support/cluster.ts';
import { copyCertificates } from '../test/support/copy-certificates.ts';
import type { Gateway } from '../test/support/gateway.ts';
import { handshake } from '../test/support/handshake.ts';
import { type PostgresServer, startPostgres } from '../test/support/postgres.ts';
import { until } from '../test/support/until.ts';
import { writeTable } from './report/write-table.ts';

const options = readOptions({
  changes: { type: 'string', default: '1000' },
  certificates: { type: 'string', default: '100000' },
  json: { type: 'boolean', default: false },
});
const changes = Number(options.changes);
const certificates = Number(options.certificates);
const name = 'turning.bench.test';
const handshakesPerSecond = 500;

const rows: (readonly [string, string])[] = [];
await using server = await startPostgres({ settings: { max_wal_size: '4GB' } });
await using cluster = await startCluster({ nodes: 2, port: server.port, workers: 1 });
const [first, second] = cluster.nodes as [Gateway, Gateway];

await measurePropagation('idle');
await underHandshakes(second, () => measurePropagation(`at ${handshakesPerSecond} handshakes a second`));
await measureWrites();
await measureFill(server, cluster);
await measureColdStart(server, cluster);
report();

async function measurePropagation(when: string): Promise<void> {
  const pairs = Array.from({ length: 50 }, () => makeSelfSigned({ names: [name] }));
  const existing = await fetch(`${first.admin}/snis/${name}`);
  const id =
    existing.status === 200
      ? ((await existing.json()) as { certificate: { id: string } }).certificate.id
      : (await expectOk(first.admin, 'POST', '/certificates', { ...pairs[0], snis: [name] })).body.id;
  const fromAnswer: number[] = [];
  const fromRequest: number[] = [];
  for (let count = 0; count < changes; count += 1) {
    progress(`propagation, ${when}: ${count} of ${changes}`);
    const pair = pairs[(count + 1) % pairs.length];
    if (pair === undefined) throw new Error('no pair');
    const wanted = new X509Certificate(pair.cert).fingerprint256;
    const sentAt = performance.now();
    await expectOk(first.admin, 'PATCH', `/certificates/${id}`, pair);
    const acceptedAt = performance.now();
    while ((await handshake(second.tlsPort, name)).fingerprint256 !== wanted);
    const seenAt = performance.now();
    fromAnswer.push(seenAt - acceptedAt);
    fromRequest.push(seenAt - sentAt);
  }
  rows.push([`accepted on A → handshake done on B, ${changes} changes, ${when}`, quantiles(fromAnswer)]);
  rows.push([`… counted from sending the upload to A, ${when}`, quantiles(fromRequest)]);
}

async function underHandshakes(node: Gateway, work: () => Promise<void>): Promise<void> {
  const script = fileURLToPath(new URL('./steady-handshakes.ts', import.meta.url));
  const child = spawn(process.execPath, [script, String(node.tlsPort), name, String(handshakesPerSecond)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let said = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (said += text));
  await work();
  const gone = new Promise((resolve) => child.once('close', resolve));
  child.kill('SIGTERM');
  await gone;
  rows.push(['… the handshakes meanwhile', said.trim()]);
}

async function measureWrites(): Promise<void> {
  const pair = makeSelfSigned({ names: ['*.writes.test'] });
  for (const [what, nodes] of [
    ['one node', [first]],
    ['two nodes at once', [first, second]],
  ] as const) {
    let written = 0;
    const startedAt = performance.now();
    const writers = nodes.flatMap(({ admin }, at) =>
      Array.from({ length: 8 }, async (_, writer) => {
        while (performance.now() - startedAt < 5000) {
          progress(`writes through ${what}: ${written}`);
          const sni = `${what.slice(0, 3)}-${at}-${writer}-${(written += 1)}.writes.test`;
          await expectOk(admin, 'POST', '/certificates', { ...pair, snis: [sni] });
        }
      }),
    );
    await Promise.all(writers);
    const seconds = (performance.now() - startedAt) / 1000;
    rows.push([
      `POST /certificates with one SNI, 8 clients a node, ${what}`,
      `${Math.round(written / seconds)} a second`,
    ]);
  }
}

async function measureFill(database: PostgresServer, nodes: Cluster): Promise<void> {
  progress(`making ${certificates} certificates`);
  await copyCertificates(database, name, certificates);
  progress('a new node fills its replica');
  const startedAt = performance.now();
  const added = await nodes.add();
  const coldName = `n${certificates}.fill.test`;
  await handshake(added.tlsPort, coldName);
  const servedAt = performance.now();
  for (;;) {
    const { body } = await expectOk(added.admin, 'GET', '/portunus/nodes');
    if (body.data.find((each: { this_node: boolean }) => each.this_node)?.state === 'serving') break;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  const filledAt = performance.now();
  rows.push([
    `a new node, ${certificates} certificates: from its start to a handshake for the last of them`,
    `${((servedAt - startedAt) / 1000).toFixed(2)} s`,
  ]);
  rows.push([
    '… until its replica is complete',
    `${((filledAt - startedAt) / 1000).toFixed(2)} s (${Math.round(certificates / ((filledAt - startedAt) / 1000))} certificates a second)`,
  ]);
}

async function measureColdStart(database: PostgresServer, nodes: Cluster): Promise<void> {
  const last = nodes.nodes.length - 1;
  nodes.nodes[last]?.kill('SIGTERM');
  await nodes.nodes[last]?.exited;
  await database.stop('immediate');
  const times: number[] = [];
  for (let round = 0; round < 5; round += 1) {
    progress(`start with PostgreSQL down: ${round + 1} of 5`);
    const startedAt = performance.now();
    const gateway = await nodes.restart(last);
    await until('a handshake', async () =>
      handshake(gateway.tlsPort, `n${round + 1}.fill.test`).then(
        () => true,
        () => false,
      ),
    );
    times.push(performance.now() - startedAt);
  }
  rows.push([
    `start with PostgreSQL down and a replica of ${certificates}: process start to first handshake, 5 starts`,
    `${(Math.min(...times) / 1000).toFixed(2)} to ${(Math.max(...times) / 1000).toFixed(2)} s`,
  ]);
}

function quantiles(values: readonly number[]): string {
  const sorted = values.toSorted((a, b) => a - b);
  const at = (part: number): string =>
    (sorted[Math.min(sorted.length - 1, Math.floor(part * sorted.length))] ?? 0).toFixed(1);
  return `p50 ${at(0.5)} ms, p99 ${at(0.99)} ms, most ${at(1)} ms`;
}

function report(): void {
  progress('');
  writeTable(
    {
      name: 'cluster',
      title: 'A cluster on one machine',
      conditions:
        'Two gateways with one worker each, a third for the fill, PostgreSQL (fsync on),\nand the clients that measure, all on these cores. The certificates of the fill share one chain and key.',
      rows,
    },
    options.json,
  );
}

function progress(text: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\u001B[K${text}`);
}
