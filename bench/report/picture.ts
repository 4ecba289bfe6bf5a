// The picture of docs/performance.md: for each work a dot for each product where its CPU per unit lies beside nginx's, on a
// logarithmic scale, with a line from the least to the greatest of the rounds. Follows the reader's light or dark setting.
import type { Peer, PeerName } from '../peers/peer.ts';
import type { Work } from '../works/work.ts';
import type { Measurement, Results } from './results.ts';
import { ratioOf, type Spread } from './summary.ts';

const width = 920;
const plot = { left: 330, right: 800 };
const rowHeight = 30;
const top = 112;
const marks = [0.25, 0.5, 1, 2, 4, 8];
/** Each a shape too, for those who do not see the colours apart. Portunus is drawn last, over the others. */
const shapes: Partial<Record<PeerName, (x: number, y: number) => string>> = {
  haproxy: (x, y) => `<rect x="${at(x - 4.5)}" y="${at(y - 4.5)}" width="9" height="9" rx="1"/>`,
  caddy: (x, y) => `<path d="M${at(x)} ${at(y - 6)}l6 10.5h-12z"/>`,
  'nginx-lua': (x, y) => `<path d="M${at(x)} ${at(y - 6)}l6 6l-6 6l-6 -6z"/>`,
  portunus: (x, y) => `<circle cx="${at(x)}" cy="${at(y)}" r="6.5"/>`,
};

interface Row {
  readonly work: Work;
  readonly measurement: Measurement;
}

/** @returns an SVG; undefined when there is nothing to show */
export function toPicture(results: Results, works: readonly Work[], peers: readonly Peer[]): string | undefined {
  const rows = works
    .filter(({ kind }) => kind === 'cpu')
    .flatMap((work): Row[] => {
      const measurement = results.measurements.find(({ id }) => id === work.id);
      return measurement === undefined ? [] : [{ work, measurement }];
    });
  if (rows.length === 0) return undefined;
  const bottom = top + rows.length * rowHeight;
  const height = bottom + 28;
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" aria-labelledby="title">
<title id="title">CPU time per unit of work beside nginx</title>
<style>${style}</style>
<rect class="page" width="${width}" height="${height}" rx="8"/>
<text class="heading" x="24" y="34">CPU time per unit of work, nginx = 1</text>
<text class="note" x="24" y="54">Further left is better. One core; median of the rounds, the line from the least to the greatest.</text>
${legend(peers)}
${axis(bottom)}
${rows.map((row, number) => drawRow(row, top + (number + 0.5) * rowHeight)).join('\n')}
</svg>
`;
}

function legend(peers: readonly Peer[]): string {
  let x = 24;
  return Object.entries(shapes)
    .toReversed()
    .map(([name, shape]) => {
      const title = peers.find((peer) => peer.name === name)?.title ?? name;
      const drawn = `<g class="${name}">${shape(x + 6, 80)}</g><text class="label" x="${x + 18}" y="84">${title}</text>`;
      x += 44 + title.length * 7;
      return drawn;
    })
    .join('\n');
}

function axis(bottom: number): string {
  return marks
    .map((mark) => {
      const x = at(place(mark));
      const one = mark === 1;
      return (
        `<line class="${one ? 'one' : 'grid'}" x1="${x}" y1="${top - 4}" x2="${x}" y2="${bottom}"/>` +
        `<text class="${one ? 'label' : 'note'} middle" x="${x}" y="${bottom + 16}">${one ? 'nginx' : `${mark} ×`}</text>`
      );
    })
    .join('\n');
}

function drawRow({ work, measurement }: Row, y: number): string {
  const dots = Object.entries(shapes).flatMap(([name, shape]) => {
    const ratio = ratioOf(work, measurement, name as PeerName, 'nginx');
    return ratio === undefined ? [] : [`<g class="${name}">${whisker(ratio, y)}${shape(place(ratio.median), y)}</g>`];
  });
  const own = ratioOf(work, measurement, 'portunus', 'nginx');
  const figure = own === undefined ? 'not served' : `${own.median.toFixed(2)} ×`;
  return (
    `<text class="label" x="24" y="${y + 4}">${work.title}</text>${dots.join('')}` +
    `<text class="figure" x="${width - 24}" y="${y + 4}">${figure}</text>`
  );
}

function whisker({ min, max }: Spread, y: number): string {
  return `<line x1="${at(place(min))}" y1="${y}" x2="${at(place(max))}" y2="${y}"/>`;
}

/** Where a ratio lies; what is off the scale lies at its end. */
function place(ratio: number): number {
  const [first = 1, last = 1] = [marks[0], marks.at(-1)];
  const part = Math.log(Math.min(Math.max(ratio, first), last) / first) / Math.log(last / first);
  return plot.left + part * (plot.right - plot.left);
}

function at(value: number): string {
  return value.toFixed(1);
}

const style = `
text { font: 13px system-ui, -apple-system, 'Segoe UI', sans-serif; fill: #0b0b0b }
.page { fill: #fcfcfb }
.heading { font-size: 17px; font-weight: 600 }
.note { font-size: 12px; fill: #52514e }
.middle { text-anchor: middle }
.figure { text-anchor: end; font-weight: 600; font-variant-numeric: tabular-nums }
.grid { stroke: #e1e0d9 }
.one { stroke: #52514e; stroke-width: 1.5 }
g line { stroke-width: 2 }
g :is(circle, rect, path) { stroke: #fcfcfb; stroke-width: 1.5 }
.portunus { fill: #2a78d6 } .portunus line { stroke: #2a78d6 }
.haproxy { fill: #1baf7a } .haproxy line { stroke: #1baf7a }
.caddy { fill: #eda100 } .caddy line { stroke: #eda100 }
.nginx-lua { fill: #7a6cd0 } .nginx-lua line { stroke: #7a6cd0 }
@media (prefers-color-scheme: dark) {
  text { fill: #ffffff }
  .page { fill: #1a1a19 }
  .note { fill: #c3c2b7 }
  .grid { stroke: #2c2c2a }
  .one { stroke: #c3c2b7 }
  g :is(circle, rect, path) { stroke: #1a1a19 }
  .portunus { fill: #3987e5 } .portunus line { stroke: #3987e5 }
  .haproxy { fill: #199e70 } .haproxy line { stroke: #199e70 }
  .caddy { fill: #c98500 } .caddy line { stroke: #c98500 }
  .nginx-lua { fill: #9085e9 } .nginx-lua line { stroke: #9085e9 }
}
`;
