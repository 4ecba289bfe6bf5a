// A seeded simulation of the copier over a real replica file: a source that changes, fails in the middle, forgets, becomes
// another store; nudges that are lost or come twice; copiers that end and begin again. The seed is in the test's name.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import { PortunusError } from '../../src/lib/errors.ts';
import type { Change, EntityKind } from '../../src/model/entities.ts';
import { isFilled, startCopier, type Copier } from '../../src/replica/copier.ts';
import type { EntityTable, ReplicaRow, ReplicaSource, Snapshot } from '../../src/store/replica-source.ts';
import { openReplicaFile } from '../../src/store/sqlite/replica-file.ts';
import { createRandom } from '../support/random.ts';
import { until } from '../support/until.ts';

const firstSeed = Number(process.env['PORTUNUS_TEST_SEED'] ?? Date.now() % 1_000_000);
const runs = 12;
const tables = ['apis', 'plugins', 'certificates', 'snis'] as const;
const kinds: Readonly<Record<EntityTable, EntityKind>> = {
  apis: 'api',
  plugins: 'plugin',
  certificates: 'certificate',
  snis: 'sni',
};

/** All rows of the source, immutable: each revision has its own. */
interface State {
  readonly revision: number;
  readonly rows: Readonly<Record<EntityTable, ReadonlyMap<string, ReplicaRow>>>;
}

class Source implements ReplicaSource {
  readonly states = new Map<number, State>();
  readonly #random: () => number;
  readonly #nudges = new Set<() => void>();
  storeId = 'first';
  secret = 'sealed 1';
  state: State = {
    revision: 0,
    rows: { apis: new Map(), plugins: new Map(), certificates: new Map(), snis: new Map() },
  };
  changes: Change[] = [];
  /** Calls that succeed before one fails; Infinity: none does. */
  failAfter = Infinity;
  rowsRead = 0;
  #sequence = 0;

  constructor(random: () => number) {
    this.#random = random;
    this.states.set(0, this.state);
  }

  onCommit(nudge: () => void): () => void {
    this.#nudges.add(nudge);
    return () => void this.#nudges.delete(nudge);
  }

  nudge(): void {
    for (const nudge of this.#nudges) nudge();
  }

  async snapshot<T>(work: (snapshot: Snapshot) => Promise<T>): Promise<T> {
    const { revision, rows } = this.state;
    const { changes, storeId, secret } = this;
    const tick = async (): Promise<void> => {
      await new Promise(setImmediate);
      if ((this.failAfter -= 1) < 0) throw new PortunusError('STORE_UNAVAILABLE', 'cut');
    };
    const ordered = (table: EntityTable, after: number): ReplicaRow[] =>
      [...rows[table].values()]
        .filter((row) => Number(row['sequence']) > after)
        .toSorted((a, b) => Number(a['sequence']) - Number(b['sequence']));
    const bindings = (): ReplicaRow[] =>
      [...rows.snis.values()].map((row) => ({
        name: row['name'] ?? '',
        certificate_id: row['certificate_id'] ?? '',
        holder: 'sni',
        holder_id: row['id'] ?? '',
      }));
    await tick();
    return work({
      revision,
      async changesSince(after, limit) {
        await tick();
        if (after > revision) return undefined;
        if (after === revision) return [];
        const found = changes.filter((change) => change.revision > after && change.revision <= revision);
        return found[0]?.revision === after + 1 && found.length <= limit ? found : undefined;
      },
      rows: async (table, ids) => {
        await tick();
        const found = ids.flatMap((id): ReplicaRow[] => {
          const row = rows[table].get(id);
          return row === undefined ? [] : [row];
        });
        this.rowsRead += found.length;
        return found;
      },
      async bindingsOf(ids) {
        await tick();
        return bindings().filter((row) => ids.includes(String(row['holder_id'])));
      },
      page: async (table, after, limit) => {
        await tick();
        const found = ordered(table, after).slice(0, limit);
        this.rowsRead += found.length;
        return found;
      },
      async versions(table, after, limit) {
        await tick();
        return ordered(table, after)
          .slice(0, limit)
          .map((row) => ({
            sequence: Number(row['sequence']),
            id: String(row['id']),
            revision: Number(row['revision']),
          }));
      },
      async bindings(after, limit) {
        await tick();
        return bindings()
          .filter((row) => after === undefined || String(row['name']) > after)
          .toSorted((a, b) => (String(a['name']) < String(b['name']) ? -1 : 1))
          .slice(0, limit);
      },
      async meta() {
        await tick();
        return [
          { key: 'store_id', value: storeId },
          { key: 'secret_ticket', value: secret },
        ];
      },
    });
  }

  /** One revision of several writes: names move, rows go and come again. */
  write(): void {
    const revision = this.state.revision + 1;
    const rows = Object.fromEntries(
      tables.map((table) => [table, new Map(this.state.rows[table])]),
    ) as unknown as Record<EntityTable, Map<string, ReplicaRow>>;
    const touched = new Set<string>();
    const note = (table: EntityTable, id: string, operation: Change['operation']): void => {
      touched.add(`${table} ${id}`);
      this.changes.push({ revision, entity: kinds[table], id, operation, actor: 'test', at: 0 });
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
    for (let count = 1 + Math.floor(this.#random() * 4); count > 0; count -= 1) {
      const at = Math.floor(this.#random() * 12);
      const certificate = `c${at}`;
      if (this.#random() < 0.2) {
        for (const [id, row] of rows.snis) if (row['certificate_id'] === certificate) drop('snis', id);
        drop('certificates', certificate);
        continue;
      }
      put('certificates', certificate, certificateColumns(revision));
      // Few names, so that they move from one SNI to another within a revision.
      const name = `n${Math.floor(this.#random() * 6)}.test`;
      for (const [id, row] of rows.snis) if (row['name'] === name) drop('snis', id);
      put('snis', `s${Math.floor(this.#random() * 1e6)}`, {
        name,
        certificate_id: certificate,
        tags: JSON.stringify([`t${at % 3}`]),
        created_at: 0,
        updated_at: revision,
      });
      const api = `a${at % 4}`;
      if (this.#random() < 0.3) drop('apis', api);
      else
        put('apis', api, { name: `api ${api}`, doc: JSON.stringify({ hosts: [`${api}-${revision}.test`], uris: [] }) });
    }
    if (touched.size === 0) return;
    this.state = { revision, rows };
    this.states.set(revision, this.state);
  }

  forgetChanges(): void {
    this.changes = [];
  }

  becomeAnother(): void {
    this.storeId = `${this.storeId}+`;
    this.states.clear();
    this.changes = [];
    this.state = { ...this.state, revision: this.state.revision + 100 };
    this.states.set(this.state.revision, this.state);
  }
}

function certificateColumns(revision: number): ReplicaRow {
  return {
    owner: 'admin',
    plugin_id: null,
    chain: `chain ${revision}`,
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
    updated_at: revision,
  };
}

/** What the file shows, in one read transaction: that of its revision, and certificates as far as they have come. */
function check(file: string, source: Source): number {
  const database = new DatabaseSync(file, { readOnly: true });
  try {
    database.exec('BEGIN');
    const all = (sql: string): readonly ReplicaRow[] => database.prepare(sql).all() as unknown as readonly ReplicaRow[];
    const revision = Number(all('SELECT revision FROM revision')[0]?.['revision']);
    const meta = new Map(all('SELECT key, value FROM meta').map(({ key, value }) => [key, value]));
    if (meta.get('store_id') !== source.storeId) return revision;
    const state = source.states.get(revision);
    assert.ok(state !== undefined, `a revision ${revision} that never was`);
    const byId = (rows: Iterable<ReplicaRow>): ReplicaRow[] =>
      Array.from(rows, (row) => ({ ...row })).toSorted((a, b) => (String(a['id']) < String(b['id']) ? -1 : 1));
    for (const table of ['apis', 'snis'] as const) {
      assert.deepEqual(byId(all(`SELECT * FROM ${table}`)), byId(state.rows[table].values()), table);
    }
    const names = (rows: Iterable<ReplicaRow>): string[] =>
      Array.from(rows, (row) => `${String(row['name'])} ${String(row['certificate_id'])}`).toSorted();
    assert.deepEqual(names(all('SELECT * FROM bindings')), names(state.rows.snis.values()), 'bindings');
    const filled = meta.get('replica_filled_to') === 'complete';
    const certificates = all('SELECT * FROM certificates');
    for (const row of certificates) {
      const wanted = state.rows.certificates.get(String(row['id']));
      // A page is of a newer snapshot than the replica's revision, perhaps: what follows brings the rest of that one.
      if (Number(row['revision']) > revision) continue;
      if (filled) assert.deepEqual({ ...row }, { ...wanted }, 'certificates');
      else assert.ok(wanted === undefined || Number(row['revision']) >= Number(wanted['revision']), 'no older row');
    }
    const there = new Set(certificates.map(({ id }) => id));
    if (filled)
      for (const id of state.rows.certificates.keys()) assert.ok(there.has(id), `certificate ${id} is missing`);
    if (filled && revision === source.state.revision) assert.equal(there.size, state.rows.certificates.size);
    const lookups = all('SELECT host, api_id FROM api_hosts').map(
      ({ host, api_id }) => `${String(host)} ${String(api_id)}`,
    );
    const hosts = [...state.rows.apis.values()].flatMap((row) =>
      (JSON.parse(String(row['doc'])) as { hosts: string[] }).hosts.map((host) => `${host} ${String(row['id'])}`),
    );
    assert.deepEqual(lookups.toSorted(), hosts.toSorted(), 'hosts');
    const orphans = all('SELECT sequence FROM sni_tags WHERE sequence NOT IN (SELECT sequence FROM snis)');
    assert.deepEqual(orphans, [], 'tags of rows that are gone');
    return revision;
  } finally {
    database.close();
  }
}

const quiet = { info: () => undefined, warn: () => undefined, error: () => undefined };

for (let run = 0; run < runs; run += 1) {
  const seed = firstSeed + run;
  test(`whatever happens, the replica shows whole revisions and arrives (PORTUNUS_TEST_SEED=${seed})`, async () => {
    const folder = mkdtempSync(path.join(os.tmpdir(), 'portunus-copier-'));
    const random = createRandom(seed);
    const source = new Source(random);
    for (let count = Math.floor(random() * 30); count > 0; count -= 1) source.write();
    const file = path.join(folder, 'replica.db');
    let replica = await openReplicaFile(file);
    let copier: Copier = startCopier({ source, replica, log: quiet });
    let last = 0;
    let store = source.storeId;
    try {
      for (let step = 0; step < 60; step += 1) {
        const dice = random();
        if (dice < 0.45) source.write();
        else if (dice < 0.7) for (let times = 1 + Math.floor(random() * 2); times > 0; times -= 1) source.nudge();
        else if (dice < 0.8) source.failAfter = Math.floor(random() * 8);
        else if (dice < 0.85) source.forgetChanges();
        else if (dice < 0.87) source.becomeAnother();
        else if (dice < 0.93) copier.fetchCertificate(`c${Math.floor(random() * 12)}`).catch(() => undefined);
        else {
          await copier[Symbol.asyncDispose]();
          replica[Symbol.dispose]();
          replica = await openReplicaFile(file);
          copier = startCopier({ source, replica, log: quiet });
        }
        for (let turns = Math.floor(random() * 12); turns > 0; turns -= 1) await new Promise(setImmediate);
        // A source that has failed is back soon.
        if (source.failAfter < 0) source.failAfter = Infinity;
        const revision = check(file, source);
        if (store === source.storeId) assert.ok(revision >= last || revision === 0, 'no way back');
        store = source.storeId;
        last = revision;
      }
      source.failAfter = Infinity;
      source.nudge();
      await until('it arrives', () => isFilled(replica) && replica.revision === source.state.revision);
      assert.equal(check(file, source), source.state.revision);
    } finally {
      await copier[Symbol.asyncDispose]();
      replica[Symbol.dispose]();
      rmSync(folder, { recursive: true });
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
  source.state = { revision: 1, rows: { ...source.state.rows, certificates: new Map(rows) } };
  source.states.set(1, source.state);
  const file = path.join(folder, 'replica.db');
  let replica = await openReplicaFile(file);
  let copier = startCopier({ source, replica, log: quiet });
  await copier.servable;
  await until('half of it is there', () => source.rowsRead >= 1000);
  await copier[Symbol.asyncDispose]();
  replica[Symbol.dispose]();
  source.secret = 'sealed 2';
  replica = await openReplicaFile(file);
  copier = startCopier({ source, replica, log: quiet });
  await copier.filled;
  assert.equal(check(file, source), 1);
  assert.ok(source.rowsRead <= 1700 + 500, `${source.rowsRead} rows were read`);
  assert.equal(replica.meta('secret_ticket'), 'sealed 2');
  await copier[Symbol.asyncDispose]();
  replica[Symbol.dispose]();
  rmSync(folder, { recursive: true });
});
