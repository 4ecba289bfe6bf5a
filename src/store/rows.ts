// What a database must be able to do so that transaction.ts can keep entities, bindings and changes true over it. Only
// primitives of one transaction: no rule about entities lives behind this interface.
import type {
  Api,
  AuditEntry,
  Binding,
  CaCertificate,
  Certificate,
  Change,
  HostPolicy,
  Plugin,
  Sni,
  Token,
} from '../model/entities.ts';
import type { StoreReader } from './contract.ts';

export interface Rows {
  /** Sees what this transaction wrote. */
  readonly read: StoreReader;
  readonly apis: Table<Api>;
  readonly plugins: Table<Plugin>;
  readonly certificates: Table<Certificate>;
  readonly snis: Table<Sni>;
  readonly tokens: Pick<Table<Token>, 'insert' | 'delete'>;
  readonly caCertificates: Table<CaCertificate>;
  readonly hostPolicies: Table<HostPolicy>;

  /** In the order of creation. */
  pluginsOfApi(apiId: string): Promise<readonly Plugin[]>;
  findPlugin(name: string, apiId: string | null): Promise<Plugin | undefined>;
  findPluginOfCertificate(certificateId: string): Promise<Plugin | undefined>;

  /** Of these ids of authorities, those that there are: without the rows, which may hold megabytes. */
  knownAuthorities(ids: readonly string[]): Promise<ReadonlySet<string>>;
  /** The id of one API or host policy whose rule names it. */
  holderOfAuthority(authorityId: string): Promise<string | undefined>;

  bindingsOf(holderId: string): Promise<readonly Binding[]>;
  /** Inserts, or replaces the one of that name. */
  bind(binding: Binding): Promise<void>;
  unbind(name: string): Promise<void>;

  /** Of these ids and names, those that are taken; a name by whoever binds it, or by an SNI. */
  known(wanted: {
    readonly certificateIds: readonly string[];
    readonly sniIds: readonly string[];
    readonly names: readonly string[];
  }): Promise<Known>;
  /** All of them, with their bindings and their changes from `position` on; the checks have been made. */
  insertMany(many: ManyRows): Promise<void>;

  /** Takes the next revision; called once a transaction at most. */
  takeRevision(): Promise<number>;
  appendChange(change: Change, position: number): Promise<void>;
  appendAudit(entries: readonly NewAuditEntry[]): Promise<void>;
  /** @param room rows that there may be before, of all subjects and of this one; undefined: any number */
  rememberIntermediate(
    subjectKey: string,
    sha256: string,
    pem: string,
    room: { readonly all: number; readonly ofSubject: number } | undefined,
  ): Promise<void>;

  /** Runs `work`; when it throws, what it wrote is undone, and the transaction goes on. */
  atomically<T>(work: () => Promise<T>): Promise<T>;
}

export type NewAuditEntry = Omit<AuditEntry, 'sequence'>;

export interface Known {
  readonly certificateIds: ReadonlySet<string>;
  readonly sniIds: ReadonlySet<string>;
  readonly names: ReadonlySet<string>;
}

export interface ManyRows {
  readonly certificates: readonly Certificate[];
  readonly snis: readonly Sni[];
  readonly bindings: readonly Binding[];
  readonly changes: readonly Change[];
  readonly audit: readonly NewAuditEntry[];
  readonly position: number;
}

/** `revision` is the one that last wrote the row. Update and delete are only called for a row that exists. */
export interface Table<E> {
  insert(entity: E, revision: number): Promise<void>;
  /** Keeps the place in the order of creation. */
  update(entity: E, revision: number): Promise<void>;
  delete(id: string): Promise<void>;
}
