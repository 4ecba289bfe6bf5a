// What the rest of Portunus may say about itself: a log, counters and an access log. Calls on the data path allocate nothing.

/** Structured log; fields never hold key material. */
export interface Log {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

export type HandshakeFailure =
  | 'timeout'
  | 'client-hello-malformed'
  | 'client-hello-too-large'
  | 'client-chain-too-costly'
  | 'plain-http'
  | 'rate-limited'
  | 'crowded-out'
  | 'no-certificate'
  | 'certificate-unusable'
  | 'tls-alert'
  | 'disconnected';

/** Why an accepted connection was closed before anything was read of what it is for. */
export type ConnectionRefusal =
  | 'limit'
  | 'proxy-protocol-untrusted'
  | 'proxy-protocol-malformed'
  | 'proxy-protocol-timeout';

/** Settings that bound what clients may do, where it is counted that one has met them. */
export type ClientLimit =
  | 'client_connections_max'
  | 'client_connections_per_address'
  | 'handshake_rate'
  | 'handshake_rate_per_address'
  | 'client_chain_max_work'
  | 'client_header_timeout'
  | 'client_body_timeout'
  | 'client_send_timeout'
  | 'client_rate_min'
  | 'client_pending_max_size'
  | 'http2_streams_max'
  | 'http2_reset_rate'
  | 'upstream_connections_max';

/** What a client that was asked for a certificate answered with. */
export type ClientProofKind = 'none' | 'valid' | 'invalid';

/** Why a request was refused for what its client had not proved. */
export type ClientRefusal =
  | 'no-tls'
  | 'version'
  | 'ciphers'
  | 'not-asked'
  | 'not-sent'
  | 'unknown-authority'
  | 'expired'
  | 'not-yet-valid'
  | 'revoked'
  | 'revocation-list-expired'
  | 'revocation-list-unusable'
  | 'too-deep'
  | 'wrong-purpose'
  | 'weak'
  | 'too-large'
  | 'invalid'
  | 'policy-unreadable';

export type UpstreamFailure = 'connect' | 'tls' | 'timeout' | 'reset' | 'malformed' | 'exhausted';

/** Numbers a worker counts on the data path. */
export interface Counters {
  connectionOpened(tls: boolean): void;
  connectionClosed(tls: boolean): void;
  connectionRefused(reason: ConnectionRefusal): void;
  limitReached(limit: ClientLimit): void;
  handshakeDone(version: string, resumed: boolean): void;
  handshakeFailed(reason: HandshakeFailure): void;
  clientAsked(proof: ClientProofKind): void;
  clientRefused(reason: ClientRefusal): void;
  contextHit(): void;
  /** A TLS context was made (`ok`) or the certificate could not be used. */
  contextMade(ok: boolean): void;
  contextEvicted(): void;
  /**
   * @param totalMs first byte of the request head to the last byte of the response handed to the socket
   * @param upstreamMs first byte sent to the upstream until its response head, or -1 when there was no upstream
   */
  requestDone(status: number, totalMs: number, upstreamMs: number): void;
  upstreamFailed(kind: UpstreamFailure): void;
  upstreamConnection(reused: boolean): void;
}

/** One finished exchange, read at once by the access log and not kept. */
export interface AccessEntry {
  readonly remoteAddress: string;
  readonly method: string;
  readonly target: string;
  readonly httpVersion: '1.0' | '1.1' | '2';
  readonly host: string;
  readonly status: number;
  readonly responseBodyBytes: number;
  readonly requestBodyBytes: number;
  readonly totalMs: number;
  /** -1: no upstream took part. */
  readonly upstreamMs: number;
  readonly tls: boolean;
  readonly serverName: string | undefined;
  readonly apiName: string | undefined;
  readonly requestId: string;
  readonly userAgent: string | undefined;
  /** Of docs/errors.md, where Portunus answered itself or cut the answer off. */
  readonly errorCode: string | undefined;
  /** What was wrong more precisely, in one word. */
  readonly errorReason: string | undefined;
  /** SHA-256 of the client's certificate, where a rule wanted one and it was good. */
  readonly clientCertificate: string | undefined;
}

export interface AccessLog {
  write(entry: AccessEntry): void;
}
