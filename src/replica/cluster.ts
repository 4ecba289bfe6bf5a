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
  const waiting = new Set<() => void>();
  let registered = false;
  let stopped = false;
  let due = true;
  let reporting: Promise<void> | undefined;

  const stopHearing = registry.onReport(() => {
    for (const hear of waiting) hear();
  });
  const timer = setInterval(changed, heartbeatMs).unref();
  changed();

  return {
    changed,
    nodes,
    async whenAppliedByAll(revision, committedAt, timeoutMs) {
      const heardAfterMs = new Map<string, number>();
      let known: readonly ClusterNode[] | undefined;
      let heard = Promise.withResolvers<void>();
      const hear = (): void => heard.resolve();
      waiting.add(hear);
      const deadline = performance.now() + timeoutMs;
      for (;;) {
        // What is heard while the list is read may not be in it.
        heard = Promise.withResolvers();
        // Asked for at each turn: whoever died meanwhile is not waited for.
        known = await nodes().catch(() => undefined);
        const behind = note();
        const leftMs = deadline - performance.now();
        if ((known !== undefined && behind === 0) || leftMs <= 0) break;
        const later = setTimeout(hear, Math.min(lookMs, leftMs));
        await heard.promise;
        clearTimeout(later);
      }
      waiting.delete(hear);
      const live = (known ?? []).filter(({ live: isLive }) => isLive);
      return {
        revision,
        known: known !== undefined,
        applied: live
          .filter(({ id }) => heardAfterMs.has(id))
          .map(({ id, name }) => ({ id, name, ms: heardAfterMs.get(id) ?? 0 })),
        lagging: live
          .filter(({ id }) => !heardAfterMs.has(id))
          .map((node) => ({ id: node.id, name: node.name, applied: node.applied, silentMs: node.silentMs })),
      };

      /** @returns how many live nodes are behind */
      function note(): number {
        const live = (known ?? []).filter((node) => node.live);
        for (const node of live) {
          if ((node.applied ?? 0) < revision || heardAfterMs.has(node.id)) continue;
          heardAfterMs.set(node.id, Math.max(0, Math.round(performance.now() - committedAt)));
        }
        return known === undefined ? 1 : live.length - live.filter(({ id }) => heardAfterMs.has(id)).length;
      }
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
