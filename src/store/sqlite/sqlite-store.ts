// The store in one SQLite file: one connection that writes, in turn, and one that reads what is committed.
import { AsyncLocalStorage } from 'node:async_hooks';
import { randomBytes } from 'node:crypto';
import { statSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { isPortunusError, PortunusError } from '../../lib/errors.ts';
import { createSteadyClock } from '../../lib/steady-clock.ts';
import type { Milliseconds } from '../../model/entities.ts';
import { checkKeyring } from '../check-keyring.ts';
import { transactionsWaitingMax } from '../contract.ts';
import { type AuditLimits, auditLimits, type Committed, type Store, type StoreTransaction } from '../contract.ts';
import { inTime } from '../in-time.ts';
import { createNudges } from '../nudges.ts';
import { createQueue } from '../queue.ts';
import type { Sealer } from '../sealer.ts';
import { openTransaction } from '../transaction.ts';
import { isBusy, type Connection } from './connection.ts';
import { openDatabase, openForReading } from './open-database.ts';
import { createReader, readRevision } from './reader.ts';
import { createRows } from './rows.ts';
import { checkpointIfLong, emptyLog, pruneAudit, pruneChanges } from './upkeep.ts';
import { watchOthers } from './watch-others.ts';

export interface SqliteStoreOptions {
  readonly path: string;
  readonly sealer: Sealer;
  readonly now?: () => Milliseconds;
  /** Rows of `changes` that are kept at least; whole revisions beyond them are forgotten. */
  readonly changesKept?: number;
  readonly audit?: AuditLimits;
  /** A write may wait for so long, for those before it here and for another process's lock, before it is given up. */
  readonly waitMaxMs?: number;
}

const changesKeptDefault = 100_000;
const upkeepInterval = 1000;
const waitMaxDefaultMs = 5000;
const lockRetryMs = 20;

/**
 * Opens the store, making or migrating its file. A second store on the same file works too, in this process or another.
 * @throws STORE_UNAVAILABLE, STORE_DAMAGED, STORE_NEWER; KEYRING_MISMATCH when the sealer does not open this store
 */
export async function openSqliteStore(options: SqliteStoreOptions): Promise<Store> {
  const { path, sealer, now = Date.now, changesKept = changesKeptDefault, audit = auditLimits } = options;
  const { waitMaxMs: waitAtMostMs = waitMaxDefaultMs } = options;
  const writer = await openDatabase(path);
  const opened = identityOf(path);
  let reader: Connection;
  try {
    // Names every key that is missing, where the probe would name one.
    await checkKeyring(createReader(writer), sealer);
    await sealedValue('keyring_probe', () => randomBytes(16));
    reader = openForReading(path);
  } catch (error) {
    writer.close();
    throw error;
  }

  const rows = createRows(writer);
  const steadyNow = createSteadyClock(now);
  const queue = createQueue(transactionsWaitingMax);
  const current = new AsyncLocalStorage<{ open: boolean }>();
  const nudges = createNudges();
  const secrets = new Map<string, Buffer>();
  const others = watchOthers(writer, reader, nudges.tell);
  let isAuditPruned = false;
  let closing: Promise<void> | undefined;

  return {
    ...createReader(reader),
    async transact(actor, work) {
      const { value, revision, wrote } = await inTurn((leftMs) => transaction(actor, work, 'COMMIT', leftMs));
      if (wrote) nudges.tell(revision);
      return { value, revision };
    },
    async rehearse(actor, work) {
      const { value } = await inTurn((leftMs) => transaction(actor, work, 'ROLLBACK', leftMs));
      return value;
    },
    onCommit: nudges.onCommit,
    async resealSecrets() {
      await inTurn((leftMs) => inDatabase('COMMIT', resealMeta, leftMs));
    },
    async secret(name) {
      const known = secrets.get(name);
      const value = known ?? (await inTurn(() => sealedValue(`secret_${name}`, () => randomBytes(32))));
      secrets.set(name, value);
      return Buffer.from(value);
    },
    async adoptSecret(name, sealed) {
      const key = `secret_${name}`;
      const secret = sealer.open(sealed, `meta ${key}`);
      const replaced = await inTurn((leftMs) => inDatabase('COMMIT', async () => replaceSealed(key, secret), leftMs));
      secrets.set(name, secret);
      return replaced;
    },
    async [Symbol.asyncDispose]() {
      others[Symbol.dispose]();
      closing ??= queue.close().then(() => {
        reader.close();
        emptyLog(writer);
        writer.close();
      });
      await closing;
    },
  };

  async function inTurn<T>(task: (leftMs: number) => Promise<T>): Promise<T> {
    if (current.getStore()?.open === true) throw new TypeError('a transaction inside another would wait for itself');
    if (closing !== undefined) throw new PortunusError('STORE_UNAVAILABLE', 'The store is closed.');
    return queue.run(async (leftMs) => {
      const marker = { open: true };
      try {
        return await current.run(marker, task, leftMs);
      } finally {
        marker.open = false;
      }
    }, waitAtMostMs);
  }

  async function transaction<T>(
    actor: string,
    work: (tx: StoreTransaction) => Promise<T>,
    ending: 'COMMIT' | 'ROLLBACK',
    waitMaxMs: number,
  ): Promise<Committed<T> & { readonly wrote: boolean }> {
    const inside = async (): Promise<Committed<T> & { readonly wrote: boolean }> => {
      const open = openTransaction(rows, actor, now());
      try {
        const value = await inTime(work(open.tx));
        await open.end();
        const wrote = open.revision !== undefined;
        const revision = open.revision ?? readRevision(writer);
        if (wrote && isUpkeepDue(revision)) pruneChanges(writer, changesKept);
        // Nothing else would forget by age in a store that is seldom written to.
        if (wrote && (isUpkeepDue(revision) || !isAuditPruned)) {
          pruneAudit(writer, audit, steadyNow());
          isAuditPruned = true;
        }
        return { value, revision, wrote };
      } finally {
        await open.end();
      }
    };
    const result = await inDatabase(ending, inside, waitMaxMs);
    if (result.wrote && isUpkeepDue(result.revision)) checkpointIfLong(writer, path);
    return result;
  }

  function isUpkeepDue(revision: number): boolean {
    return revision % Math.min(upkeepInterval, changesKept) === 0;
  }

  async function inDatabase<T>(
    ending: 'COMMIT' | 'ROLLBACK',
    work: () => Promise<T>,
    waitMaxMs = waitAtMostMs,
  ): Promise<T> {
    await begin(waitMaxMs);
    try {
      const value = await work();
      // SQLite ends a transaction by itself on errors such as a full disk; `work` may have gone on regardless.
      if (!writer.inTransaction) throw new PortunusError('STORE_UNAVAILABLE', 'The store gave the transaction up.');
      writer.run(ending);
      return value;
    } finally {
      if (writer.inTransaction) writer.run('ROLLBACK');
    }
  }

  async function begin(waitMaxMs: number): Promise<void> {
    // SQLite would go on with the file that it has open, and what it wrote there would be gone with this process.
    if (identityOf(path) !== opened) {
      throw new PortunusError('STORE_UNAVAILABLE', `The store ${path} was removed or replaced while it was open.`, {
        hint: 'Put the file back that was there; or start the gateway anew, with what is there now.',
      });
    }
    const deadline = performance.now() + waitMaxMs;
    for (;;) {
      try {
        writer.run('BEGIN IMMEDIATE');
        return;
      } catch (error) {
        if (!isBusy(error) || performance.now() > deadline) throw error;
        await delay(lockRetryMs);
      }
    }
  }

  /** A value of `meta` under the keyring, made when it is first asked for. */
  async function sealedValue(key: string, make: () => Buffer): Promise<Buffer> {
    const known = writer.get('SELECT value FROM meta WHERE key = ?', key);
    if (known !== undefined) return openOwn(key, String(known['value']));
    await inDatabase('COMMIT', async () => {
      writer.run('INSERT OR IGNORE INTO meta VALUES (?, ?)', key, sealer.seal(make(), `meta ${key}`));
    });
    return sealedValue(key, make);
  }

  /** The keyring has been checked: one that does not open is damaged, most likely. */
  function openOwn(key: string, sealed: string): Buffer {
    try {
      return sealer.open(sealed, `meta ${key}`);
    } catch (error) {
      if (!isPortunusError(error, 'KEYRING_MISMATCH')) throw error;
      throw new PortunusError('STORE_DAMAGED', `The store's own secret ${key} does not open: ${error.message}`, {
        cause: error,
        hint: `Restore a copy; or, where the keyring is the right one, remove the secret, and it is made anew: DELETE FROM meta WHERE key = '${key}'`,
      });
    }
  }

  /** @returns whether there was another value */
  function replaceSealed(key: string, value: Buffer): boolean {
    const binding = `meta ${key}`;
    const known = writer.get('SELECT value FROM meta WHERE key = ?', key);
    if (known !== undefined && sealer.open(String(known['value']), binding).equals(value)) return false;
    writer.run('INSERT OR REPLACE INTO meta VALUES (?, ?)', key, sealer.seal(value, binding));
    return known !== undefined;
  }

  async function resealMeta(): Promise<void> {
    for (const row of writer.all('SELECT key, value FROM meta')) {
      const [key, value] = [String(row['key']), String(row['value'])];
      const keyId = sealer.keyIdOf(value);
      if (keyId === undefined || keyId === sealer.keyIds[0]) continue;
      const binding = `meta ${key}`;
      writer.run('UPDATE meta SET value = ? WHERE key = ?', sealer.seal(sealer.open(value, binding), binding), key);
    }
  }
}

/** Of what stands there by that name; undefined when nothing does, as far as can be seen. */
function identityOf(file: string): string | undefined {
  try {
    const { dev, ino } = statSync(file);
    return `${dev} ${ino}`;
  } catch {
    return undefined;
  }
}
