import assert from 'node:assert/strict';
import { tmpdir } from 'node:os';
import { test } from 'node:test';
import type { Config } from '../../src/config/config.ts';
import { loadConfig } from '../../src/config/load-config.ts';
import { waitsForRestart } from '../../src/config/waits-for-restart.ts';
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
