// Sizes and durations as people write them: `10m`, `8k`, `60s`, `500ms`. Bounds are the reader's.

const sizes: Readonly<Record<string, number>> = { '': 1, b: 1, k: 1024, m: 1024 ** 2, g: 1024 ** 3 };
const durations: Readonly<Record<string, number>> = {
  ms: 1,
  '': 1000,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};

/** Bytes, or undefined; `k`, `m`, `g` in either case are powers of 1024, no unit is bytes. */
export function parseSize(text: string): number | undefined {
  return parseQuantity(text.toLowerCase(), sizes);
}

/** Milliseconds, or undefined; units `ms`, `s`, `m`, `h`, `d`, no unit is seconds. */
export function parseDuration(text: string): number | undefined {
  return parseQuantity(text.toLowerCase(), durations);
}

/** The shortest form that parseSize reads back. */
export function formatSize(bytes: number): string {
  return formatQuantity(bytes, [
    ['g', 1024 ** 3],
    ['m', 1024 ** 2],
    ['k', 1024],
  ]);
}

/** The shortest form that parseDuration reads back. */
export function formatDuration(ms: number): string {
  return formatQuantity(ms, [
    ['d', 86_400_000],
    ['h', 3_600_000],
    ['m', 60_000],
    ['s', 1000],
    ['ms', 1],
  ]);
}

function parseQuantity(text: string, units: Readonly<Record<string, number>>): number | undefined {
  const [, digits = '', unit = ''] = /^(\d{1,16}) ?([a-z]*)$/.exec(text) ?? [];
  const factor = Object.hasOwn(units, unit) ? units[unit] : undefined;
  if (digits === '' || factor === undefined) return undefined;
  const value = Number(digits) * factor;
  return Number.isSafeInteger(value) ? value : undefined;
}

function formatQuantity(value: number, units: readonly (readonly [string, number])[]): string {
  const unit = value === 0 ? undefined : units.find(([, factor]) => value % factor === 0);
  return unit === undefined ? String(value) : `${value / unit[1]}${unit[0]}`;
}
