// Loads the configuration: file, environment, flags, where the later wins; then checks all of it, and answers either a
// Config or every problem at once.
import { hostname } from 'node:os';
import path from 'node:path';
import {
  checkAdminAccess,
  checkAdminClients,
  checkCertificates,
  checkKeyring,
  checkListeners,
  checkRoots,
  checkTls,
  checkUser,
} from './check-settings.ts';
import type { Report } from './check-settings.ts';
import { closestName } from './closest-name.ts';
import type { Config } from './config.ts';
import { checkPostgres } from './check-postgres.ts';
import { findConfigFile, readConfigFile } from './config-file.ts';
import { createProblem, showValue } from './problem.ts';
import type { Problem } from './problem.ts';
import { readSetting } from './read-setting.ts';
import type { RawSetting, Values } from './read-setting.ts';
import { isSettingName, retiredSettings, settings } from './settings.ts';
import type { Setting, SettingName } from './settings.ts';

export interface ConfigInputs {
  /** The file of `-c`; when absent the usual places are searched, and none is needed. */
  readonly file?: string | undefined;
  readonly env: NodeJS.ProcessEnv;
  /** Settings of the command line, by name. */
  readonly flags: Readonly<Record<string, string>>;
  /** What relative paths of the command line and the environment start from; a file's start from its folder. */
  readonly cwd?: string;
}

interface ConfigWarning {
  readonly name: string;
  readonly message: string;
}

interface Loading {
  /** What commands about a running gateway need: also known when the rest is refused. */
  readonly basics: Pick<Config, 'prefix' | 'drainDelayMs' | 'drainTimeoutMs'>;
  /** The file that was read, absolute. */
  readonly file: string | undefined;
  readonly warnings: readonly ConfigWarning[];
}

export type LoadedConfig = Loading &
  (
    | {
        readonly kind: 'loaded';
        readonly config: Config;
        /** Where each setting came from, worded as in `Problem.source`. */
        readonly sources: Readonly<Record<SettingName, string>>;
        /** Each setting as a person may see it: nothing private. */
        readonly settings: Readonly<Record<SettingName, string | number | boolean>>;
      }
    | { readonly kind: 'refused'; readonly problems: readonly Problem[] }
  );

const variablePrefix = 'PORTUNUS_';
/** Variables of this prefix that are no settings. */
const otherVariables = new Set(['PORTUNUS_KEYRING_KEYS']);

export function loadConfig({ file, env, flags, cwd = process.cwd() }: ConfigInputs): LoadedConfig {
  const found = file === undefined ? findConfigFile(cwd) : path.resolve(cwd, file);
  const problems: Problem[] = [];
  const warnings: ConfigWarning[] = [];
  const raw = new Map<SettingName, RawSetting>();

  if (found !== undefined) takeFile(found);
  takeEnvironment();
  for (const [name, value] of Object.entries(flags)) {
    take(name, { value, source: 'command line', base: cwd });
    if (isSettingName(name) && holdsSecret(settings[name], value)) {
      warnings.push({
        name,
        message:
          'a secret on the command line can be read by every user of this machine: give it in the file or the environment',
      });
    }
  }

  const sources = Object.fromEntries(names().map((name) => [name, raw.get(name)?.source ?? 'default'])) as Record<
    SettingName,
    string
  >;
  const values = readAll();
  const config = compose(values, env, {
    problem: (name, facts) => problems.push(createProblem({ name, source: sources[name], ...facts })),
    warning: (name, message) => warnings.push({ name, message }),
    isSet: (name) => raw.has(name),
  });

  const { prefix, drainDelayMs, drainTimeoutMs } = config;
  const loading: Loading = { basics: { prefix, drainDelayMs, drainTimeoutMs }, warnings, file: found };
  if (problems.length > 0) return { ...loading, kind: 'refused', problems };
  return { ...loading, kind: 'loaded', config, sources, settings: shownSettings(values, raw) };

  function takeFile(source: string): void {
    const reading = readConfigFile(source);
    problems.push(...reading.problems);
    for (const { name, value } of reading.entries) take(name, { value, source, base: path.dirname(source) });
  }

  function takeEnvironment(): void {
    for (const [variable, value] of Object.entries(env)) {
      if (value === undefined || !variable.startsWith(variablePrefix) || otherVariables.has(variable)) continue;
      const name = variable.slice(variablePrefix.length).toLowerCase();
      if (isSettingName(name)) {
        take(name, { value: value.trim(), source: `environment ${variable}`, base: cwd });
      } else {
        warnings.push({ name: variable, message: `there is no setting ${name}${insteadOf(name)}` });
      }
    }
  }

  /** An empty value means the default, as in Kong's files. */
  function take(name: string, setting: RawSetting): void {
    if (!isSettingName(name)) {
      problems.push(
        createProblem({
          name,
          source: setting.source,
          expected: 'the name of a setting',
          message: `there is no setting ${showValue(name)}${insteadOf(name)}`,
        }),
      );
    } else if (setting.value.length === 0) {
      raw.delete(name);
    } else {
      raw.set(name, setting);
    }
  }

  /** Every setting, with the default in the place of a wrong one so that the checks that follow can go on. */
  function readAll(): Values {
    const values: Partial<Record<SettingName, unknown>> = {};
    for (const name of names()) {
      const setting: Setting = settings[name];
      const byDefault = readSetting(setting, { value: setting.default, source: 'default', base: cwd });
      const given = raw.get(name);
      const reading = given === undefined ? byDefault : readSetting(setting, given);
      if (reading.kind === 'wrong')
        problems.push(createProblem(wrongValue(name, given?.value, sources[name], reading)));
      const usable = reading.kind === 'read' ? reading : byDefault;
      values[name] = usable.kind === 'read' ? usable.value : undefined;
    }
    return values as Values;
  }
}

function compose(values: Values, env: NodeJS.ProcessEnv, report: Report): Config {
  checkListeners(values, report);
  checkAdminAccess(values, report);
  checkKeyring(values, env, report);
  return {
    prefix: values.prefix,
    user: checkUser(values, report),
    workers: values.workers,
    drainTimeoutMs: values.drain_timeout,
    drainDelayMs: values.drain_delay,
    drainingWorkersMax: values.draining_workers_max,
    applyTimeoutMs: values.apply_timeout,
    workerTimeoutMs: values.worker_timeout,

    proxyListen: values.proxy_listen,
    adminListen: values.admin_listen,
    statusListen: values.status_listen,
    adminAuth: values.admin_auth,
    adminCertificates: checkCertificates('admin_ssl_cert', values, report),
    adminHosts: values.admin_hosts,
    adminClients: checkAdminClients(values, report),
    adminAuthFailuresMax: values.admin_auth_failures_max,
    adminPrivateKeys: values.admin_private_keys,
    adminBodyMaxBytes: values.admin_body_max_size,
    keyring: values.keyring,
    postgres: checkPostgres(values, report),
    nodeName: values.node_name === '' ? hostname() : values.node_name,
    nodeAddress: values.node_address,
    nodeTimeoutMs: values.node_timeout,
    clusterWaitTimeoutMs: values.cluster_wait_timeout,
    changesKeptForMs: values.changes_kept_for,
    auditKeptForMs: values.audit_kept_for,
    auditRowsMax: values.audit_rows_max,

    ...checkTls(values, report),
    sslMinRsaBits: values.ssl_min_rsa_bits,
    sslSessionTickets: values.ssl_session_tickets,
    sslSessionTimeoutSeconds: Math.floor(values.ssl_session_timeout / 1000),
    sslSessionTicketRotationMs: values.ssl_session_ticket_rotation,
    tlsContextsMax: values.tls_contexts_max,
    clientHelloMaxBytes: values.client_hello_max_size,
    clientChainMaxWorkMs: values.client_chain_max_work,
    handshakeTimeoutMs: values.handshake_timeout,
    handshakeRate: values.handshake_rate,
    handshakeRatePerAddress: values.handshake_rate_per_address,

    trustedIps: values.trusted_ips,
    realIpHeader: values.real_ip_header,
    realIpRecursive: values.real_ip_recursive,

    requestHeadMaxBytes: values.request_head_max_size,
    requestHeadersMax: values.request_headers_max,
    requestTargetMaxBytes: values.request_target_max_size,
    clientMaxBodyBytes: values.client_max_body_size,
    clientHeadTimeoutMs: values.client_header_timeout,
    clientBodyTimeoutMs: values.client_body_timeout,
    clientIdleTimeoutMs: values.client_idle_timeout,
    clientSendTimeoutMs: values.client_send_timeout,
    clientRateMin: values.client_rate_min,
    clientPendingMaxBytes: values.client_pending_max_size,
    clientConnectionsMax: values.client_connections_max,
    clientConnectionsPerAddress: values.client_connections_per_address,
    clientAddressesMax: values.client_addresses_max,
    requestsPerConnectionMax: values.requests_per_connection_max,
    http2StreamsMax: values.http2_streams_max,
    http2ResetBurst: values.http2_reset_burst,
    http2ResetRate: values.http2_reset_rate,

    upstreamKeepalivePoolSize: values.upstream_keepalive_pool_size,
    upstreamIdleConnectionsMax: values.upstream_idle_connections_max,
    upstreamKeepaliveMaxRequests: values.upstream_keepalive_max_requests,
    upstreamKeepaliveIdleTimeoutMs: values.upstream_keepalive_idle_timeout,
    upstreamConnectionsMax: values.upstream_connections_max,
    upstreamResponseHeadMaxBytes: values.upstream_response_head_max_size,
    upstreamTlsVerify: values.upstream_tls_verify,
    upstreamTrustedCertificates: checkRoots('upstream_trusted_certificates', values, report),

    logLevel: values.log_level,
    proxyAccessLog: values.proxy_access_log,
    metricsCertificatesMax: values.metrics_certificates_max,
  };
}

function shownSettings(values: Values, raw: ReadonlyMap<SettingName, RawSetting>) {
  const shown = names().map((name): [SettingName, string | number | boolean] => {
    const setting: Setting = settings[name];
    const value = values[name];
    if (setting.kind === 'secret') return [name, value === '' ? '' : '(hidden)'];
    if (setting.kind === 'pem-sources') return [name, shownSources(value as Values['ssl_cert']) || setting.default];
    if (typeof value !== 'object' && setting.kind !== 'size' && setting.kind !== 'duration') return [name, value];
    const given = raw.get(name)?.value ?? setting.default;
    return [name, showValue(typeof given === 'string' ? given : given.join(', '))];
  });
  return Object.fromEntries(shown) as Record<SettingName, string | number | boolean>;
}

function shownSources(sources: Values['ssl_cert']): string {
  return sources.map(({ shown }) => shown).join(', ');
}

function wrongValue(
  name: SettingName,
  given: RawSetting['value'] | undefined,
  source: string,
  { expected, value }: { readonly expected: string; readonly value?: string },
) {
  const whole = typeof given === 'string' || given === undefined ? given : given.join(', ');
  const shown = isPrivate(settings[name]) ? '(hidden)' : (value ?? whole);
  const message = messages[name]?.(showValue(shown ?? ''));
  return { name, value: shown, source, expected, ...(message === undefined ? {} : { message }) };
}

function holdsSecret({ kind }: Setting, value: string): boolean {
  // A URL without a password is none.
  if (kind === 'secret') return value !== '' && !/^postgres(ql)?:\/\/(?![^/]*:[^/]*@)/.test(value);
  return kind === 'pem-sources' && /PRIVATE KEY|^LS0tLS1/.test(value);
}

function isPrivate({ kind }: Setting): boolean {
  return kind === 'pem-sources' || kind === 'secret';
}

/** Sentences that say more than "expected …". */
const messages: Partial<Record<SettingName, (value: string) => string>> = {
  ssl_cipher_suite: (value) => `Undefined cipher suite ${value}: expected modern, intermediate, old or custom`,
  trusted_ips: () =>
    'trusted_ips must be a comma separated list in the form of IPv4 or IPv6 addresses or CIDR ranges, such as 10.0.0.0/8, ::1',
};

/** What to write in the place of a name that is no setting. */
function insteadOf(name: string): string {
  if (Object.hasOwn(retiredSettings, name)) return `; use ${retiredSettings[name] ?? ''}`;
  if (name.startsWith('nginx_')) return '; there is no nginx here, and each limit has a setting of its own';
  const closest = closestName(name, names());
  return closest === undefined ? '' : `; did you mean ${closest}?`;
}

function names(): readonly SettingName[] {
  return Object.keys(settings) as SettingName[];
}
