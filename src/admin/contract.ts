// What the Admin API needs from the rest of the process, and what a route of it is.
import type { TObject, TSchema } from 'typebox';
import type { ErrorCode } from '../lib/errors.ts';
import type { Log } from '../observe/contract.ts';
import type { Store } from '../store/contract.ts';
import type { AppliedByAll, ClusterNode } from '../store/node-registry.ts';
import type { Sealer } from '../store/sealer.ts';
import type { RequestBody } from './bodies/fields.ts';
import type { Wait } from './wait.ts';

/** The part of the configuration that the Admin API reads. */
export interface AdminConfig {
  readonly adminBodyMaxBytes: number;
  /** Wrong tokens that an address may send within a minute. */
  readonly adminAuthFailuresMax: number;
  readonly adminPrivateKeys: 'sealed' | 'visible';
  /** Names with dots, lower case, that a Host field may have besides localhost and this machine's own. */
  readonly adminHosts: readonly string[];
  readonly sslMinRsaBits: number;
  readonly trustedIpsConfigured: boolean;
}

export interface AdminDeps {
  readonly store: Store;
  /** Of this machine, so that callers are known while the store is away. */
  readonly tokens: Pick<Store['tokens'], 'findByPrefix'>;
  readonly sealer: Sealer;
  readonly config: AdminConfig;
  /** Resolves when every worker of this node has applied the revision, or after a bounded time with `applied: false`. */
  whenApplied(revision: number): Promise<{ readonly applied: boolean }>;
  /**
   * What each live node has applied by the time that all have, or `timeoutMs` (by default the configuration's) is over.
   * @param committedAt as `performance.now()` tells it
   */
  whenAppliedByAll(revision: number, committedAt: number, timeoutMs: number | undefined): Promise<AppliedByAll>;
  /** @throws STORE_UNAVAILABLE */
  nodes(): Promise<readonly ClusterNode[]>;
  /** Undefined while the store can be reached; else why not. */
  storeTrouble(): string | undefined;
  /** What `/status` adds: connections, workers, certificates that cannot be used. */
  status(): Promise<object>;
  /** Called once for every certificate sent. `code` is the first problem of a refused one. Dry runs do not count. */
  countUpload(result: 'accepted' | 'refused', code: string | undefined): void;
  /** Called once for every request that is turned away for who sent it: codes that begin with ADMIN_. */
  countRefusal(code: ErrorCode): void;
  readonly log: Log;
  /** Milliseconds since the epoch. */
  now(): number;
  readonly version: string;
  /** The settings as `/` shows them; secrets are already redacted. */
  readonly settings?: Readonly<Record<string, unknown>> | undefined;
}

/** `seed`: Kong 0.9 to 0.12. `today`: Kong 3. `own`: neither has a word for it. */
export type Dialect = 'seed' | 'today' | 'own';

type Method = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';

/** One request, parsed as far as its route's schemas go. */
export interface Call {
  readonly params: Readonly<Record<string, string>>;
  readonly query: URLSearchParams;
  readonly body: RequestBody;
  /** Who did it, for the log of changes: `token:ci`, `admin:127.0.0.1`. */
  readonly actor: string;
  /** Scheme and authority as the client wrote them, for absolute links. */
  readonly origin: string;
  readonly dryRun: boolean;
  readonly force: boolean;
  /** Whether the answer of a write waits for every node. */
  readonly wait: Wait;
}

export interface Answer {
  readonly status: number;
  /** Undefined: no body. */
  readonly body?: object | undefined;
  readonly headers?: Readonly<Record<string, string | readonly string[]>> | undefined;
}

export interface Route {
  readonly method: Method;
  /** `/apis/:api/plugins/:plugin` */
  readonly path: string;
  readonly dialect: Dialect;
  readonly summary: string;
  /** Query parameters of a list. Those of writes are `writeQuery`. */
  readonly query?: TObject | undefined;
  readonly body?: TObject | undefined;
  /** The body of the success answer by status; null: none. */
  readonly answers: Readonly<Record<number, TSchema | null>>;
  readonly handle: (call: Call) => Promise<Answer>;
}
