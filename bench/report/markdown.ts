// The tables: goals, and one for each kind of figure with a row for each work and a column for each product.
import type { Peer, PeerName } from '../peers/peer.ts';
import type { Kind, Work } from '../works/work.ts';
import type { Measurement, Results } from './results.ts';
import { figureOf, ratioOf, type Spread } from './summary.ts';

interface Table {
  readonly kind: Kind;
  readonly heading: string;
  readonly cell: (row: Row, name: PeerName) => string;
}

interface Row {
  readonly work: Work;
  readonly measurement: Measurement;
  readonly peers: readonly Peer[];
}

const tables: readonly Table[] = [
  {
    kind: 'cpu',
    heading: 'CPU µs per unit, and below it the ratio to nginx: median (min–max)',
    cell: withRatio,
  },
  {
    kind: 'cpu',
    heading: 'Units a second; in brackets how much of the time the product ran, and how much it waited for its core',
    cell: (row, name) =>
      `${median(row, name, 'perSecond')} (${percent(row, name, 'busy')}, ${percent(row, name, 'waited')})`,
  },
  {
    kind: 'costs',
    heading: 'Portunus beside itself: CPU µs per unit, and below it the ratio to Portunus as it comes',
    cell: withRatio,
  },
  {
    kind: 'latency',
    heading:
      'Latency at a fixed rate well below saturation: p50 / p99 in ms; in brackets how much of the time the product waited for its core',
    cell: (row, name) => `${median(row, name, 'p50')} / ${median(row, name, 'p99')} (${percent(row, name, 'waited')})`,
  },
  {
    kind: 'memory',
    heading: 'Resident memory: KiB for each connection, and MiB of the whole product before they came',
    cell: (row, name) => `${median(row, name, 'perUnit')} KiB<br>${median(row, name, 'start')} MiB`,
  },
];

export function toMarkdown(results: Results, works: readonly Work[], allPeers: readonly Peer[]): string {
  return tables
    .flatMap((table) => {
      const rows = works
        .filter(({ kind }) => kind === table.kind)
        .flatMap((work): Row[] => {
          const measurement = results.measurements.find(({ id }) => id === work.id);
          return measurement === undefined ? [] : [{ work, measurement, peers: work.peers ?? allPeers }];
        });
      return rows.length === 0 ? [] : [toTable(table, rows)];
    })
    .join('\n\n');
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

function toTable({ heading, cell }: Table, rows: readonly Row[]): string {
  const titles = rows[0]?.peers.map(({ title }) => title) ?? [];
  const lines = rows.map((row) => {
    const cells = row.peers.map(({ name }) => {
      const samples = row.measurement.samples[name];
      if (samples === undefined) return '';
      return samples.length === 0 ? 'not served' : cell(row, name);
    });
    return `| ${row.work.title} | ${row.work.unit} | ${cells.join(' | ')} |`;
  });
  return [
    `### ${heading}\n`,
    `| work | unit | ${titles.join(' | ')} |`,
    `|---|---|${titles.map(() => '---|').join('')}`,
    ...lines,
  ].join('\n');
}

function withRatio({ work, measurement, peers }: Row, name: PeerName): string {
  const to = work.peers === undefined ? 'nginx' : peers[0]?.name;
  const ratio = to === undefined || name === to ? undefined : ratioOf(work, measurement, name, to);
  const figure = median({ work, measurement, peers }, name, 'microseconds');
  return ratio === undefined ? figure : `${figure}<br>${showSpread(ratio)}`;
}

function median({ measurement }: Row, name: PeerName, figure: string): string {
  return show(figureOf(measurement, name, figure)?.median ?? Number.NaN);
}

function percent({ measurement }: Row, name: PeerName, figure: string): string {
  const part = figureOf(measurement, name, figure)?.median ?? Number.NaN;
  // Figures that earlier runs did not take.
  return Number.isNaN(part) ? '?' : `${(part * 100).toFixed(0)} %`;
}

function showSpread({ median, min, max }: Spread): string {
  return `${median.toFixed(2)} (${min.toFixed(2)}–${max.toFixed(2)})`;
}

function show(value: number): string {
  if (value >= 1000) return Math.round(value).toLocaleString('en');
  if (value >= 100) return value.toFixed(0);
  return value >= 10 ? value.toFixed(1) : value.toFixed(2);
}
