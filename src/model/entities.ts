// The entities as the store keeps them: validated, normalised, in one shape whatever dialect they were written in.
// How they look on the wire is admin's; how the data plane uses them is catalog's.

/** Milliseconds since the epoch. Dialects that answer seconds divide. */
export type Milliseconds = number;

/** The dialect an API was written in decides the field names it is answered with. `0.9`: request_host, request_path. */
export type ApiDialect = '0.9' | '0.12';

export interface Api {
  readonly id: string;
  readonly name: string;
  readonly dialect: ApiDialect;
  /** Normal form (model/host-name); wildcards allowed. Dialect 0.9 holds at most one. */
  readonly hosts: readonly string[];
  /** Path prefixes, matched by whole segments; `/` or without a trailing slash. Dialect 0.9 holds at most one. */
  readonly uris: readonly string[];
  /** Upper case. Empty: any. */
  readonly methods: readonly string[];
  readonly upstreamUrl: string;
  readonly stripUri: boolean;
  readonly preserveHost: boolean;
  readonly httpsOnly: boolean;
  readonly httpIfTerminated: boolean;
  /** 0 to 32767. */
  readonly retries: number;
  readonly upstreamConnectTimeoutMs: number;
  readonly upstreamSendTimeoutMs: number;
  readonly upstreamReadTimeoutMs: number;
  readonly createdAt: Milliseconds;
  /** Null: clients show no certificate. */
  readonly clientCertificate: ClientCertificateRule | null;
  /** Null: what the upstream says of it is the client's. */
  readonly hsts: StrictTransportSecurity | null;
}

/** What is demanded of clients: a certificate that stands on one of some authorities. */
export interface ClientCertificateRule {
  /** `optional`: a client may show none, but not a bad one. */
  readonly mode: 'optional' | 'required';
  /** Ids of CaCertificates, sorted; one at least. */
  readonly authorities: readonly string[];
  /** How many intermediates may stand between the client's certificate and the authority: 0 to 10. */
  readonly depth: number;
}

/** RFC 6797: what `Strict-Transport-Security` says. */
export interface StrictTransportSecurity {
  /** Seconds. */
  readonly maxAge: number;
  readonly includeSubdomains: boolean;
  readonly preload: boolean;
}

/** An authority: a CA certificate that clients' certificates may stand on. */
export interface CaCertificate {
  readonly id: string;
  /** PEM, one block, ended by a newline. */
  readonly certificate: string;
  /** SHA-256 of its DER, hex. No two have the same. */
  readonly fingerprint: string;
  readonly subject: string;
  readonly notBefore: Milliseconds;
  readonly notAfter: Milliseconds;
  /** The certificates it has revoked: PEM, one block, signed by it. */
  readonly crl: string | null;
  /** From then on its list may not be believed; null: there is none, or it says nothing. */
  readonly crlNextUpdate: Milliseconds | null;
  readonly tags: readonly string[];
  readonly createdAt: Milliseconds;
  readonly updatedAt: Milliseconds;
}

/** From then on nobody's certificate stands on it: it has expired, or its list may not be believed. */
export function expiryOf({ notAfter, crlNextUpdate }: CaCertificate): Milliseconds {
  return Math.min(notAfter, crlNextUpdate ?? Infinity);
}

export type TlsVersion = 'TLSv1.2' | 'TLSv1.3';

/** TLS settings of a host name, and what it demands of clients. The most specific name alone holds: none is added to another. */
export interface HostPolicy {
  readonly id: string;
  /** Normal form; wildcards allowed. */
  readonly name: string;
  readonly clientCertificate: ClientCertificateRule | null;
  /** Null: the setting `ssl_min_version`. */
  readonly minVersion: TlsVersion | null;
  /** OpenSSL's list; null: the setting `ssl_ciphers`. */
  readonly ciphers: string | null;
  readonly createdAt: Milliseconds;
  readonly updatedAt: Milliseconds;
}

/** The ssl plugin: on one API, or global when `apiId` is null. Its certificate is a Certificate owned by the plugin. */
export interface Plugin {
  readonly id: string;
  readonly name: 'ssl';
  readonly apiId: string | null;
  readonly enabled: boolean;
  readonly config: SslPluginConfig;
  readonly certificateId: string;
  readonly createdAt: Milliseconds;
}

export interface SslPluginConfig {
  readonly onlyHttps: boolean;
  readonly acceptHttpIfAlreadyTerminated: boolean;
}

export type KeyType = 'rsa' | 'ec' | 'ed25519' | 'ed448';

/** A chain and its sealed key, with the facts that are asked about them. */
export interface KeyPair {
  /** PEM, leaf first, root left out, each block ended by a newline. */
  readonly chain: string;
  /** PKCS#8 PEM under the keyring (store/sealing). Plain keys are never stored. */
  readonly sealedKey: string;
  /** SHA-256 of the DER SubjectPublicKeyInfo, hex. */
  readonly publicKeySha256: string;
  /** SHA-256 of the leaf's DER, hex. */
  readonly fingerprint: string;
  readonly keyType: KeyType;
  /** RSA: modulus bits. EC: curve bits. */
  readonly keyBits: number;
  readonly subject: string;
  readonly issuer: string;
  readonly serialNumber: string;
  /** DNS names of the subjectAltName extension, lower case; the common name where there is none. */
  readonly dnsNames: readonly string[];
  readonly notBefore: Milliseconds;
  readonly notAfter: Milliseconds;
}

export type CertificateOwner =
  | { readonly kind: 'admin' }
  | { readonly kind: 'plugin'; readonly pluginId: string }
  /** The certificate made at first start, served when no other is chosen. */
  | { readonly kind: 'default' };

/** Leaf, chain and key as one record, and perhaps a second pair of another key type. */
export interface Certificate {
  readonly id: string;
  readonly owner: CertificateOwner;
  readonly primary: KeyPair;
  readonly alternative: KeyPair | null;
  readonly tags: readonly string[];
  readonly createdAt: Milliseconds;
  readonly updatedAt: Milliseconds;
}

/** A name of a certificate, as `/snis` holds it. */
export interface Sni {
  readonly id: string;
  /** Normal form; wildcards allowed. */
  readonly name: string;
  readonly certificateId: string;
  readonly tags: readonly string[];
  readonly createdAt: Milliseconds;
  readonly updatedAt: Milliseconds;
}

/** `admin` may do everything, `certificates` read and write certificates and their names, `read` read everything. */
export type TokenRole = 'admin' | 'certificates' | 'read';

/** Lets a caller of the Admin API in. What the caller keeps is not stored, only what it is checked by. */
export interface Token {
  readonly id: string;
  readonly name: string;
  readonly role: TokenRole;
  /** The part of it that is no secret, by which it is found. */
  readonly prefix: string;
  /** SHA-256 of its secret part, hex. */
  readonly hash: string;
  readonly createdAt: Milliseconds;
  /** From then on it lets nobody in; null: never. */
  readonly expiresAt: Milliseconds | null;
}

/** Who bound a name to a certificate. The empty name stands for every client that no other name serves. */
export interface Binding {
  readonly name: string;
  readonly certificateId: string;
  readonly holder: BindingHolder;
}

export type BindingHolder =
  | { readonly kind: 'sni'; readonly id: string }
  | { readonly kind: 'plugin'; readonly id: string };

export type EntityKind = 'api' | 'plugin' | 'certificate' | 'sni' | 'token' | 'ca_certificate' | 'host_policy';

export type Operation = 'create' | 'update' | 'delete';

export type Entity = Api | Plugin | Certificate | Sni | Token | CaCertificate | HostPolicy;

/** Who changed what, when: kept for people, for longer than changes are for nodes. */
export interface AuditEntry extends Change {
  /** In the order of writing. */
  readonly sequence: number;
  /** Of what it was and what it became: SHA-256 of a certificate's leaf, of anything else as a whole. Null: it was not there. */
  readonly before: string | null;
  readonly after: string | null;
}

/** One row of the log of changes: what a revision did to which entity. */
export interface Change {
  readonly revision: number;
  readonly entity: EntityKind;
  readonly id: string;
  readonly operation: Operation;
  readonly actor: string;
  readonly at: Milliseconds;
}
