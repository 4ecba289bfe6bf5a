// The configuration as the rest of Portunus sees it: checked, with units in the names. Names, defaults and how each is
// read are in settings.ts.

import type { User } from '../lib/become-user.ts';

export interface ListenAddress {
  /** `0.0.0.0`, `::`, an address; no host names. */
  readonly host: string;
  /** 0 to 65535; 0 lets the system choose. */
  readonly port: number;
  readonly ssl: boolean;
  readonly http2: boolean;
  readonly proxyProtocol: boolean;
  readonly reuseport: boolean;
  readonly backlog: number;
}

/** A PEM text each, read from the path, PEM text or base64 that the setting gave; certificates and keys pair by position. */
export interface StaticCertificate {
  readonly chain: string;
  readonly key: string;
}

/** How to reach the PostgreSQL that many nodes share. */
export interface PostgresConfig {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly password: string;
  readonly database: string;
  readonly schema: string;
  /** Undefined: no TLS. */
  readonly tls: PostgresTls | undefined;
  /** For connecting, and for the answer to each query. */
  readonly timeoutMs: number;
  readonly poolSize: number;
}

export interface PostgresTls {
  /** Whether its certificate must be valid for `host`. */
  readonly verify: boolean;
  /** PEM of trusted roots; undefined: the system's. */
  readonly trustedCertificates: string | undefined;
}

/** What the Admin API makes of the certificates of its callers. */
export interface AdminClients {
  /** PEM. */
  readonly roots: string;
  /** PEM of a CRL each. */
  readonly revocations: readonly string[];
  readonly isDemanded: boolean;
  readonly role: 'admin' | 'certificates' | 'read' | 'none';
}

export interface Config {
  /** The data directory, absolute. */
  readonly prefix: string;
  /** Whom root becomes; undefined: nobody else. */
  readonly user: User | undefined;
  /** 0: the data plane runs inside the primary. */
  readonly workers: number;
  readonly proxyListen: readonly ListenAddress[];
  readonly adminListen: readonly ListenAddress[];
  readonly statusListen: readonly ListenAddress[];
  /** `on`: listeners that other machines can reach demand tokens. `always`: all do. */
  readonly adminAuth: 'on' | 'always' | 'off';
  /** Lower case. */
  readonly adminHosts: readonly string[];
  readonly adminAuthFailuresMax: number;
  /** Of its listeners with TLS; empty: the store's default certificate. Never sent to a worker. */
  readonly adminCertificates: readonly StaticCertificate[];
  /** Undefined: its callers are not asked for certificates. Never sent to a worker. */
  readonly adminClients: AdminClients | undefined;
  readonly adminPrivateKeys: 'sealed' | 'visible';
  readonly adminBodyMaxBytes: number;

  /** Default certificates from the configuration, at most two, of different key types; empty: the store's own. */
  readonly sslCertificates: readonly StaticCertificate[];
  readonly sslMinVersion: 'TLSv1.2' | 'TLSv1.3';
  readonly sslMaxVersion: 'TLSv1.2' | 'TLSv1.3';
  /** OpenSSL cipher string: TLS 1.3 suites and TLS 1.2 ciphers together. */
  readonly sslCiphers: string;
  readonly sslMinRsaBits: number;
  readonly sslSessionTickets: boolean;
  readonly sslSessionTimeoutSeconds: number;
  readonly sslSessionTicketRotationMs: number;
  readonly tlsContextsMax: number;
  readonly clientHelloMaxBytes: number;
  readonly clientChainMaxWorkMs: number;
  readonly handshakeTimeoutMs: number;
  /** These two: 0 is no limit. */
  readonly handshakeRate: number;
  readonly handshakeRatePerAddress: number;

  /** CIDR ranges in normal form: `10.0.0.0/8`, `::/0`. */
  readonly trustedIps: readonly string[];
  readonly realIpHeader: string;
  readonly realIpRecursive: boolean;

  readonly requestHeadMaxBytes: number;
  readonly requestHeadersMax: number;
  readonly requestTargetMaxBytes: number;
  /** 0: no limit. */
  readonly clientMaxBodyBytes: number;
  readonly clientHeadTimeoutMs: number;
  readonly clientBodyTimeoutMs: number;
  readonly clientIdleTimeoutMs: number;
  readonly clientSendTimeoutMs: number;
  /** Bytes a second. 0: no limit. */
  readonly clientRateMin: number;
  readonly clientPendingMaxBytes: number;
  readonly clientConnectionsMax: number;
  /** 0: no limit. */
  readonly clientConnectionsPerAddress: number;
  readonly clientAddressesMax: number;
  readonly requestsPerConnectionMax: number;
  readonly http2StreamsMax: number;
  readonly http2ResetBurst: number;
  readonly http2ResetRate: number;

  /** Idle connections kept for each upstream, a worker. 0: none are kept. */
  readonly upstreamKeepalivePoolSize: number;
  /** To all upstreams together. */
  readonly upstreamIdleConnectionsMax: number;
  readonly upstreamKeepaliveMaxRequests: number;
  readonly upstreamKeepaliveIdleTimeoutMs: number;
  readonly upstreamConnectionsMax: number;
  readonly upstreamResponseHeadMaxBytes: number;
  readonly upstreamTlsVerify: boolean;
  /** PEM of trusted roots for upstreams; undefined: the system's. */
  readonly upstreamTrustedCertificates: string | undefined;

  readonly drainTimeoutMs: number;
  readonly drainDelayMs: number;
  readonly drainingWorkersMax: number;
  readonly applyTimeoutMs: number;
  readonly workerTimeoutMs: number;
  readonly logLevel: 'debug' | 'info' | 'warn' | 'error' | 'silent';
  /** A file path (absolute), `stdout`, or `off`. */
  readonly proxyAccessLog: string;
  readonly metricsCertificatesMax: number;
  /** Undefined: the truth is in one SQLite file. Never sent to a worker. */
  readonly postgres: PostgresConfig | undefined;
  readonly nodeName: string;
  readonly nodeAddress: string;
  readonly nodeTimeoutMs: number;
  readonly clusterWaitTimeoutMs: number;
  readonly changesKeptForMs: number;
  readonly auditKeptForMs: number;
  readonly auditRowsMax: number;
  /** `file`: `<prefix>/keyring`. `env`: PORTUNUS_KEYRING_KEYS, `id:base64` separated by commas, the first seals. */
  readonly keyring: 'file' | 'env';
}
