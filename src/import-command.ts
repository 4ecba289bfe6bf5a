// What `portunus import` does, put together: the source, the keyring, the store of the configuration.
import { readFile } from 'node:fs/promises';
import type { RunImport } from './cli/import.ts';
import { openKeyring } from './keyring-source.ts';
import { importAll } from './move/import-all.ts';
import { openSource } from './move/sources.ts';
import { openStore } from './open-store.ts';
import { createSealer } from './store/sealing.ts';

export const runImport: RunImport = async (options) => {
  const { config, env, source, passphraseFile } = options;
  const passphrase = passphraseFile === undefined ? undefined : await firstLineOf(passphraseFile);
  const { format, items } = await openSource(source);
  options.recognised(format);
  const keyring = await openKeyring(config, env, options.madeKeyring);
  await using store = await openStore(config, createSealer(keyring));
  return await importAll({
    ...options,
    store,
    keyring,
    items,
    passphrase,
    minRsaBits: config.sslMinRsaBits,
    now: Date.now,
  });
};

/** @throws the system's error */
async function firstLineOf(file: string): Promise<string> {
  const text = await readFile(file, 'utf8');
  return text.split(/\r?\n/, 1)[0] ?? '';
}
