// The rows of `changes` of one transaction, and the revision that the first of them takes.
import type { Change, EntityKind, Milliseconds, Operation } from '../model/entities.ts';
import type { Rows } from './rows.ts';

export interface ChangeLog {
  /** Undefined until something was recorded. */
  readonly revision: number | undefined;
  /** @returns the transaction's revision, for the entity's row */
  record(entity: EntityKind, id: string, operation: Operation): Promise<number>;
  /** As `record` for each, in order; the rows are for the caller to write, from `position` on. */
  reserve(
    records: readonly Pick<Change, 'entity' | 'id' | 'operation'>[],
  ): Promise<{ readonly changes: readonly Change[]; readonly position: number }>;
  /** Runs `work` as `rows.atomically` does, and forgets what it recorded when it throws. */
  atomically<T>(work: () => Promise<T>): Promise<T>;
}

export function createChangeLog(rows: Rows, actor: string, at: Milliseconds): ChangeLog {
  let revision: number | undefined;
  let position = 0;

  return {
    get revision() {
      return revision;
    },
    async record(entity, id, operation) {
      revision ??= await rows.takeRevision();
      await rows.appendChange({ revision, entity, id, operation, actor, at }, position);
      position += 1;
      return revision;
    },
    async reserve(records) {
      const taken = (revision ??= await rows.takeRevision());
      const from = position;
      position += records.length;
      return { changes: records.map((record) => ({ revision: taken, ...record, actor, at })), position: from };
    },
    async atomically(work) {
      const before = { revision, position };
      try {
        return await rows.atomically(work);
      } catch (error) {
        ({ revision, position } = before);
        throw error;
      }
    },
  };
}
