// What a store promises, whatever keeps it. test/contracts/store.ts runs against every implementation.
//
// One writer at a time: transactions are serialised, each takes the next revision, and commit order is revision order
// without gaps. A transaction that writes nothing takes no revision. An acknowledged transaction survives kill -9 and
// loss of power. A transaction whose work throws leaves no trace.
import type { PortunusError } from '../lib/errors.ts';
import type {
  Api,
  AuditEntry,
  Binding,
  CaCertificate,
  Certificate,
  Change,
  EntityKind,
  HostPolicy,
  Plugin,
  Sni,
  Token,
} from '../model/entities.ts';

/** How long a transaction may hold up the others. */
export const transactionTimeoutMs = 30_000;

/** Transactions that may wait for their turn. */
export const transactionsWaitingMax = 10_000;

/** How much of the audit trail is kept. */
export interface AuditLimits {
  readonly keptForMs: number;
  readonly rowsMax: number;
}

/** Where the configuration says nothing else. */
export const auditLimits: AuditLimits = { keptForMs: 90 * 24 * 3_600_000, rowsMax: 100_000 };

/** Joined by AND. Times are milliseconds since the epoch, `until` is not among them. */
export interface AuditFilter {
  readonly entity?: EntityKind | undefined;
  readonly id?: string | undefined;
  readonly actor?: string | undefined;
  readonly revision?: number | undefined;
  readonly since?: number | undefined;
  readonly until?: number | undefined;
}

export interface AuditPage {
  readonly entries: readonly AuditEntry[];
  /** The sequence before which to go on, also when there were few or no entries so far; undefined at the end. */
  readonly next: number | undefined;
}

/** The largest page of a list. */
export const pageSizeMax = 1000;

export interface Page {
  /** 1 to `pageSizeMax`. */
  readonly size: number;
  /** The cursor of the previous page; undefined for the first. */
  readonly after?: string | undefined;
}

export interface Paged<E> {
  readonly items: readonly E[];
  /** Undefined on the last page. */
  readonly next: string | undefined;
}

/** Fields joined by AND. A tag filter is AND (`all`) or OR (`any`). */
export interface ApiFilter {
  readonly id?: string | undefined;
  readonly name?: string | undefined;
  readonly host?: string | undefined;
  readonly uri?: string | undefined;
  readonly upstreamUrl?: string | undefined;
}
export interface PluginFilter {
  readonly id?: string | undefined;
  readonly name?: string | undefined;
  /** null: global plugins only. */
  readonly apiId?: string | null | undefined;
  readonly enabled?: boolean | undefined;
}
export interface TagFilter {
  readonly tags?: { readonly all: readonly string[] } | { readonly any: readonly string[] } | undefined;
}
/** Lists certificates owned by `admin`, unless `owner` says otherwise. */
export interface CertificateFilter extends TagFilter {
  readonly owner?: 'admin' | 'plugin' | 'default' | 'any' | undefined;
  /** Those that expire at `from` or later and before `before`; milliseconds, either may be left out. Not with `tags`. */
  readonly expires?: { readonly from?: number | undefined; readonly before?: number | undefined } | undefined;
}
export interface SniFilter extends TagFilter {
  readonly certificateId?: string | undefined;
}

/** Lists come in the order of creation; certificates asked for by expiry come in that order, the soonest first. */
export interface Collection<E, F> {
  get(id: string): Promise<E | undefined>;
  /** @throws CURSOR_INVALID */
  list(page: Page, filter?: F): Promise<Paged<E>>;
  count(filter?: F): Promise<number>;
}

export interface Expiry {
  readonly id: string;
  /** One of the names bound to it, else its subject. */
  readonly name: string;
  /** Of the sooner of its pairs, or of an authority and its list; milliseconds since the epoch. */
  readonly notAfter: number;
}

/** A stored certificate, as far as it takes to tell whether it is the same, and whether it can be used. */
export interface Leaf {
  readonly certificateId: string;
  /** SHA-256 of the leaf's DER, hex. */
  readonly fingerprint: string;
  readonly sealedKey: string;
  /** Of the second pair. */
  readonly fingerprintAlt: string | null;
  readonly sealedKeyAlt: string | null;
}

/** An intermediate certificate known from the chain of another one. */
export interface Intermediate {
  /** The key of its subject (x509 `nameKey`). */
  readonly subjectKey: string;
  readonly pem: string;
}

export interface FoundIntermediate extends Intermediate {
  /** It leads to a root that clients have: nobody else than its CA can have made it. */
  readonly isAnchored?: boolean;
}

export const unanchoredMax = 2_000;
export const unanchoredOfOneSubjectMax = 8;

/** How many certificates hold a private key sealed under this master key of the keyring. */
export interface KeyUse {
  readonly keyId: string;
  readonly certificates: number;
  /** One of the store's own secrets that is sealed under it: it tells a key from another one with the same id. */
  readonly sample: { readonly sealed: string; readonly binding: string } | undefined;
}

export interface StoreReader {
  readonly apis: Collection<Api, ApiFilter> & { findByName(name: string): Promise<Api | undefined> };
  readonly plugins: Collection<Plugin, PluginFilter>;
  readonly certificates: Collection<Certificate, CertificateFilter>;
  readonly snis: Collection<Sni, SniFilter> & {
    findByName(name: string): Promise<Sni | undefined>;
    /** All SNIs of a certificate, sorted by name. */
    ofCertificate(certificateId: string): Promise<readonly Sni[]>;
  };
  readonly tokens: Collection<Token, undefined> & {
    findByName(name: string): Promise<Token | undefined>;
    findByPrefix(prefix: string): Promise<Token | undefined>;
  };
  readonly caCertificates: Collection<CaCertificate, TagFilter> & {
    findByFingerprint(fingerprint: string): Promise<CaCertificate | undefined>;
  };
  readonly hostPolicies: Collection<HostPolicy, undefined> & {
    findByName(name: string): Promise<HostPolicy | undefined>;
  };
  /** Who holds a name, by whatever door it was bound. */
  binding(name: string): Promise<Binding | undefined>;
  /** For many at once: what these names are bound to, and which of these certificates there are. The others are left out. */
  leaves(wanted: { readonly names: readonly string[]; readonly certificateIds: readonly string[] }): Promise<{
    readonly byName: ReadonlyMap<string, Leaf>;
    readonly byId: ReadonlyMap<string, Leaf>;
  }>;
  /** Intermediate certificates (PEM) known from other chains whose subject has this key (x509 `nameKey`). */
  intermediates(subjectKey: string): Promise<readonly string[]>;
  /** All of those, in one order that stays: at most `limit` after this one, or from the first. */
  rememberedIntermediates(after: Intermediate | undefined, limit: number): Promise<readonly Intermediate[]>;
  /** The `limit` certificates that expire first, whoever owns them. */
  soonestToExpire(limit: number): Promise<readonly Expiry[]>;
  /** The `limit` authorities that run out first, by their subjects: they, or their lists. */
  authoritiesSoonestToExpire(limit: number): Promise<readonly Expiry[]>;
  /** Every master key under which something is sealed, the store's own secrets included; in the order of their ids. */
  keysInUse(): Promise<readonly KeyUse[]>;
  /** Certificates of any owner with a private key that is sealed under another key, at most `limit`. */
  certificatesNotSealedUnder(keyId: string, limit: number): Promise<readonly Certificate[]>;
  /** As it is stored, sealed under the keyring; undefined until it is first used. */
  sealedSecret(name: 'ticket'): Promise<string | undefined>;
  /** The latest first, those before that sequence, at most `limit`. A replica has none. */
  audit(before: number | undefined, limit: number, filter?: AuditFilter): Promise<AuditPage>;
  revision(): Promise<number>;
  /**
   * In order, those after `revision`: at most `limit` rows, save that a revision is never cut, its last rows come along.
   * Old ones are forgotten: when the first one is not of `revision + 1`, read the entities anew.
   */
  changesSince(revision: number, limit: number): Promise<readonly Change[]>;
}

/**
 * Writes. `insert`, `replace` and `delete` keep the bindings of names true in the same transaction:
 * an Sni binds its name; an enabled ssl plugin binds the host names of its API (host names that TLS clients can send: no
 * IP addresses), or the empty name when it is global. Whoever's bindings change has a row of `changes` in that revision.
 * A name that moves is let go first: delete or replace its holder, then insert the next. Each call happens whole or not
 * at all, so that `work` may catch its error and go on.
 *
 * TypeErrors, since callers look first inside the same transaction: `replace` and `delete` of a missing id; a plugin whose
 * certificate is not owned by it (insert the certificate first, later replace it in place); another owner for a
 * certificate; deleting a certificate that a plugin serves; any call after `work` has ended.
 *
 * @throws NAME_ALREADY_BOUND facts: `{name, holder: BindingHolder, certificateId}`
 * @throws UNIQUE_VIOLATION facts: `{entity, field, value}` — id; api.name; token.name; token.prefix; ca_certificate.fingerprint; host_policy.name; plugin (name, apiId), field `name`; sni.name (only
 *   when held by another Sni; held by a plugin it is NAME_ALREADY_BOUND)
 * @throws REFERENCE_MISSING facts: `{entity, field, value}` — plugin.apiId, sni.certificateId, plugin.certificateId; an
 *   authority of the clientCertificate of an api or host_policy
 * @throws STILL_REFERENCED facts: `{entity, id, by: 'api' | 'host_policy', holderId}` — a ca_certificate that a rule names is deleted
 */
export interface StoreTransaction extends StoreReader {
  readonly apis: StoreReader['apis'] & Writable<Api>;
  readonly plugins: StoreReader['plugins'] & Writable<Plugin>;
  readonly certificates: StoreReader['certificates'] & Writable<Certificate>;
  readonly snis: StoreReader['snis'] & Writable<Sni>;
  /** Another secret, role or time is another token. */
  readonly tokens: StoreReader['tokens'] & Pick<Writable<Token>, 'insert' | 'delete'>;
  readonly caCertificates: StoreReader['caCertificates'] & Writable<CaCertificate>;
  readonly hostPolicies: StoreReader['hostPolicies'] & Writable<HostPolicy>;
  /**
   * Inserts certificates with their SNIs, in order, as `certificates.insert` and `snis.insert` would, but many at once and
   * so in few round trips. An item whose error is one of these codes is left out, whole, and the others are written.
   * @returns for each item its error, or undefined
   */
  insertCertificates(items: readonly CertificateWithSnis[]): Promise<readonly (PortunusError | undefined)[]>;
  /** The same for SNIs of certificates that are there. */
  insertSnis(snis: readonly Sni[]): Promise<readonly (PortunusError | undefined)[]>;
  /**
   * Remembers intermediates of an accepted chain. Not entities: takes no revision by itself. Of those that are not anchored
   * `unanchoredMax` are kept, and `unanchoredOfOneSubjectMax` of a subject: anyone can make more, to crowd out or to fill up.
   */
  rememberIntermediates(found: readonly FoundIntermediate[]): Promise<void>;
}

export interface CertificateWithSnis {
  readonly certificate: Certificate;
  /** Of this certificate. */
  readonly snis: readonly Sni[];
}

/**
 * Deleting cascades: an API takes its plugins, a plugin its certificate, a certificate its SNIs. Each deleted entity has
 * its own row of `changes`.
 */
export interface Writable<E> {
  insert(entity: E): Promise<void>;
  replace(entity: E): Promise<void>;
  delete(id: string): Promise<void>;
}

export interface Committed<T> {
  readonly value: T;
  /** The revision this transaction took, or the latest one when it wrote nothing. */
  readonly revision: number;
}

export interface Store extends StoreReader, AsyncDisposable {
  /**
   * Transactions wait for one another, for some seconds at most (PostgreSQL: pg_timeout; embedded: 5): one inside another's
   * `work` is a TypeError, and `work` that takes longer than `transactionTimeoutMs` is given up.
   * @throws whatever `work` throws, with nothing written; STORE_UNAVAILABLE (disk full, database gone, others hold the store, too many waiting),
   *   with nothing written either; STORE_OUTCOME_UNKNOWN; STORE_NEWER
   */
  transact<T>(actor: string, work: (tx: StoreTransaction) => Promise<T>): Promise<Committed<T>>;
  /** For dry runs: the same work and the same errors, and never a commit. */
  rehearse<T>(actor: string, work: (tx: StoreTransaction) => Promise<T>): Promise<T>;
  /**
   * A nudge that carries no truth: at once after each commit of this store, with its revision; within a second or two
   * after one of another process or node, with a revision that somebody told. Returns the way to stop.
   */
  onCommit(nudge: (revision: number) => void): () => void;
  /** The cluster's secrets, sealed in the store, made on first use: 32 bytes. */
  secret(name: 'ticket'): Promise<Buffer>;
  /**
   * Puts another store's secret, as `sealedSecret` gave it, in the place of this one's. Nodes that run keep the one they
   * began with.
   * @returns whether there was another one
   * @throws KEYRING_MISMATCH; and as `transact`
   */
  adoptSecret(name: 'ticket', sealed: string): Promise<boolean>;
  /**
   * Seals the store's own secrets anew under the key that seals now, those that are under another one. Certificates are
   * sealed anew by writing them.
   */
  resealSecrets(): Promise<void>;
}
