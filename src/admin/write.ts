// The road of every write: one transaction, or its rehearsal for a dry run, then the answer once this node has applied it.
import { isPortunusError } from '../lib/errors.ts';
import type { KeyPair } from '../model/entities.ts';
import type { StoreTransaction } from '../store/contract.ts';
import type { Finding } from '../x509/findings.ts';
import type { AdminDeps, Answer, Call } from './contract.ts';
import { describePair } from './describe-pair.ts';
import { problemsOf } from './problems.ts';
import { afterAllNodes } from './wait.ts';
import { warningHeader } from './warning-header.ts';

export interface Written {
  readonly status: number;
  readonly body?: object | undefined;
  readonly notices?: Notices | undefined;
  /** A certificate was sent and taken. */
  readonly uploaded?: boolean | undefined;
  /** Of the certificates the entity has, for the report of a dry run. */
  readonly pairs?: readonly KeyPair[] | undefined;
}

/** What the intake of certificates has to say about an accepted request. */
export interface Notices {
  readonly warnings: readonly Finding[];
  readonly repairs: readonly Finding[];
}

export function joinNotices(a: Notices, b: Notices): Notices {
  return { warnings: [...a.warnings, ...b.warnings], repairs: [...a.repairs, ...b.repairs] };
}

export const noNotices: Notices = { warnings: [], repairs: [] };

/**
 * `work` validates what depends on stored state, writes, and builds the answer, all inside the transaction.
 * @returns with `Portunus-Revision`, after this node applied that revision or the wait for it ended (`Portunus-Applied: no`)
 * @throws what `work` and the store throw, with nothing written
 */
export async function write(
  deps: AdminDeps,
  call: Call,
  work: (tx: StoreTransaction) => Promise<Written>,
): Promise<Answer> {
  if (call.dryRun) return report(await deps.store.rehearse(call.actor, work));
  const { value, revision } = await counted(deps, () => deps.store.transact(call.actor, work));
  const committedAt = performance.now();
  if (value.uploaded === true) deps.countUpload('accepted', undefined);
  const applied = await isApplied(deps, revision);
  const warnings = noticeHeaders(value.notices ?? noNotices);
  if (!applied) {
    warnings.push(
      warningHeader(`revision ${revision} is stored, but not every worker of this node has applied it yet`),
    );
  }
  const answer = {
    status: value.status,
    body: value.body,
    headers: {
      'portunus-revision': String(revision),
      'portunus-applied': applied ? 'yes' : 'no',
      ...(warnings.length > 0 && { warning: warnings }),
    },
  };
  return call.wait === undefined ? answer : afterAllNodes(deps, answer, call.wait, { revision, committedAt });
}

/** What is stored is answered as stored, whatever becomes of the waiting. */
async function isApplied(deps: AdminDeps, revision: number): Promise<boolean> {
  try {
    return (await deps.whenApplied(revision)).applied;
  } catch (error) {
    deps.log.error({ err: error, revision }, 'waiting for a revision to be applied failed');
    return false;
  }
}

async function counted<T>(deps: AdminDeps, transact: () => Promise<T>): Promise<T> {
  try {
    return await transact();
  } catch (error) {
    const problem = isPortunusError(error)
      ? problemsOf(error).find(({ code }) => /^(CERTIFICATE|KEY)_/.test(code))
      : undefined;
    if (problem !== undefined) deps.countUpload('refused', problem.code);
    throw error;
  }
}

function report({ status, body, notices = noNotices, pairs }: Written): Answer {
  return {
    status: 200,
    body: {
      dry_run: true,
      would_answer: status,
      ...(body !== undefined && { would_store: body }),
      ...(pairs !== undefined && { certificates: pairs.map(describePair) }),
      warnings: notices.warnings.map(shown),
      repairs: notices.repairs.map(shown),
    },
  };
}

function shown({ code, field, message, hint }: Finding): object {
  return { code, field, message, ...(hint !== undefined && { hint }) };
}

function noticeHeaders({ warnings, repairs }: Notices): string[] {
  return [...warnings, ...repairs].map(({ code, message }) => warningHeader(`${code}: ${message}`));
}
