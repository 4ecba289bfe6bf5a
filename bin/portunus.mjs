#!/usr/bin/env node
// The command `portunus`: src/main.ts, compiled in dist/ when this is the published package, under a new enough Node.js.
import { existsSync } from 'node:fs';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { findNode, nodeMissing } from './find-node.mjs';
import { run } from './run-node.mjs';

const compiled = fileURLToPath(new URL('../dist/main.js', import.meta.url));
const source = fileURLToPath(new URL('../src/main.ts', import.meta.url));
const main = existsSync(source) ? source : compiled;
const node = findNode();

if (node === undefined) {
  process.stderr.write(`${nodeMissing}\n`);
  process.exitCode = 1;
} else if (node === process.execPath) {
  await import(pathToFileURL(main).href);
} else {
  process.exitCode = await run(node, [main, ...process.argv.slice(2)]);
}
