// A work is what products are measured at, over and over: what is done, and which figures come out of it.
import type { LoadOptions } from '../load/load.ts';
import type { Materials } from '../materials.ts';
import type { Peer, PeerName, Product, Variant } from '../peers/peer.ts';

export interface Context extends LoadOptions {
  readonly materials: Materials;
}

/** Figures by their names. */
export type Sample = Readonly<Record<string, number>>;

export interface Work {
  /** As `--only` takes it. */
  readonly id: string;
  readonly title: string;
  /** What is counted. */
  readonly unit: string;
  readonly kind: Kind;
  readonly variant: Variant;
  /** These alone, in the place of all peers; ratios are to the first. */
  readonly peers?: readonly Peer[];
  /** Each sample is of a product that has just been started. */
  readonly fresh?: boolean;
  /** How long a product must have been under this load before it is measured; three seconds when nothing is said. */
  readonly warmUpSeconds?: number;
  /** Rounds beyond these tell nothing more. */
  readonly roundsMax?: number;
  /** The most it may cost, as a part of what a peer spends (docs: DESIGN 12); `next` is the goal after that. */
  readonly goals?: Partial<Record<PeerName, { readonly most: number; readonly next?: number }>>;
  /** @returns undefined when the product does not serve this */
  readonly measure: (product: Product, context: Context) => Promise<Sample | undefined>;
}

export type Kind = 'cpu' | 'costs' | 'latency' | 'memory';

/** The figure of a sample that ratios are of. */
export const leadingFigure: Readonly<Record<Kind, string>> = {
  cpu: 'microseconds',
  costs: 'microseconds',
  latency: 'p50',
  memory: 'perUnit',
};
