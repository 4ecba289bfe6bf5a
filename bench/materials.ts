// Certificates and files that all products and loads share. What takes long to make is made when it is asked for.
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { selfSigned } from '../src/x509/self-signed.ts';

export interface Host {
  readonly name: string;
  /** PEM. */
  readonly chain: string;
  readonly key: string;
  /** Chain and key together. */
  readonly file: string;
}

export interface Hosts {
  /** A file `<name>.pem` for each host. */
  readonly folder: string;
  readonly names: readonly string[];
}

export interface Materials {
  /** The files of `ecdsa` and `rsa`, and nothing else. */
  readonly folder: string;
  readonly ecdsa: Host;
  readonly rsa: Host;
  readonly hosts: () => Hosts;
}

export const hostCount = 10_000;
export const bodySizes = { '1k': 1024, '64k': 64 * 1024, '1m': 1024 * 1024 } as const;
export type BodySize = keyof typeof bodySizes;

export function makeMaterials(root: string): Materials {
  for (const [name, size] of Object.entries(bodySizes)) writeFileSync(path.join(root, name), Buffer.alloc(size, 'x'));
  const folder = path.join(root, 'certificates');
  mkdirSync(folder);
  let hosts: Hosts | undefined;
  return {
    folder,
    ecdsa: makeHost(folder, 'ecdsa.bench.test', 'ec'),
    rsa: makeHost(folder, 'rsa.bench.test', 'rsa'),
    hosts: () => (hosts ??= makeHosts(path.join(root, 'hosts'))),
  };
}

function makeHosts(folder: string): Hosts {
  mkdirSync(folder);
  const names = Array.from({ length: hostCount }, (_, number) => `h${number}.hosts.test`);
  for (const name of names) makeHost(folder, name, 'ec');
  return { folder, names };
}

function makeHost(folder: string, name: string, keyType: 'ec' | 'rsa'): Host {
  const { chain, key } = selfSigned({ commonName: name, dnsNames: [name], keyType, now: Date.now(), days: 30 });
  const file = path.join(folder, `${name}.pem`);
  writeFileSync(file, `${chain}${key}`, { mode: 0o600 });
  return { name, chain, key, file };
}
