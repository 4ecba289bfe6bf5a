// What holds between settings: certificate and key, suites and protocols, who may reach the Admin API. Each function adds
// its problems and warnings to the report and answers what the Config gets.
import { X509Certificate } from 'node:crypto';
import { createSecureContext } from 'node:tls';
import { isCipherString, withTls13 } from '../lib/cipher-string.ts';
import { cipherString } from './cipher-suites.ts';
import type { Config, ListenAddress, StaticCertificate } from './config.ts';
import { isLoopback } from './ip-range.ts';
import { formatAddress } from './listeners.ts';
import type { User } from '../lib/become-user.ts';
import type { Values } from './read-setting.ts';
import type { SettingName } from './settings.ts';
import { type CertificateSetting, readStaticCertificates } from './static-certificates.ts';
import { findUser, readUserFiles } from './system-user.ts';

export interface Report {
  problem(name: SettingName, facts: { value?: string; message?: string; expected: string }): void;
  warning(name: SettingName, message: string): void;
  /** Whether a person set it, or it is the default. */
  isSet(name: SettingName): boolean;
}

export function checkListeners(values: Values, report: Report): void {
  const names = ['proxy_listen', 'admin_listen', 'status_listen'] as const;
  const holders = new Map<string, SettingName>();
  for (const name of names) {
    for (const listener of values[name]) {
      const address = formatAddress(listener);
      const holder = listener.port === 0 ? undefined : holders.get(address);
      if (holder !== undefined) {
        report.problem(name, { value: address, expected: `an address and port that ${holder} does not have` });
      }
      holders.set(address, name);
    }
  }
}

/**
 * Nobody but this machine reaches an Admin API that asks nobody who they are, nor sends it tokens that others can read,
 * unless the operator says so.
 */
export function checkAdminAccess(values: Values, report: Report): void {
  const { admin_listen, admin_auth, admin_plain_http, admin_ssl_client_ca, admin_ssl_verify_client } = values;
  const open = admin_listen.filter(({ host }) => !isLoopback(host));
  if (open.length === 0) return;
  if (admin_auth === 'off') {
    const proven = admin_ssl_client_ca.length > 0 && admin_ssl_verify_client === 'on';
    const toAll = open.filter(({ ssl }) => !ssl || !proven);
    if (toAll.length === 0) return;
    const where = toAll.map((listener: ListenAddress) => formatAddress(listener)).join(', ');
    report.warning('admin_listen', `the Admin API on ${where} is open to everyone who can reach it (admin_auth = off)`);
    return;
  }
  const plain = open.filter(({ ssl }) => !ssl);
  if (admin_plain_http || plain.length === 0) return;
  report.problem('admin_listen', {
    value: plain.map((listener) => formatAddress(listener)).join(', '),
    message:
      'an Admin API that other machines can reach takes tokens and private keys, and without TLS others read them on the way: ' +
      'give the listener the flag ssl, or set admin_plain_http = on where nobody listens',
    expected: 'addresses with TLS, such as 0.0.0.0:8444 ssl, or of this machine alone, such as 127.0.0.1:8001',
  });
}

/** Certificates of callers: undefined where none are asked for. */
export function checkAdminClients(values: Values, report: Report): Config['adminClients'] {
  const { admin_ssl_client_ca, admin_ssl_client_crl, admin_ssl_verify_client, admin_ssl_client_role } = values;
  if (admin_ssl_client_ca.length === 0) {
    const useless = {
      admin_ssl_client_crl: admin_ssl_client_crl.length > 0,
      admin_ssl_verify_client: admin_ssl_verify_client !== 'optional',
      admin_ssl_client_role: admin_ssl_client_role !== 'admin',
    };
    for (const [name, isUseless] of Object.entries(useless) as [keyof typeof useless, boolean][]) {
      if (!isUseless) continue;
      // Whoever set one of these takes the API for closed to others.
      report.problem(name, {
        message: `${name} has no effect without admin_ssl_client_ca`,
        expected: 'authorities in admin_ssl_client_ca',
      });
    }
    return undefined;
  }
  if (values.admin_listen.every(({ ssl }) => !ssl)) {
    report.problem('admin_ssl_client_ca', {
      message: 'admin_ssl_client_ca: no listener in admin_listen has TLS, and without it there are no certificates',
      expected: 'an admin_listen with the flag ssl, such as 0.0.0.0:8444 ssl',
    });
  }
  for (const { pem, shown } of admin_ssl_client_ca) {
    if (pem !== undefined && areAuthorities(pem)) continue;
    report.problem('admin_ssl_client_ca', {
      message: `admin_ssl_client_ca: failed loading certificates of authorities from ${shown}`,
      expected: 'PEM certificates of authorities, up to their roots: paths, texts, or base64',
    });
  }
  const revocations = admin_ssl_client_crl.flatMap(({ pem, shown }) => {
    const lists = pem?.match(/-----BEGIN X509 CRL-----[^-]+-----END X509 CRL-----/g) ?? [];
    if (lists.length > 0 && lists.every(isRevocationList)) return lists;
    report.problem('admin_ssl_client_crl', {
      message: `admin_ssl_client_crl: failed loading a CRL from ${shown}`,
      expected: 'PEM CRLs: paths, texts, or base64',
    });
    return [];
  });
  return {
    roots: admin_ssl_client_ca.map(({ pem = '' }) => pem).join('\n'),
    revocations,
    isDemanded: admin_ssl_verify_client === 'on',
    role: admin_ssl_client_role,
  };
}

export function checkUser({ user }: Values, report: Report): User | undefined {
  if (user === '') return undefined;
  const found = findUser(user, readUserFiles());
  if (found === undefined) {
    report.problem('user', {
      value: user,
      expected: 'a user of this machine other than root, such as portunus, portunus:www-data or 1000:1000',
    });
  }
  return found;
}

export type TlsSettings = Pick<Config, 'sslCertificates' | 'sslMinVersion' | 'sslMaxVersion' | 'sslCiphers'>;

export function checkTls(values: Values, report: Report): TlsSettings {
  const protocols = checkProtocols(values, report);
  return {
    sslCertificates: checkCertificates('ssl_cert', values, report),
    sslMinVersion: protocols.includes('TLSv1.2') ? 'TLSv1.2' : 'TLSv1.3',
    sslMaxVersion: protocols.includes('TLSv1.3') ? 'TLSv1.3' : 'TLSv1.2',
    sslCiphers: checkCiphers(values, protocols.includes('TLSv1.3'), report),
  };
}

function checkProtocols({ ssl_protocols, ssl_cipher_suite }: Values, report: Report): Values['ssl_protocols'] {
  if (ssl_cipher_suite !== 'modern' || !ssl_protocols.includes('TLSv1.2')) return ssl_protocols;
  if (report.isSet('ssl_protocols')) {
    const expected = 'TLSv1.3 alone, or another ssl_cipher_suite: modern has no cipher for TLSv1.2';
    report.problem('ssl_protocols', { expected });
  }
  return ['TLSv1.3'];
}

function checkCiphers({ ssl_cipher_suite, ssl_ciphers }: Values, tls13: boolean, report: Report): string {
  if (ssl_cipher_suite !== 'custom') {
    if (ssl_ciphers !== '') report.warning('ssl_ciphers', 'is read only when ssl_cipher_suite is custom');
    return cipherString(ssl_cipher_suite);
  }
  if (ssl_ciphers === '' || !isCipherString(ssl_ciphers)) {
    const expected = 'names of OpenSSL ciphers with colons between them, because ssl_cipher_suite is custom';
    report.problem('ssl_ciphers', { value: ssl_ciphers, expected });
  }
  return tls13 ? withTls13(ssl_ciphers) : ssl_ciphers;
}

export function checkCertificates(
  setting: CertificateSetting,
  values: Values,
  report: Report,
): readonly StaticCertificate[] {
  const reading = readStaticCertificates(setting, values[setting], values[`${setting}_key`], values.ssl_min_rsa_bits);
  if (reading.kind === 'read') return reading.certificates;
  for (const { name, message, expected } of reading.problems) report.problem(name, { message, expected });
  return [];
}

/** PEM of all given roots, or undefined for the system's. */
export function checkRoots(
  name: 'upstream_trusted_certificates' | 'pg_ssl_trusted_certificates',
  values: Values,
  report: Report,
): string | undefined {
  const sources = values[name];
  if (sources.length === 0) return undefined;
  for (const { pem, shown } of sources) {
    if (pem !== undefined && isCertificate(pem)) continue;
    const message = `${name}: failed loading certificate from ${shown}`;
    report.problem(name, { message, expected: 'system, or PEM certificates: paths, texts, or base64' });
  }
  return sources.map(({ pem }) => pem ?? '').join('\n');
}

export function checkKeyring({ keyring }: Values, env: NodeJS.ProcessEnv, report: Report): void {
  if (keyring !== 'env' || (env['PORTUNUS_KEYRING_KEYS'] ?? '') !== '') return;
  report.problem('keyring', { value: 'env', expected: 'keys in the environment variable PORTUNUS_KEYRING_KEYS' });
}

function areAuthorities(pem: string): boolean {
  const blocks = pem.match(/-----BEGIN (?:TRUSTED |X509 )?CERTIFICATE-----[^-]+-----END[^-]+-----/g) ?? [];
  try {
    return blocks.length > 0 && blocks.every((block) => new X509Certificate(block).ca);
  } catch {
    return false;
  }
}

function isRevocationList(pem: string): boolean {
  try {
    createSecureContext({ crl: pem });
    return true;
  } catch {
    return false;
  }
}

function isCertificate(pem: string): boolean {
  try {
    return new X509Certificate(pem).raw.length > 0;
  } catch {
    return false;
  }
}
