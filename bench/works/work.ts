// A work is what products are measured at, over and over: what is done, and which figures come out of it.
import type { LoadOptions } from '../load/load.ts';
import type { Materials } from '../materials.ts';
import type { PeerName, Product, Variant } from '../peers/peer.ts';

export interface Context extends LoadOptions {
  readonly materials: Materials;
}

/** Figures by their names, see `figures`. */
export type Sample = Readonly<Record<string, number>>;

export interface Work {
  /** As `--only` takes it. */
  readonly id: string;
  readonly title: string;
  /** What is counted. */
  readonly unit: string;
  readonly kind: Kind;
  readonly variant: Variant;
  /** Each sample is of a product that has just been started. */
  readonly fresh?: boolean;
  /** How long a product must have been under this load before it is measured; half a round when nothing is said. */
  readonly warmUpSeconds?: number;
  /** Rounds beyond these tell nothing more. */
  readonly roundsMax?: number;
  /** The most it may cost, as a part of what a peer spends (docs: DESIGN 12); `next` is the goal after that. */
  readonly goals?: Partial<Record<PeerName, { readonly most: number; readonly next?: number }>>;
  /** @returns undefined when the product does not serve this */
  readonly measure: (product: Product, context: Context) => Promise<Sample | undefined>;
}

export type Kind = keyof typeof figures;

/** The first of each kind is the one that ratios are of. */
export const figures = {
  cpu: { microseconds: 'CPU µs', perSecond: 'a second', busy: 'busy' },
  latency: { p50: 'p50 ms', p99: 'p99 ms' },
  memory: { perUnit: 'KiB', start: 'MiB at start', full: 'MiB with them' },
} as const;
