// A seeded simulation of the copier over a real replica file: a source that changes, fails in the middle, forgets, becomes
// another store, is put back to an older state; nudges that are lost or come twice; copiers that end and begin again. The
// seed is in the test's name.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import { isDeepStrictEqual } from 'node:util';
import { PortunusError } from '../../src/lib/errors.ts';
import type { Change, EntityKind, HostPolicy } from '../../src/model/entities.ts';
import { isFilled, startCopier, type Copier } from '../../src/replica/copier.ts';
import type { EntityTable, ReplicaRow, ReplicaSource, Snapshot } from '../../src/store/replica-source.ts';
import { openReplicaFile } from '../../src/store/sqlite/replica-file.ts';
import { createRandom } from '../support/random.ts';
import { seed as firstSeed } from '../support/seed.ts';
import { until } from '../support/until.ts';

const runs = Number(process.env['PORTUNUS_TEST_RUNS'] ?? 16);
const kinds: Readonly<Record<EntityTable, EntityKind>> = {
  apis: 'api',
  plugins: 'plugin',
  certificates: 'certificate',
  snis: 'sni',
  tokens: 'token',
  ca_certificates: 'ca_certificate',
  host_policies: 'host_policy',
};

type Rows<M> = Readonly<Record<EntityTable, M>>;

/** All rows of the source, immutable: each revision has its own, and each of those that share a number. */
interface State {
  readonly serial: number;
  readonly storeId: string;
  readonly revision: number;
  readonly rows: Rows<ReadonlyMap<string, ReplicaRow>>;
  /** Those that were known when it came to be. */
  readonly changes: readonly Change[];
  /** What it was written upon; undefined for the first one of a store. */
  readonly before: State | undefined;
}

class Source implements ReplicaSource {
  readonly states: State[] = [];
  readonly #random: () => number;
  readonly #nudges = new Set<() => void>();
  #sequence = 0;
  secret = 'sealed 1';
  state: State;
  changes: Change[] = [];
  /** Calls that succeed before one fails; Infinity: none does. */
  failAfter = Infinity;
  rowsRead = 0;
  /** Whether revisions of one number may be of several pasts. */
  hasGoneBack = false;

  constructor(random: () => number) {
    this.#random = random;
    this.state = this.become({
      storeId: 'first',
      revision: 0,
      rows: {
        apis: new Map(),
        plugins: new Map(),
        certificates: new Map(),
        snis: new Map(),
        tokens: new Map(),
        ca_certificates: new Map(),
        host_policies: new Map(),
      },
    });
  }

  become(facts: Omit<State, 'serial' | 'changes' | 'before'>, before?: State): State {
    this.state = { ...facts, before, changes: [...this.changes], serial: this.states.length };
    this.states.push(this.state);
    return this.state;
  }

  onCommit(nudge: () => void): () => void {
    this.#nudges.add(nudge);
    return () => void this.#nudges.delete(nudge);
  }

  nudge(): void {
    for (const nudge of this.#nudges) nudge();
  }

  async snapshot<T>(work: (snapshot: Snapshot) => Promise<T>): Promise<T> {
    const { serial, revision, rows, storeId } = this.state;
    const { changes, secret } = this;
    const tick = async (): Promise<void> => {
      await new Promise(setImmediate);
      if ((this.failAfter -= 1) < 0) throw new PortunusError('STORE_UNAVAILABLE', 'cut');
    };
    const counted = (found: readonly ReplicaRow[]): readonly ReplicaRow[] => {
      this.rowsRead += found.length;
      return found;
    };
    const after = (table: EntityTable, sequence: number, limit: number): readonly ReplicaRow[] =>
      inOrder(rows[table], 'sequence')
        .filter((row) => Number(row['sequence']) > sequence)
        .slice(0, limit);
    await tick();
    return work({
      revision,
      async changesSince(since, limit) {
        await tick();
        if (since === revision) return [];
        const found = changes.filter((change) => change.revision > since && change.revision <= revision);
        return found[0]?.revision === since + 1 && found.length <= limit ? found : undefined;
      },
      async rows(table, ids) {
        await tick();
        return counted([...rows[table].values()].filter(({ id }) => ids.includes(String(id))));
      },
      async bindingsOf(ids) {
        await tick();
        return bindingsOf(rows).filter((row) => ids.includes(String(row['holder_id'])));
      },
      async page(table, sequence, limit) {
        await tick();
        return counted(after(table, sequence, limit));
      },
      async versions(table, sequence, limit) {
        await tick();
        return after(table, sequence, limit).map((row) => ({
          sequence: Number(row['sequence']),
          id: String(row['id']),
          revision: Number(row['revision']),
        }));
      },
      async bindings(name, limit) {
        await tick();
        return bindingsOf(rows)
          .filter((row) => name === undefined || String(row['name']) > name)
          .slice(0, limit);
      },
      async meta() {
        await tick();
        return [
          { key: 'store_id', value: storeId },
          { key: 'secret_ticket', value: secret },
          // What only the test has: which state it is.
          { key: 'serial', value: String(serial) },
        ];
      },
      async mark(of) {
        await tick();
        const found = changes.find((change) => change.revision === of);
        return found && `${found.at} ${found.id}`;
      },
      async defaultCertificate() {
        await tick();
        return inOrder(rows.certificates, 'sequence')
          .filter((row) => row['owner'] === 'default')
          .slice(0, 1);
      },
      async certificateCount() {
        await tick();
        return rows.certificates.size;
      },
    });
  }

  /** One revision of several writes: names move, rows go and come again. */
  write(): void {
    const revision = this.state.revision + 1;
    const serial = this.states.length;
    const rows: Rows<Map<string, ReplicaRow>> = {
      apis: new Map(this.state.rows.apis),
      plugins: new Map(this.state.rows.plugins),
      certificates: new Map(this.state.rows.certificates),
      snis: new Map(this.state.rows.snis),
      tokens: new Map(this.state.rows.tokens),
      ca_certificates: new Map(this.state.rows.ca_certificates),
      host_policies: new Map(this.state.rows.host_policies),
    };
    const note = (table: EntityTable, id: string, operation: Change['operation']): void => {
      this.changes.push({ revision, entity: kinds[table], id, operation, actor: 'test', at: serial });
    };
    const put = (table: EntityTable, id: string, columns: ReplicaRow): void => {
      const known = rows[table].get(id);
      const sequence = known?.['sequence'] ?? (this.#sequence += 1);
      rows[table].set(id, { sequence, id, ...columns, revision });
      note(table, id, known === undefined ? 'create' : 'update');
    };
    const drop = (table: EntityTable, id: string): void => {
      if (rows[table].delete(id)) note(table, id, 'delete');
    };
    const dropPluginOf = (api: string | null): void => {
      for (const [id, row] of rows.plugins) {
        if (row['api_id'] !== api) continue;
        drop('plugins', id);
        drop('certificates', String(row['certificate_id']));
      }
    };
    const dropHolders = (name: string): void => {
      for (const { holder, holder_id } of bindingsOf(rows).filter((row) => row['name'] === name)) {
        if (holder === 'sni') drop('snis', String(holder_id));
        else dropPluginOf(rows.plugins.get(String(holder_id))?.['api_id'] as string | null);
      }
    };
    const pick = (count: number): number => Math.floor(this.#random() * count);
    for (let count = 1 + pick(4); count > 0; count -= 1) {
      const certificate = `c${pick(30)}`;
      // Few names, so that they move from one holder to another within a revision.
      const name = `n${pick(8)}.test`;
      const api = `a${pick(4)}`;
      const tags = JSON.stringify([`t${pick(3)}`]);
      const dice = this.#random();
      if (dice < 0.15) {
        for (const [id, row] of rows.snis) if (row['certificate_id'] === certificate) drop('snis', id);
        drop('certificates', certificate);
      } else if (dice < 0.2) {
        // Made anew, so that it is not the first of all certificates.
        for (const [id, row] of rows.certificates) if (row['owner'] === 'default') drop('certificates', id);
        put('certificates', `d${serial}`, certificateColumns(serial, { owner: 'default' }));
      } else if (dice < 0.6) {
        put('certificates', certificate, certificateColumns(serial, { tags }));
        dropHolders(name);
        const columns = { name, certificate_id: certificate, tags, created_at: 0, updated_at: revision };
        put('snis', `s${pick(1e6)}`, columns);
      } else if (dice < 0.65) {
        const token = `t${pick(3)}`;
        if (rows.tokens.has(token)) drop('tokens', token);
        else put('tokens', token, { name: `token ${token}`, prefix: token, doc: `token ${serial}` });
      } else if (dice < 0.68) {
        const id = `a${pick(3)}`;
        if (this.#random() < 0.5) drop('ca_certificates', id);
        else
          put('ca_certificates', id, {
            fingerprint: `print ${id}`,
            subject: id,
            doc: `authority ${serial}`,
            not_after: serial,
            tags,
          });
      } else if (dice < 0.72) {
        const id = `h${pick(3)}`;
        const clientCertificate = { mode: 'required', authorities: [`a${pick(3)}`], depth: 1 };
        const doc = JSON.stringify({ id, serial, clientCertificate });
        if (this.#random() < 0.5) drop('host_policies', id);
        else put('host_policies', id, { name: id, doc });
      } else if (dice < 0.76) {
        dropPluginOf(api);
        drop('apis', api);
      } else {
        const doc = { hosts: [`${api}-${serial}.test`], uris: [`/${serial}`, `/${api}`] };
        put('apis', api, { name: `api ${api}`, doc: JSON.stringify(doc) });
        if (dice < 0.85) continue;
        const of = dice < 0.95 ? api : null;
        const host = of === null ? '' : name;
        dropPluginOf(of);
        dropHolders(host);
        const [id, own] = [`p${serial}-${count}`, `k${serial}-${count}`];
        put('certificates', own, certificateColumns(serial, { owner: 'plugin', plugin_id: id, tags: '[]' }));
        const columns = { name: 'ssl', api_id: of, certificate_id: own, enabled: 1, doc: JSON.stringify({ host }) };
        put('plugins', id, columns);
      }
    }
    if (this.changes.at(-1)?.revision === revision) this.become({ ...this.state, revision, rows }, this.state);
  }

  /** @param from the first revision that is kept; the last one always is */
  forgetChanges(from = Infinity): void {
    this.changes = this.changes.filter(({ revision }) => revision >= Math.min(from, this.state.revision));
  }

  /** With the same ids in it, and perhaps the same revisions. */
  becomeAnother(): void {
    const serial = this.states.length;
    const revision = Math.max(1, this.state.revision + Math.floor(this.#random() * 7) - 3);
    const { apis, plugins, certificates, snis, tokens, ca_certificates, host_policies } = this.state.rows;
    const theirs = (rows: ReadonlyMap<string, ReplicaRow>, columns: ReplicaRow = {}): ReadonlyMap<string, ReplicaRow> =>
      new Map(
        [...rows].map(([id, row]) => [
          id,
          { ...row, revision: Math.min(Number(row['revision']), revision), ...columns },
        ]),
      );
    this.changes = [{ revision, entity: 'api', id: 'a0', operation: 'update', actor: 'test', at: serial }];
    this.become({
      storeId: `store ${serial}`,
      revision,
      rows: {
        apis: theirs(apis),
        plugins: theirs(plugins),
        certificates: theirs(certificates, { chain: `chain ${serial}` }),
        snis: theirs(snis, { updated_at: serial }),
        tokens: theirs(tokens, { doc: `token ${serial}` }),
        ca_certificates: theirs(ca_certificates, { doc: `authority ${serial}` }),
        host_policies: theirs(host_policies),
      },
    });
  }

  /** To one of the states before; where it goes on from there is another story. */
  goBack(): void {
    let to = this.state;
    for (let left = 1 + Math.floor(this.#random() * 5); left > 0; left -= 1) to = to.before ?? to;
    if (to === this.state) return;
    this.hasGoneBack = true;
    this.changes = [...to.changes];
    this.become(to, to.before);
  }
}

function inOrder(rows: ReadonlyMap<string, ReplicaRow> | readonly ReplicaRow[], by: string): readonly ReplicaRow[] {
  const key = (row: ReplicaRow): string => String(row[by]).padStart(12, ' ');
  return [...rows.values()].toSorted((a, b) => (key(a) < key(b) ? -1 : 1));
}

function bindingsOf(rows: State['rows']): readonly ReplicaRow[] {
  const snis = [...rows.snis.values()].map(({ name = '', certificate_id = '', id = '' }) => ({
    name,
    certificate_id,
    holder: 'sni',
    holder_id: id,
  }));
  const plugins = [...rows.plugins.values()].map(({ doc, certificate_id = '', id = '' }) => ({
    name: (JSON.parse(String(doc)) as { host: string }).host,
    certificate_id,
    holder: 'plugin',
    holder_id: id,
  }));
  return [...snis, ...plugins].toSorted((a, b) => (String(a.name) < String(b.name) ? -1 : 1));
}

function certificateColumns(serial: number, columns: ReplicaRow = {}): ReplicaRow {
  return {
    owner: 'admin',
    plugin_id: null,
    chain: `chain ${serial}`,
    sealed_key: 'v1.k1.x.y',
    public_key_sha256: '',
    fingerprint: '',
    chain_alt: null,
    sealed_key_alt: null,
    public_key_sha256_alt: null,
    fingerprint_alt: null,
    not_after: 0,
    facts: '{}',
    facts_alt: null,
    tags: '["t"]',
    created_at: 0,
    updated_at: serial,
    ...columns,
  };
}

/** What the file shows, in one read transaction: a state, whole, and its certificates as far as they have come. */
function check(file: string, source: Source): State | undefined {
  const database = new DatabaseSync(file, { readOnly: true });
  try {
    database.exec('BEGIN');
    const all = (sql: string): readonly ReplicaRow[] =>
      database
        .prepare(sql)
        .all()
        .map((row) => ({ ...row }) as ReplicaRow);
    const meta = new Map(all('SELECT key, value FROM meta').map(({ key, value }) => [key, value]));
    const state = source.states[Number(meta.get('serial') ?? NaN)];
    if (state === undefined) {
      assert.equal(meta.size, 0, 'nothing at all, or a state that was');
      return undefined;
    }
    assert.equal(meta.get('store_id'), state.storeId);
    assert.equal(all('SELECT revision FROM revision')[0]?.['revision'], state.revision);
    for (const table of ['apis', 'plugins', 'snis', 'tokens', 'ca_certificates', 'host_policies'] as const) {
      assert.deepEqual(all(`SELECT * FROM ${table} ORDER BY sequence`), inOrder(state.rows[table], 'sequence'), table);
    }
    assert.deepEqual(all('SELECT * FROM bindings ORDER BY name'), bindingsOf(state.rows), 'bindings');
    const apis = [...state.rows.apis.values()].map(
      ({ id, doc }) => ({ id, ...JSON.parse(String(doc)) }) as { id: string; hosts: string[]; uris: string[] },
    );
    const pairs = (sql: string): string[] =>
      all(sql)
        .map((row) => Object.values(row).join(' '))
        .toSorted();
    const wanted = (key: 'hosts' | 'uris'): string[] =>
      apis.flatMap(({ id, [key]: values }) => values.map((value) => `${value} ${id}`)).toSorted();
    assert.deepEqual(pairs('SELECT host, api_id FROM api_hosts'), wanted('hosts'));
    assert.deepEqual(pairs('SELECT uri, api_id FROM api_uris'), wanted('uris'));
    const ruled = [...state.rows.host_policies].flatMap(([id, { doc }]) =>
      ((JSON.parse(String(doc)) as Pick<HostPolicy, 'clientCertificate'>).clientCertificate?.authorities ?? []).map(
        (authority) => `${authority} ${id}`,
      ),
    );
    assert.deepEqual(pairs('SELECT authority_id, holder_id FROM rule_authorities'), ruled.toSorted());
    const certificates = inOrder(all('SELECT * FROM certificates'), 'sequence');
    for (const [table, rows] of [
      ['certificate_tags', certificates],
      ['sni_tags', inOrder(state.rows.snis, 'sequence')],
      ['ca_certificate_tags', inOrder(state.rows.ca_certificates, 'sequence')],
    ] as const) {
      const tags = rows.flatMap(({ sequence, tags: list }) =>
        (JSON.parse(String(list)) as string[]).map((tag) => `${tag} ${sequence}`),
      );
      assert.deepEqual(pairs(`SELECT tag, sequence FROM ${table}`), tags.toSorted(), table);
    }
    checkCertificates(certificates, state, source, meta.get('replica_filled_to') === 'complete');
    return state;
  } finally {
    database.close();
  }
}

/** Those of the state, or of a later one of the same story: what follows brings the rest of that one. */
function checkCertificates(found: readonly ReplicaRow[], state: State, source: Source, filled: boolean): void {
  for (const row of found) {
    const id = String(row['id']);
    const later = source.states.filter(
      ({ storeId, serial, rows }) =>
        storeId === state.storeId &&
        serial >= state.serial &&
        rows.certificates.get(id)?.['revision'] === row['revision'],
    );
    const past = state.rows.certificates.get(id);
    assert.ok(
      [past, ...later.map(({ rows }) => rows.certificates.get(id))].some((each) => isDeepStrictEqual({ ...each }, row)),
      `certificate ${id} of revision ${row['revision']} is not one of ${state.storeId} at ${state.revision} or later`,
    );
  }
  const there = new Set(found.map(({ id }) => id));
  const first = inOrder(state.rows.certificates, 'sequence').find((row) => row['owner'] === 'default');
  if (first !== undefined) assert.ok(there.has(first['id'] ?? ''), 'the default certificate is missing');
  if (filled) for (const id of state.rows.certificates.keys()) assert.ok(there.has(id), `certificate ${id} is missing`);
  if (filled && state === source.state) {
    assert.deepEqual(found, inOrder(state.rows.certificates, 'sequence'), 'certificates');
  }
}

/** Holds every key. */
const sealer = { keyIds: ['k1'] as const, keyIdOf: () => undefined };
const quiet = { info: () => undefined, warn: () => undefined, error: () => undefined };

for (let run = 0; run < runs; run += 1) {
  const seed = firstSeed + run;
  test(`whatever happens, the replica shows whole revisions and arrives (seed ${seed})`, async () => {
    const folder = mkdtempSync(path.join(os.tmpdir(), 'portunus-copier-'));
    const random = createRandom(seed);
    const source = new Source(random);
    for (let count = Math.floor(random() * 30); count > 0; count -= 1) source.write();
    const file = path.join(folder, 'replica.db');
    // Pages so small that faults, and other stores, come between two of them.
    const pageSize = 1 + Math.floor(random() * 3);
    let replica = await openReplicaFile(file);
    let copier: Copier = startCopier({ source, replica, sealer, pageSize, log: quiet });
    let last = -1;
    try {
      for (let step = 0; step < 80; step += 1) {
        const dice = random();
        if (dice < 0.4) source.write();
        else if (dice < 0.65) for (let times = 1 + Math.floor(random() * 2); times > 0; times -= 1) source.nudge();
        else if (dice < 0.75) source.failAfter = Math.floor(random() * 40);
        // A node is forgotten when it is away for long, and then nobody knows any more whether the store was put back.
        else if (dice < 0.8) source.forgetChanges(source.hasGoneBack ? replica.revision : undefined);
        else if (dice < 0.83) source.becomeAnother();
        else if (dice < 0.87) source.goBack();
        else if (dice < 0.93) copier.fetchCertificate(`c${Math.floor(random() * 30)}`).catch(() => undefined);
        else {
          await copier[Symbol.asyncDispose]();
          replica[Symbol.dispose]();
          replica = await openReplicaFile(file);
          copier = startCopier({ source, replica, sealer, pageSize, log: quiet });
        }
        for (let left = Math.floor(random() * 20); left > 0; left -= 1) await new Promise(setImmediate);
        if (/another store/.test(copier.trouble ?? '')) await takeTheOther();
        // A source that has failed is back soon.
        if (source.failAfter < 0) source.failAfter = Infinity;
        const serial = check(file, source)?.serial ?? -1;
        assert.ok(serial >= last, 'no way back');
        last = serial;
      }
      source.failAfter = Infinity;
      source.nudge();
      await until('it arrives', async () => {
        if (/another store/.test(copier.trouble ?? '')) await takeTheOther();
        return isFilled(replica) && replica.meta('serial') === String(source.state.serial);
      });
      assert.equal(check(file, source), source.state);
    } finally {
      await copier[Symbol.asyncDispose]();
      replica[Symbol.dispose]();
      rmSync(folder, { recursive: true });
    }

    /** What the operator does who means it. */
    async function takeTheOther(): Promise<void> {
      await copier[Symbol.asyncDispose]();
      replica[Symbol.dispose]();
      for (const end of ['', '-wal', '-shm']) rmSync(file + end, { force: true });
      replica = await openReplicaFile(file);
      copier = startCopier({ source, replica, sealer, pageSize, log: quiet });
      last = -1;
    }
  });
}

test('a fill that was interrupted goes on where it was, and secrets sealed anew are taken over at the next start', async () => {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'portunus-copier-'));
  const source = new Source(createRandom(1));
  const rows = Array.from({ length: 1700 }, (_, at) => {
    const id = `c${at}`;
    return [id, { sequence: at + 1, id, ...certificateColumns(1), revision: 1 }] as const;
  });
  source.become({ ...source.state, revision: 1, rows: { ...source.state.rows, certificates: new Map(rows) } });
  const file = path.join(folder, 'replica.db');
  let replica = await openReplicaFile(file);
  let copier = startCopier({ source, replica, sealer, log: quiet });
  await copier.servable;
  await until('half of it is there', () => source.rowsRead >= 1000);
  await copier[Symbol.asyncDispose]();
  replica[Symbol.dispose]();
  source.secret = 'sealed 2';
  replica = await openReplicaFile(file);
  copier = startCopier({ source, replica, sealer, log: quiet });
  await copier.filled;
  assert.equal(check(file, source), source.state);
  assert.ok(source.rowsRead <= 1700 + 500, `${source.rowsRead} rows were read`);
  assert.equal(replica.meta('secret_ticket'), 'sealed 2');
  await copier[Symbol.asyncDispose]();
  replica[Symbol.dispose]();
  rmSync(folder, { recursive: true });
});
