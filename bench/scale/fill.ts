// A data directory with very many certificates and APIs, written through the store as an import writes them: sealed,
// with their SNIs, bindings and changes.
import { mkdirSync } from 'node:fs';
import path from 'node:path';
import { newId } from '../../src/lib/new-id.ts';
import type { Api } from '../../src/model/entities.ts';
import type { CertificateWithSnis } from '../../src/store/contract.ts';
import { createKeyringFile } from '../../src/store/keyring.ts';
import { createSealer } from '../../src/store/sealing.ts';
import { openSqliteStore } from '../../src/store/sqlite/sqlite-store.ts';
import { createLeaves, nameOf } from './leaves.ts';

/** Large, so that pages of indexes are written for many at once. */
const batch = 10_000;
/** Every certificate has the first; one in a thousand the second; one in two the third. */
export const tags = { all: 'everyone', few: 'few', half: 'half' } as const;

export interface Filling {
  readonly prefix: string;
  readonly certificates: number;
  /** Each has a host of its own. */
  readonly apis: number;
  readonly upstreamUrl: string;
  readonly progress: (text: string) => void;
}

export async function fillStore({ prefix, certificates, apis, upstreamUrl, progress }: Filling): Promise<void> {
  mkdirSync(prefix, { recursive: true });
  const sealer = createSealer(await createKeyringFile(path.join(prefix, 'keyring')));
  await using store = await openSqliteStore({ path: path.join(prefix, 'portunus.db'), sealer });
  const leaf = createLeaves();
  for (let from = 0; from < certificates; from += batch) {
    progress(`${from} of ${certificates} certificates are in the store`);
    const items = Array.from({ length: Math.min(batch, certificates - from) }, (_, at): CertificateWithSnis => {
      const number = from + at;
      const { pair, key } = leaf(number);
      const [id, now] = [newId(), Date.now()];
      const times = { createdAt: now, updatedAt: now };
      return {
        certificate: {
          id,
          owner: { kind: 'admin' },
          primary: { ...pair, sealedKey: sealer.seal(key, pair.publicKeySha256) },
          alternative: null,
          tags: [tags.all, ...(number % 1000 === 0 ? [tags.few] : []), ...(number % 2 === 0 ? [tags.half] : [])],
          ...times,
        },
        snis: [{ id: newId(), name: nameOf(number), certificateId: id, tags: [], ...times }],
      };
    });
    const { value: refused } = await store.transact('bench', (tx) => tx.insertCertificates(items));
    const error = refused.find((each) => each !== undefined);
    if (error !== undefined) throw error;
  }
  for (let from = 0; from < apis; from += batch) {
    progress(`${from} of ${apis} APIs are in the store`);
    await store.transact('bench', async (tx) => {
      for (let number = from; number < Math.min(apis, from + batch); number += 1) {
        await tx.apis.insert(apiOf(number, upstreamUrl));
      }
    });
  }
}

export const hostOf = (number: number): string => `a${String(number).padStart(6, '0')}.apis.test`;

function apiOf(number: number, upstreamUrl: string): Api {
  return {
    id: newId(),
    name: `api-${number}`,
    dialect: '0.12',
    hosts: [hostOf(number)],
    uris: [],
    methods: [],
    upstreamUrl,
    stripUri: true,
    preserveHost: false,
    httpsOnly: false,
    httpIfTerminated: false,
    retries: 5,
    upstreamConnectTimeoutMs: 60_000,
    upstreamSendTimeoutMs: 60_000,
    upstreamReadTimeoutMs: 60_000,
    createdAt: Date.now(),
    clientCertificate: null,
    hsts: null,
  };
}
