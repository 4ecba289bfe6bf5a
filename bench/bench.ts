// Portunus beside nginx, HAProxy, Caddy and nginx with certificates chosen in Lua: the same settings, certificates and
// upstream, one core each in turn while load and upstream have another. Figures go to bench/results/.
//
//   npm run bench -- [--only small,handshake] [--peers portunus,nginx] [--rounds 5] [--seconds 4] [--json]
//   npm run bench -- --report          writes the tables and the picture anew, from what was measured
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { readOptions } from '../scripts/options.ts';
import { makeMaterials } from './materials.ts';
import { peers } from './peers/peers.ts';
import { toMarkdown } from './report/markdown.ts';
import { readResults, type Results, withMeasurement } from './report/results.ts';
import { resultsFolder, writeReport } from './report/write-report.ts';
import { runRounds } from './rounds.ts';
import { startUpstream } from './upstream.ts';
import { works } from './works/works.ts';

const options = readOptions({
  only: { type: 'string', default: '' },
  peers: { type: 'string', default: '' },
  rounds: { type: 'string', default: '5' },
  seconds: { type: 'string', default: '4' },
  report: { type: 'boolean', default: false },
  json: { type: 'boolean', default: false },
});
const productCore = 0;
const loadCore = 1;
/** With the load where there are only two. */
const upstreamCore = os.availableParallelism() > 2 ? 2 : loadCore;
const chosenWorks = chosen('--only', options.only, works, ({ id }) => id);
const chosenPeers = chosen('--peers', options.peers, peers, ({ name }) => name);
for (const need of ['h2load', 'nginx', 'taskset', 'openssl', ...chosenPeers.flatMap(({ needs }) => needs)])
  requireTool(need);

const resultsFile = path.join(resultsFolder, 'latest.json');
mkdirSync(resultsFolder, { recursive: true });
if (options.report) writeReport(JSON.parse(readFileSync(resultsFile, 'utf8')) as Results);
else await measureInFolder();

async function measureInFolder(): Promise<void> {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'portunus-bench-'));
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
  await measure(folder);
}

async function measure(folder: string): Promise<void> {
  progress('making certificates');
  const materials = makeMaterials(folder);
  await using upstream = await startUpstream(folder, upstreamCore);
  let results = readResults(resultsFile);
  await runRounds({
    peers: chosenPeers,
    works: chosenWorks,
    rounds: Number(options.rounds),
    seconds: Number(options.seconds),
    folder,
    productCore,
    loadCore,
    materials,
    upstream,
    progress,
    measured: (measurement) => {
      results = withMeasurement(results, chosenPeers, measurement);
      writeReport(results);
    },
  });
  progress('');
  const ids = new Set(chosenWorks.map(({ id }) => id));
  const shown = { ...results, measurements: results.measurements.filter(({ id }) => ids.has(id)) };
  process.stdout.write(options.json ? `${JSON.stringify(shown)}\n` : toMarkdown(shown, chosenWorks, chosenPeers));
}

function chosen<T>(option: string, wanted: string, all: readonly T[], name: (each: T) => string): readonly T[] {
  if (wanted === '') return all;
  const names = wanted.split(',');
  const unknown = names.filter((each) => !all.some((one) => name(one) === each));
  if (unknown.length > 0) throw new Error(`${option} ${unknown.join(',')}: there are ${all.map(name).join(', ')}`);
  return all.filter((each) => names.includes(name(each)));
}

function requireTool(need: string): void {
  const there = need.startsWith('/') ? existsSync(need) : spawnSync('which', [need]).status === 0;
  if (!there) throw new Error(`bench needs ${need}; docs/performance.md says how to install it`);
}

function progress(text: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\u001B[K${text}`);
}
