// The scanners of `npm run scan`: what each finds, in one form.
import { readFileSync } from 'node:fs';
import { command } from '../test/support/command.ts';

export interface Finding {
  readonly id: string;
  /** testssl.sh's words: OK, INFO, LOW, MEDIUM, HIGH, CRITICAL, WARN (could not be looked at). */
  readonly severity: string;
  readonly text: string;
}

export interface ScanTarget {
  readonly host: string;
  readonly port: number;
  /** File of the CA that is trusted. */
  readonly roots: string;
  /** A file name without its end that is free for the scanner's report. */
  readonly report: string;
}

export interface Scanner {
  readonly name: string;
  /** Undefined: it is not installed. */
  version(): Promise<string | undefined>;
  scan(target: ScanTarget): Promise<readonly Finding[]>;
}

export const scanners: readonly Scanner[] = [
  {
    name: 'testssl.sh',
    version: () => versionOf('testssl', ['--version'], /testssl(?:\.sh)?\s+(\d\S+)/),
    async scan({ host, port, roots, report }) {
      const file = `${report}.json`;
      const trust = ['--add-ca', roots, '--ip', '127.0.0.1'];
      const quiet = ['--quiet', '--color', '0', '--warnings', 'off', '--jsonfile', file];
      await command('testssl', [...quiet, ...trust, `https://${host}:${port}/`]);
      const found = JSON.parse(readFileSync(file, 'utf8')) as readonly Record<'id' | 'severity' | 'finding', string>[];
      return found.map(({ id, severity, finding }) => ({ id, severity, text: finding }));
    },
  },
  {
    name: 'sslscan',
    version: () => versionOf('sslscan', ['--version'], /(\d\S+)/),
    async scan({ host, port, report }) {
      const file = `${report}.xml`;
      await command('sslscan', ['--no-colour', `--sni-name=${host}`, `--xml=${file}`, `127.0.0.1:${port}`]);
      return readSslscan(readFileSync(file, 'utf8'));
    },
  },
];

async function versionOf(name: string, args: readonly string[], pattern: RegExp): Promise<string | undefined> {
  const { stdout, stderr } = await command(name, args).catch(() => ({ stdout: '', stderr: '' }));
  // oxlint-disable-next-line no-control-regex
  return pattern.exec((stdout + stderr).replaceAll(/\x1b\[[\d;]*m/g, ''))?.[1];
}

type Attributes = Readonly<Record<string, string | undefined>>;

/** Its elements have all they say in attributes; each is judged by itself. */
const judged: Readonly<Record<string, (attributes: Attributes) => Finding>> = {
  protocol: ({ type, version, enabled }) => {
    const isOld = type === 'ssl' || version === '1.0' || version === '1.1';
    return finding(
      `sslscan_${type}${version}`,
      enabled === '1' && isOld ? 'HIGH' : 'OK',
      enabled === '1' ? 'offered' : 'not offered',
    );
  },
  renegotiation: ({ supported }) =>
    finding(
      'sslscan_renegotiation',
      supported === '1' ? 'MEDIUM' : 'OK',
      supported === '1' ? 'supported' : 'not supported',
    ),
  compression: ({ supported }) =>
    finding(
      'sslscan_compression',
      supported === '1' ? 'HIGH' : 'OK',
      supported === '1' ? 'supported' : 'not supported',
    ),
  heartbleed: ({ vulnerable }) =>
    finding('sslscan_heartbleed', vulnerable === '1' ? 'CRITICAL' : 'OK', `${vulnerable}`),
  cipher: ({ cipher, strength }) =>
    finding(
      `sslscan_cipher ${cipher}`,
      strength === 'strong' || strength === 'acceptable' ? 'OK' : 'HIGH',
      `${strength}`,
    ),
  group: ({ name, bits }) => finding(`sslscan_group ${name}`, Number(bits) >= 128 ? 'OK' : 'MEDIUM', `${bits} bits`),
};

function readSslscan(xml: string): readonly Finding[] {
  const found = [...xml.matchAll(/<(\w+) ([^>]*)\/>/g)].flatMap(([, element = '', text = '']) => {
    const attributes = Object.fromEntries(
      [...text.matchAll(/(\w+)="([^"]*)"/g)].map(([, name, value]) => [name, value]),
    );
    return judged[element]?.(attributes) ?? [];
  });
  if (!found.some(({ id }) => id.startsWith('sslscan_cipher')))
    throw new Error('sslscan found no cipher: it did not connect');
  return found;
}

function finding(id: string, severity: string, text: string): Finding {
  return { id, severity, text };
}
