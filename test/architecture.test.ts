// Who may import whom. The table is docs/ARCHITECTURE.md's; a folder that is not in it may not exist.
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const source = fileURLToPath(new URL('../src', import.meta.url));

const mayImport: Readonly<Record<string, readonly string[]>> = {
  lib: [],
  model: ['lib'],
  x509: ['lib'],
  config: ['lib', 'model'],
  store: ['lib', 'model'],
  replica: ['lib', 'model', 'store'],
  catalog: ['lib', 'model'],
  observe: ['lib'],
  tls: ['lib', 'model', 'x509', 'catalog'],
  http1: ['lib'],
  http2: ['http1'],
  proxy: ['lib', 'model', 'catalog', 'tls', 'http1', 'http2', 'observe'],
  admin: ['lib', 'model', 'x509', 'store', 'observe'],
  move: ['lib', 'model', 'x509', 'store', 'admin'],
  workers: ['lib', 'model', 'config', 'replica', 'observe'],
  cli: ['lib', 'model', 'config'],
};
/** Composition: these see all. */
const composition = new Set([
  'main.ts',
  'admin-tls.ts',
  'file-limit.ts',
  'gateway.ts',
  'export-command.ts',
  'import-command.ts',
  'migrate-command.ts',
  'worker.ts',
  'data-plane.ts',
  'default-certificate.ts',
  'keyring-commands.ts',
  'keyring-source.ts',
  'node-status.ts',
  'node-store.ts',
  'open-store.ts',
  'reload-keyring.ts',
  'rotation-lock.ts',
  'run-file.ts',
  'serving.ts',
  'signals.ts',
  'token-commands.ts',
  'withhold-memory.ts',
]);
const pure = ['model', 'x509'];

const files = readdirSync(source, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.ts'));

test('every folder imports only what the table allows', () => {
  const wrong: string[] = [];
  for (const file of files) {
    const folder = file.split(path.sep)[0] ?? '';
    if (composition.has(file)) continue;
    const allowed = mayImport[folder];
    assert.ok(allowed !== undefined, `src/${file}: a place that the table does not know`);
    for (const target of relativeImports(file)) {
      const imported = path.relative(source, path.resolve(source, path.dirname(file), target)).split(path.sep)[0] ?? '';
      if (imported !== folder && !allowed.includes(imported)) wrong.push(`${file} imports ${target}`);
    }
  }
  assert.deepEqual(wrong, []);
});

test('the page has every folder and every file of composition, and none that is not there', () => {
  const page = readFileSync(path.join(source, '..', 'docs', 'ARCHITECTURE.md'), 'utf8');
  const [, tree = ''] = /^src\/\n(.*?)^test\//ms.exec(page) ?? [];
  const named = [...tree.matchAll(/^ {2}([a-z0-9]+)\/ |([a-z-]+\.ts)\b/gm)].map(([, folder, file]) => folder ?? file);
  assert.deepEqual(new Set(named), new Set([...Object.keys(mayImport), ...composition]));
  const [, table = ''] = /^\| says \|(.*)$/m.exec(page) ?? [];
  const protocol = readFileSync(path.join(source, 'workers', 'protocol.ts'), 'utf8');
  assert.deepEqual(
    [...table.matchAll(/`([a-z-]+)`/g)].map(([, kind]) => kind),
    [...protocol.matchAll(/readonly kind: '([a-z-]+)'/g)].map(([, kind]) => kind),
  );
});

test('model and x509 do no I/O and read no clock', () => {
  const wrong: string[] = [];
  for (const file of files.filter((name) => pure.includes(name.split(path.sep)[0] ?? ''))) {
    const text = readFileSync(path.join(source, file), 'utf8');
    for (const forbidden of [
      /from 'node:(fs|http|https|tls|dns|child_process|sqlite)[/']/,
      /\bDate\.now\(/,
      /new Date\(\)/,
      /performance\.now/,
    ]) {
      if (forbidden.test(text)) wrong.push(`${file}: ${forbidden.source}`);
    }
  }
  assert.deepEqual(wrong, []);
});

test('only the entry of a process ends it', () => {
  const wrong = files.filter(
    (file) =>
      file !== 'main.ts' &&
      file !== 'worker.ts' &&
      /process\.exit\(/.test(readFileSync(path.join(source, file), 'utf8')),
  );
  assert.deepEqual(wrong, []);
});

test('the data plane never uses node:http for HTTP/1.1', () => {
  const wrong = files.filter(
    (file) =>
      /^(tls|proxy|http1|http2|catalog)\b/.test(file) &&
      /from 'node:https?'/.test(readFileSync(path.join(source, file), 'utf8')),
  );
  assert.deepEqual(wrong, []);
});

test('nothing asks Node for the certificate of a peer in the form that ends the process over some keys', () => {
  const wrong = files.filter((file) =>
    /\.(getPeerCertificate|toLegacyObject)\(/.test(readFileSync(path.join(source, file), 'utf8')),
  );
  assert.deepEqual(wrong, []);
});

test('no property begins at a seed of its own', () => {
  const folder = fileURLToPath(new URL('.', import.meta.url));
  const wrong = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter(
    (name) =>
      name.endsWith('.ts') &&
      name !== path.join('support', 'fast-check.ts') &&
      /^import (?!type ).*'fast-check'/m.test(readFileSync(path.join(folder, name), 'utf8')),
  );
  assert.deepEqual(wrong, []);
});

test('every file that is named by its place is there', () => {
  const root = path.join(source, '..');
  const wrong = ['src', 'test', 'bench', 'scripts']
    .flatMap((folder) =>
      readdirSync(path.join(root, folder), { recursive: true, encoding: 'utf8' }).map((name) =>
        path.join(folder, name),
      ),
    )
    .filter((file) => /\.(ts|mjs)$/.test(file))
    .flatMap((file) =>
      [...readFileSync(path.join(root, file), 'utf8').matchAll(/new URL\('(\.[^']*)', import\.meta\.url\)/g)]
        .map((match) => path.join(root, path.dirname(file), match[1] ?? ''))
        .filter((named) => !existsSync(named))
        .map((named) => `${file}: ${named}`),
    );
  assert.deepEqual(wrong, []);
});

function relativeImports(file: string): readonly string[] {
  const text = readFileSync(path.join(source, file), 'utf8');
  return [...text.matchAll(/(?:from|import)\s*\(?\s*'(\.[^']*)'/g)].map((match) => match[1] ?? '');
}
