// What was measured, as bench/results/latest.json keeps it. A run replaces the works that it measured and keeps the others,
// so that a long suite may be run in parts; on another machine it begins anew, and works that there are no more are dropped.
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import os from 'node:os';
import type { Peer, PeerName } from '../peers/peer.ts';
import type { Sample } from '../works/work.ts';
import { works } from '../works/works.ts';

export interface Measurement {
  /** Of the work. */
  readonly id: string;
  readonly date: string;
  readonly rounds: number;
  readonly seconds: number;
  /** One for each round; none at all where the product does not serve the work. */
  readonly samples: Partial<Record<PeerName, readonly Sample[]>>;
}

export interface Results {
  readonly machine: Readonly<Record<string, string | number>>;
  readonly versions: Partial<Record<PeerName, string>>;
  readonly measurements: readonly Measurement[];
}

export function thisMachine(): Results['machine'] {
  return {
    cpu: os.cpus()[0]?.model.trim() ?? 'unknown',
    cores: os.availableParallelism(),
    kernel: os.release(),
    node: process.versions.node,
    'openssl of node': process.versions.openssl,
    'openssl of the system':
      /^OpenSSL (\S+)/.exec(spawnSync('openssl', ['version'], { encoding: 'utf8' }).stdout)?.[1] ?? '',
  };
}

export function readResults(file: string): Results {
  const empty = { machine: thisMachine(), versions: {}, measurements: [] };
  if (!existsSync(file)) return empty;
  const kept = JSON.parse(readFileSync(file, 'utf8')) as Results;
  if (JSON.stringify(kept.machine) !== JSON.stringify(empty.machine)) return empty;
  const known = kept.measurements.filter((each) => works.some(({ id }) => id === each.id));
  return { ...kept, measurements: known };
}

/** @returns the results with one work measured anew */
export function withMeasurement(results: Results, peers: readonly Peer[], measurement: Measurement): Results {
  const others = results.measurements.filter(({ id }) => id !== measurement.id);
  const versions = Object.fromEntries(peers.map(({ name, version }) => [name, version()]));
  return { ...results, versions: { ...results.versions, ...versions }, measurements: [...others, measurement] };
}
