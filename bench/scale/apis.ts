// What a hundred thousand APIs cost, each with a host of its own: the start, memory, a request's way to its API, changes,
// lists.
import http from 'node:http';
import path from 'node:path';
import { openSqliteCatalog } from '../../src/catalog/sqlite-catalog.ts';
import { expectOk } from '../../test/support/admin.ts';
import { makeSelfSigned } from '../../test/support/certificates.ts';
import { type Gateway, startGateway } from '../../test/support/gateway.ts';
import { startUpstream } from '../../test/support/upstream.ts';
import { hostOf } from './fill.ts';
import { median, mib, progress, quantiles, type Row, timed } from './figures.ts';

export interface ApiCircumstances {
  readonly prefix: string;
  readonly apis: number;
  readonly changes: number;
}

const settings = { proxy_access_log: 'off', log_level: 'warn' };
const starts = 5;
const listings = 20;

export async function measureApis(circumstances: ApiCircumstances): Promise<readonly Row[]> {
  const { prefix, apis, changes } = circumstances;
  await using upstream = await startUpstream();
  const rows: Row[] = [];

  const times: number[] = [];
  for (let round = 0; round < starts; round += 1) {
    progress(`start with APIs: ${round + 1} of ${starts}`);
    const startedAt = performance.now();
    await using gateway = await startGateway({ prefix, workers: 1, settings });
    await request(gateway, hostOf(pick(apis, round)));
    times.push(performance.now() - startedAt);
  }
  const [least, most] = [Math.min(...times), Math.max(...times)];
  rows.push([
    `start of the process → first request answered, ${starts} starts`,
    `${(least / 1000).toFixed(2)} to ${(most / 1000).toFixed(2)} s`,
  ]);

  const [with0, with1] = [await memory(), await memory(prefix)];
  rows.push(['resident memory of a worker after its start (without APIs)', `${mib(with1)} (${mib(with0)})`]);
  rows.push(['a match of host, path and method to its API', matching(prefix, apis)]);

  await using gateway = await startGateway({ prefix, workers: 1, settings });
  const [applied, seen]: [number[], number[]] = [[], []];
  for (let count = 0; count < changes; count += 1) {
    progress(`changes of APIs: ${count} of ${changes}`);
    const number = pick(apis, 1000 + count);
    const sentAt = performance.now();
    await expectOk(gateway.admin, 'PATCH', `/apis/api-${number}`, { upstream_url: `${upstream.url}/changed-${count}` });
    applied.push(performance.now() - sentAt);
    const answer = await request(gateway, hostOf(number));
    seen.push(performance.now() - sentAt);
    if (!answer.includes(`/changed-${count}/`)) throw new Error(`an old route after the answer: ${answer}`);
  }
  rows.push([`a changed API: sent → applied by the worker and answered, ${changes} changes`, quantiles(applied)]);
  rows.push(['… → and the first request has gone the new way', quantiles(seen)]);

  rows.push([
    'the global ssl plugin changed, which every API follows: sent → applied and answered',
    await governing(gateway),
  ]);

  for (const [what, url] of [
    ['a page of 100: the first', '/apis?size=100'],
    ['… the last', `/apis?size=100&offset=${Buffer.from(`s${apis - 100}`).toString('base64url')}`],
    ['those of a host', `/apis?hosts=${hostOf(pick(apis, 3))}`],
    ['one by its name', `/apis/api-${pick(apis, 4)}`],
  ] as const) {
    progress(`lists: ${what}`);
    const list = await timed(listings, () => expectOk(gateway.admin, 'GET', url));
    rows.push([`${what}: \`GET ${url.replace(/offset=.+/, 'offset=…')}\``, quantiles(list)]);
  }
  return rows;
}

async function governing(gateway: Gateway): Promise<string> {
  const { cert, key } = makeSelfSigned({ names: ['*.apis.test'] });
  const made = await expectOk(gateway.admin, 'POST', '/plugins', { name: 'ssl', config: { cert, key } });
  const times = await timed(listings, (at) =>
    expectOk(gateway.admin, 'PATCH', `/plugins/${made.body.id}`, { config: { only_https: at % 2 === 0 } }),
  );
  await expectOk(gateway.admin, 'DELETE', `/plugins/${made.body.id}`);
  return quantiles(times);
}

async function memory(prefix?: string): Promise<number> {
  await using gateway = await startGateway({ workers: 1, settings, ...(prefix !== undefined && { prefix }) });
  const { body } = await expectOk(gateway.admin, 'GET', '/status');
  return body.workers.processes[0].resident_bytes as number;
}

/** Nanoseconds, without the request around it. */
function matching(prefix: string, apis: number): string {
  using catalog = openSqliteCatalog(path.join(prefix, 'portunus.db'));
  const hosts = Array.from({ length: 10_000 }, (_, at) => hostOf(pick(apis, at)));
  const spread = (list: readonly string[]): number => {
    const each: number[] = [];
    for (let round = 0; round < 50; round += 1) {
      const startedAt = performance.now();
      for (const host of list) if (catalog.matchRoute('GET', host, '/some/path') === undefined) throw new Error(host);
      each.push(((performance.now() - startedAt) * 1e6) / list.length);
    }
    return median(each);
  };
  const same = Array.from({ length: hosts.length }, () => hostOf(1));
  const [one, many] = [spread(same), spread(hosts)];
  return `${many.toFixed(0)} ns over 10,000 hosts, ${one.toFixed(0)} ns for one host again and again`;
}

function request(gateway: Gateway, host: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const sent = http.get(
      { host: '127.0.0.1', port: gateway.plainPort, headers: { host }, agent: false },
      (response) => {
        let text = '';
        response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
        response.on('end', () => resolve(text));
      },
    );
    sent.on('error', reject);
  });
}

function pick(apis: number, at: number): number {
  return (at * 786_433 + 12_345) % apis;
}
