// Which changed settings a reload does not bring into force: those that the primary process reads, once, when it starts.
import type { Config } from './config.ts';
import type { SettingName } from './settings.ts';

export const readAtStart = {
  prefix: 'prefix',
  user: 'user',
  workers: 'workers',
  proxyListen: 'proxy_listen',
  adminListen: 'admin_listen',
  statusListen: 'status_listen',
  adminAuth: 'admin_auth',
  adminHosts: 'admin_hosts',
  adminAuthFailuresMax: 'admin_auth_failures_max',
  adminPrivateKeys: 'admin_private_keys',
  adminBodyMaxBytes: 'admin_body_max_size',
  applyTimeoutMs: 'apply_timeout',
  workerTimeoutMs: 'worker_timeout',
  keyring: 'keyring',
  postgres: 'database',
  nodeName: 'node_name',
  nodeAddress: 'node_address',
  nodeTimeoutMs: 'node_timeout',
  clusterWaitTimeoutMs: 'cluster_wait_timeout',
  changesKeptForMs: 'changes_kept_for',
  auditKeptForMs: 'audit_kept_for',
  auditRowsMax: 'audit_rows_max',
  metricsCertificatesMax: 'metrics_certificates_max',
  sslMinRsaBits: 'ssl_min_rsa_bits',
} as const satisfies Partial<Record<keyof Config, SettingName>>;

/** @returns names as in the configuration, of settings that differ */
export function waitsForRestart(running: Config, changed: Config): readonly SettingName[] {
  const names: SettingName[] = (Object.keys(readAtStart) as (keyof typeof readAtStart)[])
    .filter((key) => JSON.stringify(running[key]) !== JSON.stringify(changed[key]))
    .map((key) => readAtStart[key]);
  // Who they are is read again; whether a listener asks for certificates is fixed while it listens.
  const asks = (config: Config): boolean => config.adminClients !== undefined;
  return asks(running) === asks(changed) ? names : [...names, 'admin_ssl_client_ca'];
}
