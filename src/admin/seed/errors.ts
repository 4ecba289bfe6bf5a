// Errors in the seed dialect: a flat object of field → message, with `code` and `hint` added beside the fields.
import type { ErrorCode, PortunusError } from '../../lib/errors.ts';
import type { Answer } from '../contract.ts';
import { httpError } from '../http-errors.ts';
import { problemsOf, wholeEntity, type Problem } from '../problems.ts';

export function seedError(error: PortunusError): Answer {
  return (phrased[error.code] ?? httpError)(error);
}

const phrased: Readonly<Partial<Record<ErrorCode, (error: PortunusError) => Answer>>> = {
  INPUT_INVALID: (error) => ({ status: 400, body: flat(problemsOf(error)) }),
  UNIQUE_VIOLATION: (error) => violation(409, error, `already exists with value '${String(error.facts['value'])}'`),
  REFERENCE_MISSING: (error) => violation(404, error, `does not exist with value '${String(error.facts['value'])}'`),
  NAME_ALREADY_BOUND: ({ message, code, hint }) => ({ status: 409, body: { message, code, hint } }),
  CURSOR_INVALID: ({ message, code, hint }) => ({ status: 400, body: { offset: message, code, hint } }),
};

/** A field named twice keeps its first message; `code` and `hint` are the first problem's. */
function flat(problems: readonly Problem[]): object {
  // Field names come from the client: no prototype may stand behind them.
  const fields = Object.create(null) as Record<string, string>;
  for (const { field, message } of problems) {
    const name = field === wholeEntity ? 'message' : field.replace(/(\.\d+)+$/, '');
    fields[name] ??= message;
  }
  const first = problems.find(({ code }) => code !== 'INPUT_INVALID') ?? problems[0];
  const hint = problems.find((problem) => problem.code === first?.code && problem.hint !== undefined)?.hint;
  return { code: first?.code, ...(hint !== undefined && { hint }), ...fields };
}

function violation(status: number, error: PortunusError, message: string): Answer {
  const field = String(error.facts['field']);
  return { status, body: { [fieldNames[field] ?? snakeCase(field)]: message, code: error.code } };
}

/** Of the store's names those that the wire has others for. */
const fieldNames: Readonly<Record<string, string>> = { clientCertificate: 'ca_certificates' };

function snakeCase(name: string): string {
  return name.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}
