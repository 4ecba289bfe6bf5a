// `npm run scan`: what testssl.sh and sslscan find at the TLS listeners of a gateway as it comes. A finding above informational that
// is not accepted below, with the reason, ends it with 1. `--write` puts what was found into docs/tls-scan.md. Takes some five minutes.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { expectOk } from '../test/support/admin.ts';
import { makeAuthority } from '../test/support/certificates.ts';
import { startGateway } from '../test/support/gateway.ts';
import { startUpstream } from '../test/support/upstream.ts';
import { readOptions } from './options.ts';
import { scanners, type Finding } from './tls-scanners.ts';

interface Found extends Finding {
  readonly listener: string;
  readonly tool: string;
}

/** What is found and is not the gateway's to avoid. */
const accepted: readonly { readonly id: RegExp; readonly because: string }[] = [
  { id: /^cert_revocation /, because: 'the test’s own CA publishes no revocation lists' },
  { id: /^DNS_CAArecord /, because: 'the test’s name has no DNS' },
  {
    id: /^HSTS$/,
    because:
      'said for each API that wants it; the Admin API shares its host with other ports, which it would speak for',
  },
  {
    id: /^security_headers$/,
    because: 'on the proxy the upstream’s to set; the Admin API’s answers are JSON, not stored, not sniffed',
  },
  {
    id: /^sessionresumption_ticket$/,
    because: 'the scanner leaves before TLS 1.3 has sent it a ticket; that tickets resume is tested elsewhere',
  },
];
const options = readOptions({ write: { type: 'boolean', default: false } });
const harmless = new Set(['OK', 'INFO', 'DEBUG']);

const host = 'scan.test';
const page = new URL('../docs/tls-scan.md', import.meta.url);

const folder = mkdtempSync(path.join(os.tmpdir(), 'portunus-scan-'));

async function scanAll(): Promise<number> {
  const tools = [];
  for (const scanner of scanners) {
    const version = await scanner.version();
    if (version === undefined) process.stderr.write(`${scanner.name} is not installed\n`);
    else tools.push({ ...scanner, version });
  }
  if (tools.length === 0) return 1;

  const root = makeAuthority({ commonName: 'Scan Root' });
  const issuer = root.intermediate({ commonName: 'Scan Intermediate' });
  const [ecdsa, rsa] = (['ec', 'rsa'] as const).map((keyType) => issuer.issue({ names: [host], keyType }));
  if (ecdsa === undefined || rsa === undefined) throw new TypeError('there are two');
  const file = (name: string, text: string): string => {
    const place = path.join(folder, name);
    writeFileSync(place, text);
    return place;
  };
  const roots = file('root.pem', root.certificate);
  await using upstream = await startUpstream();
  await using gateway = await startGateway({
    settings: {
      proxy_listen: '127.0.0.1:0, 127.0.0.1:0 ssl http2',
      admin_listen: '127.0.0.1:0, 127.0.0.1:0 ssl',
      admin_ssl_cert: [file('ec.crt', ecdsa.chain), file('rsa.crt', rsa.chain)].join(','),
      admin_ssl_cert_key: [file('ec.key', ecdsa.key), file('rsa.key', rsa.key)].join(','),
      proxy_access_log: 'off',
    },
  });
  const { chain: cert, key } = ecdsa;
  await expectOk(gateway.admin, 'POST', '/certificates', {
    cert,
    key,
    cert_alt: rsa.chain,
    key_alt: rsa.key,
    snis: [host],
  });
  await expectOk(gateway.admin, 'POST', '/apis', { name: 'scan', hosts: [host], upstream_url: upstream.url });
  const running = JSON.parse(readFileSync(path.join(gateway.prefix, 'portunus.json'), 'utf8')) as {
    readonly admin: readonly { readonly port: number }[];
  };
  const ports = { proxy: gateway.tlsPort, admin: running.admin[1]?.port ?? 0 };

  const found: Found[] = [];
  for (const tool of tools) {
    for (const [listener, port] of Object.entries(ports)) {
      process.stderr.write(`${tool.name}: ${listener}\n`);
      const report = path.join(folder, `${tool.name}-${listener}`);
      for (const each of await tool.scan({ host, port, roots, report }))
        found.push({ listener, tool: tool.name, ...each });
    }
  }
  return tell(found, tools);
}

function tell(found: readonly Found[], tools: readonly { readonly name: string; readonly version: string }[]): number {
  const reasonOf = ({ id }: Found) => accepted.find((each) => each.id.test(id))?.because;
  const worse = found.filter(({ severity }) => !harmless.has(severity));
  const unexplained = worse.filter((each) => reasonOf(each) === undefined);
  for (const { listener, tool, id, severity, text } of worse.toSorted(
    (a, b) => Number(reasonOf(a) === undefined) - Number(reasonOf(b) === undefined),
  )) {
    process.stdout.write(`${listener} ${tool} ${severity} ${id}: ${text}\n`);
  }
  const good = found.length - worse.length;
  const by = tools.map(({ name, version }) => `${name} ${version}`).join(' and ');
  process.stdout.write(
    `${good} findings of ${by} are harmless, ${worse.length - unexplained.length} accepted, ${unexplained.length} not\n`,
  );
  if (options.write) writeFileSync(page, composePage(found, by, reasonOf));
  return unexplained.length === 0 ? 0 : 1;
}

/** What people ask a scan for, by the scanner's ids. */
const questions: Readonly<Record<string, readonly string[]>> = {
  'SSL 2 and 3, TLS 1.0 and 1.1': ['SSLv2', 'SSLv3', 'TLS1', 'TLS1_1'],
  'TLS 1.2 and 1.3': ['TLS1_2', 'TLS1_3'],
  'ciphers without forward secrecy, CBC, RC4, 3DES, NULL, export': [
    'cipherlist_NULL',
    'cipherlist_aNULL',
    'cipherlist_EXPORT',
    'cipherlist_LOW',
    'cipherlist_3DES_IDEA',
    'cipherlist_AVERAGE',
    'RC4',
    'LUCKY13',
  ],
  'the server’s order of ciphers decides': ['cipher_order'],
  groups: ['PFS_ECDHE_curves'],
  'the chain is whole and trusted, for its host': [
    'cert_chain_of_trust <cert#1>',
    'cert_trust <cert#1>',
    'cert_chain_of_trust <cert#2>',
  ],
  'fallback to an older version is noticed': ['fallback_SCSV'],
  renegotiation: ['secure_renego', 'secure_client_renego'],
  'compression (CRIME, BREACH)': ['CRIME_TLS', 'BREACH'],
  'Heartbleed, CCS, Ticketbleed, ROBOT': ['heartbleed', 'CCS', 'ticketbleed', 'ROBOT'],
  'POODLE, SWEET32, FREAK, DROWN, LOGJAM, BEAST': ['POODLE_SSL', 'SWEET32', 'FREAK', 'DROWN', 'LOGJAM', 'BEAST'],
};

function composePage(found: readonly Found[], by: string, reasonOf: (each: Found) => string | undefined): string {
  const answer = (listener: string, ids: readonly string[]): string => {
    const texts = found.filter((each) => each.listener === listener && ids.includes(each.id)).map(({ text }) => text);
    return [...new Set(texts)].join('; ').replaceAll('|', '/') || 'not asked';
  };
  const rows = Object.entries(questions).map(
    ([what, ids]) => `| ${what} | ${answer('proxy', ids)} | ${answer('admin', ids)} |`,
  );
  const worse = found.filter(({ severity }) => !harmless.has(severity));
  const kinds = new Map(worse.map((each) => [each.id.replace(/ <cert#\d>/, ''), each]));
  const left = [...kinds].map(
    ([id, each]) => `| \`${id}\` | ${each.severity} | ${reasonOf(each) ?? '**not accepted**'} |`,
  );
  return [
    '# What scanners find',
    '',
    `\`npm run scan\` starts a gateway as it comes, with an RSA and an ECDSA certificate for one host, and has ${by} look at its TLS listeners,`,
    'the proxy’s and the Admin API’s. It fails on any finding above informational that is not listed here. Written by `npm run scan -- --write`.',
    '',
    '| | proxy | Admin API |',
    '|---|---|---|',
    ...rows,
    '',
    '| accepted | severity | because |',
    '|---|---|---|',
    ...left,
    '',
  ].join('\n');
}

try {
  process.exitCode = await scanAll();
} finally {
  rmSync(folder, { recursive: true, force: true });
}
