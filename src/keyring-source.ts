// Where the keyring is, by the configuration. Worker and primary read it themselves: it travels through no message.
import path from 'node:path';
import type { Config } from './config/config.ts';
import type { KeyringSource } from './store/keyring.ts';

export function keyringSource(config: Pick<Config, 'keyring' | 'prefix'>, env: NodeJS.ProcessEnv): KeyringSource {
  return config.keyring === 'env'
    ? { source: 'env', value: env['PORTUNUS_KEYRING_KEYS'] }
    : { source: 'file', path: path.join(config.prefix, 'keyring') };
}
