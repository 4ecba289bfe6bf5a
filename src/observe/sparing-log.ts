// Tells a log of what can happen any number of times without flooding it: of each kind one line at once, then at most one in
// each interval, with the number of those left out.

export const sparingIntervalMs = 1000;
/** Kinds remembered; beyond, all are forgotten, and each is new again. */
const kindsMax = 10_000;

/** @param say writes the line. @param now a monotonic clock, milliseconds */
export function createSparingLog<Fields extends object>(
  say: (fields: Fields & { readonly leftOut: number }) => void,
  now: () => number,
): (kind: string, fields: Fields) => void {
  const told = new Map<string, { at: number; leftOut: number }>();
  return (kind, fields) => {
    const last = told.get(kind);
    const at = now();
    if (last !== undefined && at - last.at < sparingIntervalMs) {
      last.leftOut += 1;
      return;
    }
    if (last === undefined && told.size >= kindsMax) told.clear();
    told.set(kind, { at, leftOut: 0 });
    say({ ...fields, leftOut: last?.leftOut ?? 0 });
  };
}
