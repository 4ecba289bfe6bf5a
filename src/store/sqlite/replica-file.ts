// The SQLite file that is a node's copy of the shared store: written here, in whole batches, and read by the workers. What
// goes into it, and when, is replica/copier.ts's.
import { rmSync } from 'node:fs';
import type { Change } from '../../model/entities.ts';
import type { StoreReader } from '../contract.ts';
import { createQueue } from '../queue.ts';
import { type EntityTable, entityTables, type ReplicaRow, type RowVersion } from '../replica-source.ts';
import type { Connection } from './connection.ts';
import { openDatabase, openForReading } from './open-database.ts';
import { toApi, toHostPolicy } from './encoding.ts';
import { createReader, readRevision } from './reader.ts';
import { apiLookups, ruleLookups, tagTable } from './tables.ts';
import { checkpointIfLong, emptyLog, pruneChanges } from './upkeep.ts';

/** Rows of `changes` kept for the workers' sake. */
const changesKept = 100_000;

export interface ReplicaFile extends Disposable {
  readonly path: string;
  readonly revision: number;
  /** What is committed. */
  readonly reader: StoreReader;
  meta(key: string): string | undefined;
  /** One transaction at a time; when `work` throws nothing of it is written. It may wait, for the source say. */
  write(work: (writer: ReplicaWriter) => Promise<void>): Promise<void>;
  /** An empty one, in a file beside this one that goes with it. */
  openBeside(): Promise<ReplicaFile>;
  /** Its content takes the place of what is in this one, damaged or not; whoever reads goes on, and sees one or the other. */
  replaceBy(other: ReplicaFile): Promise<void>;
  /** See `replaceBy`. */
  copyOver(file: string): Promise<void>;
}

export interface ReplicaWriter {
  /** Rows that are not there: see `remove`. */
  insert(table: EntityTable, rows: readonly ReplicaRow[]): void;
  /** With all that is looked up by them; ids that are not there are passed over. */
  remove(table: EntityTable, ids: readonly string[]): void;
  unbind(holderIds: readonly string[]): void;
  unbindAll(): void;
  bind(rows: readonly ReplicaRow[]): void;
  /** In the order of `sequence`, those after it, at most `limit`. */
  versions(table: EntityTable, after: number, limit: number): readonly RowVersion[];
  version(table: EntityTable, id: string): number | undefined;
  appendChanges(changes: readonly Change[]): void;
  forgetChanges(): void;
  setRevision(revision: number): void;
  setMeta(key: string, value: string): void;
  /** Everything goes. */
  clear(): void;
}

/** @throws STORE_UNAVAILABLE, STORE_DAMAGED, STORE_NEWER */
export async function openReplicaFile(path: string): Promise<ReplicaFile> {
  const connection = await openDatabase(path);
  // What a loss of power takes is copied again; and the truth has looked after references.
  connection.exec('PRAGMA synchronous = NORMAL; PRAGMA foreign_keys = OFF;');
  const reading = openForReading(path);
  const queue = createQueue();
  const writer = createWriter(connection);
  let writes = 0;

  return {
    path,
    get revision() {
      return readRevision(reading);
    },
    reader: createReader(reading),
    meta(key) {
      const row = reading.get('SELECT value FROM meta WHERE key = ?', key);
      return row && String(row['value']);
    },
    write: (work) =>
      queue.run(async () => {
        connection.run('BEGIN IMMEDIATE');
        try {
          await work(writer);
          if ((writes += 1) % 1000 === 0) pruneChanges(connection, changesKept);
          connection.run('COMMIT');
        } finally {
          if (connection.inTransaction) connection.run('ROLLBACK');
        }
        checkpointIfLong(connection, path);
      }),
    async openBeside() {
      const beside = besideOf(path);
      removeReplica(beside);
      const opened = await openReplicaFile(beside);
      return {
        ...opened,
        get revision() {
          return opened.revision;
        },
        [Symbol.dispose]() {
          opened[Symbol.dispose]();
          removeReplica(beside);
        },
      };
    },
    replaceBy: (other) => queue.run(() => other.copyOver(path)),
    copyOver: (file) => connection.copyOver(file),
    [Symbol.dispose]() {
      reading.close();
      emptyLog(connection);
      connection.close();
    },
  };
}

/** Where another replica is filled that will take its place. */
export function besideOf(file: string): string {
  return `${file}.new`;
}

/** With what belongs to it. */
export function removeReplica(file: string): void {
  for (const end of ['', '-wal', '-shm']) rmSync(file + end, { force: true });
}

function createWriter(connection: Connection): ReplicaWriter {
  const apis = apiLookups(connection);
  const rules = ruleLookups(connection);
  const tags = {
    certificates: tagTable(connection, 'certificates', 'certificate_tags'),
    snis: tagTable(connection, 'snis', 'sni_tags'),
    ca_certificates: tagTable(connection, 'ca_certificates', 'ca_certificate_tags'),
  };
  return {
    insert(table, rows) {
      for (const row of rows) {
        const columns = Object.keys(row);
        connection.run(
          `INSERT INTO ${table} (${columns.join(', ')}) VALUES (${columns.map(() => '?').join(', ')})`,
          ...Object.values(row),
        );
        addLookups(table, row);
      }
    },
    remove(table, ids) {
      for (const id of ids) {
        dropLookups(table, id);
        connection.run(`DELETE FROM ${table} WHERE id = ?`, id);
      }
    },
    unbind(holderIds) {
      for (const id of holderIds) connection.run('DELETE FROM bindings WHERE holder_id = ?', id);
    },
    unbindAll() {
      connection.run('DELETE FROM bindings');
    },
    bind(rows) {
      for (const { name = '', certificate_id = '', holder = '', holder_id = '' } of rows) {
        connection.run('INSERT INTO bindings VALUES (?, ?, ?, ?)', name, certificate_id, holder, holder_id);
      }
    },
    versions: (table, after, limit) =>
      connection
        .all(`SELECT sequence, id, revision FROM ${table} WHERE sequence > ? ORDER BY sequence LIMIT ?`, after, limit)
        .map((row) => ({ ...(row as unknown as RowVersion) })),
    version(table, id) {
      const row = connection.get(`SELECT revision FROM ${table} WHERE id = ?`, id);
      return row && Number(row['revision']);
    },
    appendChanges(changes) {
      let position = 0;
      let last = 0;
      for (const { revision, entity, id, operation, actor, at } of changes) {
        position = revision === last ? position + 1 : 0;
        last = revision;
        connection.run(
          'INSERT OR REPLACE INTO changes VALUES (?, ?, ?, ?, ?, ?, ?)',
          revision,
          position,
          entity,
          id,
          operation,
          actor,
          at,
        );
      }
    },
    forgetChanges() {
      connection.run('DELETE FROM changes');
    },
    setRevision(revision) {
      connection.run('UPDATE revision SET revision = ?', revision);
    },
    setMeta(key, value) {
      connection.run('INSERT OR REPLACE INTO meta VALUES (?, ?)', key, value);
    },
    clear() {
      const tables = [
        ...entityTables,
        'api_hosts',
        'api_uris',
        'certificate_tags',
        'sni_tags',
        'ca_certificate_tags',
        'rule_authorities',
        'bindings',
        'changes',
        'meta',
      ];
      for (const table of tables) connection.run(`DELETE FROM ${table}`);
      connection.run('UPDATE revision SET revision = 0');
    },
  };

  function addLookups(table: EntityTable, row: ReplicaRow): void {
    const id = String(row['id']);
    if (table === 'apis') apis.add({ ...toApi(row), id });
    else if (table === 'host_policies') rules.add(id, toHostPolicy(row).clientCertificate);
    else if (isTagged(table) && row['tags'] !== '[]') tags[table].add(id);
  }

  function dropLookups(table: EntityTable, id: string): void {
    if (table === 'apis') apis.drop(id);
    else if (table === 'host_policies') rules.drop(id);
    else if (isTagged(table)) tags[table].drop(id);
  }
}

function isTagged(table: EntityTable): table is 'certificates' | 'snis' | 'ca_certificates' {
  return table === 'certificates' || table === 'snis' || table === 'ca_certificates';
}
