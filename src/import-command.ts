// What `portunus import` does, put together: the source, the keyring, the store of the configuration.
import type { RunImport } from './cli/import.ts';
import { keyringSource } from './keyring-source.ts';
import { openCertificateSource } from './move/certificate-sources.ts';
import { importCertificates } from './move/import-certificates.ts';
import { openStore } from './open-store.ts';
import { loadKeyring } from './store/keyring.ts';
import { createSealer } from './store/sealing.ts';

export const runImport: RunImport = async (options) => {
  const { config, env, source } = options;
  const { format, entries } = await openCertificateSource(source);
  options.recognised(format);
  const sealer = createSealer(await loadKeyring(keyringSource(config, env)));
  await using store = await openStore(config, sealer);
  return await importCertificates({
    ...options,
    store,
    sealer,
    entries,
    minRsaBits: config.sslMinRsaBits,
    now: Date.now,
  });
};
