// The store in PostgreSQL, which many nodes share. It exists before PostgreSQL can be reached: whatever needs the tables
// first sees to it that they are there.
import { AsyncLocalStorage } from 'node:async_hooks';
import { randomBytes, randomUUID } from 'node:crypto';
import { PortunusError } from '../../lib/errors.ts';
import type { Milliseconds } from '../../model/entities.ts';
import { transactionsWaitingMax } from '../contract.ts';
import { type AuditLimits, auditLimits, type Committed, type Store, type StoreTransaction } from '../contract.ts';
import { inTime } from '../in-time.ts';
import { createQueue } from '../queue.ts';
import type { Sealer } from '../sealer.ts';
import { openTransaction } from '../transaction.ts';
import { commitChannel } from './channels.ts';
import type { PgClient, PgRow, PgStatements, PgTransaction } from './client.ts';
import { createCommitWatch } from './commit-watch.ts';
import { migrate, refuseUnwritable } from './migrate.ts';
import { createReader } from './reader.ts';
import { createRows } from './rows.ts';
import { schedulePruning } from './upkeep.ts';

export interface PostgresStoreOptions {
  /** Stays the caller's: it outlives the store. */
  readonly client: PgClient;
  /** Where the tables are; the client's connections look there first. */
  readonly schema: string;
  readonly sealer: Sealer;
  readonly now?: () => Milliseconds;
  /** For so long at least `changes` are kept that every node has applied. */
  readonly changesKeptForMs?: number;
  readonly audit?: AuditLimits;
}

export interface PostgresStore extends Store {
  /**
   * The tables are there, and the keyring opens them. Every other call waits for this by itself; once it has been so it is
   * not asked again.
   * @throws STORE_UNAVAILABLE: call again; STORE_NEWER; KEYRING_MISMATCH
   */
  ready(): Promise<void>;
}

const changesKeptForDefaultMs = 3_600_000;

/** Connects to nothing by itself. */
export function createPostgresStore(options: PostgresStoreOptions): PostgresStore {
  const { client, schema, sealer, now = Date.now, changesKeptForMs = changesKeptForDefaultMs } = options;
  const channel = commitChannel(schema);
  const queue = createQueue(transactionsWaitingMax);
  const current = new AsyncLocalStorage<{ open: boolean }>();
  const secrets = new Map<string, Buffer>();
  let preparing: Promise<void> | undefined;
  let closing: Promise<void> | undefined;
  const whenReady: PgStatements = {
    async query(sql, ...values) {
      await ready();
      return client.query(sql, ...values);
    },
  };
  const reader = createReader(whenReady);
  const commits = createCommitWatch(client, channel, () => reader.revision());
  const pruning = schedulePruning({ client, schema, changesKeptForMs, now, audit: options.audit ?? auditLimits });

  return {
    ...reader,
    ready,
    async transact(actor, work) {
      const { value, revision, wrote } = await inTurn((leftMs) => transaction('write', actor, work, leftMs));
      if (wrote) commits.committed(revision);
      return { value, revision };
    },
    async rehearse(actor, work) {
      const { value } = await inTurn((leftMs) => transaction('rehearsal', actor, work, leftMs));
      return value;
    },
    onCommit: commits.onCommit,
    async secret(name) {
      const value = secrets.get(name) ?? (await inTurn(() => sealedValue(`secret_${name}`, () => randomBytes(32))));
      secrets.set(name, value);
      return Buffer.from(value);
    },
    async adoptSecret(name, sealed) {
      const key = `secret_${name}`;
      const secret = sealer.open(sealed, `meta ${key}`);
      const replaced = await inTurn((leftMs) => locked('write', (tx) => replaceSealed(tx, key, secret), leftMs));
      secrets.set(name, secret);
      return replaced;
    },
    async resealSecrets() {
      await inTurn((leftMs) => locked('write', resealMeta, leftMs));
    },
    async [Symbol.asyncDispose]() {
      commits[Symbol.dispose]();
      pruning[Symbol.dispose]();
      closing ??= queue.close();
      await closing;
    },
  };

  async function ready(): Promise<void> {
    refuseClosed();
    preparing ??= prepare();
    try {
      await preparing;
    } catch (error) {
      preparing = undefined;
      throw error;
    }
  }

  async function prepare(): Promise<void> {
    await migrate(client, schema);
    await sealedValue('keyring_probe', () => randomBytes(16));
    await metaValue('store_id', () => randomUUID());
  }

  /** No write waits for longer than a statement may take, whoever holds the store: those before it here, or another node. */
  async function inTurn<T>(task: (leftMs: number) => Promise<T>): Promise<T> {
    if (current.getStore()?.open === true) throw new TypeError('a transaction inside another would wait for itself');
    refuseClosed();
    // Their turn is taken before anything is awaited: they are carried out in the order in which they came.
    const prepared = ready();
    prepared.catch(() => undefined);
    return queue.run(async (leftMs) => {
      await prepared;
      const marker = { open: true };
      try {
        return await current.run(marker, task, leftMs);
      } finally {
        marker.open = false;
      }
    }, client.timeoutMs);
  }

  function refuseClosed(): void {
    if (closing !== undefined) throw new PortunusError('STORE_UNAVAILABLE', 'The store is closed.');
  }

  async function transaction<T>(
    kind: 'write' | 'rehearsal',
    actor: string,
    work: (tx: StoreTransaction) => Promise<T>,
    waitMaxMs: number,
  ): Promise<Committed<T> & { readonly wrote: boolean }> {
    return locked(kind, inside, waitMaxMs);

    async function inside(tx: PgTransaction, row: PgRow): Promise<Committed<T> & { readonly wrote: boolean }> {
      const open = openTransaction(createRows(tx), actor, now());
      try {
        const value = await inTime(work(open.tx));
        await open.end();
        const wrote = open.revision !== undefined;
        const revision = open.revision ?? Number(row['revision']);
        if (wrote && kind === 'write') await announce(tx, revision);
        return { value, revision, wrote };
      } finally {
        await open.end();
      }
    }
  }

  async function announce(tx: PgTransaction, revision: number): Promise<void> {
    const first = 'SELECT id, at FROM changes WHERE revision = $1 ORDER BY position LIMIT 1';
    const [[change]] = await Promise.all([
      tx.query(first, revision),
      tx.query('SELECT pg_notify($1, $2)', channel, String(revision)),
    ]);
    // Others may have taken the same revision after a server that was killed forgot this one.
    const sql = `SELECT 1 FROM (${first}) c WHERE id = $2 AND at = $3`;
    tx.witness(sql, revision, String(change?.['id']), Number(change?.['at']));
  }

  /** Writes of all nodes are serial from here on, and no newer program has changed the tables. */
  async function locked<T>(
    kind: 'write' | 'rehearsal',
    work: (tx: PgTransaction, row: PgRow) => Promise<T>,
    waitMaxMs?: number,
  ): Promise<T> {
    const whole = async (tx: PgTransaction): Promise<T> => {
      const [row] = await tx.query('SELECT revision, schema_version FROM revision FOR UPDATE');
      if (row === undefined) throw new PortunusError('STORE_DAMAGED', 'The table of the revision is empty.');
      refuseUnwritable(row);
      return work(tx, row);
    };
    return client.transact(kind, whole, waitMaxMs);
  }

  /** A value of `meta` under the keyring, made when it is first asked for. */
  async function sealedValue(key: string, make: () => Buffer): Promise<Buffer> {
    const binding = `meta ${key}`;
    return sealer.open(await metaValue(key, () => sealer.seal(make(), binding)), binding);
  }

  async function metaValue(key: string, make: () => string): Promise<string> {
    const read = async (from: PgStatements): Promise<string | undefined> => {
      const [row] = await from.query('SELECT value FROM meta WHERE key = $1', key);
      return row && String(row['value']);
    };
    const known = await read(client);
    if (known !== undefined) return known;
    return locked('write', async (tx) => {
      // Another node may have come first.
      await tx.query('INSERT INTO meta (key, value) VALUES ($1, $2) ON CONFLICT DO NOTHING', key, make());
      return (await read(tx)) ?? '';
    });
  }

  /** @returns whether there was another value */
  async function replaceSealed(tx: PgTransaction, key: string, value: Buffer): Promise<boolean> {
    const binding = `meta ${key}`;
    const [known] = await tx.query('SELECT value FROM meta WHERE key = $1', key);
    if (known !== undefined && sealer.open(String(known['value']), binding).equals(value)) return false;
    await tx.query(
      'INSERT INTO meta (key, value) VALUES ($1, $2) ON CONFLICT (key) DO UPDATE SET value = excluded.value',
      key,
      sealer.seal(value, binding),
    );
    return known !== undefined;
  }

  async function resealMeta(tx: PgTransaction): Promise<void> {
    for (const row of await tx.query('SELECT key, value FROM meta')) {
      const [key, value] = [String(row['key']), String(row['value'])];
      const keyId = sealer.keyIdOf(value);
      if (keyId === undefined || keyId === sealer.keyIds[0]) continue;
      const binding = `meta ${key}`;
      const sealed = sealer.seal(sealer.open(value, binding), binding);
      await tx.query('UPDATE meta SET value = $1 WHERE key = $2', sealed, key);
    }
  }
}
