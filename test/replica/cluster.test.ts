// Several nodes in one process over a registry in memory, whose clock, losses and failures the tests decide.
import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { PortunusError } from '../../src/lib/errors.ts';
import { joinCluster, type Cluster } from '../../src/replica/cluster.ts';
import type { AppliedByAll, NodeIdentity, NodeRecord, NodeRegistry } from '../../src/store/node-registry.ts';
import { until } from '../support/until.ts';

function createRegistry() {
  const records = new Map<string, NodeRecord>();
  const silent = new Set<string>();
  const listeners = new Set<() => void>();
  const state = { away: false, deaf: false };
  let lists = 0;
  const tell = (): void => {
    for (const heard of listeners) heard();
  };
  const guard = (): void => {
    if (state.away) throw new PortunusError('STORE_UNAVAILABLE', 'away');
  };
  const registry: NodeRegistry = {
    async register(identity, report) {
      guard();
      records.set(identity.id, { ...identity, ...report, startedAt: 0, silentMs: 0 });
    },
    async report(identity, report) {
      guard();
      const known = records.get(identity.id);
      if (known?.instance !== identity.instance) return false;
      records.set(identity.id, { ...known, ...report });
      if (!state.deaf) tell();
      return true;
    },
    async leave({ id }) {
      guard();
      records.delete(id);
    },
    async list() {
      guard();
      lists += 1;
      return [...records.values()].map((each) => ({ ...each, silentMs: silent.has(each.name) ? 60_000 : 0 }));
    },
    onReport(heard) {
      listeners.add(heard);
      return () => void listeners.delete(heard);
    },
  };
  return {
    registry,
    records,
    silent,
    state,
    tell,
    get lists() {
      return lists;
    },
  };
}

interface Member {
  readonly cluster: Cluster;
  apply(revision: number): void;
  readonly errors: readonly string[];
}

async function member(
  t: TestContext,
  { registry, records }: ReturnType<typeof createRegistry>,
  name: string,
  identity: Partial<NodeIdentity> = {},
): Promise<Member> {
  let applied = 0;
  const errors: string[] = [];
  let fresh = 0;
  const me = { id: `id-${name}`, instance: `instance-${name}`, name, address: '', version: '1', ...identity };
  const cluster = joinCluster({
    registry,
    identity: me,
    report: () => ({ applied, state: 'serving', keyIds: ['k1'] }),
    renewId: () => `fresh-${name}-${(fresh += 1)}`,
    nodeTimeoutMs: 1000,
    log: { warn: () => undefined, error: (_facts, message) => void errors.push(message) },
  });
  t.after(() => cluster[Symbol.asyncDispose]());
  await until('it is registered', () => [...records.values()].some((each) => each.instance === me.instance));
  return {
    cluster,
    errors,
    apply(revision) {
      applied = revision;
      cluster.changed();
    },
  };
}

const long = 20_000;

test('a revision is applied by all when every live node has said so', async (t) => {
  const shared = createRegistry();
  const [a, b] = [await member(t, shared, 'a'), await member(t, shared, 'b')];
  const waiting = a.cluster.whenAppliedByAll(5, performance.now(), long);
  a.apply(5);
  b.apply(6);
  const outcome = await waiting;
  assert.deepEqual(outcome.applied.map(({ name }) => name).toSorted(), ['a', 'b']);
  assert.deepEqual(outcome.lagging, []);
});

test('with every report lost, the list of nodes tells', async (t) => {
  const shared = createRegistry();
  shared.state.deaf = true;
  const [a, b] = [await member(t, shared, 'a'), await member(t, shared, 'b')];
  const waiting = a.cluster.whenAppliedByAll(5, performance.now(), long);
  a.apply(5);
  b.apply(5);
  assert.equal((await waiting).lagging.length, 0);
});

test('whoever has not applied it in time is named with what it has', async (t) => {
  const shared = createRegistry();
  const [a, b] = [await member(t, shared, 'a'), await member(t, shared, 'b')];
  a.apply(5);
  b.apply(4);
  await until('it is told', () => shared.records.get('id-b')?.applied === 4);
  const outcome = await a.cluster.whenAppliedByAll(5, performance.now(), 50);
  assert.deepEqual(outcome.lagging, [{ id: 'id-b', name: 'b', applied: 4, silentMs: 0 }]);
});

test('what a node told before the wait does not count: the store may have been put back to an older state', async (t) => {
  const shared = createRegistry();
  const [a, b] = [await member(t, shared, 'a'), await member(t, shared, 'b')];
  b.apply(9);
  await until('it is told', () => shared.records.get('id-b')?.applied === 9);
  shared.state.deaf = true;
  a.apply(5);
  b.apply(4);
  await until('it is told', () => shared.records.get('id-b')?.applied === 4);
  const outcome = await a.cluster.whenAppliedByAll(5, performance.now(), 50);
  assert.deepEqual(
    outcome.lagging.map(({ name }) => name),
    ['b'],
  );
});

test('many reports at once cost those who wait a few readings together', async (t) => {
  const shared = createRegistry();
  const [a, b] = [await member(t, shared, 'a'), await member(t, shared, 'b')];
  a.apply(5);
  const waits = Array.from({ length: 50 }, () => a.cluster.whenAppliedByAll(5, performance.now(), long));
  const before = shared.lists;
  for (let index = 0; index < 1000; index += 1) shared.tell();
  b.apply(5);
  for (const { lagging } of await Promise.all(waits)) assert.deepEqual(lagging, []);
  assert.ok(shared.lists - before <= 5, `${shared.lists - before} readings`);
});

test('those who wait since different moments share the readings', async (t) => {
  const shared = createRegistry();
  shared.state.deaf = true;
  const [a, b] = [await member(t, shared, 'a'), await member(t, shared, 'b')];
  a.apply(5);
  const waits: Promise<AppliedByAll>[] = [];
  for (let index = 0; index < 20; index += 1) {
    waits.push(a.cluster.whenAppliedByAll(5, performance.now(), long));
    await new Promise((resolve) => setImmediate(resolve));
  }
  await until('all have had a reading', () => shared.lists >= 20);
  const before = shared.lists;
  // Alone, each would read at a moment of its own: twenty in the time of one.
  await until('three more readings', () => shared.lists >= before + 3);
  assert.ok(shared.lists <= before + 4, `${shared.lists - before} readings`);
  b.apply(5);
  for (const { lagging } of await Promise.all(waits)) assert.deepEqual(lagging, []);
});

test('a node that dies while it is waited for is not waited for any longer', async (t) => {
  const shared = createRegistry();
  const a = await member(t, shared, 'a');
  await member(t, shared, 'b');
  a.apply(5);
  const waiting = a.cluster.whenAppliedByAll(5, performance.now(), long);
  shared.silent.add('b');
  const outcome = await waiting;
  assert.deepEqual(
    outcome.applied.map(({ name }) => name),
    ['a'],
  );
  assert.deepEqual(outcome.lagging, []);
});

test('when the nodes cannot be asked for, that is said, and a node comes back by itself', async (t) => {
  const shared = createRegistry();
  const a = await member(t, shared, 'a');
  shared.state.away = true;
  const outcome = await a.cluster.whenAppliedByAll(5, performance.now(), 20);
  assert.equal(outcome.known, false);
  shared.records.clear();
  shared.state.away = false;
  a.apply(5);
  await until('it is there again', () => [...shared.records.values()].some(({ name }) => name === 'a'));
});

test('of two nodes with one id, the one that finds out takes another', async (t) => {
  const shared = createRegistry();
  const first = await member(t, shared, 'a', { id: 'same' });
  await member(t, shared, 'b', { id: 'same' });
  first.apply(1);
  await until('both are there', () => shared.records.size === 2);
  assert.equal(shared.records.get('same')?.name, 'b');
  assert.match(first.errors.join(), /copy/);
});

test('a node that stops in order leaves at once', async (t) => {
  const shared = createRegistry();
  const a = await member(t, shared, 'a');
  await a.cluster[Symbol.asyncDispose]();
  assert.equal(shared.records.size, 0);
});
