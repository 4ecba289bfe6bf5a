// The keyring of the configuration.
import { existsSync, mkdirSync } from 'node:fs';
import path from 'node:path';
import type { Config } from './config/config.ts';
import { embeddedStorePath } from './open-store.ts';
import { createKeyringFile, loadKeyring, type Keyring, type KeyringSource } from './store/keyring.ts';

export function keyringSource(config: Pick<Config, 'keyring' | 'prefix'>, env: NodeJS.ProcessEnv): KeyringSource {
  return config.keyring === 'env'
    ? { source: 'env', value: env['PORTUNUS_KEYRING_KEYS'] }
    : { source: 'file', path: path.join(config.prefix, 'keyring') };
}

/**
 * Made beside a new embedded store only, with the data directory: one made anywhere else opens nothing that others have sealed.
 * @param made told of the file of a new one
 * @throws KEYRING_UNREADABLE
 */
export async function openKeyring(
  config: Config,
  env: NodeJS.ProcessEnv,
  made: (file: string) => void,
): Promise<Keyring> {
  const source = keyringSource(config, env);
  const isAlone = config.postgres === undefined && !existsSync(embeddedStorePath(config));
  if (source.source === 'env' || existsSync(source.path) || !isAlone) return loadKeyring(source);
  mkdirSync(config.prefix, { recursive: true, mode: 0o700 });
  const keyring = await createKeyringFile(source.path);
  made(source.path);
  return keyring;
}
