// The nodes of a cluster as the shared store keeps them. Which of them count, and who waits for them, is replica/'s.

/** How a node presents itself. `id` is kept in its data directory; `instance` is new with each start. */
export interface NodeIdentity {
  readonly id: string;
  readonly instance: string;
  readonly name: string;
  /** Where people find it; `` when nobody said. */
  readonly address: string;
  readonly version: string;
}

export interface NodeReport {
  /** The revision that all its workers have applied; undefined before there is one. */
  readonly applied: number | undefined;
  /** `filling`: its replica still lacks certificates, which it fetches one by one when a client asks. */
  readonly state: 'filling' | 'serving' | 'stopping';
  /** Ids of the keys of its keyring, the one that seals first. Ids are no secrets. */
  readonly keyIds: readonly string[];
}

export interface NodeRecord extends NodeIdentity, NodeReport {
  /** Milliseconds since the epoch, by the store's clock, as `silentMs` is. */
  readonly startedAt: number;
  /** How long it has given no sign of life. */
  readonly silentMs: number;
}

/** A node as the others of its cluster see it. */
export interface ClusterNode extends NodeRecord {
  readonly live: boolean;
  readonly thisNode: boolean;
}

/** Which live nodes have applied a revision, and which have not. */
export interface AppliedByAll {
  readonly revision: number;
  /** Milliseconds since the commit, as this node heard of it. */
  readonly applied: readonly { readonly id: string; readonly name: string; readonly ms: number }[];
  readonly lagging: readonly {
    readonly id: string;
    readonly name: string;
    readonly applied: number | undefined;
    readonly silentMs: number;
  }[];
  /** False when the other nodes could not be asked for: nothing is known of them. */
  readonly known: boolean;
}

/** All of these throw STORE_UNAVAILABLE. */
export interface NodeRegistry {
  /** Puts the node in, or in the place of an earlier instance of it. */
  register(identity: NodeIdentity, report: NodeReport): Promise<void>;
  /**
   * A sign of life, which every node that listens hears of. Not durable: the next one follows soon.
   * @returns false when another instance has taken this id: two data directories are copies of each other
   */
  report(identity: NodeIdentity, report: NodeReport): Promise<boolean>;
  /** A node that stops in order leaves at once. */
  leave(identity: NodeIdentity): Promise<void>;
  /** In the order of their names. */
  list(): Promise<readonly NodeRecord[]>;
  /**
   * Called when somebody has reported: `list` may tell something new. It may be lost, and anyone may make it up. Returns the
   * way to stop.
   */
  onReport(heard: () => void): () => void;
}
