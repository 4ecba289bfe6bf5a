// What the TLS layer is given from outside: its part of the configuration, its counters, its log. The composition passes
// the whole Config, Counters and Log; these say which parts of them are used here.

export interface TlsSettings {
  /** Default certificates from the configuration: PEM, at most two, of different key types. */
  readonly sslCertificates: readonly { readonly chain: string; readonly key: string }[];
  readonly sslMinVersion: TlsVersion;
  readonly sslMaxVersion: TlsVersion;
  /** OpenSSL cipher string: TLS 1.3 suites and TLS 1.2 ciphers together. */
  readonly sslCiphers: string;
  readonly sslMinRsaBits: number;
  readonly sslSessionTickets: boolean;
  readonly sslSessionTimeoutSeconds: number;
  /** How long ticket keys are in use. */
  readonly sslSessionTicketRotationMs: number;
  readonly tlsContextsMax: number;
  readonly clientHelloMaxBytes: number;
  /** Of a client's certificates, as `verificationWork` has it. */
  readonly clientChainMaxWorkMs: number;
  /** From the first moment of the connection to the end of the handshake. */
  readonly handshakeTimeoutMs: number;
}

export type TlsVersion = 'TLSv1.2' | 'TLSv1.3';

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

/** What a client that was asked for a certificate answered with. */
export type ClientProofKind = 'none' | 'valid' | 'invalid';

export interface TlsCounters {
  handshakeDone(version: string, resumed: boolean): void;
  handshakeFailed(reason: HandshakeFailure): void;
  clientAsked(proof: ClientProofKind): void;
  contextHit(): void;
  contextMade(ok: boolean): void;
  contextEvicted(): void;
}

export interface TlsLog {
  debug(fields: object, message: string): void;
  error(fields: object, message: string): void;
}
