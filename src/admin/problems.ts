// What is wrong with a request, field by field, and the one way to refuse it. How problems are phrased as an answer is
// seed/errors.ts's and today/errors.ts's.
import { PortunusError, type ErrorCode } from '../lib/errors.ts';

export interface Problem {
  /** Dotted: `config.cert`, `snis.1`; `@entity` when it is about fields together. */
  readonly field: string;
  readonly message: string;
  readonly code: ErrorCode;
  readonly hint?: string | undefined;
}

/** Fields together rather than one of them. */
export const wholeEntity = '@entity';

/** facts: `{problems}` */
export function inputInvalid(problems: readonly Problem[]): PortunusError {
  const message = problems.map(({ field, message }) => `${field}: ${message}`).join('; ');
  return new PortunusError('INPUT_INVALID', message, { facts: { problems } });
}

export function invalid(field: string, message: string, hint?: string): Problem {
  return { field, message, code: 'INPUT_INVALID', hint };
}

/** The problems an INPUT_INVALID carries; none for any other error. */
export function problemsOf(error: PortunusError): readonly Problem[] {
  return error.code === 'INPUT_INVALID' ? ((error.facts['problems'] as readonly Problem[] | undefined) ?? []) : [];
}
