// What the two dialects say about a field, and how strictly they take a value: seed as of Kong 0.9 to 0.12, today as of
// Kong 3.

type FieldType = 'string' | 'boolean' | 'number' | 'array' | 'object';

export interface Phrases {
  required(name: string): string;
  unknown(name: string): string;
  wrongType(name: string, type: FieldType): string;
  outOfRange(minimum: number, maximum: number): string;
  notUuid(value: string): string;
  notOneOf(values: readonly string[]): string;
  readonly emptyString: string;
  /** `null` where it is not allowed is as good as nothing. */
  readonly nullIsAbsent: boolean;
  /** Text is trimmed. */
  readonly trims: boolean;
  /** A text that stands for any array is split at commas. */
  readonly splitsCommas: boolean;
  /** May text stand for a boolean or number? @param typed the body was JSON */
  coerces(typed: boolean): boolean;
  emptyIsNull(typed: boolean): boolean;
}

export const seedPhrases: Phrases = {
  required: (name) => `${name} is required`,
  unknown: (name) => `${name} is an unknown field`,
  wrongType: (name, type) =>
    `${name} is not ${{ array: 'an array', object: 'a table' }[type as string] ?? `a ${type}`}`,
  outOfRange: (minimum, maximum) => `must be an integer between ${minimum} and ${maximum}`,
  notUuid: (value) => `${value} is not a valid uuid`,
  notOneOf: (values) => `must be one of ${values.join(', ')}`,
  emptyString: 'must not be empty',
  nullIsAbsent: true,
  trims: true,
  splitsCommas: true,
  coerces: () => true,
  emptyIsNull: () => true,
};

export const todayPhrases: Phrases = {
  required: () => 'required field missing',
  unknown: () => 'unknown field',
  wrongType: (_, type) =>
    ({ array: 'expected an array', object: 'expected a record', number: 'expected an integer' })[type as string] ??
    `expected a ${type}`,
  outOfRange: (minimum, maximum) => `value should be between ${minimum} and ${maximum}`,
  notUuid: () => 'expected a valid UUID',
  notOneOf: (values) => `expected one of: ${values.join(', ')}`,
  emptyString: 'length must be at least 1',
  nullIsAbsent: false,
  trims: false,
  splitsCommas: false,
  coerces: (typed) => !typed,
  emptyIsNull: (typed) => !typed,
};
