// Every setting: its name, kind, default, limits and one sentence. Loading, `portunus check` and docs/configuration.md
// follow this table. Kong's names where Kong has one. What a kind accepts is in read-setting.ts.

interface Described {
  /** As a person would write it. */
  readonly default: string;
  /** One sentence, as in docs/configuration.md. */
  readonly description: string;
}

interface Bounded extends Described {
  /** In the unit of the kind: bytes, milliseconds, or none. */
  readonly min: number;
  readonly max: number;
}

export type Setting =
  | (Described & {
      readonly kind: 'switch' | 'path' | 'output' | 'header-name' | 'host-names' | 'ip-ranges' | 'text' | 'secret';
    })
  | (Bounded & { readonly kind: 'integer' | 'workers' | 'size' | 'duration' })
  /** `aliases`: other words for a choice, which Kong's files have. */
  | (Described & {
      readonly kind: 'choice' | 'choices';
      readonly choices: readonly string[];
      readonly aliases?: Readonly<Record<string, string>>;
    })
  | (Described & { readonly kind: 'listeners'; readonly flags: readonly ListenFlag[] })
  /** Paths, PEM texts, or base64 of PEM texts. `word`: stands for something else. */
  | (Described & { readonly kind: 'pem-sources'; readonly word?: string });

export type ListenFlag = 'ssl' | 'http2' | 'proxy_protocol' | 'reuseport' | 'backlog';

const second = 1000;
const minute = 60 * second;
const day = 24 * 60 * minute;
const kib = 1024;
const mib = 1024 * kib;
const many = 1_000_000_000;

export const settings = {
  // the process
  prefix: {
    kind: 'path',
    default: './portunus-data',
    description: 'The data directory: store, keyring, process id; made at first start.',
  },
  user: {
    kind: 'text',
    default: '',
    description:
      'Who a gateway that was started as root becomes once its ports are bound: a name, name:group, or uid:gid; without it, it stays root.',
  },
  workers: {
    kind: 'workers',
    default: 'auto',
    min: 0,
    max: 1024,
    description: 'Processes that serve clients; auto is one for each core, 0 serves inside the primary process.',
  },
  drain_timeout: {
    kind: 'duration',
    default: '30s',
    min: 0,
    max: day,
    description: 'How long requests in flight may take after a stop before their connections are cut.',
  },
  drain_delay: {
    kind: 'duration',
    default: '0s',
    min: 0,
    max: 10 * minute,
    description:
      'How long new connections are still taken after a stop: until balancers notice it, or, at the longest, until a successor serves.',
  },
  draining_workers_max: {
    kind: 'integer',
    default: '3',
    min: 1,
    max: 1000,
    description:
      'Workers, of each that serves, that reloads have replaced and that finish what is in flight; one more ends the oldest.',
  },
  apply_timeout: {
    kind: 'duration',
    default: '5s',
    min: 100,
    max: 10 * minute,
    description: 'How long an answer of the Admin API waits for every worker to apply the write.',
  },
  worker_timeout: {
    kind: 'duration',
    default: '30s',
    min: second,
    max: 60 * minute,
    description: 'A worker that gives no sign of life for so long is ended and replaced.',
  },

  // listeners
  proxy_listen: {
    kind: 'listeners',
    flags: ['ssl', 'http2', 'proxy_protocol', 'reuseport', 'backlog'],
    default: '0.0.0.0:8000, 0.0.0.0:8443 ssl http2',
    description: 'Where clients connect.',
  },
  admin_listen: {
    kind: 'listeners',
    flags: ['ssl', 'reuseport', 'backlog'],
    default: '127.0.0.1:8001',
    description: 'Where the Admin API listens.',
  },
  status_listen: {
    kind: 'listeners',
    flags: ['reuseport', 'backlog'],
    default: '127.0.0.1:8007',
    description: 'Where metrics and health are read.',
  },

  // Admin API
  admin_auth: {
    kind: 'choice',
    choices: ['on', 'always', 'off'],
    aliases: { true: 'on', yes: 'on', false: 'off', no: 'off' },
    default: 'on',
    description:
      'Whether the Admin API demands tokens: on where other machines can reach it, always on loopback too; off leaves it open.',
  },
  admin_hosts: {
    kind: 'host-names',
    default: '',
    description:
      'Names with dots that the Admin API and the status listener answer to, beside addresses, localhost and the name of the machine; without any, all where other machines can reach them, and none on loopback.',
  },
  admin_auth_failures_max: {
    kind: 'integer',
    default: '20',
    min: 1,
    max: 1_000_000,
    description: 'Wrong tokens that an address may send within a minute before it has to wait.',
  },
  admin_plain_http: {
    kind: 'switch',
    default: 'off',
    description:
      'Whether an Admin API that other machines can reach may do without TLS; whoever listens on the way reads tokens and keys.',
  },
  admin_ssl_cert: {
    kind: 'pem-sources',
    default: '',
    description:
      'The certificate of listeners of the Admin API with the flag ssl, or two of different key types; by default the one that Portunus made for itself.',
  },
  admin_ssl_cert_key: {
    kind: 'pem-sources',
    default: '',
    description: 'The private keys of admin_ssl_cert, in the same order.',
  },
  admin_ssl_client_ca: {
    kind: 'pem-sources',
    default: '',
    description:
      'The authorities whose certificates let callers in on listeners of the Admin API with the flag ssl; none asks for no certificate.',
  },
  admin_ssl_client_crl: {
    kind: 'pem-sources',
    default: '',
    description: 'What these authorities have revoked: one CRL of each.',
  },
  admin_ssl_verify_client: {
    kind: 'choice',
    choices: ['optional', 'on'],
    default: 'optional',
    description:
      'Whether such a certificate is one way in, beside a token, or demanded of every caller on listeners with the flag ssl.',
  },
  admin_ssl_client_role: {
    kind: 'choice',
    choices: ['admin', 'certificates', 'read', 'none'],
    default: 'admin',
    description: 'What a caller with such a certificate and no token may do; none demands a token as well.',
  },
  admin_private_keys: {
    kind: 'choice',
    choices: ['sealed', 'visible'],
    default: 'sealed',
    description: 'Whether the Admin API answers with private keys; sealed answers a fingerprint in their place.',
  },
  admin_body_max_size: {
    kind: 'size',
    default: '10m',
    min: kib,
    max: 1024 * mib,
    description: 'The largest body the Admin API reads.',
  },

  // the store
  database: {
    kind: 'choice',
    choices: ['sqlite', 'postgres'],
    default: 'sqlite',
    description: 'Where the truth is kept: one SQLite file in the data directory, or PostgreSQL for many nodes.',
  },
  pg_url: {
    kind: 'secret',
    default: '',
    description:
      'PostgreSQL as postgres://user:password@host:port/database?sslmode=…, in the place of pg_host to pg_database.',
  },
  pg_host: {
    kind: 'text',
    default: '127.0.0.1',
    description: 'The host name or address of PostgreSQL.',
  },
  pg_port: {
    kind: 'integer',
    default: '5432',
    min: 1,
    max: 65_535,
    description: 'The port of PostgreSQL.',
  },
  pg_user: {
    kind: 'text',
    default: 'portunus',
    description: 'The role that Portunus logs in with.',
  },
  pg_password: {
    kind: 'secret',
    default: '',
    description: 'Its password.',
  },
  pg_database: {
    kind: 'text',
    default: 'portunus',
    description: 'The database, which must exist; tables are made at first start.',
  },
  pg_schema: {
    kind: 'text',
    default: 'public',
    description: 'The schema of the tables, made when it is missing.',
  },
  pg_ssl: {
    kind: 'switch',
    default: 'off',
    description: 'Whether connections to PostgreSQL use TLS, and no others.',
  },
  pg_ssl_verify: {
    kind: 'switch',
    default: 'on',
    description: 'Whether the certificate of PostgreSQL must be valid for pg_host.',
  },
  pg_ssl_trusted_certificates: {
    kind: 'pem-sources',
    word: 'system',
    default: 'system',
    description: 'The roots that PostgreSQL is verified against; system is those of the machine.',
  },
  pg_timeout: {
    kind: 'duration',
    default: '5s',
    min: 100,
    max: minute,
    description:
      'How long PostgreSQL may take to accept a connection or answer a query, and a write may wait for others.',
  },
  pg_pool_size: {
    kind: 'integer',
    default: '4',
    min: 1,
    max: 100,
    description: 'Connections to PostgreSQL for reading; three more write, follow and listen.',
  },

  // the cluster
  node_name: {
    kind: 'text',
    default: '',
    description: 'What this node is called in the cluster; the host name of the machine by default.',
  },
  node_address: {
    kind: 'text',
    default: '',
    description: 'Where people find this node, shown in the list of nodes and not used otherwise.',
  },
  node_timeout: {
    kind: 'duration',
    default: '10s',
    min: 2 * second,
    max: 10 * minute,
    description: 'A node that gives no sign of life for so long is taken for dead and no longer waited for.',
  },
  cluster_wait_timeout: {
    kind: 'duration',
    default: '5s',
    min: 100,
    max: 10 * minute,
    description: 'How long a write with wait=cluster waits for every live node.',
  },
  changes_kept_for: {
    kind: 'duration',
    default: '1d',
    min: minute,
    max: 30 * day,
    description: 'How long PostgreSQL keeps changes for nodes that are away; one that comes later compares everything.',
  },
  audit_kept_for: {
    kind: 'duration',
    default: '90d',
    min: minute,
    max: 3650 * day,
    description: 'How long the store keeps who changed what.',
  },
  audit_rows_max: {
    kind: 'integer',
    default: '100000',
    min: 1,
    max: many,
    description: 'Changes of which the store keeps who made them, the latest ones.',
  },
  keyring: {
    kind: 'choice',
    choices: ['file', 'env'],
    default: 'file',
    description:
      'Where the keys that seal private keys come from: a file in the data directory, made at first start, or the environment variable PORTUNUS_KEYRING_KEYS.',
  },

  // TLS towards clients
  ssl_cert: {
    kind: 'pem-sources',
    default: '',
    description:
      'The default certificate with its chain, or two of different key types; without one Portunus makes its own.',
  },
  ssl_cert_key: {
    kind: 'pem-sources',
    default: '',
    description: 'The private keys of ssl_cert, in the same order.',
  },
  ssl_protocols: {
    kind: 'choices',
    choices: ['TLSv1.2', 'TLSv1.3'],
    default: 'TLSv1.2 TLSv1.3',
    description: 'The versions of TLS that are served.',
  },
  ssl_cipher_suite: {
    kind: 'choice',
    choices: ['modern', 'intermediate', 'old', 'custom'],
    default: 'intermediate',
    description: 'A list of ciphers as Mozilla recommends them, or custom for ssl_ciphers; modern is TLS 1.3 alone.',
  },
  ssl_ciphers: {
    kind: 'text',
    default: '',
    description: 'Ciphers by their OpenSSL names with colons between them, read when ssl_cipher_suite is custom.',
  },
  ssl_session_tickets: {
    kind: 'switch',
    default: 'on',
    description: 'Whether clients may resume a session by ticket, each ticket for its own host alone.',
  },
  ssl_session_timeout: {
    kind: 'duration',
    default: '1d',
    min: second,
    // RFC 8446 section 4.6.1
    max: 7 * day,
    description: 'How long a session may be resumed.',
  },
  ssl_session_ticket_rotation: {
    kind: 'duration',
    default: '12h',
    min: minute,
    max: 7 * day,
    description:
      'How long the keys of tickets are in use, the same on every node that has this setting; then older tickets take a full handshake.',
  },
  ssl_min_rsa_bits: {
    kind: 'integer',
    default: '2048',
    min: 1024,
    max: 16_384,
    description: 'The shortest RSA key that is taken in.',
  },
  tls_contexts_max: {
    kind: 'integer',
    default: '5000',
    min: 1,
    max: 1_000_000,
    description:
      'Certificates a worker keeps ready in memory, at 40 to 80 KiB each; the others are loaded when asked for.',
  },
  client_hello_max_size: {
    kind: 'size',
    default: '16k',
    min: 2 * kib,
    max: 128 * kib,
    description: 'The largest first message of a TLS handshake.',
  },
  client_chain_max_work: {
    kind: 'duration',
    default: '15ms',
    min: 1,
    max: 10_000,
    description:
      'How long it may take to verify what a client sends that is asked for a certificate, as its keys and names let expect; the connection is closed before when it would take longer.',
  },
  handshake_rate: {
    kind: 'integer',
    default: '0',
    min: 0,
    max: 1_000_000,
    description:
      'TLS handshakes that a worker begins each second; what is more is reset, before a certificate is looked up. 0 is no limit.',
  },
  handshake_rate_per_address: {
    kind: 'integer',
    default: '0',
    min: 0,
    max: 1_000_000,
    description:
      'TLS handshakes of one address that a worker begins each second, and ten times as many at once; what is more is reset. 0 is no limit.',
  },
  handshake_timeout: {
    kind: 'duration',
    default: '10s',
    min: 100,
    max: 10 * minute,
    description: 'How long a TLS handshake may take, PROXY protocol included.',
  },

  // who the client is
  trusted_ips: {
    kind: 'ip-ranges',
    default: '',
    description: 'Addresses and CIDR ranges of proxies in front, whose forwarded headers are believed.',
  },
  real_ip_header: {
    kind: 'header-name',
    default: 'X-Real-IP',
    description: 'The header in which a trusted proxy names the client.',
  },
  real_ip_recursive: {
    kind: 'switch',
    default: 'off',
    description: 'Whether trusted addresses in real_ip_header are skipped to find the client, the last one first.',
  },

  // requests
  request_head_max_size: {
    kind: 'size',
    default: '32k',
    min: kib,
    max: mib,
    description: 'The largest request line and headers together.',
  },
  request_headers_max: {
    kind: 'integer',
    default: '100',
    min: 10,
    max: 10_000,
    description: 'The most header lines of a request.',
  },
  request_target_max_size: {
    kind: 'size',
    default: '8k',
    min: 256,
    max: mib,
    description: 'The longest path and query of a request.',
  },
  client_max_body_size: {
    kind: 'size',
    default: '0',
    min: 0,
    max: Number.MAX_SAFE_INTEGER,
    description: 'The largest request body; 0 is no limit.',
  },
  client_header_timeout: {
    kind: 'duration',
    default: '30s',
    min: 100,
    max: day,
    description: 'How long a client may take from the first byte of a request to the end of its headers.',
  },
  client_body_timeout: {
    kind: 'duration',
    default: '60s',
    min: 100,
    max: day,
    description: 'How long a client may pause while it sends a body.',
  },
  client_idle_timeout: {
    kind: 'duration',
    default: '65s',
    min: 100,
    max: day,
    description: 'How long a connection may stay open without a request.',
  },
  client_send_timeout: {
    kind: 'duration',
    default: '60s',
    min: 100,
    max: day,
    description: 'How long a client may pause while it reads a response.',
  },
  client_rate_min: {
    kind: 'size',
    default: '240',
    min: 0,
    max: 1024 * mib,
    description:
      'Bytes a second that a client sends of a body, or reads of a response, over client_body_timeout and client_send_timeout while it is waited for; 0 is no limit.',
  },
  client_pending_max_size: {
    kind: 'size',
    default: '256m',
    min: mib,
    max: 1024 * 1024 * mib,
    description:
      'What all clients together may make a worker hold of requests and responses on their way; beyond it those that have been waited for longest are cut off.',
  },
  client_connections_max: {
    kind: 'integer',
    default: '16384',
    min: 1,
    max: 1_000_000,
    description: 'Client connections a worker holds at once; those that do nothing make room for others.',
  },
  client_connections_per_address: {
    kind: 'integer',
    default: '0',
    min: 0,
    max: 1_000_000,
    description: 'Connections of one address that a worker holds at once; what is more is reset. 0 is no limit.',
  },
  client_addresses_max: {
    kind: 'integer',
    default: '65536',
    min: 1,
    max: 10_000_000,
    description:
      'Addresses without a connection whose handshakes a worker remembers for handshake_rate_per_address, at some 200 bytes each; whoever left first is forgotten.',
  },
  requests_per_connection_max: {
    kind: 'integer',
    default: '100000',
    min: 1,
    max: many,
    description: 'Requests served on one connection before it is closed.',
  },
  http2_streams_max: {
    kind: 'integer',
    default: '128',
    min: 1,
    max: 10_000,
    description:
      'Requests of one HTTP/2 connection that may be under way at once; a client that makes more is disconnected.',
  },
  http2_reset_burst: {
    kind: 'integer',
    default: '1000',
    min: 1,
    max: many,
    description:
      'HTTP/2 streams that a client may reset at once, or have answered before their requests are whole; a connection that goes on faster than http2_reset_rate is closed.',
  },
  http2_reset_rate: {
    kind: 'integer',
    default: '33',
    min: 1,
    max: many,
    description: 'As many in each second once http2_reset_burst is used up.',
  },

  // upstreams
  upstream_keepalive_pool_size: {
    kind: 'integer',
    default: '512',
    min: 0,
    max: 100_000,
    description: 'Idle connections a worker keeps for each upstream; 0 keeps none.',
  },
  upstream_idle_connections_max: {
    kind: 'integer',
    default: '4096',
    min: 1,
    max: many,
    description:
      'Idle connections a worker keeps to all upstreams together; of more than that, those that have been idle longest are closed.',
  },
  upstream_keepalive_max_requests: {
    kind: 'integer',
    default: '10000',
    min: 1,
    max: many,
    description: 'Requests sent on one upstream connection before it is closed.',
  },
  upstream_keepalive_idle_timeout: {
    kind: 'duration',
    default: '60s',
    min: 100,
    max: day,
    description: 'How long an idle upstream connection is kept.',
  },
  upstream_connections_max: {
    kind: 'integer',
    default: '1000',
    min: 1,
    max: 1_000_000,
    description: 'Connections a worker holds to one upstream at once, idle ones included.',
  },
  upstream_response_head_max_size: {
    kind: 'size',
    default: '64k',
    min: kib,
    max: mib,
    description:
      'The largest status line and headers of an upstream response together, and of all its interim responses (1xx).',
  },
  upstream_tls_verify: {
    kind: 'switch',
    default: 'on',
    description: 'Whether the certificate of an https upstream must be valid for its name.',
  },
  upstream_trusted_certificates: {
    kind: 'pem-sources',
    word: 'system',
    default: 'system',
    description: 'The roots that https upstreams are verified against; system is those of the machine.',
  },

  // seen from outside
  log_level: {
    kind: 'choice',
    choices: ['debug', 'info', 'warn', 'error', 'silent'],
    aliases: { notice: 'info', crit: 'error', alert: 'error', emerg: 'error' },
    default: 'info',
    description: 'The least severe level that is logged.',
  },
  proxy_access_log: {
    kind: 'output',
    default: 'stdout',
    description: 'Where a line for each request goes: stdout, a file, or off.',
  },
  metrics_certificates_max: {
    kind: 'integer',
    default: '1000',
    min: 0,
    max: 100_000,
    description: 'Certificates whose expiry is in the metrics, the soonest first.',
  },
} as const satisfies Readonly<Record<string, Setting>>;

export type SettingName = keyof typeof settings;

export function isSettingName(name: string): name is SettingName {
  return Object.hasOwn(settings, name);
}

/** Settings of Kong and of earlier designs that have another form here, and what to do about them. */
export const retiredSettings: Readonly<Record<string, string>> = {
  ssl: 'nothing: the flag ssl of a listener in proxy_listen turns TLS on',
  proxy_listen_ssl: 'proxy_listen with the flag ssl: proxy_listen = 0.0.0.0:8000, 0.0.0.0:8443 ssl',
  http2: 'the flag http2 of a listener in proxy_listen',
  admin_ssl: 'nothing: the flag ssl of a listener in admin_listen turns TLS on',
  admin_listen_ssl: 'admin_listen with the flag ssl: admin_listen = 127.0.0.1:8001, 127.0.0.1:8444 ssl',
  admin_api_listen: 'admin_listen',
  ssl_cert_path: 'ssl_cert',
  ssl_key_path: 'ssl_cert_key',
  mem_cache_size: 'tls_contexts_max, which bounds what a worker keeps in memory',
  memory_cache_size: 'tls_contexts_max, which bounds what a worker keeps in memory',
  lua_ssl_trusted_certificate: 'upstream_trusted_certificates',
  upstream_keepalive: 'upstream_keepalive_pool_size',
  nginx_worker_processes: 'workers',
  admin_access_log: 'nothing: the Admin API has no access log of its own',
};
