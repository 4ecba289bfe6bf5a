// What the copier must not leave behind when a read fails, or a row goes, at one certain moment. Moments chosen by chance are
// copier.test.ts's.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import { PortunusError } from '../../src/lib/errors.ts';
import type { Change, EntityKind } from '../../src/model/entities.ts';
import { startCopier } from '../../src/replica/copier.ts';
import type { EntityTable, ReplicaRow, ReplicaSource } from '../../src/store/replica-source.ts';
import { until } from '../support/until.ts';
import { openReplicaFile } from '../../src/store/sqlite/replica-file.ts';

const quiet = { info: () => undefined, warn: () => undefined, error: () => undefined };

interface Script {
  storeId: string;
  revision: number;
  certificates: readonly ReplicaRow[];
  snis: readonly ReplicaRow[];
  tokens: readonly ReplicaRow[];
  changes: readonly Change[];
  /** Called before each of these reads. */
  before: (call: 'changesSince' | 'rows' | 'page', table: EntityTable | undefined) => Promise<void>;
}

function scriptedSource() {
  const script: Script = {
    storeId: 'the store',
    revision: 1,
    certificates: [],
    snis: [],
    tokens: [],
    changes: [],
    before: async () => undefined,
  };
  const nudges = new Set<() => void>();
  const source: ReplicaSource = {
    onCommit(nudge) {
      nudges.add(nudge);
      return () => void nudges.delete(nudge);
    },
    snapshot(work) {
      const { storeId, revision, certificates, snis, tokens, changes } = script;
      const rows = { apis: [], plugins: [], certificates, snis, tokens, ca_certificates: [], host_policies: [] };
      const bindings = snis.map(({ id = '', name = '', certificate_id = '' }) => ({
        name,
        certificate_id,
        holder: 'sni',
        holder_id: id,
      }));
      const after = (table: EntityTable, sequence: number, limit: number): readonly ReplicaRow[] =>
        rows[table].filter((row) => Number(row['sequence']) > sequence).slice(0, limit);
      return work({
        revision,
        async changesSince(since) {
          await script.before('changesSince', undefined);
          return changes.filter((change) => change.revision > since);
        },
        async rows(table, ids) {
          await script.before('rows', table);
          return rows[table].filter((row) => ids.includes(String(row['id'])));
        },
        bindingsOf: async (ids) => bindings.filter((row) => ids.includes(String(row.holder_id))),
        async page(table, sequence, limit) {
          await script.before('page', table);
          return after(table, sequence, limit);
        },
        versions: async (table, sequence, limit) =>
          after(table, sequence, limit).map((row) => ({
            sequence: Number(row['sequence']),
            id: String(row['id']),
            revision: Number(row['revision']),
          })),
        bindings: async () => bindings,
        meta: async () => [{ key: 'store_id', value: storeId }],
        mark: async (of) => changes.find((each) => each.revision === of)?.id,
        defaultCertificate: async () => certificates.filter((row) => row['owner'] === 'default').slice(0, 1),
        certificateCount: async () => certificates.length,
      });
    },
  };
  const nudge = (): void => {
    for (const listener of nudges) listener();
  };
  return { script, source, nudge };
}

/** As texts are sealed: the key's id is between the first dots. */
const sealer = {
  keyIds: ['k1'] as [string, ...string[]],
  keyIdOf: (sealed: string) => /^v1\.(k\d)\./.exec(sealed)?.[1],
};

test('rows that the keyring does not open are not taken, and said, until it does', async () => {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'portunus-copier-'));
  const { script, source, nudge } = scriptedSource();
  const keyring = { ...sealer };
  {
    using replica = await openReplicaFile(path.join(folder, 'replica.db'));
    await using copier = startCopier({ source, replica, sealer: keyring, log: quiet });
    await copier.filled;
    const before = read(replica.path, 'SELECT id, sealed_key FROM certificates');
    script.revision = 2;
    script.certificates = [{ ...certificateRow('c', 1, 2), sealed_key: 'v1.k2.sealed' }];
    script.changes = [change(2, 'certificate', 'c', 'create')];
    nudge();
    await until('it says so', () => /sealed under k2/.test(copier.trouble ?? ''));
    assert.deepEqual(read(replica.path, 'SELECT id, sealed_key FROM certificates'), before);
    assert.notEqual(replica.revision, 2);
    keyring.keyIds = ['k2', 'k1'];
    await until('it follows', () => replica.revision === 2);
    assert.deepEqual(read(replica.path, 'SELECT sealed_key FROM certificates'), [{ sealed_key: 'v1.k2.sealed' }]);
    await until('nothing is wrong any more', () => copier.trouble === undefined);
  }
  rmSync(folder, { recursive: true });
});

test('a row under a key that is lost is filled in, and may change, without keeping anything away', async () => {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'portunus-copier-'));
  const { script, source, nudge } = scriptedSource();
  const lost = (revision: number) => ({ ...certificateRow('c', 1, revision), sealed_key: 'v1.k7.sealed' });
  const sealedKeys = () => read(file, 'SELECT id, sealed_key FROM certificates ORDER BY id');
  const file = path.join(folder, 'replica.db');
  script.certificates = [lost(1), certificateRow('d', 2, 1)];
  {
    using replica = await openReplicaFile(file);
    {
      await using copier = startCopier({ source, replica, sealer, log: quiet });
      await copier.filled;
      assert.deepEqual(sealedKeys(), [
        { id: 'c', sealed_key: 'v1.k7.sealed' },
        { id: 'd', sealed_key: certificateRow('d', 2, 1)['sealed_key'] },
      ]);
    }
    // Another one starts with it.
    await using copier = startCopier({ source, replica, sealer, log: quiet });
    script.revision = 2;
    script.certificates = [lost(2), certificateRow('d', 2, 1)];
    script.changes = [change(2, 'certificate', 'c', 'update')];
    nudge();
    await until('it follows', () => replica.revision === 2);
    assert.equal(copier.trouble, undefined);
    script.revision = 3;
    script.certificates = [...script.certificates, { ...certificateRow('e', 3, 3), sealed_key: 'v1.k8.sealed' }];
    script.changes = [...script.changes, change(3, 'certificate', 'e', 'create')];
    nudge();
    await until('it says so', () => /sealed under k8/.test(copier.trouble ?? ''));
    assert.equal(replica.revision, 2);
  }
  rmSync(folder, { recursive: true });
});

test('another store in the place of the one before leaves a whole replica as it is', async () => {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'portunus-copier-'));
  const { script, source, nudge } = scriptedSource();
  {
    using replica = await openReplicaFile(path.join(folder, 'replica.db'));
    await using copier = startCopier({ source, replica, sealer, log: quiet });
    await copier.filled;
    const before = read(replica.path, 'SELECT * FROM certificates');
    script.storeId = 'another store';
    script.revision = 9;
    script.certificates = [];
    nudge();
    await until('it says so', () => /another store/.test(copier.trouble ?? ''));
    assert.deepEqual(read(replica.path, 'SELECT * FROM certificates'), before);
    assert.notEqual(replica.meta('store_id'), 'another store');
  }
  rmSync(folder, { recursive: true });
});

test('when a read of a change fails, what is still being read is not written', async () => {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'portunus-copier-'));
  const { script, source, nudge } = scriptedSource();
  {
    using replica = await openReplicaFile(path.join(folder, 'replica.db'));
    await using copier = startCopier({ source, replica, sealer, log: quiet });
    await copier.filled;
    const failed = Promise.withResolvers<void>();
    const late = Promise.withResolvers<void>();
    script.before = async (call, table) => {
      if (call !== 'rows') return;
      if (table === 'snis') return late.promise;
      // The copier tries again, and fails before it writes.
      script.before = async (next, of) => {
        if (next === 'rows' && of === 'snis') return late.promise;
        throw new PortunusError('STORE_UNAVAILABLE', 'away');
      };
      failed.resolve();
      throw new PortunusError('STORE_UNAVAILABLE', 'cut');
    };
    script.revision = 2;
    script.certificates = [certificateRow('c', 1, 2)];
    script.snis = [sniRow('s', 'c', 1, 2)];
    script.changes = [change(2, 'certificate', 'c', 'create'), change(2, 'sni', 's', 'create')];
    nudge();
    await failed.promise;
    await turns();
    late.resolve();
    await turns();
    assert.deepEqual(read(replica.path, 'SELECT revision FROM revision'), [{ revision: 1 }]);
    assert.deepEqual(read(replica.path, 'SELECT id FROM snis'), []);
  }
  rmSync(folder, { recursive: true });
});

test('a filled replica has the certificate of every name, also when one was deleted before its page came', async () => {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'portunus-copier-'));
  const { script, source } = scriptedSource();
  {
    using replica = await openReplicaFile(path.join(folder, 'replica.db'));
    const certificates = Array.from({ length: 501 }, (_, at) => certificateRow(`c${at}`, at + 1, 1));
    script.certificates = certificates;
    script.snis = [sniRow('s', 'c500', 1, 1)];
    script.before = async (call) => {
      if (call !== 'page') return;
      // After the first page's snapshot, and nobody nudges.
      script.revision = 2;
      script.certificates = certificates.slice(0, 500);
      script.snis = [];
      script.changes = [change(2, 'sni', 's', 'delete'), change(2, 'certificate', 'c500', 'delete')];
    };
    await using copier = startCopier({ source, replica, sealer, log: quiet });
    await copier.filled;
    const missing = 'SELECT name FROM bindings WHERE certificate_id NOT IN (SELECT id FROM certificates)';
    assert.deepEqual(read(replica.path, missing), []);
  }
  rmSync(folder, { recursive: true });
});

test('a store that becomes another one between two pages leaves nothing of the first behind', async () => {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'portunus-copier-'));
  const { script, source } = scriptedSource();
  {
    using replica = await openReplicaFile(path.join(folder, 'replica.db'));
    script.certificates = ['a', 'b', 'c'].map((id, at) => certificateRow(id, at + 1, 1));
    script.snis = [sniRow('s', 'c', 1, 1)];
    script.before = async (call) => {
      if (call !== 'page') return;
      // Same ids, same revision; and nobody nudges.
      script.storeId = 'another store';
      script.certificates = script.certificates.map((row) => ({ ...row, chain: 'of another store' }));
    };
    await using copier = startCopier({ source, replica, sealer, pageSize: 1, log: quiet });
    await copier.filled;
    assert.deepEqual(read(replica.path, 'SELECT DISTINCT chain FROM certificates'), [{ chain: 'of another store' }]);
    assert.equal(replica.meta('store_id'), 'another store');
  }
  rmSync(folder, { recursive: true });
});

test('the default certificate is there before anything is served, wherever it stands among the others', async () => {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'portunus-copier-'));
  const { script, source } = scriptedSource();
  {
    using replica = await openReplicaFile(path.join(folder, 'replica.db'));
    script.certificates = ['a', 'b', 'c'].map((id, at) =>
      certificateRow(id, at + 1, 1, id === 'c' ? 'default' : 'admin'),
    );
    const page = Promise.withResolvers<void>();
    script.before = async (call) => (call === 'page' ? page.promise : undefined);
    await using copier = startCopier({ source, replica, sealer, pageSize: 1, log: quiet });
    await copier.servable;
    assert.deepEqual(read(replica.path, 'SELECT id FROM certificates'), [{ id: 'c' }]);
    assert.deepEqual(await copier.fill(), { certificates: 1, expected: 3 });
    page.resolve();
    await copier.filled;
    assert.equal(read(replica.path, 'SELECT id FROM certificates').length, 3);
    assert.equal(await copier.fill(), undefined);
  }
  rmSync(folder, { recursive: true });
});

test('what a version that knew no tokens passed over is made up for', async () => {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'portunus-copier-'));
  const { script, source } = scriptedSource();
  {
    using replica = await openReplicaFile(path.join(folder, 'replica.db'));
    script.certificates = [certificateRow('c', 1, 1)];
    {
      await using copier = startCopier({ source, replica, sealer, log: quiet });
      await copier.filled;
    }
    // As it left the replica: whole, at this revision, without the token.
    await replica.write(async (writer) => writer.setMeta('replica_tables', 'apis plugins certificates snis'));
    script.tokens = [{ sequence: 1, id: 't', name: 'n', prefix: 'p', doc: '{}', revision: 1 }];
    await using copier = startCopier({ source, replica, sealer, log: quiet });
    await until('the token is there', () => read(replica.path, 'SELECT id FROM tokens').length === 1);
    assert.equal(copier.state, 'filled');
    assert.equal(read(replica.path, 'SELECT id FROM certificates').length, 1);
  }
  rmSync(folder, { recursive: true });
});

test('a fill that goes on between failures is not slowed down by them', async (t) => {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'portunus-copier-'));
  const { script, source } = scriptedSource();
  const pauses: number[] = [];
  const { setTimeout: later } = globalThis;
  t.mock.method(globalThis, 'setTimeout', (then: () => void, ms: number) => {
    pauses.push(ms);
    return later(then, 0);
  });
  {
    using replica = await openReplicaFile(path.join(folder, 'replica.db'));
    script.certificates = Array.from({ length: 8 }, (_, at) => certificateRow(`c${at}`, at + 1, 1));
    let pages = 0;
    script.before = async (call) => {
      if (call === 'page' && (pages += 1) % 2 === 1) throw new PortunusError('STORE_UNAVAILABLE', 'cut');
    };
    await using copier = startCopier({ source, replica, sealer, pageSize: 1, log: quiet });
    await copier.filled;
    assert.equal(pauses.length, 9);
    assert.ok(Math.max(...pauses) <= 50, pauses.join());
  }
  rmSync(folder, { recursive: true });
});

async function turns(): Promise<void> {
  for (let turn = 0; turn < 5; turn += 1) await new Promise(setImmediate);
}

function read(file: string, sql: string): object[] {
  const database = new DatabaseSync(file, { readOnly: true });
  try {
    return database
      .prepare(sql)
      .all()
      .map((row) => ({ ...row }));
  } finally {
    database.close();
  }
}

function change(revision: number, entity: EntityKind, id: string, operation: Change['operation']): Change {
  return { revision, entity, id, operation, actor: 'test', at: 0 };
}

function sniRow(id: string, certificateId: string, sequence: number, revision: number): ReplicaRow {
  const name = `${id}.test`;
  return { sequence, id, name, certificate_id: certificateId, tags: '[]', created_at: 0, updated_at: 0, revision };
}

function certificateRow(id: string, sequence: number, revision: number, owner = 'admin'): ReplicaRow {
  return {
    sequence,
    id,
    owner,
    chain: '',
    sealed_key: '',
    public_key_sha256: '',
    fingerprint: '',
    not_after: 0,
    facts: '{}',
    tags: '[]',
    created_at: 0,
    updated_at: 0,
    revision,
  };
}
