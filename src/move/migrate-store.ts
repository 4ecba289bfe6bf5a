// Everything of one store into another, in the order of creation, and then compared: nothing is taken on trust.
import { isDeepStrictEqual } from 'node:util';
import { PortunusError } from '../lib/errors.ts';
import type { Certificate } from '../model/entities.ts';
import { pageSizeMax, type Collection, type Store, type StoreReader } from '../store/contract.ts';

const batchSize = 200;

export interface MigrationCounts {
  readonly certificates: number;
  readonly snis: number;
  readonly apis: number;
  readonly plugins: number;
}

/**
 * Goes on where an interrupted one ended: what is there already is left alone, and compared with the rest at the end.
 * SNIs come in the order of their certificates. Session tickets of the source are not known to the target.
 * @throws MIGRATION_CONFLICT when the target holds what the source does not, or holds it otherwise; what stores throw
 */
export async function migrateStore(
  from: StoreReader,
  to: Store,
  progress: (done: MigrationCounts) => void,
): Promise<MigrationCounts> {
  await refuseStrangers(from, to);
  const done = { certificates: 0, snis: 0, apis: 0, plugins: 0 };
  for await (const page of pages(from.certificates, { owner: 'any' })) {
    for (const batch of slices(page)) {
      const items = await Promise.all(
        batch.map(async (certificate) => ({ certificate, snis: await from.snis.ofCertificate(certificate.id) })),
      );
      // One that is there already is an error here, and equal to the source's or not below.
      await to.transact('migrate', (tx) => tx.insertCertificates(items));
      done.certificates += items.length;
      done.snis += items.reduce((sum, { snis }) => sum + snis.length, 0);
      progress(done);
    }
  }
  for await (const page of pages(from.apis, {})) {
    for (const batch of slices(page)) {
      await to.transact('migrate', async (tx) => {
        for (const api of batch) if ((await tx.apis.get(api.id)) === undefined) await tx.apis.insert(api);
      });
      done.apis += batch.length;
      progress(done);
    }
  }
  for await (const page of pages(from.plugins, {})) {
    for (const batch of slices(page)) {
      await to.transact('migrate', async (tx) => {
        for (const plugin of batch)
          if ((await tx.plugins.get(plugin.id)) === undefined) await tx.plugins.insert(plugin);
      });
      done.plugins += batch.length;
      progress(done);
    }
  }
  await compare(from, to);
  return done;
}

/** A store that already serves others is not written into. */
async function refuseStrangers(from: StoreReader, to: StoreReader): Promise<void> {
  for await (const page of pages(to.certificates, { owner: 'any' })) {
    for (const { id } of page) if ((await from.certificates.get(id)) === undefined) throw stranger('certificate', id);
  }
  for await (const page of pages(to.apis, {})) {
    for (const { id } of page) if ((await from.apis.get(id)) === undefined) throw stranger('API', id);
  }
}

async function compare(from: StoreReader, to: StoreReader): Promise<void> {
  await compareAll('certificate', pages(from.certificates, { owner: 'any' }), to.certificates, sealedApart);
  await compareAll('SNI', pages(from.snis, {}), to.snis, (sni) => sni);
  await compareAll('API', pages(from.apis, {}), to.apis, (api) => api);
  await compareAll('plugin', pages(from.plugins, {}), to.plugins, (plugin) => plugin);
  const counts = await Promise.all(
    [from, to].map((store) =>
      Promise.all([
        store.certificates.count({ owner: 'any' }),
        store.snis.count(),
        store.apis.count(),
        store.plugins.count(),
      ]),
    ),
  );
  if (!isDeepStrictEqual(counts[0], counts[1])) {
    throw conflict(`The counts differ: ${counts[0]?.join(', ')} and ${counts[1]?.join(', ')}.`);
  }
}

async function compareAll<E extends { readonly id: string }>(
  what: string,
  wanted: AsyncIterable<readonly E[]>,
  there: { get(id: string): Promise<E | undefined> },
  shown: (entity: E) => unknown,
): Promise<void> {
  for await (const page of wanted) {
    for (const entity of page) {
      const found = await there.get(entity.id);
      if (found === undefined) throw conflict(`The ${what} ${entity.id} is not there.`);
      if (!isDeepStrictEqual(shown(found), shown(entity)))
        throw conflict(`The ${what} ${entity.id} is another one there.`);
    }
  }
}

/** A key may have been sealed anew meanwhile; it is the same by its public key. */
function sealedApart({ primary, alternative, ...rest }: Certificate): object {
  return {
    ...rest,
    primary: { ...primary, sealedKey: '' },
    alternative: alternative && { ...alternative, sealedKey: '' },
  };
}

async function* pages<E, F>(collection: Collection<E, F>, filter: F): AsyncIterable<readonly E[]> {
  for (let after: string | undefined; ;) {
    const { items, next } = await collection.list({ size: pageSizeMax, after }, filter);
    if (items.length > 0) yield items;
    if (next === undefined) return;
    after = next;
  }
}

function* slices<E>(items: readonly E[]): Iterable<readonly E[]> {
  for (let at = 0; at < items.length; at += batchSize) yield items.slice(at, at + batchSize);
}

function stranger(what: string, id: string): PortunusError {
  return conflict(`The target holds the ${what} ${id}, which the source does not have.`);
}

function conflict(message: string): PortunusError {
  return new PortunusError('MIGRATION_CONFLICT', message, {
    hint: 'Migrate into a database that no gateway has used, or one that an interrupted migration began.',
  });
}
