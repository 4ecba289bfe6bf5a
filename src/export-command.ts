// What `portunus export` does, put together: a snapshot of the store of the configuration, and the keyring when keys are
// wanted, into a file that is whole or not there, or to the standard output.
import { randomBytes } from 'node:crypto';
import { open, rename, unlink } from 'node:fs/promises';
import path from 'node:path';
import { PortunusError } from './lib/errors.ts';
import type { RunExport } from './cli/export.ts';
import { keyringSource } from './keyring-source.ts';
import { exportAll } from './move/export-all.ts';
import { withSnapshot } from './open-store.ts';
import { checkWholeKeyring } from './store/check-keyring.ts';
import { loadKeyring } from './store/keyring.ts';
import { createSealer } from './store/sealing.ts';
import { syncDirectory } from './store/sync-directory.ts';

export const runExport: RunExport = async ({ config, env, file, withKeys, progress }) => {
  if (withKeys && file === undefined && process.stdout.isTTY) {
    throw new PortunusError('INPUT_INVALID', 'Private keys are not written to a terminal.', {
      hint: 'Name a file, or send the output somewhere.',
    });
  }
  const sealer = withKeys ? createSealer(await loadKeyring(keyringSource(config, env))) : undefined;
  return withSnapshot(config, async (reader) => {
    if (sealer !== undefined) await checkWholeKeyring(reader, sealer);
    if (file === undefined) return exportAll({ reader, sealer, write: writeOut, progress });
    return intoFile(file, (write) => exportAll({ reader, sealer, write, progress }));
  });
};

function writeOut(text: string): Promise<void> {
  return new Promise((resolve, reject) => {
    process.stdout.write(text, (error) => (error instanceof Error ? reject(error) : resolve()));
  });
}

/** For its owner alone. */
async function intoFile<T>(file: string, fill: (write: (text: string) => Promise<void>) => Promise<T>): Promise<T> {
  const draft = path.join(path.dirname(file), `.${path.basename(file)}.${randomBytes(6).toString('hex')}`);
  const handle = await open(draft, 'wx', 0o600);
  try {
    const value = await fill((text) => handle.writeFile(text));
    await handle.sync();
    await rename(draft, file);
    await syncDirectory(path.dirname(file));
    return value;
  } catch (error) {
    await unlink(draft).catch(() => undefined);
    throw error;
  } finally {
    await handle.close();
  }
}
