// What the proxy needs of the configuration, by the configuration's own names. config/ gives them; it is not imported.

export interface ProxySettings {
  /** Of connections to names without a policy of their own. */
  readonly sslMinVersion: string;
  readonly sslCiphers: string;

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
  /** Bytes a second of a body or a response, over the timeout; 0: no limit. */
  readonly clientRateMin: number;
  /** Of all clients together. */
  readonly clientPendingMaxBytes: number;
  readonly requestsPerConnectionMax: number;
  /** Of one HTTP/2 connection, at once. */
  readonly http2StreamsMax: number;
  /** Streams that a client may reset at once, and then in each second. */
  readonly http2ResetBurst: number;
  readonly http2ResetRate: number;

  readonly upstreamKeepalivePoolSize: number;
  readonly upstreamIdleConnectionsMax: number;
  readonly upstreamKeepaliveMaxRequests: number;
  readonly upstreamKeepaliveIdleTimeoutMs: number;
  readonly upstreamConnectionsMax: number;
  readonly upstreamResponseHeadMaxBytes: number;
  readonly upstreamTlsVerify: boolean;
  /** PEM; undefined: the system's roots. */
  readonly upstreamTrustedCertificates: string | undefined;
}
