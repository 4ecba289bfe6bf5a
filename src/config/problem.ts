// What is wrong with a configuration, and how a person reads it. A value that may be private is never part of it.

export interface Problem {
  /** The setting, as given, shortened; or `configuration file`. */
  readonly name: string;
  /** As given, shortened; undefined when there is none or it may be private. */
  readonly value: string | undefined;
  /** Where it came from: a file's path, `environment PORTUNUS_…`, `command line`, `default`. */
  readonly source: string;
  /** What would be right, to follow the word "expected". */
  readonly expected: string;
  /** The whole of it in one sentence. */
  readonly message: string;
}

export interface ProblemFacts {
  readonly name: string;
  readonly value?: string | undefined;
  readonly source: string;
  readonly expected: string;
  /** In place of "expected …". */
  readonly message?: string;
}

export function createProblem({ name, value, source, expected, message }: ProblemFacts): Problem {
  const shown = value === undefined ? undefined : showValue(value);
  return { name: showValue(name), value: shown, source, expected, message: message ?? `expected ${expected}` };
}

/** `ssl_min_rsa_bits = 512 (environment PORTUNUS_SSL_MIN_RSA_BITS): expected a number from 1024 to 16384` */
export function formatProblem({ name, value, source, message }: Problem): string {
  return `${name}${value === undefined ? '' : ` = ${value === '' ? '""' : value}`} (${source}): ${message}`;
}

/** A value on one line, never a private key. */
export function showValue(value: string): string {
  if (value.includes('-----BEGIN')) return '(hidden)';
  const line = value.replaceAll(/\p{Cc}+/gu, ' ');
  return line.length > 80 ? `${line.slice(0, 77)}…` : line;
}
