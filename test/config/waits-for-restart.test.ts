import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { test } from 'node:test';
import type { Config } from '../../src/config/config.ts';
import { loadConfig } from '../../src/config/load-config.ts';
import { readAtStart, waitsForRestart } from '../../src/config/waits-for-restart.ts';
import { makeAuthority } from '../support/certificates.ts';

test('a reload tells which changed settings wait for the next start', () => {
  const running = configOf({ workers: '2' });
  assert.deepEqual(waitsForRestart(running, configOf({ workers: '2' })), []);
  assert.deepEqual(waitsForRestart(running, configOf({ workers: '2', trusted_ips: '10.0.0.0/8' })), []);
  assert.deepEqual(
    waitsForRestart(running, configOf({ workers: '3', proxy_listen: '127.0.0.1:8000', admin_private_keys: 'visible' })),
    ['workers', 'proxy_listen', 'admin_private_keys'],
  );
});

test('docs/configuration.md names them, and no others', () => {
  const page = readFileSync(new URL('../../docs/configuration.md', import.meta.url), 'utf8');
  const [, list = ''] = /names what of it was changed:\n([^.]*)\./.exec(page) ?? [];
  const named = [...list.matchAll(/`([a-z_…]+)`/g)].map(([, name]) => name);
  // The settings pg_… are one in the configuration.
  assert.deepEqual(
    named.filter((name) => name !== 'pg_…'),
    Object.values(readAtStart),
  );
});

test('who calls the Admin API is read again, whether certificates are asked for is not', () => {
  const listen = { admin_listen: '127.0.0.1:8444 ssl' };
  const asking = (): Config => configOf({ ...listen, admin_ssl_client_ca: makeAuthority().certificate });
  assert.deepEqual(waitsForRestart(asking(), asking()), []);
  assert.deepEqual(waitsForRestart(configOf(listen), asking()), ['admin_ssl_client_ca']);
  assert.deepEqual(waitsForRestart(asking(), configOf(listen)), ['admin_ssl_client_ca']);
});

function configOf(flags: Readonly<Record<string, string>>): Config {
  const loaded = loadConfig({ env: {}, flags, cwd: tmpdir() });
  assert.ok(loaded.kind === 'loaded');
  return loaded.config;
}
