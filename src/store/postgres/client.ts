// One way to PostgreSQL for everything that talks to it: statements with placeholders, transactions, notifications, and
// what has become of the connection. What is stored is not known here.

/** Which PostgreSQL, and as whom. */
export interface PgAddress {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly password: string;
  readonly database: string;
  /** Where tables are looked for, and made. */
  readonly schema: string;
  /** Undefined: no TLS. */
  readonly tls:
    | {
        /** Whether its certificate must be valid for `host`. */
        readonly verify: boolean;
        /** PEM; undefined: the system's. */
        readonly trustedCertificates: string | undefined;
      }
    | undefined;
  /** For connecting, for the answer to each statement, and for a write's turn. */
  readonly timeoutMs: number;
  /** Connections that read; one more writes, one listens, and each snapshot has its own. */
  readonly poolSize: number;
}

/** A value of a parameter; arrays of strings and numbers are for `= ANY($1)` and `unnest`. */
export type PgValue =
  | string
  | number
  | boolean
  | null
  | readonly string[]
  | readonly (number | null)[]
  | readonly (string | null)[];

export type PgRow = Readonly<Record<string, string | number | boolean | null>>;

/** Statements of one transaction, or of any connection. @throws STORE_UNAVAILABLE where PostgreSQL cannot be reached or does not answer in time */
export interface PgStatements {
  /** @param sql placeholders are $1, $2, … 64-bit integers come back as numbers */
  query(sql: string, ...values: readonly PgValue[]): Promise<readonly PgRow[]>;
}

export interface PgTransaction extends PgStatements {
  /** Runs `work` under a savepoint: when it throws, what it wrote is undone, and the transaction goes on. */
  savepoint<T>(work: () => Promise<T>): Promise<T>;
  /**
   * A question that has an answer only when this transaction is committed. It is asked beside the transaction's number when
   * the answer to the commit was lost: a server that was killed may give a number that it had not written down out again.
   */
  witness(sql: string, ...values: readonly PgValue[]): void;
}

export type PgState =
  | { readonly kind: 'connected' }
  /** `reason` holds no secret. */
  | { readonly kind: 'unreachable'; readonly since: number; readonly reason: string };

export interface PgClient extends PgStatements, AsyncDisposable {
  readonly timeoutMs: number;
  readonly state: PgState;
  /** Called when `state` has changed kind. Returns the way to stop. */
  onState(changed: (state: PgState) => void): () => void;
  /**
   * `write`: read committed, over the one connection that writes; `rehearsal`: the same, never committed. `snapshot`: repeatable read, read only.
   * @param waitMaxMs how long at most one that is no snapshot waits for its turn here, and then for a lock that others hold;
   *   by default `timeoutMs`
   * @throws what `work` throws, rolled back; STORE_UNAVAILABLE; STORE_OUTCOME_UNKNOWN when the connection was lost while
   *   it committed and PostgreSQL could not be asked in time what became of it
   */
  transact<T>(
    kind: 'write' | 'rehearsal' | 'snapshot',
    work: (tx: PgTransaction) => Promise<T>,
    waitMaxMs?: number,
  ): Promise<T>;
  /** `listening` is called whenever notifications begin to arrive: at first, and after each time they were cut off. */
  listen(channel: string, heard: (payload: string) => void, listening: () => void): () => void;
}
