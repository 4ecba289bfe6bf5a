// Who this node is: an id that its data directory keeps, so that it is the same node after a restart.
import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { replaceFile } from '../lib/replace-file.ts';
import type { NodeIdentity } from '../store/node-registry.ts';

const fileName = 'node-id';

/** `instance` is new each time. A file that holds no id is written anew: nothing depends on the old one. */
export function loadIdentity(prefix: string, facts: Pick<NodeIdentity, 'name' | 'address' | 'version'>): NodeIdentity {
  return { ...facts, id: readId(prefix) ?? renewId(prefix), instance: randomUUID() };
}

/** @returns a fresh id, which the data directory keeps from now on */
export function renewId(prefix: string): string {
  const id = randomUUID();
  replaceFile(path.join(prefix, fileName), `${id}\n`);
  return id;
}

/** Whether a node has been started on the data directory, and has got as far as its store. */
export function hasIdentity(prefix: string): boolean {
  return readId(prefix) !== undefined;
}

function readId(prefix: string): string | undefined {
  try {
    return /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.exec(
      readFileSync(path.join(prefix, fileName), 'utf8').trim(),
    )?.[0];
  } catch {
    return undefined;
  }
}
