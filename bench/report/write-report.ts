// Writes the results: latest.json is what was measured, latest.md the tables of it.
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { peers } from '../peers/peers.ts';
import { works } from '../works/works.ts';
import { goalsTable, toMarkdown } from './markdown.ts';
import type { Results } from './results.ts';

export function writeReport(folder: string, results: Results): void {
  writeFileSync(path.join(folder, 'latest.json'), `${JSON.stringify(results, undefined, 2)}\n`);
  writeFileSync(path.join(folder, 'latest.md'), page(results));
}

function page(results: Results): string {
  const facts = Object.entries(results.machine).map(([name, value]) => `${name} ${value}`);
  const versions = peers.map(({ name, title }) => `${title} ${results.versions[name] ?? 'not measured'}`);
  return `# Portunus beside its peers

${versions.join(', ')}. Machine: ${facts.join(', ')}.
How it is measured, and what it means, is in [docs/performance.md](../../docs/performance.md).

${goalsTable(results, works, peers)}

${toMarkdown(results, works, peers)}`;
}
