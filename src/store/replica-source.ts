// What a replica copies from: snapshots of the truth, as rows of the tables that sqlite/schema.ts has too. PostgreSQL
// implements it; replica/ copies; store/sqlite/ writes the file.
import type { Change } from '../model/entities.ts';

/** Tables with a row for each entity. Every one has columns `sequence`, `id` and `revision`. */
export const entityTables = [
  'apis',
  'plugins',
  'certificates',
  'snis',
  'tokens',
  'ca_certificates',
  'host_policies',
] as const;
export type EntityTable = (typeof entityTables)[number];

/** A row: the columns of the table in sqlite/schema.ts by name, and no others. */
export type ReplicaRow = Readonly<Record<string, string | number | null>>;

export interface ReplicaSource {
  /**
   * All that `work` reads is of one revision, and nothing is locked.
   * @throws STORE_UNAVAILABLE, STORE_NEWER (its tables are not ones that this version can read)
   */
  snapshot<T>(work: (snapshot: Snapshot) => Promise<T>): Promise<T>;
  /** A nudge that carries no truth: perhaps there is something new. Also after each reconnect. Returns the way to stop. */
  onCommit(nudge: () => void): () => void;
}

export interface Snapshot {
  readonly revision: number;
  /**
   * The changes after `revision`, in order; undefined when they are forgotten, or more than `limit` rows: then compare
   * everything by `versions`.
   */
  changesSince(revision: number, limit: number): Promise<readonly Change[] | undefined>;
  /** Those that are there. */
  rows(table: EntityTable, ids: readonly string[]): Promise<readonly ReplicaRow[]>;
  /** The bindings that these holders have. */
  bindingsOf(holderIds: readonly string[]): Promise<readonly ReplicaRow[]>;
  /** In the order of `sequence`, those after it, at most `limit`: all columns, or only what says whether a row is known. */
  page(table: EntityTable, after: number, limit: number): Promise<readonly ReplicaRow[]>;
  versions(table: EntityTable, after: number, limit: number): Promise<readonly RowVersion[]>;
  /** In the order of `name`; `after` is undefined for the first page. */
  bindings(after: string | undefined, limit: number): Promise<readonly ReplicaRow[]>;
  /** `meta`: the probe of the keyring and the secrets, sealed; and what names this store, which no other store has. */
  meta(): Promise<Meta>;
  /** What tells this revision from another of the same number; undefined when its changes are forgotten. */
  mark(revision: number): Promise<string | undefined>;
  /** The certificate that is served when no other is chosen, as the one row there is. */
  defaultCertificate(): Promise<readonly ReplicaRow[]>;
  /** Whoever owns them. */
  certificateCount(): Promise<number>;
}

export type Meta = readonly { readonly key: string; readonly value: string }[];

/** A row with the same id and revision is the same row. */
export interface RowVersion {
  readonly sequence: number;
  readonly id: string;
  readonly revision: number;
}
