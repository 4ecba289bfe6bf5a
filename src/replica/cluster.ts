// This node among the others: gives signs of life, tells what it has applied, and knows when all have applied a revision.
// What others have applied is read from the rows of the registry; a report that is heard says only that it is time to read.
import { coalesce } from '../lib/coalesce.ts';
import { within } from '../lib/within.ts';
import type { AppliedByAll, ClusterNode, NodeIdentity, NodeRegistry, NodeReport } from '../store/node-registry.ts';

/** How often a node gives a sign of life, and looks for those of the others while somebody waits for them. */
const heartbeatMs = 1000;
const lookMs = 200;
const leaveTimeoutMs = 1000;

export interface Cluster extends AsyncDisposable {
  /** What this node has applied has grown, or its state has changed. */
  changed(): void;
  /** @throws STORE_UNAVAILABLE */
  nodes(): Promise<readonly ClusterNode[]>;
  /**
   * Resolves when every live node has applied `revision`, or after `timeoutMs`. A node that gives no sign of life for
   * `nodeTimeoutMs` is no longer waited for; one that joins meanwhile is, since it loads what is there.
   * @param committedAt as `performance.now()` tells it
   */
  whenAppliedByAll(revision: number, committedAt: number, timeoutMs: number): Promise<AppliedByAll>;
}

export interface ClusterOptions {
  readonly registry: NodeRegistry;
  readonly identity: NodeIdentity;
  readonly report: () => NodeReport;
  readonly nodeTimeoutMs: number;
  /** Keeps a fresh id for this node, in the place of one that another has too. */
  readonly renewId: () => string;
  readonly log: { warn(facts: object, message: string): void; error(facts: object, message: string): void };
}

export function joinCluster(options: ClusterOptions): Cluster {
  const { registry, nodeTimeoutMs, report, log } = options;
  let { identity } = options;
  const list = coalesce(() => registry.list());
  const waiters = new Set<Waiter>();
  let looking = false;
  let heard = Promise.withResolvers<void>();
  let registered = false;
  let stopped = false;
  let due = true;
  let reporting: Promise<void> | undefined;

  const stopHearing = registry.onReport(hear);
  const timer = setInterval(changed, heartbeatMs).unref();
  changed();

  return {
    changed,
    nodes,
    whenAppliedByAll(revision, committedAt, timeoutMs) {
      return new Promise((resolve) => {
        const waiter = new Waiter(revision, committedAt, (answer) => {
          clearTimeout(expiry);
          waiters.delete(waiter);
          resolve(answer);
        });
        const expiry = setTimeout(() => waiter.finish(), timeoutMs);
        waiters.add(waiter);
        if (looking) hear();
        else void look();
      });
    },
    async [Symbol.asyncDispose]() {
      stopped = true;
      clearInterval(timer);
      stopHearing();
      const left = (reporting ?? Promise.resolve()).then(() => registry.leave(identity)).catch(() => undefined);
      await within(leaveTimeoutMs, left);
    },
  };

  async function nodes(): Promise<readonly ClusterNode[]> {
    const found = await list();
    return found.map((node) => {
      const thisNode = node.id === identity.id;
      return { ...node, ...(thisNode && report()), thisNode, live: thisNode || node.silentMs <= nodeTimeoutMs };
    });
  }

  function hear(): void {
    heard.resolve();
  }

  /** Reads the list for all who wait, over and over: whoever died meanwhile is not waited for. */
  async function look(): Promise<void> {
    looking = true;
    while (waiters.size > 0) {
      // What is heard while the list is read may not be in it.
      heard = Promise.withResolvers();
      // A list that was asked for before somebody's write says nothing of it.
      const asking = [...waiters];
      const known = await nodes().catch(() => undefined);
      for (const waiter of asking) if (waiters.has(waiter)) waiter.see(known);
      if (waiters.size === 0) break;
      const later = setTimeout(hear, lookMs);
      await heard.promise;
      clearTimeout(later);
    }
    looking = false;
  }

  /** One report at a time; what changes meanwhile is in the next. */
  function changed(): void {
    due = true;
    reporting ??= tell().finally(() => {
      reporting = undefined;
      if (due && registered && !stopped) changed();
    });
  }

  async function tell(): Promise<void> {
    due = false;
    if (stopped) return;
    try {
      if (registered && !(await registry.report(identity, report()))) {
        log.error(
          { id: identity.id },
          'another node has the id of this one: its data directory is a copy; this one takes a new id',
        );
        identity = { ...identity, id: options.renewId() };
        registered = false;
      }
      if (!registered) {
        await registry.register(identity, report());
        registered = true;
      }
    } catch {
      // The store is away, which is told elsewhere; the next sign of life is a second away.
    }
  }
}

/** Somebody who wants to know when a revision is applied everywhere. */
class Waiter {
  readonly #revision: number;
  readonly #committedAt: number;
  readonly #done: (answer: AppliedByAll) => void;
  readonly #heardAfterMs = new Map<string, number>();
  #known: readonly ClusterNode[] | undefined;

  /** @param done called once */
  constructor(revision: number, committedAt: number, done: (answer: AppliedByAll) => void) {
    this.#revision = revision;
    this.#committedAt = committedAt;
    this.#done = done;
  }

  /** @param known undefined when the list could not be read */
  see(known: readonly ClusterNode[] | undefined): void {
    this.#known = known;
    if (known === undefined) return;
    const live = known.filter((node) => node.live);
    for (const { id, applied } of live) {
      if ((applied ?? 0) < this.#revision || this.#heardAfterMs.has(id)) continue;
      this.#heardAfterMs.set(id, Math.max(0, Math.round(performance.now() - this.#committedAt)));
    }
    if (live.every(({ id }) => this.#heardAfterMs.has(id))) this.finish();
  }

  /** With what is known by now. */
  finish(): void {
    const live = (this.#known ?? []).filter((node) => node.live);
    this.#done({
      revision: this.#revision,
      known: this.#known !== undefined,
      applied: live
        .filter(({ id }) => this.#heardAfterMs.has(id))
        .map(({ id, name }) => ({ id, name, ms: this.#heardAfterMs.get(id) ?? 0 })),
      lagging: live
        .filter(({ id }) => !this.#heardAfterMs.has(id))
        .map((node) => ({ id: node.id, name: node.name, applied: node.applied, silentMs: node.silentMs })),
    });
  }
}
