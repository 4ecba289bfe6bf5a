// From the embedded store into PostgreSQL: everything arrives as it was and in its order, an interrupted migration goes on,
// and what is in the way is refused.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { isPortunusError } from '../../src/lib/errors.ts';
import { type MigrationReport, type MigrationStep, migrateStore } from '../../src/move/migrate-store.ts';
import type { Store, StoreReader, StoreTransaction } from '../../src/store/contract.ts';
import type { Sealer } from '../../src/store/sealer.ts';
import {
  fakeApi,
  fakeCaCertificate,
  fakeCertificate,
  fakeHostPolicy,
  fakeKeyPair,
  fakePlugin,
  fakePluginCertificate,
  fakeSni,
  fakeToken,
} from '../contracts/entities.ts';
import { sealerOf } from '../contracts/sealing-keys.ts';
import { type TemporaryPostgres, temporaryPostgres } from '../store/temporary-postgres.ts';
import { type TemporaryStore, temporaryStore } from '../store/temporary-store.ts';
import { type PostgresServer, startPostgres } from '../support/postgres.ts';

let server: PostgresServer;
before(async () => (server = await startPostgres()));
after(() => server[Symbol.asyncDispose]());

const certificates = 1203;
const intermediates = [
  { subjectKey: 'k', pem: 'one' },
  { subjectKey: 'k', pem: 'two' },
  { subjectKey: 'l', pem: 'three' },
];

async function source(): Promise<TemporaryStore> {
  const opened = await temporaryStore({ sealer: sealerOf('k1', 'k2') });
  const { store } = opened;
  await store.transact('test', async (tx) => {
    await tx.certificates.insert(fakeCertificate('default', { owner: { kind: 'default' } }));
    for (let at = 0; at < certificates - 3; at += 1) {
      await tx.certificates.insert(fakeCertificate(`c${at}`, { tags: [`t${at % 3}`] }));
    }
    const pair = { primary: fakeKeyPair('one'), alternative: fakeKeyPair('two') };
    await tx.certificates.insert(fakeCertificate('pair', pair));
    // Not in the order of their certificates, nor in that of their names.
    for (let at = 0; at < 1100; at += 1) {
      const of = (at * 7) % 1100;
      await tx.snis.insert(fakeSni(`s${at}`, `n${at}.test`, `c${of}`, { tags: ['x'] }));
    }
    for (let at = 0; at < 45; at += 1) await tx.apis.insert(fakeApi(`a${at}`, { hosts: [`api${at}.test`] }));
    await tx.certificates.insert(fakePluginCertificate('p'));
    await tx.plugins.insert(fakePlugin('p', 'a3'));
    await tx.caCertificates.insert(fakeCaCertificate('ca', { tags: ['t'], crl: 'crl' }));
    await tx.apis.replace(fakeApi('a7', { clientCertificate: rule }));
    await tx.hostPolicies.insert(fakeHostPolicy('h', '*.h.test', { clientCertificate: rule }));
    for (const id of ['t1', 't2']) await tx.tokens.insert(fakeToken(id));
    await tx.rememberIntermediates(intermediates);
  });
  await store.secret('ticket');
  return opened;
}

const target = (options: { readonly sealer?: Sealer } = {}): Promise<TemporaryPostgres> =>
  temporaryPostgres(server.port, { sealer: sealerOf('k1', 'k2'), ...options });

const rule = { mode: 'required', authorities: ['ca'], depth: 1 } as const;

const both = (count: number) => ({ from: count, to: count });
const expected: MigrationReport = {
  counts: {
    certificates: both(certificates),
    snis: both(1100),
    ca_certificates: both(1),
    apis: both(45),
    plugins: both(1),
    host_policies: both(1),
    tokens: both(2),
    intermediates: both(3),
  },
  fingerprints: certificates + 1,
  ticketSecret: 'moved',
};

async function run(
  from: { readonly store: StoreReader },
  to: TemporaryPostgres,
  progress: (step: MigrationStep) => void = () => undefined,
): Promise<MigrationReport> {
  return migrateStore({ from: from.store, to: to.store, sealer: to.sealer, progress });
}

test('everything arrives as it was, in its order, and doing it again changes nothing', async () => {
  await using from = await source();
  await using to = await target();
  assert.deepEqual(await run(from, to), expected);
  for (const name of ['n0.test', 'n449.test', 'n1099.test', 'api3.test']) {
    assert.deepEqual(await to.store.binding(name), await from.store.binding(name));
  }
  assert.deepEqual(await everything(to.store), await everything(from.store));
  assert.deepEqual(await to.store.secret('ticket'), await from.store.secret('ticket'));
  assert.deepEqual((await to.store.intermediates('k')).toSorted(), ['one', 'two']);
  assert.equal(await to.store.snis.count({ tags: { all: ['x'] } }), 1100);
  const revision = await to.store.revision();
  assert.deepEqual(await run(from, to), expected);
  assert.equal(await to.store.revision(), revision);
});

test('whichever step it is interrupted at, it goes on', async () => {
  await using from = await source();
  const steps: MigrationStep[] = [];
  {
    await using to = await target();
    await run(from, to, (step) => steps.push({ ...step }));
  }
  for (const kind of ['certificates', 'snis', 'apis'] as const) {
    const written = steps.filter((step) => step.phase === 'writing' && step.kind === kind);
    assert.equal(written.at(-1)?.done, expected.counts[kind].from);
    assert.ok(steps.some((step) => step.phase === 'comparing' && step.kind === kind && step.done === step.total));
  }
  // The one target is interrupted at every step, one after the other, and gets everything all the same.
  await using to = await target();
  for (let last = 1; last <= steps.length; last += 1) {
    let taken = 0;
    const stopped = run(from, to, () => {
      if ((taken += 1) === last) throw new Error('interrupted');
    });
    const outcome = await stopped.catch((error: Error) => error.message);
    if (outcome !== 'interrupted') assert.deepEqual(outcome, expected);
  }
  assert.deepEqual(await run(from, to), expected);
  assert.deepEqual(await everything(to.store), await everything(from.store));
});

test('what is there already is not sent again, and is compared all the same', async () => {
  await using from = await source();
  await using to = await target();
  await run(from, to);
  const steps: string[] = [];
  await run(from, to, ({ phase, kind }) => steps.push(`${phase} ${kind}`));
  assert.deepEqual(
    [...new Set(steps)],
    [
      'comparing certificates',
      'comparing snis',
      'comparing ca_certificates',
      'comparing apis',
      'comparing plugins',
      'comparing host_policies',
      'comparing tokens',
      'writing intermediates',
    ],
  );
});

test('the number of round trips does not grow with each certificate', async () => {
  await using from = await source();
  await using to = await target();
  const reads = countCalls(to.store.certificates, to.store.snis);
  await migrateStore({
    from: from.store,
    to: { ...to.store, ...reads.counted },
    sealer: to.sealer,
    progress: () => undefined,
  });
  assert.ok(reads.calls() < 20, `${reads.calls()} reads`);
});

test('a target that a gateway was started on gets the default certificate and the ticket secret of the source', async () => {
  await using from = await source();
  await using to = await target();
  await to.store.transact('system', (tx) =>
    tx.certificates.insert(fakeCertificate('made here', { owner: { kind: 'default' } })),
  );
  await to.store.secret('ticket');
  assert.deepEqual(await run(from, to), { ...expected, ticketSecret: 'replaced' });
  const defaults = await to.store.certificates.list({ size: 10 }, { owner: 'default' });
  assert.deepEqual(
    defaults.items.map(({ id }) => id),
    ['default'],
  );
  assert.deepEqual(await to.store.secret('ticket'), await from.store.secret('ticket'));
});

test('a source that no gateway was started on has no ticket secret to give', async () => {
  await using from = await temporaryStore({ sealer: sealerOf('k1') });
  await from.store.transact('test', (tx) => tx.certificates.insert(fakeCertificate('a')));
  await using to = await target();
  const own = await to.store.secret('ticket');
  const { counts, ticketSecret } = await run(from, to);
  assert.deepEqual([counts.certificates, ticketSecret], [both(1), 'none']);
  assert.deepEqual(await to.store.secret('ticket'), own);
});

for (const [what, write] of [
  ['a certificate', (tx: StoreTransaction) => tx.certificates.insert(fakeCertificate('stranger'))],
  ['an API', (tx: StoreTransaction) => tx.apis.insert(fakeApi('stranger'))],
  [
    'an SNI of the default certificate',
    async (tx: StoreTransaction) => {
      await tx.certificates.insert(fakeCertificate('default', { owner: { kind: 'default' } }));
      await tx.snis.insert(fakeSni('stranger', 'stranger.test', 'default'));
    },
  ],
  [
    'a certificate of the source that is another one',
    async (tx: StoreTransaction) => {
      await tx.certificates.insert(fakeCertificate('default', { owner: { kind: 'default' } }));
      await tx.certificates.insert(fakeCertificate('c0', { tags: ['other'] }));
    },
  ],
  [
    'another fingerprint',
    (tx: StoreTransaction) =>
      tx.certificates.insert(
        fakeCertificate('default', {
          owner: { kind: 'default' },
          primary: fakeKeyPair('default', { fingerprint: 'another' }),
        }),
      ),
  ],
] as const) {
  test(`a target with ${what} is refused, and nothing is written into it`, async () => {
    await using from = await source();
    await using to = await target();
    const own = await to.store.secret('ticket');
    await to.store.transact('test', write);
    const before = await everything(to.store);
    await assert.rejects(run(from, to), conflict);
    assert.deepEqual(await everything(to.store), before);
    assert.deepEqual(await to.store.secret('ticket'), own);
    assert.deepEqual(await to.store.intermediates('k'), []);
  });
}

test('a target that holds more than the source at its end is refused', async () => {
  await using from = await source();
  await using to = await target();
  await run(from, to);
  await to.store.transact('test', (tx) => tx.certificates.insert(fakeCertificate('one more')));
  await assert.rejects(run(from, to), conflict);
});

test('what changes between writing and comparing is noticed', async () => {
  await using from = await source();
  await using to = await target();
  const { store } = to;
  let lost = false;
  const careless: Store = {
    ...store,
    async transact(actor, work) {
      const committed = await store.transact(actor, work);
      const stored = lost ? undefined : await store.certificates.get('c700');
      if (stored !== undefined) {
        lost = true;
        await store.transact('test', (tx) =>
          tx.certificates.replace({ ...stored, primary: { ...stored.primary, fingerprint: 'altered' } }),
        );
      }
      return committed;
    },
  };
  await assert.rejects(
    migrateStore({ from: from.store, to: careless, sealer: to.sealer, progress: () => undefined }),
    conflict,
  );
  assert.ok(lost);
});

test('keys that were sealed anew meanwhile are the same keys, and others are not', async () => {
  const [old, fresh] = [sealerOf('k1'), sealerOf('k2', 'k1')];
  await using from = await temporaryStore({ sealer: old });
  const real = (key: string, sealer: Sealer) =>
    fakeCertificate('a', { primary: fakeKeyPair('a', { publicKeySha256: 'p', sealedKey: sealer.seal(key, 'p') }) });
  await from.store.transact('test', (tx) => tx.certificates.insert(real('key', old)));
  await using same = await target({ sealer: fresh });
  await same.store.transact('test', (tx) => tx.certificates.insert(real('key', fresh)));
  assert.equal((await run(from, same)).fingerprints, 1);
  await using other = await target({ sealer: fresh });
  await other.store.transact('test', (tx) => tx.certificates.insert(real('another key', fresh)));
  await assert.rejects(run(from, other), conflict);
});

function conflict(error: unknown): boolean {
  return isPortunusError(error, 'MIGRATION_CONFLICT');
}

async function everything(store: StoreReader): Promise<object> {
  const all = async <E>(
    list: (after: string | undefined) => Promise<{ items: readonly E[]; next: string | undefined }>,
  ) => {
    const found: E[] = [];
    for (let after: string | undefined; ;) {
      const { items, next } = await list(after);
      found.push(...items);
      if (next === undefined) return found;
      after = next;
    }
  };
  return {
    certificates: await all((after) => store.certificates.list({ size: 1000, after }, { owner: 'any' })),
    snis: await all((after) => store.snis.list({ size: 1000, after })),
    apis: await all((after) => store.apis.list({ size: 1000, after })),
    plugins: await all((after) => store.plugins.list({ size: 1000, after })),
    tokens: await all((after) => store.tokens.list({ size: 1000, after })),
    authorities: await all((after) => store.caCertificates.list({ size: 1000, after })),
    policies: await all((after) => store.hostPolicies.list({ size: 1000, after })),
  };
}

/** The same collections, and how often they were asked. */
function countCalls(certificatesOf: Store['certificates'], snisOf: Store['snis']) {
  let calls = 0;
  const counting = <T extends object>(collection: T): T =>
    new Proxy(collection, {
      get(of, name, receiver) {
        calls += 1;
        return Reflect.get(of, name, receiver) as unknown;
      },
    });
  return { calls: () => calls, counted: { certificates: counting(certificatesOf), snis: counting(snisOf) } };
}
