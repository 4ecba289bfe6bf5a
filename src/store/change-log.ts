// The rows of `changes` of one transaction, the revision that the first of them takes, and the audit trail of the same writes.
import { createHash } from 'node:crypto';
import type { Change, Entity, EntityKind, Milliseconds, Operation } from '../model/entities.ts';
import type { NewAuditEntry, Rows } from './rows.ts';

export interface ChangeLog {
  /** Undefined until something was recorded. */
  readonly revision: number | undefined;
  /** @returns the transaction's revision, for the entity's row */
  record(entity: EntityKind, id: string, operation: Operation, states: States): Promise<number>;
  /** As `record` for new entities, in order; the rows are for the caller to write, from `position` on. */
  reserve(records: readonly NewRecord[]): Promise<{
    readonly changes: readonly Change[];
    readonly audit: readonly NewAuditEntry[];
    readonly position: number;
  }>;
  /** Runs `work` as `rows.atomically` does, and forgets what it recorded when it throws. */
  atomically<T>(work: () => Promise<T>): Promise<T>;
}

/** What was there before and is after it. */
export interface States {
  readonly before?: Entity;
  readonly after?: Entity;
}

export interface NewRecord {
  readonly entity: EntityKind;
  readonly created: Entity;
}

export function createChangeLog(rows: Rows, actor: string, at: Milliseconds): ChangeLog {
  let revision: number | undefined;
  let position = 0;

  return {
    get revision() {
      return revision;
    },
    async record(entity, id, operation, { before, after }) {
      revision ??= await rows.takeRevision();
      const change = { revision, entity, id, operation, actor, at };
      await rows.appendChange(change, position);
      await rows.appendAudit([{ ...change, before: fingerprintOf(before), after: fingerprintOf(after) }]);
      position += 1;
      return revision;
    },
    async reserve(records) {
      const taken = (revision ??= await rows.takeRevision());
      const from = position;
      position += records.length;
      const changes = records.map(({ entity, created: { id } }): Change => {
        return { revision: taken, entity, id, operation: 'create', actor, at };
      });
      const audit = changes.map((change, index) => {
        return { ...change, before: null, after: fingerprintOf(records[index]?.created) };
      });
      return { changes, audit, position: from };
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

/** Of a certificate, those of its leaves: what people compare. It does not change with tags or another sealing. */
function fingerprintOf(entity: Entity | undefined): string | null {
  if (entity === undefined) return null;
  if (!('primary' in entity)) return createHash('sha256').update(JSON.stringify(entity)).digest('hex');
  const { primary, alternative } = entity;
  return alternative === null ? primary.fingerprint : `${primary.fingerprint} ${alternative.fingerprint}`;
}
