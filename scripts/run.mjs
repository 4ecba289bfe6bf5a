// What the npm scripts do. Sets up what is missing first, so that a fresh clone needs no other command.
// Plain JavaScript that an old Node can run.
import { existsSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { findNode, nodeMissing } from '../bin/find-node.mjs';
import { run } from '../bin/run-node.mjs';
import { composeSbom } from './sbom.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
const inBin = (name) => path.join(root, 'node_modules', '.bin', name);

const tasks = {
  start: (args) => node('bin/portunus.mjs', 'start', ...args),
  portunus: (args) => node('bin/portunus.mjs', ...args),
  test: (args) => node('--test', '--test-concurrency=2', ...(args.length > 0 ? args : testFiles('test'))),
  'test:long': testLong,
  bench: (args) => node('bench/bench.ts', ...args),
  'bench:cluster': (args) => node('bench/cluster.ts', ...args),
  'bench:scale': (args) => node('bench/scale.ts', ...args),
  'bench:workers': (args) => node('bench/workers.ts', ...args),
  'bench:soak': (args) => node('bench/soak.ts', ...args),
  scan: (args) => node('scripts/scan-tls.ts', ...args),
  format: () => node(inBin('oxfmt'), '.'),
  sbom,
  build,
  check,
};

const [task, ...args] = process.argv.slice(2);
if (!Object.hasOwn(tasks, task)) {
  process.stderr.write(`no task "${task}"; there are: ${Object.keys(tasks).join(', ')}\n`);
  process.exitCode = 1;
} else {
  process.exitCode = (await setUp()) || (await tasks[task](args));
}

/** Installs the packages of the lockfile when they are not there or are not those. */
async function setUp() {
  const wanted = readFileSync(path.join(root, 'package-lock.json'), 'utf8');
  if (isInstalled(JSON.parse(wanted))) return 0;
  process.stderr.write('portunus: setting up (npm ci), once\n');
  // No package runs anything of its own while it is installed.
  return run('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'], { cwd: root });
}

function isInstalled(wanted) {
  const record = path.join(root, 'node_modules', '.package-lock.json');
  if (!existsSync(record)) return false;
  const installed = JSON.parse(readFileSync(record, 'utf8')).packages;
  return Object.entries(wanted.packages).every(
    ([where, facts]) => where === '' || facts.optional || installed[where]?.version === facts.version,
  );
}

async function node(...nodeArgs) {
  const command = findNode();
  if (command === undefined) {
    process.stderr.write(`${nodeMissing}\n`);
    return 1;
  }
  return run(command, nodeArgs, { cwd: root, env: { ...process.env, NODE_OPTIONS: process.env.NODE_OPTIONS ?? '' } });
}

function testFiles(folder) {
  return readdirSync(path.join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.test.ts'))
    .map((name) => path.join(folder, name))
    .sort();
}

/**
 * Floods by the thousand, then properties tried for minutes each: `npm run test:long -- --minutes=60 --seed=1`. Ten minutes,
 * and a new seed, if not said.
 */
async function testLong(args) {
  let values;
  try {
    ({ values } = parseArgs({ args, options: { minutes: { type: 'string' }, seed: { type: 'string' } } }));
  } catch (error) {
    process.stderr.write(`${error.message}\nOptions: --minutes 10, --seed …\n`);
    return 1;
  }
  process.env.PORTUNUS_FUZZ_MINUTES = values.minutes ?? '10';
  if (values.seed !== undefined) process.env.PORTUNUS_FUZZ_SEED = values.seed;
  const filesOf = (kind) => testFiles('test').filter((name) => name.endsWith(`-${kind}.test.ts`));
  // One after the other: they tell how long a client waits.
  const floods = await node('--test', '--test-concurrency=1', ...filesOf('flood'));
  return (await node('--test', '--test-concurrency=2', ...filesOf('fuzz'))) || floods;
}

async function build() {
  rmSync(path.join(root, 'dist'), { recursive: true, force: true });
  const code = await node(inBin('tsc'), '-p', 'tsconfig.build.json');
  writeFileSync(path.join(root, 'dist', 'sbom.cdx.json'), sbomText());
  return code;
}

function sbom() {
  process.stdout.write(sbomText());
  return 0;
}

function sbomText() {
  return `${JSON.stringify(composeSbom(), undefined, 2)}\n`;
}

async function check() {
  const steps = {
    format: [inBin('oxfmt'), '--check', '.'],
    lint: [inBin('oxlint'), '--type-aware', 'src', 'test', 'bench', 'scripts', 'bin'],
    types: [inBin('tsc')],
    'dead code': [inBin('knip')],
  };
  const failed = [];
  for (const [name, command] of Object.entries(steps)) {
    process.stdout.write(`— ${name}\n`);
    if ((await node(...command)) !== 0) failed.push(name);
  }
  if (failed.length > 0) process.stderr.write(`check failed: ${failed.join(', ')}\n`);
  return failed.length === 0 ? 0 : 1;
}
