// A million certificates on one node, and a hundred thousand APIs on another: start, memory, handshakes, changes, lists. Makes
// its data directories first, which takes minutes and some gigabytes; with --folder they are kept for the next run. Results go
// to bench/results/scale.md.
//
//   npm run bench:scale -- [--certificates 1000000] [--apis 100000] [--hot 5000] [--changes 200] [--folder <path>] [--json]
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { readOptions } from '../scripts/options.ts';
import { measureApis } from './scale/apis.ts';
import { measureCertificates } from './scale/certificates.ts';
import { progress, type Row } from './scale/figures.ts';
import { fillStore } from './scale/fill.ts';
import { distinctKeys } from './scale/leaves.ts';
import { writeTable } from './report/write-table.ts';

const options = readOptions({
  certificates: { type: 'string', default: '1000000' },
  apis: { type: 'string', default: '100000' },
  hot: { type: 'string', default: '5000' },
  changes: { type: 'string', default: '200' },
  'storm-seconds': { type: 'string', default: '30' },
  folder: { type: 'string' },
  json: { type: 'boolean', default: false },
});
const certificates = Number(options.certificates);
const apis = Number(options.apis);
const changes = Number(options.changes);
const folder = options.folder ?? mkdtempSync(path.join(os.tmpdir(), 'portunus-scale-'));

try {
  const rows: Row[] = [];
  if (certificates > 0) {
    const prefix = await filled('certificates', { certificates, apis: 0 });
    const [hot, stormSeconds] = [Number(options.hot), Number(options['storm-seconds'])];
    rows.push(...(await measureCertificates({ prefix, certificates, hot, changes, stormSeconds })));
  }
  if (apis > 0) {
    const prefix = await filled('apis', { certificates: 0, apis });
    rows.push([`**${apis} APIs, each with a host of its own**`, '']);
    rows.push(...(await measureApis({ prefix, apis, changes })));
  }
  report(rows);
} finally {
  if (options.folder === undefined) rmSync(folder, { recursive: true, force: true });
}

async function filled(name: string, contents: { certificates: number; apis: number }): Promise<string> {
  const prefix = path.join(folder, `${name}-${Math.max(contents.certificates, contents.apis)}`);
  const complete = path.join(prefix, 'filled');
  if (existsSync(complete)) return prefix;
  rmSync(prefix, { recursive: true, force: true });
  await fillStore({ prefix, ...contents, upstreamUrl: 'http://127.0.0.1:9', progress });
  writeFileSync(complete, '');
  return prefix;
}

function report(rows: readonly Row[]): void {
  progress('');
  writeTable(
    {
      name: 'scale',
      title: 'Scale',
      conditions: `One worker; the clients that measure share the cores.\n${certificates} certificates in the embedded store, each with a name, a serial number and a signature of its own, P-256, a chain\nof 2.8 KB whose intermediate they share; ${distinctKeys} private keys in turn, each sealed anew for every certificate.`,
      rows,
    },
    options.json,
  );
}
