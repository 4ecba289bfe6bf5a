// Everything of one store into another, in the order of creation, and compared: nothing is taken on trust.
import { isDeepStrictEqual } from 'node:util';
import type { Certificate, KeyPair } from '../model/entities.ts';
import type { PortunusError } from '../lib/errors.ts';
import { pageSizeMax, type Store, type StoreReader, type StoreTransaction } from '../store/contract.ts';
import type { Sealer } from '../store/sealer.ts';
import { migrationConflict } from './migration-conflict.ts';
import { createTransfer, type Transfer } from './transfer-entities.ts';
import { transferIntermediates } from './transfer-intermediates.ts';

/** Written one by one, and so few in one transaction, which others may wait for. */
const apisAtOnce = 20;
const actor = 'migrate';

type Entities = 'certificates' | 'snis' | 'ca_certificates' | 'apis' | 'plugins' | 'host_policies' | 'tokens';
export type MigratedKind = Entities | 'intermediates';

export interface MigrationStep {
  readonly phase: 'comparing' | 'writing';
  readonly kind: MigratedKind;
  readonly done: number;
  /** What the source holds; undefined when that is not known beforehand. */
  readonly total: number | undefined;
}

export interface MigrationReport {
  /** What either side holds. Equal, but that the target may have remembered more intermediates. */
  readonly counts: Readonly<Record<MigratedKind, { readonly from: number; readonly to: number }>>;
  /** Of leaves, both pairs of a certificate included, that were read from both sides and are equal. */
  readonly fingerprints: number;
  /** The secret of session tickets: `replaced` when the target had made its own; `none` when the source has none. */
  readonly ticketSecret: 'moved' | 'replaced' | 'none';
}

export interface MigrationOptions {
  readonly from: StoreReader;
  readonly to: Store;
  /** Opens what either of them holds. */
  readonly sealer: Sealer;
  readonly progress: (step: MigrationStep) => void;
}

/**
 * Goes on where an interrupted one ended. A target that a gateway was started on may hold a default certificate and a
 * secret of session tickets, nothing else: the source's take their place. Revisions are counted by each store for itself.
 * @throws MIGRATION_CONFLICT when the target holds what the source does not, or holds it otherwise; then nothing has been
 *   written into it, unless others write to it meanwhile; KEYRING_MISMATCH; what stores throw
 */
export async function migrateStore({ from, to, sealer, progress }: MigrationOptions): Promise<MigrationReport> {
  const totals = await countEntities(from);
  let fingerprints = 0;
  const transfers: readonly Transfer[] = [
    createTransfer({
      what: 'certificate',
      from: ofAnyOwner(from),
      to: ofAnyOwner(to),
      isSame(wanted, found) {
        fingerprints += wanted.alternative === null ? 1 : 2;
        return isSameCertificate(wanted, found, sealer);
      },
      insert: (certificates) =>
        atOnce((tx) => tx.insertCertificates(certificates.map((certificate) => ({ certificate, snis: [] })))),
      progress: tell('certificates'),
    }),
    createTransfer({
      what: 'SNI',
      from: from.snis,
      to: to.snis,
      insert: (snis) => atOnce((tx) => tx.insertSnis(snis)),
      progress: tell('snis'),
    }),
    // Before those whose rules name them.
    createTransfer({
      what: 'CA certificate',
      from: from.caCertificates,
      to: to.caCertificates,
      insert: (authorities) => oneByOne(authorities, (tx, authority) => tx.caCertificates.insert(authority)),
      progress: tell('ca_certificates'),
    }),
    createTransfer({
      what: 'API',
      from: from.apis,
      to: to.apis,
      insert: (apis) => oneByOne(apis, (tx, api) => tx.apis.insert(api)),
      progress: tell('apis'),
    }),
    createTransfer({
      what: 'plugin',
      from: from.plugins,
      to: to.plugins,
      insert: (plugins) => oneByOne(plugins, (tx, plugin) => tx.plugins.insert(plugin)),
      progress: tell('plugins'),
    }),
    createTransfer({
      what: 'host policy',
      from: from.hostPolicies,
      to: to.hostPolicies,
      insert: (policies) => oneByOne(policies, (tx, policy) => tx.hostPolicies.insert(policy)),
      progress: tell('host_policies'),
    }),
    createTransfer({
      what: 'token',
      from: from.tokens,
      to: to.tokens,
      insert: (tokens) => oneByOne(tokens, (tx, token) => tx.tokens.insert(token)),
      progress: tell('tokens'),
    }),
  ];

  await dropOtherDefault(from, to);
  const incomplete: Transfer[] = [];
  for (const transfer of transfers) if (!(await transfer.compare())) incomplete.push(transfer);
  const ticketSecret = await moveTicketSecret(from, to);
  const intermediates = await transferIntermediates(from, to, actor, (done) =>
    progress({ phase: 'writing', kind: 'intermediates', done, total: undefined }),
  );
  for (const transfer of incomplete) await transfer.write();
  for (const transfer of incomplete) {
    if (!(await transfer.compare())) throw migrationConflict('The target lacks some of what was written into it.');
  }
  return { counts: { ...equalCounts(totals, await countEntities(to)), intermediates }, fingerprints, ticketSecret };

  function tell(kind: Entities): (phase: MigrationStep['phase'], done: number) => void {
    return (phase, done) => progress({ phase, kind, done, total: totals[kind] });
  }

  /** All of them or none. */
  async function atOnce(
    insert: (tx: StoreTransaction) => Promise<readonly (PortunusError | undefined)[]>,
  ): Promise<void> {
    await to.transact(actor, async (tx) => {
      const error = (await insert(tx)).find((each) => each !== undefined);
      if (error !== undefined) throw migrationConflict(error.message);
    });
  }

  async function oneByOne<E>(
    entities: readonly E[],
    insert: (tx: StoreTransaction, entity: E) => Promise<void>,
  ): Promise<void> {
    for (let at = 0; at < entities.length; at += apisAtOnce) {
      await to.transact(actor, async (tx) => {
        for (const entity of entities.slice(at, at + apisAtOnce)) await insert(tx, entity);
      });
    }
  }
}

function ofAnyOwner({ certificates }: StoreReader): Pick<StoreReader['certificates'], 'list'> {
  return { list: (page) => certificates.list(page, { owner: 'any' }) };
}

/** Of a target that holds nothing but what a gateway makes when it starts. */
async function dropOtherDefault(from: StoreReader, to: Store): Promise<void> {
  await to.transact(actor, async (tx) => {
    const { items } = await tx.certificates.list({ size: pageSizeMax }, { owner: 'default' });
    const { certificates, ...others } = await countEntities(tx);
    if (certificates !== items.length || Object.values(others).some((count) => count > 0)) return;
    for (const { id } of items) if ((await from.certificates.get(id)) === undefined) await tx.certificates.delete(id);
  });
}

async function moveTicketSecret(from: StoreReader, to: Store): Promise<MigrationReport['ticketSecret']> {
  const sealed = await from.sealedSecret('ticket');
  if (sealed === undefined) return 'none';
  return (await to.adoptSecret('ticket', sealed)) ? 'replaced' : 'moved';
}

function isSameCertificate(wanted: Certificate, found: Certificate, sealer: Sealer): boolean {
  if (isDeepStrictEqual(wanted, found)) return true;
  // Either of them may have been sealed anew meanwhile.
  return (
    isDeepStrictEqual(withoutKeys(wanted), withoutKeys(found)) &&
    isSameKey(wanted.primary, found.primary, sealer) &&
    (wanted.alternative === null ||
      found.alternative === null ||
      isSameKey(wanted.alternative, found.alternative, sealer))
  );
}

function withoutKeys({ primary, alternative, ...rest }: Certificate): object {
  return {
    ...rest,
    primary: { ...primary, sealedKey: '' },
    alternative: alternative && { ...alternative, sealedKey: '' },
  };
}

function isSameKey(wanted: KeyPair, found: KeyPair, sealer: Sealer): boolean {
  const [one, other] = [wanted, found].map((pair) => sealer.open(pair.sealedKey, pair.publicKeySha256));
  return one !== undefined && other !== undefined && one.equals(other);
}

async function countEntities(store: StoreReader): Promise<Readonly<Record<Entities, number>>> {
  return {
    certificates: await store.certificates.count({ owner: 'any' }),
    snis: await store.snis.count(),
    ca_certificates: await store.caCertificates.count(),
    apis: await store.apis.count(),
    plugins: await store.plugins.count(),
    host_policies: await store.hostPolicies.count(),
    tokens: await store.tokens.count(),
  };
}

function equalCounts(
  from: Readonly<Record<Entities, number>>,
  to: Readonly<Record<Entities, number>>,
): Readonly<Record<Entities, { readonly from: number; readonly to: number }>> {
  const counts = (kind: Entities) => {
    if (from[kind] !== to[kind]) throw migrationConflict(`Of ${from[kind]} ${kind} the target holds ${to[kind]}.`);
    return { from: from[kind], to: to[kind] };
  };
  return {
    certificates: counts('certificates'),
    snis: counts('snis'),
    ca_certificates: counts('ca_certificates'),
    apis: counts('apis'),
    plugins: counts('plugins'),
    host_policies: counts('host_policies'),
    tokens: counts('tokens'),
  };
}
