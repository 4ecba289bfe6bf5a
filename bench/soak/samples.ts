// What processes hold, from time to time, and whether it grows.
import { readdirSync, readFileSync } from 'node:fs';
import type { Gateway } from '../../test/support/gateway.ts';
import { median } from '../scale/figures.ts';

export interface Sample {
  readonly seconds: number;
  readonly residentBytes: number;
  readonly descriptors: number;
}

export type Samples = ReadonlyMap<string, readonly Sample[]>;

export interface Sampler {
  take(): void;
  readonly samples: Samples;
}

/** Of the primary and of each worker. */
export function createSampler(gateway: Gateway): Sampler {
  const startedAt = performance.now();
  const processes = [
    ['primary', gateway.pid] as const,
    ...gateway.workerPids().map((pid, at) => [`worker ${at + 1}`, pid] as const),
  ];
  const samples = new Map<string, Sample[]>(processes.map(([name]) => [name, []]));
  return {
    samples,
    take() {
      const seconds = (performance.now() - startedAt) / 1000;
      for (const [name, pid] of processes) samples.get(name)?.push({ seconds, ...look(pid) });
    },
  };
}

function look(pid: number): { readonly residentBytes: number; readonly descriptors: number } {
  const kib = /^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
  return { residentBytes: Number(kib) * 1024, descriptors: readdirSync(`/proc/${pid}/fd`).length };
}

export interface Trend {
  /** Medians of the second and of the last quarter. */
  readonly before: number;
  readonly after: number;
  /** Of the straight line through the second half, per hour. */
  readonly perHour: number;
}

export function trendOf(samples: readonly Sample[], read: (sample: Sample) => number): Trend {
  const quarter = (number: number): readonly Sample[] =>
    samples.slice(Math.floor((samples.length * number) / 4), Math.floor((samples.length * (number + 1)) / 4));
  return {
    before: median(quarter(1).map(read)),
    after: median(quarter(3).map(read)),
    perHour: slope(samples.slice(Math.floor(samples.length / 2)), read) * 3600,
  };
}

/** Least squares, per second. */
function slope(samples: readonly Sample[], read: (sample: Sample) => number): number {
  const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;
  const [x, y] = [mean(samples.map((sample) => sample.seconds)), mean(samples.map(read))];
  let [above, below] = [0, 0];
  for (const sample of samples) {
    above += (sample.seconds - x) * (read(sample) - y);
    below += (sample.seconds - x) ** 2;
  }
  return below === 0 ? 0 : above / below;
}
