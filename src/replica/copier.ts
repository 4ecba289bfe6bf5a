// Copies the shared store into this node's replica: all of it at first, then what changed. Each step takes one snapshot of
// the source into one transaction of the file (docs/adr/0005-replicas-copy-states.md).
import { isPortunusError, PortunusError } from '../lib/errors.ts';
import type { Change, EntityKind } from '../model/entities.ts';
import type { Store } from '../store/contract.ts';
import { createNudges } from '../store/nudges.ts';
import type { EntityTable, ReplicaRow, ReplicaSource, Snapshot } from '../store/replica-source.ts';
import type { ReplicaFile, ReplicaWriter } from '../store/sqlite/replica-file.ts';

/** Beyond so many rows of `changes` comparing everything is no more work. */
const changesAtOnceMax = 10_000;
/** Certificates that may wait to be fetched ahead of the others. */
const fetchesMax = 1000;
const pageSize = 500;
const versionsPageSize = 10_000;
const retryMinMs = 50;
const retryMaxMs = 2000;
const progressEveryMs = 3000;

export interface CopierOptions {
  readonly source: ReplicaSource;
  readonly replica: ReplicaFile;
  readonly log: {
    info(facts: object, message: string): void;
    warn(facts: object, message: string): void;
    error(facts: object, message: string): void;
  };
}

export interface Copier extends AsyncDisposable, Pick<Store, 'onCommit'> {
  /** `empty`: nothing to serve. `filling`: certificates are missing. */
  readonly state: 'empty' | 'filling' | 'filled';
  /** Resolves when the replica holds everything, from then on for good. @throws what the source throws, while nothing can be served */
  readonly filled: Promise<void>;
  /** Resolves when names and routes are there; certificates may be missing, to be fetched. @throws as `filled` */
  readonly servable: Promise<void>;
  /** Puts one certificate into the replica ahead of the others. @throws STORE_UNAVAILABLE, also when too many wait */
  fetchCertificate(id: string): Promise<void>;
}

/** The meta key of what no other store has. */
const storeId = 'store_id';
/** Meta key of the replica that the source does not have. */
const filledTo = 'replica_filled_to';
const complete = 'complete';

const tables: readonly EntityTable[] = ['apis', 'plugins', 'certificates', 'snis'];
const tableOf: Readonly<Record<EntityKind, EntityTable>> = {
  api: 'apis',
  plugin: 'plugins',
  certificate: 'certificates',
  sni: 'snis',
};

export function isFilled(replica: ReplicaFile): boolean {
  return replica.meta(filledTo) === complete;
}

export function startCopier({ source, replica, log }: CopierOptions): Copier {
  const nudges = createNudges();
  const filled = Promise.withResolvers<void>();
  // Whoever waits hears of it; nobody has to.
  filled.promise.catch(() => undefined);
  const servable = Promise.withResolvers<void>();
  servable.promise.catch(() => undefined);
  const wanted = new Map<string, PromiseWithResolvers<void>>();
  let nudged = true;
  let stopped = false;
  let wake: (() => void) | undefined;
  let toldAt = performance.now();

  const stop = source.onCommit(nudge);
  const running = run();

  return {
    get state() {
      const to = replica.meta(filledTo);
      if (to === undefined) return 'empty';
      return to === complete ? 'filled' : 'filling';
    },
    filled: filled.promise,
    servable: servable.promise,
    fetchCertificate(id) {
      const known = wanted.get(id);
      if (known !== undefined) return known.promise;
      if (stopped || wanted.size >= fetchesMax) {
        return Promise.reject(new PortunusError('STORE_UNAVAILABLE', `${fetchesMax} certificates wait to be fetched.`));
      }
      const waiting = Promise.withResolvers<void>();
      wanted.set(id, waiting);
      wake?.();
      return waiting.promise;
    },
    onCommit: nudges.onCommit,
    async [Symbol.asyncDispose]() {
      stopped = true;
      stop();
      wake?.();
      await running;
      giveUpWanted(new PortunusError('STORE_UNAVAILABLE', 'The replica is closed.'));
    },
  };

  function nudge(): void {
    nudged = true;
    wake?.();
  }

  async function run(): Promise<void> {
    let retryMs = retryMinMs;
    while (!stopped) {
      try {
        // One page of the fill, then whatever is new: a node that fills does not lag.
        if (nudged) {
          nudged = false;
          await follow();
        }
        servable.resolve();
        if (wanted.size > 0) await fetchWanted();
        if (!isFilled(replica)) {
          await fillPage();
          continue;
        }
        filled.resolve();
        retryMs = retryMinMs;
        if (!nudged && wanted.size === 0) await sleep(undefined);
      } catch (error) {
        nudged = true;
        if (stopped) return;
        if (!isPortunusError(error, 'STORE_UNAVAILABLE'))
          log.error({ err: error }, 'the replica could not follow the store');
        if (replica.meta(filledTo) === undefined) {
          filled.reject(error);
          servable.reject(error);
        }
        giveUpWanted(error);
        await sleep(retryMs * (0.5 + Math.random() / 2));
        retryMs = Math.min(retryMs * 2, retryMaxMs);
      }
    }
  }

  async function sleep(ms: number | undefined): Promise<void> {
    // Whoever ends this has woken it already.
    if (stopped) return;
    const woken = new Promise<void>((resolve) => (wake = resolve));
    const timer = ms === undefined ? undefined : setTimeout(() => wake?.(), ms);
    await woken;
    clearTimeout(timer);
    wake = undefined;
  }

  /** @returns whether everything was compared: a fill then begins anew */
  async function follow(): Promise<boolean> {
    const before = replica.revision;
    const compared = await source.snapshot(async (snapshot) => {
      const theirs = await snapshot.meta();
      await refuseOtherStore(theirs.find(({ key }) => key === storeId)?.value);
      const known = replica.meta(filledTo) !== undefined;
      const changes = known ? await snapshot.changesSince(replica.revision, changesAtOnceMax) : undefined;
      const meta = theirs.filter(({ key, value }) => replica.meta(key) !== value);
      if (changes?.length === 0 && meta.length === 0) return false;
      await replica.write(async (writer) => {
        if (changes !== undefined) await applyChanges(snapshot, writer, changes);
        else await compareEverything(snapshot, writer, known);
        writer.setRevision(snapshot.revision);
        for (const { key, value } of meta) writer.setMeta(key, value);
      });
      return changes === undefined;
    });
    if (replica.revision !== before) nudges.tell(replica.revision);
    return compared;
  }

  /** A replica of another store knows nothing about this one. */
  async function refuseOtherStore(theirs: string | undefined): Promise<void> {
    const mine = replica.meta(storeId);
    if (mine === undefined || theirs === mine) return;
    log.warn({}, 'the replica is of another store: it is emptied and filled anew');
    await replica.write(async (writer) => writer.clear());
  }

  async function applyChanges(snapshot: Snapshot, writer: ReplicaWriter, changes: readonly Change[]): Promise<void> {
    const touched = new Map<EntityTable, Set<string>>(tables.map((table) => [table, new Set()]));
    for (const { entity, id } of changes) touched.get(tableOf[entity])?.add(id);
    const holders = [...(touched.get('snis') ?? []), ...(touched.get('plugins') ?? [])];
    // What goes makes room, in every table, before anything comes.
    for (const [table, ids] of touched) writer.remove(table, [...ids]);
    writer.unbind(holders);
    // One after the other: what is still being read when another read fails would be written after the rollback.
    for (const [table, ids] of touched) {
      for (const page of pagesOf([...ids])) writer.insert(table, await snapshot.rows(table, page));
    }
    for (const page of pagesOf(holders)) writer.bind(await snapshot.bindingsOf(page));
    writer.appendChanges(changes);
  }

  /** @param known whether the replica holds something; otherwise certificates come later, page by page */
  async function compareEverything(snapshot: Snapshot, writer: ReplicaWriter, known: boolean): Promise<void> {
    const wanted = new Map<EntityTable, string[]>();
    for (const table of tables) {
      if (table === 'certificates' && !isFilled(replica)) {
        // What a fill had brought may be out of date, and is soon brought again.
        if (known) removeAll(writer, table);
      } else wanted.set(table, await compareTable(snapshot, writer, table));
    }
    for (const [table, ids] of wanted) {
      for (const page of pagesOf(ids)) {
        writer.insert(table, await snapshot.rows(table, page));
        progress(table);
      }
    }
    writer.unbindAll();
    for (let after: string | undefined; ;) {
      const page = await snapshot.bindings(after, versionsPageSize);
      writer.bind(page);
      if (page.length < versionsPageSize) break;
      after = String(page.at(-1)?.['name']);
    }
    writer.forgetChanges();
    if (isFilled(replica)) return;
    // The first ones come along: the default certificate is the first that a store has.
    const first = await snapshot.page('certificates', 0, pageSize);
    writer.insert('certificates', first);
    writer.setMeta(filledTo, String(first.at(-1)?.['sequence'] ?? 0));
  }

  /** Removes what is not there any more, or differs. @returns ids of the rows to fetch */
  async function compareTable(snapshot: Snapshot, writer: ReplicaWriter, table: EntityTable): Promise<string[]> {
    const theirs = new Map<string, number>();
    for (let after = 0; ;) {
      const page = await snapshot.versions(table, after, versionsPageSize);
      for (const { id, revision } of page) theirs.set(id, revision);
      if (page.length < versionsPageSize) break;
      after = page.at(-1)?.sequence ?? 0;
    }
    for (let after = 0; ;) {
      const page = writer.versions(table, after, versionsPageSize);
      for (const { id, revision } of page) {
        if (theirs.get(id) === revision) theirs.delete(id);
        else writer.remove(table, [id]);
      }
      if (page.length < versionsPageSize) break;
      after = page.at(-1)?.sequence ?? 0;
      await new Promise(setImmediate);
    }
    return [...theirs.keys()];
  }

  async function fetchWanted(): Promise<void> {
    const ids = [...wanted.keys()].slice(0, pageSize);
    const rows = await source.snapshot((snapshot) => snapshot.rows('certificates', ids));
    await replica.write(async (writer) => writeNewer(writer, rows));
    for (const id of ids) {
      wanted.get(id)?.resolve();
      wanted.delete(id);
    }
  }

  function giveUpWanted(error: unknown): void {
    for (const waiting of wanted.values()) waiting.reject(error);
    wanted.clear();
  }

  /** Those that are absent or older: the source's is at least as new as what the replica follows. */
  function writeNewer(writer: ReplicaWriter, rows: readonly ReplicaRow[]): void {
    for (const row of rows) {
      const id = String(row['id']);
      const known = writer.version('certificates', id);
      if (known !== undefined && known >= Number(row['revision'])) continue;
      writer.remove('certificates', [id]);
      writer.insert('certificates', [row]);
    }
  }

  async function fillPage(): Promise<void> {
    const after = Number(replica.meta(filledTo) ?? 0);
    const page = await source.snapshot((snapshot) => snapshot.page('certificates', after, pageSize));
    const last = page.at(-1);
    if (last === undefined) {
      // Pages are newer than the names: one of these may have a certificate that was deleted before its page came.
      if (await follow()) return;
    }
    await replica.write(async (writer) => {
      writeNewer(writer, page);
      writer.setMeta(filledTo, last === undefined ? complete : String(last['sequence']));
    });
    if (last !== undefined) progress('certificates', Number(last['sequence']));
    else {
      log.info({ revision: replica.revision }, 'the replica is complete');
      nudges.tell(replica.revision);
    }
  }

  function progress(table: EntityTable, sequence?: number): void {
    if (performance.now() - toldAt < progressEveryMs) return;
    toldAt = performance.now();
    log.info({ table, sequence }, 'the replica is being filled');
  }
}

function* pagesOf(ids: readonly string[]): Iterable<readonly string[]> {
  for (let at = 0; at < ids.length; at += pageSize) yield ids.slice(at, at + pageSize);
}

function removeAll(writer: ReplicaWriter, table: EntityTable): void {
  for (;;) {
    const page = writer.versions(table, 0, versionsPageSize);
    if (page.length === 0) return;
    writer.remove(
      table,
      page.map(({ id }) => id),
    );
  }
}
