// What a million certificates cost: the start, a handshake for a cold name, memory, names that nobody has, changes, lists.
import { spawn } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { expectOk } from '../../test/support/admin.ts';
import { makeSelfSigned } from '../../test/support/certificates.ts';
import { type Gateway, startGateway } from '../../test/support/gateway.ts';
import { handshake } from '../../test/support/handshake.ts';
import { tags } from './fill.ts';
import { median, mib, ms, progress, quantiles, type Row, timed } from './figures.ts';
import { nameOf } from './leaves.ts';

export interface Circumstances {
  readonly prefix: string;
  readonly certificates: number;
  /** Names whose TLS contexts a worker keeps. */
  readonly hot: number;
  readonly changes: number;
  readonly stormSeconds: number;
}

const settings = { proxy_access_log: 'off', log_level: 'warn' };
const starts = 5;
const listings = 20;
const knownPerSecond = 150;
const stormPerSecond = 300;

export async function measureCertificates(circumstances: Circumstances): Promise<readonly Row[]> {
  const { prefix, hot } = circumstances;
  const rows: Row[] = [];
  rows.push(...(await measureStart(circumstances)));
  await using gateway = await startGateway({ prefix, workers: 1, settings });
  rows.push(...(await measureCold(gateway, circumstances)));
  rows.push(...(await measureMemory(gateway, hot)));
  rows.push(...(await measureStorm(gateway, circumstances)));
  rows.push(...(await measureChanges(gateway, circumstances)));
  rows.push(...(await measureLists(gateway, circumstances)));
  return rows;
}

async function measureStart({ prefix, certificates }: Circumstances): Promise<readonly Row[]> {
  const times: number[] = [];
  const uncached: number[] = [];
  for (let round = 0; round < starts; round += 1) {
    for (const list of [times, uncached]) {
      progress(`start ${round + 1} of ${starts}`);
      if (list === uncached && !dropFileCache()) continue;
      const startedAt = performance.now();
      await using gateway = await startGateway({ prefix, workers: 1, settings });
      await handshake(gateway.tlsPort, nameOf(pick(certificates, round)));
      list.push(performance.now() - startedAt);
    }
  }
  const range = (list: readonly number[]): string =>
    `${(Math.min(...list) / 1000).toFixed(2)} to ${(Math.max(...list) / 1000).toFixed(2)} s`;
  return [
    [`start of the process → first handshake done, ${starts} starts`, range(times)],
    ...(uncached.length === 0
      ? []
      : ([["… with nothing of the files in the system's cache", range(uncached)]] as Row[])),
  ];
}

/** A name's first handshake beside its second one: the same name, the same client, one after the other. */
async function measureCold(gateway: Gateway, { certificates }: Circumstances): Promise<readonly Row[]> {
  const names = 1000;
  const [cold, warm, more]: [number[], number[], number[]] = [[], [], []];
  // What runs for the first time is compiled.
  for (let at = 0; at < 300; at += 1) await handshake(gateway.tlsPort, nameOf(pick(certificates, at)));
  for (let at = 0; at < names; at += 1) {
    progress(`cold and warm: ${at} of ${names}`);
    const name = nameOf(pick(certificates, 1000 + at));
    const [first = 0] = await timed(1, () => handshake(gateway.tlsPort, name));
    const [second = 0] = await timed(1, () => handshake(gateway.tlsPort, name));
    cold.push(first);
    warm.push(second);
    more.push(first - second);
  }
  return [
    [`handshake for a name asked for the first time, ${names} names`, quantiles(cold)],
    ['… for the same name once more', quantiles(warm)],
    ['… the difference, name by name', `median ${ms(median(more))}`],
  ];
}

async function measureMemory(gateway: Gateway, hot: number): Promise<readonly Row[]> {
  const before = await worker(gateway);
  for (let round = 0; round < 3; round += 1) {
    for (let at = 0; at < hot; at += 8) {
      progress(`hot names: ${at} of ${hot}, round ${round + 1} of 3`);
      await Promise.all(
        Array.from({ length: Math.min(8, hot - at) }, (_, one) => handshake(gateway.tlsPort, nameOf(at + one))),
      );
    }
  }
  const after = await worker(gateway);
  return [
    [
      `resident memory of a worker with ${after.tls_contexts} hot names`,
      `${mib(after.resident_bytes)} (before, with ${before.tls_contexts}: ${mib(before.resident_bytes)})`,
    ],
  ];
}

interface WorkerStatus {
  readonly resident_bytes: number;
  readonly tls_contexts: number;
}

async function worker(gateway: Gateway): Promise<WorkerStatus> {
  const { body } = await expectOk(gateway.admin, 'GET', '/status');
  return body.workers.processes[0] as WorkerStatus;
}

/** Known names at one rate, beside nothing, beside others that are known, beside ones that nobody has: each in turn. */
async function measureStorm(gateway: Gateway, { hot, stormSeconds }: Circumstances): Promise<readonly Row[]> {
  const rounds = 3;
  const half = Math.floor(hot / 2);
  const beside = {
    nothing: undefined,
    [`${stormPerSecond} a second for other names that are hot`]: [half, half],
    [`${stormPerSecond} a second for names that nobody has`]: ['unknown'],
  };
  const found = new Map<string, number[]>(Object.keys(beside).map((what) => [what, []]));
  let failed = 0;
  for (let round = 0; round < rounds; round += 1) {
    for (const [what, others] of Object.entries(beside)) {
      progress(`storm: beside ${what}, round ${round + 1} of ${rounds}`);
      const storm = others && startLoad(gateway.tlsPort, stormPerSecond, others);
      const known = startLoad(gateway.tlsPort, knownPerSecond, [0, half]);
      await pause((stormSeconds * 1000) / rounds);
      const results = await Promise.all([known.end(), storm?.end()]);
      found.get(what)?.push(...(results[0]?.times ?? []));
      failed += results.reduce((sum, result) => sum + (result?.failed ?? 0), 0);
    }
  }
  return [
    ...Array.from(found, ([what, times]): Row => [
      `${knownPerSecond} handshakes a second for hot names, beside ${what}`,
      quantiles(times),
    ]),
    ['… handshakes that failed in all of these', String(failed)],
  ];
}

interface LoadResult {
  readonly times: readonly number[];
  readonly failed: number;
}

function startLoad(port: number, rate: number, names: readonly (number | string)[]): { end(): Promise<LoadResult> } {
  const script = fileURLToPath(new URL('./steady-names.ts', import.meta.url));
  const child = spawn(process.execPath, [script, String(port), String(rate), ...names.map(String)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let said = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (said += text));
  return {
    async end() {
      const gone = new Promise((resolve) => child.once('close', resolve));
      child.kill('SIGTERM');
      await gone;
      return JSON.parse(said) as LoadResult;
    },
  };
}

/** Uploads for names among all of them, each followed until a handshake shows it. */
async function measureChanges(gateway: Gateway, { certificates, changes }: Circumstances): Promise<readonly Row[]> {
  const [fromAnswer, fromRequest]: [number[], number[]] = [[], []];
  for (let count = 0; count < changes; count += 1) {
    progress(`changes: ${count} of ${changes}`);
    const name = nameOf(pick(certificates, 5000 + count));
    const pair = makeSelfSigned({ names: [name] });
    const wanted = new X509Certificate(pair.cert).fingerprint256;
    await handshake(gateway.tlsPort, name);
    const sentAt = performance.now();
    await expectOk(gateway.admin, 'PATCH', `/certificates/${name}`, pair);
    const acceptedAt = performance.now();
    while ((await handshake(gateway.tlsPort, name)).fingerprint256 !== wanted);
    fromAnswer.push(performance.now() - acceptedAt);
    fromRequest.push(performance.now() - sentAt);
  }
  return [
    [`a renewed certificate: accepted → handshake done with it, ${changes} changes`, quantiles(fromAnswer)],
    ['… counted from sending the upload', quantiles(fromRequest)],
  ];
}

async function measureLists(gateway: Gateway, { certificates }: Circumstances): Promise<readonly Row[]> {
  const size = 100;
  const offset = (sequence: number): string => Buffer.from(`s${sequence}`).toString('base64url');
  const inDays = (days: number): string => new Date(Date.now() + days * 86_400_000).toISOString();
  const questions: readonly (readonly [what: string, path: string])[] = [
    [`a page of ${size}: the first`, `/certificates?size=${size}`],
    ['… from the middle', `/certificates?size=${size}&offset=${offset(Math.floor(certificates / 2))}`],
    ['… the last', `/certificates?size=${size}&offset=${offset(certificates - size)}`],
    ['one by its name', `/certificates/${nameOf(pick(certificates, 1))}`],
    [`a page of ${size} by a tag that all have`, `/certificates?size=${size}&tags=${tags.all}`],
    ['… by a tag that one in a thousand has', `/certificates?size=${size}&tags=${tags.few}`],
    ['… by both', `/certificates?size=${size}&tags=${tags.all},${tags.few}`],
    ['… by either', `/certificates?size=${size}&tags=${tags.half}/${tags.few}`],
    [`a page of ${size} by expiry: within 30 days`, `/certificates?size=${size}&expires_before=${inDays(30)}`],
    ['… from the middle', `/certificates?size=${size}&expires_after=${inDays(45)}`],
    ['the names of one', `/certificates/${nameOf(pick(certificates, 2))}/snis`],
    ['/status, which counts them', '/status'],
  ];
  const rows: Row[] = [];
  for (const [what, path] of questions) {
    progress(`lists: ${what}`);
    const times = await timed(listings, () => expectOk(gateway.admin, 'GET', path));
    rows.push([
      `${what}: \`GET ${path.replace(/=20\d\d-[^&]+/, '=…').replace(/offset=[^&]+/, 'offset=…')}\``,
      quantiles(times),
    ]);
  }
  const metrics = await timed(listings, async () => (await fetch(`${gateway.status}/metrics`)).text());
  rows.push(['`GET /metrics`, with the 1000 that expire first', quantiles(metrics)]);
  return rows;
}

/** Spread over all of them, the same in each run. */
function pick(certificates: number, at: number): number {
  return (at * 786_433 + 12_345) % certificates;
}

/** @returns whether this process may */
function dropFileCache(): boolean {
  try {
    writeFileSync('/proc/sys/vm/drop_caches', '3');
    return true;
  } catch {
    return false;
  }
}
