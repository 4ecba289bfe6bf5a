// The structured log: one JSON object a line on stderr, by pino. Private material is taken out here, whatever a caller
// passes. The access log is another file.
import { destination as fileDestination, pino } from 'pino';
import type { Log } from './contract.ts';

export interface LogOptions {
  readonly level: 'debug' | 'info' | 'warn' | 'error' | 'silent';
  /** Who speaks: `portunus`, the primary, or `worker`. */
  readonly name: string;
  /** Where lines go; stderr when absent. */
  readonly destination?: { write(line: string): void };
}

export interface LeveledLog extends Log {
  /** From now on. */
  setLevel(level: LogOptions['level']): void;
}

/** Lines such as `{"level":"info","time":"2026-01-31T12:00:00.000Z","pid":1,"name":"portunus",…,"msg":"…"}`. */
export function createLog({ level, name, destination }: LogOptions): LeveledLog {
  const logger = pino(
    {
      level,
      base: null,
      timestamp: () => `,"time":"${new Date().toISOString()}"`,
      formatters: { level: (label) => ({ level: label }) },
    },
    destination ?? openStandardError(),
  );
  const base = { pid: process.pid, name };
  return {
    debug(fields, message) {
      if (logger.isLevelEnabled('debug')) logger.debug(lineFields(base, fields), message);
    },
    info(fields, message) {
      if (logger.isLevelEnabled('info')) logger.info(lineFields(base, fields), message);
    },
    warn(fields, message) {
      if (logger.isLevelEnabled('warn')) logger.warn(lineFields(base, fields), message);
    },
    error(fields, message) {
      if (logger.isLevelEnabled('error')) logger.error(lineFields(base, fields), message);
    },
    setLevel(next) {
      logger.level = next;
    },
  };
}

/** A log that cannot be written (a full disk, a reader that has gone) ends nothing: its lines are lost, within a bound. */
function openStandardError(): ReturnType<typeof fileDestination> {
  const standardError = fileDestination({ fd: 2, sync: true, maxLength: unwrittenMax });
  standardError.on('error', () => undefined);
  return standardError;
}

const unwrittenMax = 1024 * 1024;

/** Fields win over the base, and never stand for what the line itself has: a name twice is no JSON. */
function lineFields(base: object, fields: object): object {
  const scrubbed = scrub(fields instanceof Error ? { error: fields } : fields, 0) as Record<string, unknown>;
  for (const name of ['level', 'time', 'msg']) {
    if (!Object.hasOwn(scrubbed, name)) continue;
    scrubbed[`field_${name}`] = scrubbed[name];
    delete scrubbed[name];
  }
  return { ...base, ...scrubbed };
}

const redacted = '[redacted]';
const depthMax = 6;
/** By the end of the name: `key`, `ssl_cert_key`, `privateKey`, `config.key_alt`, but not `key_id`. */
const privateName = /(key|passphrase|password|secret|token|authorization|cookie)s?(_?alt)?$/i;
const privateText = /PRIVATE KEY-----/;

/** A copy without private material. Names decide, and so does what a text looks like. */
function scrub(value: unknown, depth: number): unknown {
  if (typeof value === 'string') return privateText.test(value) ? redacted : value;
  if (typeof value === 'bigint') return value.toString();
  if (typeof value !== 'object' || value === null) return value;
  if (depth === depthMax) return '[deeper]';
  if (Array.isArray(value)) return value.map((item) => scrub(item, depth + 1));
  if (ArrayBuffer.isView(value)) return `[${value.byteLength} bytes]`;
  if (value instanceof Date) return value;
  const copy: Record<string, unknown> = {};
  for (const [name, item] of entriesOf(value)) {
    copy[name] = privateName.test(name) ? redacted : scrub(item, depth + 1);
  }
  return copy;
}

/** An error's message, stack and cause are not enumerable, and are what a log is read for. */
function entriesOf(value: object): readonly (readonly [string, unknown])[] {
  if (!(value instanceof Error)) return Object.entries(value);
  const { name, message, stack, cause } = value;
  const rest = Object.entries(value).filter(([key, item]) => key !== 'name' && item !== undefined);
  return [
    ['type', name],
    ['message', message],
    ...rest,
    ['stack', stack],
    ...(cause ? [['cause', cause] as const] : []),
  ];
}
