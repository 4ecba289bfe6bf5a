// What the data plane may ask. Every answer comes from memory or the local file; nothing here waits for the network.

/** A certificate as a handshake needs it: the pairs to put in a TLS context, keys still sealed. */
export interface CertificateRecord {
  readonly id: string;
  /** The revision that last wrote this row: a context made for another revision of it is out of date. */
  readonly revision: number;
  readonly pairs: readonly SealedPair[];
}

export interface SealedPair {
  /** PEM, leaf first. */
  readonly chain: string;
  readonly sealedKey: string;
  readonly publicKeySha256: string;
  readonly fingerprint: string;
}

export interface CertificateCatalog {
  /** The certificate bound to the first of `names`, at most five, that is bound (model/host-name `selectionOrder`). */
  findCertificate(names: readonly string[]): CertificateRecord | undefined;
  /**
   * The id of the certificate bound to the first of `names` that is bound, when its row is not in the local file: a replica
   * that is being filled has all names before it has all certificates. Asked only where `findCertificate` found none.
   */
  absentCertificate(names: readonly string[]): string | undefined;
  /** The default certificate that the store made at first start. */
  storedDefault(): CertificateRecord | undefined;
  /** Grows with every applied change that may alter an answer above; cached answers of an older epoch are void. */
  readonly certificateEpoch: number;
}

/** What a host or an API demands of clients: as model/entities has it. */
export interface ClientCertificateRule {
  readonly mode: 'optional' | 'required';
  /** Ids. None: nobody's certificate is good enough. */
  readonly authorities: readonly string[];
  readonly depth: number;
}

export interface HostPolicy {
  /** The name it was written for. */
  readonly name: string;
  readonly clientCertificate: ClientCertificateRule | undefined;
  readonly minVersion: 'TLSv1.2' | 'TLSv1.3' | undefined;
  /** OpenSSL's string, TLS 1.3 suites among it. */
  readonly ciphers: string | undefined;
}

export interface Authority {
  readonly id: string;
  /** Another one whenever the row may be another: what was read of it is then out of date. */
  readonly version: string;
  readonly fingerprint: string;
  /** PEM. */
  readonly certificate: string;
  /** Its text may be long: `findRevocationList`. */
  readonly hasRevocationList: boolean;
}

export interface PolicyCatalog {
  /**
   * The policy of the first of `names` that has one (model/host-name `policyOrder`). No merging: the most specific holds
   * alone.
   */
  findHostPolicy(names: readonly string[]): HostPolicy | undefined;
  /** Undefined: nobody's certificate stands on it. */
  findAuthority(id: string): Authority | undefined;
  /** Those with this subject, written as x509/certificate has it, in upper or lower case. Keys tell them apart. */
  findAuthoritiesBySubject(subject: string): readonly Authority[];
  /** PEM, read anew each time. Undefined: there is none any more, or it cannot be read. */
  findRevocationList(authorityId: string): string | undefined;
  /**
   * The rules of the APIs that a request for this host may match, those without hosts included, each once.
   * @param host in normal form, without port; `` when none was named
   */
  clientCertificateRules(host: string): readonly ClientCertificateRule[];
  /** Grows with every applied change that may alter an answer above. */
  readonly policyEpoch: number;
  /** No policy and no rule anywhere: nothing else has to be asked. */
  readonly hasPolicies: boolean;
}

/** Where and how one API's requests go. Immutable: an exchange keeps the one it matched from start to end. */
export interface Route {
  readonly apiId: string;
  readonly apiName: string;
  readonly upstream: Upstream;
  readonly stripUri: boolean;
  readonly preserveHost: boolean;
  /** Refuse plain HTTP with 426: the API's https_only or its ssl plugin's only_https. */
  readonly httpsOnly: boolean;
  /** … unless a proxy in front terminated TLS and said so. */
  readonly httpIfTerminated: boolean;
  readonly retries: number;
  readonly connectTimeoutMs: number;
  readonly sendTimeoutMs: number;
  readonly readTimeoutMs: number;
  /** What it demands of clients, beside what the host does. */
  readonly clientCertificate: ClientCertificateRule | undefined;
  /** Strict-Transport-Security of its responses over TLS; undefined: the upstream's. */
  readonly hsts: string | undefined;
}

export interface Upstream {
  readonly tls: boolean;
  /** It speaks HTTP/2 (`grpc`, `grpcs`), else HTTP/1.1. */
  readonly http2: boolean;
  /** Name or address, without brackets. */
  readonly host: string;
  readonly port: number;
  /** Path of upstream_url without its trailing slash: `` or `/base`. */
  readonly path: string;
  /** The Host field sent when preserve_host is off: the port only where it is not the scheme's. */
  readonly authority: string;
  /** Identity of the connection pool: scheme, host and port. */
  readonly key: string;
}

export interface RouteMatch {
  readonly route: Route;
  /** The path prefix that matched, `` when none took part: what stripUri removes and X-Forwarded-Prefix names. */
  readonly prefix: string;
}

export interface RouteCatalog {
  /**
   * @param host in normal form, without port; `` when the request named none
   * @param path the request target's path, still encoded, beginning with `/`
   */
  readonly matchRoute: (method: string, host: string, path: string) => RouteMatch | undefined;
}
