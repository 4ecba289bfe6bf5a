// `?wait=cluster` and `?wait=<duration>`: whether and how long a write waits for every node, and what its answer says of them.
import type { AppliedByAll } from '../store/node-registry.ts';
import type { AdminDeps, Answer } from './contract.ts';
import { inputInvalid, invalid } from './problems.ts';
import { warningHeader } from './warning-header.ts';

/** Milliseconds; `cluster`: as long as the configuration says. */
export type Wait = number | 'cluster' | undefined;

/** The longest that an answer may wait for. */
export const waitMaxMs = 600_000;

/** @throws INPUT_INVALID */
export function readWait(query: URLSearchParams): Wait {
  const text = query.get('wait');
  if (text === null) return undefined;
  if (text === 'cluster') return text;
  const [, digits, unit] = /^(\d{1,9})(ms|s|m)$/.exec(text) ?? [];
  const ms = Number(digits) * (unit === 'ms' ? 1 : unit === 's' ? 1000 : 60_000);
  if (digits === undefined || ms < 1 || ms > waitMaxMs) {
    throw inputInvalid([invalid('wait', 'must be cluster, or a duration of 1ms to 10m such as 500ms or 5s')]);
  }
  return ms;
}

/** The answer of a write that waits: 202 when a node lagged; a body also where there would be none. */
export async function afterAllNodes(
  deps: Pick<AdminDeps, 'whenAppliedByAll'>,
  answer: Answer,
  wait: Exclude<Wait, undefined>,
  written: { readonly revision: number; readonly committedAt: number },
): Promise<Answer> {
  const outcome = await deps.whenAppliedByAll(
    written.revision,
    written.committedAt,
    wait === 'cluster' ? undefined : wait,
  );
  const complete = outcome.known && outcome.lagging.length === 0;
  const warnings = [answer.headers?.['warning'] ?? []].flat();
  return {
    status: complete ? (answer.status === 204 ? 200 : answer.status) : 202,
    body: { ...answer.body, cluster: shown(outcome) },
    headers: {
      ...answer.headers,
      'portunus-nodes': outcome.applied.map(({ name, ms }) => `${JSON.stringify(printable(name))};ms=${ms}`).join(', '),
      ...(!complete && { warning: [...warnings, warningHeader(laggards(outcome))] }),
    },
  };
}

function shown({ revision, applied, lagging, known }: AppliedByAll): object {
  return {
    revision,
    applied: applied.map(({ id, name, ms }) => ({ node: id, name, ms })),
    lagging: lagging.map(({ id, name, applied: revisionOfNode, silentMs }) => ({
      node: id,
      name,
      applied_revision: revisionOfNode ?? null,
      last_seen_ms_ago: silentMs,
    })),
    ...(!known && { message: 'the write is stored, but the nodes could not be asked for' }),
  };
}

function laggards({ revision, lagging, known }: AppliedByAll): string {
  if (!known) return `revision ${revision} is stored, but the nodes could not be asked for`;
  return `revision ${revision} is stored, but not yet applied by ${lagging.map(({ name }) => name).join(', ')}`;
}

function printable(name: string): string {
  return name.replaceAll(/[^\x20-\x7e]/g, '?');
}
