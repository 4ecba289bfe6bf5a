// Errors in today's dialect: `{code, name, message, fields}` with Kong 3's numbers, `reason` and `hint` added.
import type { ErrorCode, PortunusError } from '../../lib/errors.ts';
import type { Answer } from '../contract.ts';
import { httpError } from '../http-errors.ts';
import { problemsOf, wholeEntity, type Problem } from '../problems.ts';

export function todayError(error: PortunusError): Answer {
  return (phrased[error.code] ?? httpError)(error);
}

/** Of the store's names those that the wire has others for. */
const fieldNames: Readonly<Record<string, string>> = { fingerprint: 'cert_digest' };

const phrased: Readonly<Partial<Record<ErrorCode, (error: PortunusError) => Answer>>> = {
  INPUT_INVALID: (error) => schemaViolation(problemsOf(error)),
  UNIQUE_VIOLATION(error) {
    const field = fieldNames[String(error.facts['field'])] ?? String(error.facts['field']);
    const value = String(error.facts['value']);
    return answer(409, 5, 'unique constraint violation', {
      message: `UNIQUE violation detected on '{${field}="${value}"}'`,
      fields: { [field]: value },
      reason: error.code,
    });
  },
  REFERENCE_MISSING(error) {
    const id = String(error.facts['value']);
    const isAuthority = error.facts['field'] === 'clientCertificate';
    return answer(400, 4, 'foreign key violation', {
      message: `the foreign key '{id="${id}"}' does not reference an existing '${isAuthority ? 'ca_certificates' : 'certificates'}' entity.`,
      fields: isAuthority ? { ca_certificates: { id } } : { certificate: { id } },
      reason: error.code,
    });
  },
  STILL_REFERENCED({ code, hint, facts }) {
    const by = facts['by'] === 'api' ? 'apis' : 'hosts';
    return answer(400, 19, 'referenced by others', {
      message: `ca certificate ${String(facts['id'])} is still referenced by ${by} (id = ${String(facts['holderId'])})`,
      reason: code,
      hint,
    });
  },
  NAME_ALREADY_BOUND: ({ message, code, hint, facts }) =>
    answer(409, 5, 'unique constraint violation', { message, fields: { name: facts['name'] }, reason: code, hint }),
  ENTITY_NOT_FOUND: (error) =>
    error.facts['primaryKey'] === undefined
      ? httpError(error)
      : answer(404, 6, 'not found', { message: error.message, fields: error.facts['primaryKey'] }),
  LIST_SIZE_INVALID: ({ message, code }) => answer(400, 9, 'invalid size', { message, reason: code }),
  CURSOR_INVALID: ({ message, code, hint }) => answer(400, 7, 'invalid offset', { message, reason: code, hint }),
  LIST_FILTER_INVALID: ({ message, code, facts }) =>
    answer(400, 11, 'invalid options', {
      message: `invalid option (${message})`,
      options: { [String(facts['option'])]: facts['problem'] },
      reason: code,
    }),
};

function schemaViolation(problems: readonly Problem[]): Answer {
  const about = problems.filter(({ field }) => field === wholeEntity);
  const byField = problems
    .filter(({ field }) => field !== wholeEntity)
    .sort((a, b) => (a.field < b.field ? -1 : a.field > b.field ? 1 : 0));
  const texts = [
    ...about.map(({ message }) => message),
    ...byField.map(({ field, message }) => `${field}: ${message}`),
  ];
  const count = texts.length === 1 ? 'schema violation' : `${texts.length} schema violations`;
  const first = problems.find(({ code }) => code !== 'INPUT_INVALID') ?? problems[0];
  const hint = problems.find((problem) => problem.code === first?.code && problem.hint !== undefined)?.hint;
  const fields = bare();
  if (about.length > 0) fields[wholeEntity] = about.map(({ message }) => message);
  for (const { field, message } of byField) place(fields, field.split('.'), message);
  return answer(400, 2, 'schema violation', {
    message: `${count} (${texts.join('; ')})`,
    fields,
    reason: first?.code,
    ...(hint !== undefined && { hint }),
  });
}

/** `snis.2` → `{snis: [null, message]}`, `certificate.id` → `{certificate: {id: message}}`. */
function place(fields: Record<string, unknown>, path: readonly string[], message: string): void {
  const [name = '', inner] = path;
  if (inner === undefined) {
    fields[name] ??= message;
  } else if (/^\d+$/.test(inner)) {
    const list = Array.isArray(fields[name]) ? (fields[name] as (string | null)[]) : [];
    while (list.length < Number(inner)) list.push(null);
    list[Number(inner) - 1] ??= message;
    fields[name] = list;
  } else {
    const nested = (fields[name] ?? bare()) as Record<string, unknown>;
    if (typeof nested === 'object') place(nested, path.slice(1), message);
    fields[name] = nested;
  }
}

/** Field names come from the client: no prototype may stand behind them. */
function bare(): Record<string, unknown> {
  return Object.create(null) as Record<string, unknown>;
}

function answer(status: number, code: number, name: string, rest: Readonly<Record<string, unknown>>): Answer {
  return { status, body: { code, name, ...rest } };
}
