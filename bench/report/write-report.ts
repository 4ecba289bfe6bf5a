// Writes the results: latest.json is what was measured, latest.md all tables of it; in docs/performance.md the table of goals
// and that of CPU time are written anew between their marks, and its picture is drawn.
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { peers } from '../peers/peers.ts';
import { works } from '../works/works.ts';
import { goalsTable, toMarkdown } from './markdown.ts';
import { toPicture } from './picture.ts';
import type { Results } from './results.ts';

const root = path.join(import.meta.dirname, '..', '..');

export const resultsFolder = path.join(root, 'bench', 'results');

export function writeReport(results: Results): void {
  writeFileSync(path.join(resultsFolder, 'latest.json'), `${JSON.stringify(results, undefined, 2)}\n`);
  const tables = toMarkdown(results, works, peers);
  const goals = goalsTable(results, works, peers);
  const page = `# Portunus beside its peers\n\n${facts(results)}\n\n${goals}\n\n${tables}\n`;
  writeFileSync(path.join(resultsFolder, 'latest.md'), page);
  const picture = toPicture(results, works, peers);
  if (picture !== undefined) writeFileSync(path.join(root, 'docs', 'performance.svg'), picture);
  const document = path.join(root, 'docs', 'performance.md');
  if (existsSync(document)) {
    const text = between(readFileSync(document, 'utf8'), 'goals', goals);
    writeFileSync(document, between(text, 'figures', `${facts(results)}\n\n${tables}`));
  }
}

function facts({ machine, versions, measurements }: Results): string {
  const dates = measurements.map(({ date }) => date.slice(0, 10)).toSorted();
  const when = dates[0] === dates.at(-1) ? dates[0] : `${dates[0]} to ${dates.at(-1)}`;
  const products = peers.map(({ name, title }) => `${title} ${versions[name] ?? 'not measured'}`);
  const rounds = new Set(measurements.map(({ rounds, seconds }) => `${rounds} rounds of ${seconds} s`));
  const where = Object.entries(machine).map(([name, value]) => `${name} ${value}`);
  return `Measured ${when}: ${products.join(', ')}; ${[...rounds].join(', ')}.\nMachine: ${where.join(', ')}.`;
}

function between(text: string, mark: string, inner: string): string {
  const [from, to] = [`<!-- ${mark}: written by npm run bench -->\n`, `\n<!-- /${mark} -->`];
  const [start, end] = [text.indexOf(from), text.indexOf(to)];
  return start < 0 || end < start ? text : `${text.slice(0, start)}${from}${inner}${text.slice(end)}`;
}
