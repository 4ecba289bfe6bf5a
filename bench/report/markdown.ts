// The tables: one for each kind of figure, a row for each work, a column for each product.
import type { Peer, PeerName } from '../peers/peer.ts';
import { figures, type Kind, type Work } from '../works/work.ts';
import type { Measurement, Results } from './results.ts';
import { figureOf, ratioOf, type Spread } from './summary.ts';

const headings: Readonly<Record<Kind, string>> = {
  cpu: 'CPU µs per unit, user and system, all processes of the product; below it the ratio to nginx, median (min–max)',
  latency: 'Latency at a fixed rate well below saturation: p50 / p99 in ms',
  memory: 'Memory: KiB for each, and MiB resident at the start',
};

export function toMarkdown(results: Results, works: readonly Work[], peers: readonly Peer[]): string {
  const kinds = Object.keys(figures) as Kind[];
  return kinds
    .flatMap((kind) => {
      const rows = works
        .filter((work) => work.kind === kind)
        .flatMap((work) => results.measurements.filter(({ id }) => id === work.id).map((m) => toRow(work, m, peers)));
      if (rows.length === 0) return [];
      const titles = peers.map(({ title }) => title);
      return [
        `### ${headings[kind]}\n`,
        `| work | unit | ${titles.join(' | ')} |`,
        `|---|---|${titles.map(() => '---|').join('')}`,
        ...rows,
        '',
      ];
    })
    .join('\n');
}

/** Each goal, and what was reached. */
export function goalsTable(results: Results, works: readonly Work[], peers: readonly Peer[]): string {
  const rows = works.flatMap((work) => {
    const measurement = results.measurements.find(({ id }) => id === work.id);
    return Object.entries(work.goals ?? {}).map(([name, { most, next }]) => {
      const title = peers.find((peer) => peer.name === name)?.title ?? name;
      const ratio = measurement && ratioOf(work, measurement, 'portunus', name as PeerName);
      const goal = `≤ ${most.toFixed(2)} × ${title}${next === undefined ? '' : `, then ≤ ${next.toFixed(2)} ×`}`;
      return `| ${work.title} | ${goal} | ${ratio ? showSpread(ratio) : 'not measured'} | ${verdict(ratio, most, next)} |`;
    });
  });
  return ['| work | goal, CPU per unit | reached: median (min–max) | |', '|---|---|---|---|', ...rows].join('\n');
}

function verdict(ratio: Spread | undefined, most: number, next: number | undefined): string {
  if (ratio === undefined) return '';
  if (ratio.median > most) return `missed by ${Math.ceil((ratio.median / most - 1) * 100)} %`;
  return next === undefined || ratio.median <= next ? 'met' : 'met, the next one not yet';
}

function toRow(work: Work, measurement: Measurement, peers: readonly Peer[]): string {
  const cells = peers.map(({ name }) => toCell(work, measurement, name));
  return `| ${work.title} | ${work.unit} | ${cells.join(' | ')} |`;
}

function toCell(work: Work, measurement: Measurement, name: PeerName): string {
  const samples = measurement.samples[name];
  if (samples === undefined) return '';
  if (samples.length === 0) return 'not served';
  const median = (figure: string): string => show(figureOf(measurement, name, figure)?.median ?? Number.NaN);
  if (work.kind === 'latency') return `${median('p50')} / ${median('p99')}`;
  if (work.kind === 'memory') return `${median('perUnit')}, ${median('start')}`;
  const ratio = name === 'nginx' ? undefined : ratioOf(work, measurement, name, 'nginx');
  return `${median('microseconds')}${ratio === undefined ? '' : `<br>${showSpread(ratio)}`}`;
}

function showSpread({ median, min, max }: Spread): string {
  return `${median.toFixed(2)} (${min.toFixed(2)}–${max.toFixed(2)})`;
}

function show(value: number): string {
  if (value >= 100) return value.toFixed(0);
  return value >= 10 ? value.toFixed(1) : value.toFixed(2);
}
