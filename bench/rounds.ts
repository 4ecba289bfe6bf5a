// Runs works in rounds: in each round every product has its turn, in an order that moves on from round to round, so that
// what the machine does besides meets all of them alike. Products of one variant run side by side; those not measured idle.
import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import path from 'node:path';
import type { Materials } from './materials.ts';
import type { Peer, PeerName, Product, Setup, Variant } from './peers/peer.ts';
import type { Measurement } from './report/results.ts';
import type { Upstream } from './upstream.ts';
import type { Context, Sample, Work } from './works/work.ts';

/** As long as just-in-time compilers take for most of what there is to do. */
const warmUpSeconds = 3;

export interface Rounds {
  readonly peers: readonly Peer[];
  readonly works: readonly Work[];
  readonly rounds: number;
  readonly seconds: number;
  readonly folder: string;
  readonly productCore: number;
  readonly loadCore: number;
  readonly materials: Materials;
  readonly upstream: Upstream;
  readonly progress: (text: string) => void;
  /** Called after each work. */
  readonly measured: (measurement: Measurement) => void;
}

export async function runRounds(run: Rounds): Promise<void> {
  const variants = new Set(run.works.map(({ variant }) => variant));
  for (const variant of variants) {
    await using fleet = new Fleet(run, variant);
    for (const work of run.works.filter((each) => each.variant === variant))
      run.measured(await measureWork(run, work, work.peers ?? run.peers, fleet));
  }
}

async function measureWork(run: Rounds, work: Work, peers: readonly Peer[], fleet: Fleet): Promise<Measurement> {
  const { seconds, folder, loadCore: core, materials } = run;
  const rounds = Math.min(run.rounds, work.roundsMax ?? run.rounds);
  const samples: Partial<Record<PeerName, Sample[]>> = Object.fromEntries(peers.map(({ name }) => [name, []]));
  // Round -1 warms up, and what needs a fresh product needs none.
  for (let round = work.fresh === true ? 0 : -1; round < rounds; round += 1) {
    const context: Context = {
      core,
      seconds: round < 0 ? (work.warmUpSeconds ?? warmUpSeconds) : seconds,
      folder,
      materials,
    };
    const first = (round + peers.length) % peers.length;
    for (const peer of [...peers.slice(first), ...peers.slice(0, first)]) {
      run.progress(`${work.id}: round ${round + 1} of ${rounds}, ${peer.title}`);
      const sample = await sampleOf(work, peer, fleet, context);
      if (round >= 0 && sample !== undefined) samples[peer.name]?.push(sample);
    }
  }
  return { id: work.id, date: new Date().toISOString(), rounds, seconds, samples };
}

async function sampleOf(work: Work, peer: Peer, fleet: Fleet, context: Context): Promise<Sample | undefined> {
  try {
    if (work.fresh !== true) return await work.measure(await fleet.get(peer), context);
    await using product = await fleet.start(peer);
    return await work.measure(product, context);
  } catch (error) {
    throw new Error(`${work.id}, ${peer.title}`, { cause: error });
  }
}

/** The products of one variant, started when they are first asked for. */
class Fleet implements AsyncDisposable {
  readonly #run: Rounds;
  readonly #variant: Variant;
  readonly #products = new Map<Peer, Product>();
  readonly #folders: string[] = [];

  constructor(run: Rounds, variant: Variant) {
    this.#run = run;
    this.#variant = variant;
  }

  async get(peer: Peer): Promise<Product> {
    const product = this.#products.get(peer) ?? (await this.start(peer));
    this.#products.set(peer, product);
    return product;
  }

  /** Another one, which the caller disposes. */
  async start(peer: Peer): Promise<Product> {
    const { materials, upstream, productCore: core } = this.#run;
    const folder = path.join(this.#run.folder, `${peer.name}-${this.#variant}-${this.#folders.length}`);
    this.#folders.push(folder);
    mkdirSync(folder);
    const setup: Setup = { folder, core, variant: this.#variant, materials, upstream };
    try {
      return await peer.start(setup);
    } catch (error) {
      const output = path.join(folder, 'output.log');
      const said = existsSync(output) ? readFileSync(output, 'utf8').slice(-2000) : 'nothing';
      throw new Error(`${peer.title} does not start; it says: ${said}`, { cause: error });
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const product of this.#products.values()) await product[Symbol.asyncDispose]();
    this.#products.clear();
    for (const folder of this.#folders) rmSync(folder, { recursive: true, force: true });
  }
}
