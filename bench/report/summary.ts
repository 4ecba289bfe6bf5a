// Medians and spreads of what was measured.
import type { PeerName } from '../peers/peer.ts';
import { leadingFigure, type Work } from '../works/work.ts';
import type { Measurement } from './results.ts';

export interface Spread {
  readonly median: number;
  readonly min: number;
  readonly max: number;
}

/** @returns undefined when the product did not serve the work or was not measured */
export function figureOf(measurement: Measurement, name: PeerName, figure: string): Spread | undefined {
  return spread((measurement.samples[name] ?? []).map((sample) => sample[figure] ?? Number.NaN));
}

/** The leading figure of one product as a part of another's, taken round by round. */
export function ratioOf(work: Work, measurement: Measurement, name: PeerName, to: PeerName): Spread | undefined {
  const leading = leadingFigure[work.kind];
  const theirs = measurement.samples[to] ?? [];
  const ours = measurement.samples[name] ?? [];
  if (theirs.length === 0) return undefined;
  return spread(
    ours.map((sample, round) => (sample[leading] ?? Number.NaN) / (theirs[round]?.[leading] ?? Number.NaN)),
  );
}

function spread(values: readonly number[]): Spread | undefined {
  if (values.length === 0) return undefined;
  const sorted = values.toSorted((a, b) => a - b);
  const at = (place: number): number => sorted[place] ?? Number.NaN;
  const middle = (sorted.length - 1) / 2;
  return { median: (at(Math.floor(middle)) + at(Math.ceil(middle))) / 2, min: at(0), max: at(sorted.length - 1) };
}
