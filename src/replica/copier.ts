// Copies the shared store into this node's replica: all of it at first, then what changed. Each step takes one snapshot of
// the source into one transaction of the file (docs/adr/0005-replicas-copy-states.md).
import { randomUUID } from 'node:crypto';
import { isPortunusError, PortunusError, reasonOf } from '../lib/errors.ts';
import type { Change, EntityKind } from '../model/entities.ts';
import type { Store } from '../store/contract.ts';
import { createNudges } from '../store/nudges.ts';
import {
  type EntityTable,
  entityTables,
  type Meta,
  type ReplicaRow,
  type ReplicaSource,
  type Snapshot,
} from '../store/replica-source.ts';
import type { Sealer } from '../store/sealer.ts';
import type { ReplicaFile, ReplicaWriter } from '../store/sqlite/replica-file.ts';

/** Beyond so many rows of `changes` comparing everything is no more work. */
const changesAtOnceMax = 10_000;
/** Certificates that may wait to be fetched ahead of the others. */
const fetchesMax = 1000;
/** A row's id and revision are so much smaller than the row. */
const versionsPerRow = 20;
const retryMinMs = 50;
const retryMaxMs = 2000;
const progressEveryMs = 3000;

export interface CopierOptions {
  readonly source: ReplicaSource;
  readonly replica: ReplicaFile;
  /** Rows that it could not open are not taken: what the replica holds goes on serving. */
  readonly sealer: Pick<Sealer, 'keyIds' | 'keyIdOf'>;
  /** Rows read from the source at once. */
  readonly pageSize?: number;
  readonly log: {
    info(facts: object, message: string): void;
    warn(facts: object, message: string): void;
    error(facts: object, message: string): void;
  };
}

export interface Copier extends AsyncDisposable, Pick<Store, 'onCommit'> {
  /** `empty`: nothing to serve. `filling`: certificates are missing. */
  readonly state: 'empty' | 'filling' | 'filled';
  /** Why it does not follow, although the store can be reached; undefined while it does. */
  readonly trouble: string | undefined;
  /** How far the first fill is; undefined when it is over, or has not begun. */
  fill(): Promise<FillProgress | undefined>;
  /** Resolves when the replica holds everything, from then on for good. @throws what the source throws, while nothing can be served */
  readonly filled: Promise<void>;
  /** Resolves when names and routes are there; certificates may be missing, to be fetched. @throws as `filled` */
  readonly servable: Promise<void>;
  /** Puts one certificate into the replica ahead of the others. @throws STORE_UNAVAILABLE, also when too many wait */
  fetchCertificate(id: string): Promise<void>;
  /** Somebody could not read the file: another one is filled and takes its place. */
  damaged(): void;
}

export interface FillProgress {
  /** How many are there. */
  readonly certificates: number;
  /** How many there were in the store when the fill began. */
  readonly expected: number;
}

/** The meta key of what no other store has. */
const storeId = 'store_id';
/** Meta keys of the replica that the source does not have. */
const filledTo = 'replica_filled_to';
const complete = 'complete';
const fillExpects = 'replica_fill_expects';
/** The tables it was filled with: a version that knew fewer passed over the changes of the others. */
const filledWith = 'replica_tables';
/** What tells the revision of the replica from another of the same number. */
const revisionMark = 'replica_revision_mark';
/** Another one each time that the replica begins anew. */
const history = 'replica_history';

const allTables = entityTables.join(' ');
const tableOf: Readonly<Record<EntityKind, EntityTable>> = {
  api: 'apis',
  plugin: 'plugins',
  certificate: 'certificates',
  sni: 'snis',
  token: 'tokens',
  ca_certificate: 'ca_certificates',
  host_policy: 'host_policies',
};

export function isFilled(replica: ReplicaFile): boolean {
  return replica.meta(filledTo) === complete;
}

/** What tells one past of the replica from another: its changes are those of one past only. */
export function historyOf(replica: ReplicaFile): string {
  return replica.meta(history) ?? '';
}

export function startCopier({ source, replica, sealer, pageSize = 500, log }: CopierOptions): Copier {
  const versionsPageSize = pageSize * versionsPerRow;
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
  let trouble: string | undefined;
  let isDamaged = false;
  /** Keys that what came by a fill, or was there from before, is sealed under. */
  let knownKeys: Set<string> | undefined;
  let seenFilledTo: string | undefined;
  let renewal: { readonly fresh: ReplicaFile; readonly filler: Copier } | undefined;

  const stop = source.onCommit(nudge);
  const running = run();

  return {
    get state() {
      const to = lastFilledTo();
      if (to === undefined) return 'empty';
      return to === complete ? 'filled' : 'filling';
    },
    get trouble() {
      return trouble;
    },
    fill,
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
    damaged() {
      isDamaged = true;
      nudge();
    },
    onCommit: nudges.onCommit,
    async [Symbol.asyncDispose]() {
      stopped = true;
      stop();
      wake?.();
      await running;
      await endRenewal();
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
        nudged = false;
        if (isDamaged) await renew();
        await step();
        servable.resolve();
        retryMs = retryMinMs;
        if (!isDamaged) trouble = undefined;
        if (!isFilled(replica)) continue;
        filled.resolve();
        if (!nudged && wanted.size === 0) await sleep(undefined);
      } catch (error) {
        if (stopped) return;
        // The source being away is told elsewhere; a file of its own that cannot be written is not.
        if (isPortunusError(error, 'STORE_DAMAGED') && 'sqlite' in error.facts) isDamaged = true;
        if (!isPortunusError(error, 'STORE_UNAVAILABLE') || 'sqlite' in error.facts) fail(error);
        else if (!isDamaged) trouble = undefined;
        if (lastFilledTo() === undefined) {
          filled.reject(error);
          servable.reject(error);
        }
        giveUpWanted(error);
        await sleep(retryMs * (0.5 + Math.random() / 2));
        retryMs = Math.min(retryMs * 2, retryMaxMs);
      }
    }
  }

  /** What can be read goes on serving and following until all of it is there once more. */
  async function renew(): Promise<void> {
    if (renewal === undefined) {
      trouble = 'the replica is damaged, and another one is being filled';
      log.error({ file: replica.path }, 'the replica is damaged: another one is filled and takes its place');
      const fresh = await replica.openBeside();
      const filler = startCopier({ source, replica: fresh, sealer, pageSize, log });
      renewal = { fresh, filler };
      filler.onCommit(nudge);
      filler.filled.then(nudge, () => undefined);
    }
    const { fresh, filler } = renewal;
    if (!isFilled(fresh) || fresh.revision < knownRevision()) return;
    await filler[Symbol.asyncDispose]();
    try {
      await replica.replaceBy(fresh);
    } finally {
      await endRenewal();
    }
    isDamaged = false;
    log.info({ revision: replica.revision }, 'the replica is whole again');
    // Its history is another one: whoever follows reads everything anew.
    nudges.tell(replica.revision);
  }

  async function endRenewal(): Promise<void> {
    const ended = renewal;
    renewal = undefined;
    await ended?.filler[Symbol.asyncDispose]();
    ended?.fresh[Symbol.dispose]();
  }

  function knownRevision(): number {
    try {
      return replica.revision;
    } catch {
      return 0;
    }
  }

  /** Also when it cannot be read any more. */
  function lastFilledTo(): string | undefined {
    try {
      seenFilledTo = replica.meta(filledTo);
    } catch {
      isDamaged = true;
    }
    return seenFilledTo;
  }

  /** Told once, however often it is tried again. */
  function fail(error: unknown): void {
    const reason = reasonOf(error);
    if (reason === trouble) return;
    trouble = reason;
    const facts = isPortunusError(error) ? { reason, code: error.code, hint: error.hint } : { err: error };
    log.error(facts, 'the replica does not follow the store; what it holds goes on serving');
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

  /** Whatever is new, what is waited for and a page of the fill: a node that fills does not lag. */
  async function step(): Promise<void> {
    const before = `${historyOf(replica)} ${replica.revision}`;
    const ids = [...wanted.keys()].slice(0, pageSize);
    await source.snapshot(async (snapshot) => {
      const theirs = await snapshot.meta();
      const anew = await isOfAnotherPast(snapshot, theirs);
      const known = !anew && replica.meta(filledTo) !== undefined;
      const whole = known && isFilled(replica);
      const comparable = known && replica.meta(filledWith) === allTables;
      const changes = comparable ? await snapshot.changesSince(replica.revision, changesAtOnceMax) : undefined;
      const meta = theirs.filter(({ key, value }) => anew || replica.meta(key) !== value);
      if (whole && changes?.length === 0 && meta.length === 0 && ids.length === 0) return;
      if (anew) log.warn({}, 'the store is another one, or was put back to an older state: the replica is filled anew');
      const mark = (await snapshot.mark(snapshot.revision)) ?? '';
      refuseUnopenable(meta.map(({ value }) => value));
      knownKeys ??= new Set((whole ? await replica.reader.keysInUse() : []).map(({ keyId }) => keyId));
      const familiar = knownKeys;
      await replica.write(async (plain) => {
        const writer = whole ? refusingStrangeKeys(plain, familiar) : tellingOfUnopenable(plain, familiar);
        // At once with what comes in its place: nobody sees an empty replica.
        if (anew) writer.clear();
        if (!known) writer.setMeta(history, randomUUID());
        if (changes !== undefined) await applyChanges(snapshot, writer, changes);
        else await compareEverything(snapshot, writer, whole);
        insertAbsent(writer, await snapshot.rows('certificates', ids));
        if (changes !== undefined && !whole) await fillPage(snapshot, writer);
        writer.setRevision(snapshot.revision);
        for (const { key, value } of [...meta, { key: revisionMark, value: mark }]) writer.setMeta(key, value);
      });
      if (!whole && isFilled(replica)) log.info({ revision: replica.revision }, 'the replica is complete');
    });
    for (const id of ids) {
      wanted.get(id)?.resolve();
      wanted.delete(id);
    }
    if (before !== `${historyOf(replica)} ${replica.revision}`) nudges.tell(replica.revision);
    if (!isFilled(replica)) await progress('certificates');
  }

  /**
   * A key that nothing here was sealed under is one that the cluster seals under now: a node that lacks it stays at what it
   * has, and does not claim to serve what others write.
   */
  function refusingStrangeKeys(writer: ReplicaWriter, known: ReadonlySet<string>): ReplicaWriter {
    return {
      ...writer,
      insert(table, rows) {
        if (table === 'certificates')
          refuseUnopenable(rows.flatMap(sealedOf).filter((text) => !known.has(keyIdOf(text))));
        writer.insert(table, rows);
      },
    };
  }

  /** What a fill brings under a key that is lost fails for its own names, and keeps nothing else away. */
  function tellingOfUnopenable(writer: ReplicaWriter, known: Set<string>): ReplicaWriter {
    return {
      ...writer,
      insert(table, rows) {
        for (const row of table === 'certificates' ? rows : []) {
          const keys = lackedKeys(sealedOf(row));
          if (keys.size === 0) continue;
          for (const key of keys) known.add(key);
          log.error(
            { certificate: row['id'], key_ids: [...keys] },
            'a certificate is sealed under a key that the keyring of this node lacks: its names are not served here',
          );
        }
        writer.insert(table, rows);
      },
    };
  }

  function lackedKeys(sealed: readonly unknown[]): ReadonlySet<string> {
    return new Set(sealed.map(keyIdOf).filter((id) => id !== '' && !sealer.keyIds.includes(id)));
  }

  /** Empty for what is not sealed. */
  function keyIdOf(sealed: unknown): string {
    return (typeof sealed === 'string' ? sealer.keyIdOf(sealed) : undefined) ?? '';
  }

  /** Of the store's own secrets: everything is, or will be, sealed under the same key. @throws KEYRING_MISMATCH */
  function refuseUnopenable(sealed: readonly unknown[]): void {
    const missing = lackedKeys(sealed);
    if (missing.size === 0) return;
    throw new PortunusError(
      'KEYRING_MISMATCH',
      `The store's private keys are sealed under ${[...missing].join(', ')}, which the keyring of this node lacks.`,
      { hint: 'Give it the keyring of a node that follows, and let it read it: kill -HUP.' },
    );
  }

  /**
   * Whether the replica is of another store, or of one that was put back to an older state since.
   * @throws STORE_REPLACED when it is a whole one of another store: it may be the last copy
   */
  async function isOfAnotherPast(snapshot: Snapshot, theirs: Meta): Promise<boolean> {
    const mine = replica.meta(storeId);
    if (mine === undefined) return false;
    const isOther = theirs.find(({ key }) => key === storeId)?.value !== mine;
    if (isOther && isFilled(replica)) {
      throw new PortunusError(
        'STORE_REPLACED',
        'PostgreSQL holds another store than the one this node has a replica of.',
        {
          hint: 'If that is meant, stop this node, remove replica.db from its data directory, and start it again.',
        },
      );
    }
    if (isOther || snapshot.revision < replica.revision) return true;
    const known = replica.meta(revisionMark) ?? '';
    const mark = known === '' ? undefined : await snapshot.mark(replica.revision);
    return mark !== undefined && mark !== known;
  }

  async function applyChanges(snapshot: Snapshot, writer: ReplicaWriter, changes: readonly Change[]): Promise<void> {
    const touched = new Map<EntityTable, Set<string>>(entityTables.map((table) => [table, new Set()]));
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

  /** @param whole whether the replica holds every certificate; otherwise they come later, page by page */
  async function compareEverything(snapshot: Snapshot, writer: ReplicaWriter, whole: boolean): Promise<void> {
    const wanted = new Map<EntityTable, string[]>();
    for (const table of entityTables) {
      // What a fill had brought may be out of date, and is soon brought again.
      if (table === 'certificates' && !whole) removeAll(writer, table);
      else wanted.set(table, await compareTable(snapshot, writer, table));
    }
    for (const [table, ids] of wanted) {
      for (const page of pagesOf(ids)) {
        writer.insert(table, await snapshot.rows(table, page));
        await progress(table);
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
    writer.setMeta(filledWith, allTables);
    if (whole) return;
    // No name leads to the default certificate, so nobody could ask for it.
    writer.insert('certificates', await snapshot.defaultCertificate());
    writer.setMeta(fillExpects, String(await snapshot.certificateCount()));
    writer.setMeta(filledTo, '0');
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

  function giveUpWanted(error: unknown): void {
    for (const waiting of wanted.values()) waiting.reject(error);
    wanted.clear();
  }

  async function fillPage(snapshot: Snapshot, writer: ReplicaWriter): Promise<void> {
    const page = await snapshot.page('certificates', Number(replica.meta(filledTo) ?? 0), pageSize);
    insertAbsent(writer, page);
    writer.setMeta(filledTo, page.length < pageSize ? complete : String(page.at(-1)?.['sequence']));
  }

  /** Those that are there are of this snapshot too. */
  function insertAbsent(writer: ReplicaWriter, rows: readonly ReplicaRow[]): void {
    for (const row of rows) {
      if (writer.version('certificates', String(row['id'])) === undefined) writer.insert('certificates', [row]);
    }
  }

  async function progress(table: EntityTable): Promise<void> {
    if (performance.now() - toldAt < progressEveryMs) return;
    toldAt = performance.now();
    log.info({ table, ...(await fill()) }, 'the replica is being filled');
  }

  async function fill(): Promise<FillProgress | undefined> {
    const to = replica.meta(filledTo);
    if (to === undefined || to === complete) return undefined;
    const certificates = await replica.reader.certificates.count({ owner: 'any' });
    return { certificates, expected: Number(replica.meta(fillExpects) ?? 0) };
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
}

function sealedOf(row: ReplicaRow): readonly unknown[] {
  return [row['sealed_key'], row['sealed_key_alt']];
}
