// A page of results with one table: to bench/results, and to standard output, there as JSON where that is asked for.
import { mkdirSync, writeFileSync } from 'node:fs';
import os from 'node:os';

export interface Table {
  /** Of the file, without its ending. */
  readonly name: string;
  readonly title: string;
  /** Behind what machine it was measured on. */
  readonly conditions: string;
  readonly rows: readonly (readonly [what: string, figure: string])[];
  /** Lines under the table. */
  readonly notes?: readonly string[];
}

export function writeTable({ name, title, conditions, rows, notes = [] }: Table, json: boolean): void {
  const machine = `${os.cpus()[0]?.model ?? ''}, ${os.cpus().length} cores, Linux ${os.release()}, Node.js ${process.versions.node}`;
  const text = [
    `# ${title}`,
    '',
    `${new Date().toISOString()}. ${machine}. ${conditions}`,
    '',
    '| | |',
    '|---|---|',
    ...rows.map(([what, figure]) => `| ${what} | ${figure} |`),
    '',
    ...notes.map((note) => `- ${note}`),
    ...(notes.length > 0 ? [''] : []),
  ].join('\n');
  process.stdout.write(json ? `${JSON.stringify(Object.fromEntries(rows), undefined, 2)}\n` : text);
  const results = new URL('../results/', import.meta.url);
  mkdirSync(results, { recursive: true });
  writeFileSync(new URL(`${name}.md`, results), text);
}
