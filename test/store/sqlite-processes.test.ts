// The embedded store seen by real processes: one that is killed while it writes, one whose disk fills up, one that reads.
import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { Store } from '../../src/store/contract.ts';
import { createKeyringFile } from '../../src/store/keyring.ts';
import { createSealer } from '../../src/store/sealing.ts';
import { openSqliteStore } from '../../src/store/sqlite/sqlite-store.ts';
import { fakeCertificate, fakeSni } from '../contracts/entities.ts';
import { temporaryDirectory } from './temporary-store.ts';

const kills = 4;
/** Where in its stream of writes each process is killed: early, and around a checkpoint. */
const acknowledgedBeforeKill = [1, 40, 300, 7];

test('what was acknowledged before kill -9 is there, whole, and revisions have no gaps', async () => {
  await using site = await writerSite();
  let acknowledged = 0;
  for (let kill = 0; kill < kills; kill += 1) {
    const writer = site.start();
    const enough = acknowledged + (acknowledgedBeforeKill[kill] ?? 1);
    for await (const line of createInterface({ input: writer.stdout ?? assert.fail() })) {
      assert.equal(Number(line), acknowledged + 1);
      acknowledged += 1;
      // Lines that were in the pipe when the process died come after this one.
      if (acknowledged === enough) writer.kill('SIGKILL');
    }
    assert.ok(acknowledged >= enough);
    await using store = await site.open();
    const revision = await assertWhole(store, site.path);
    // The last transaction may be in the file without having been acknowledged.
    assert.ok(revision === acknowledged || revision === acknowledged + 1, `${revision} against ${acknowledged}`);
    acknowledged = revision;
  }
});

test('a full disk refuses the write as not available, reads go on, and nothing is lost', async () => {
  await using site = await writerSite();
  // A limit on the size of files stands in for the disk; the signal it would send is ignored.
  const writer = site.start(['sh', '-c', 'trap "" XFSZ; ulimit -f 4000; exec "$@"', 'sh']);
  let acknowledged = 0;
  let refused: string | undefined;
  for await (const line of createInterface({ input: writer.stdout ?? assert.fail() })) {
    if (line.startsWith('refused')) refused = line;
    else acknowledged = Number(line);
  }
  assert.equal(refused, 'refused STORE_UNAVAILABLE, reads work');
  assert.ok(acknowledged > 10);
  await using store = await site.open();
  assert.equal(await assertWhole(store, site.path), acknowledged);
  const { revision } = await store.transact('test', (tx) => tx.certificates.insert(fakeCertificate('next')));
  assert.equal(revision, acknowledged + 1);
});

test('a process that reads meanwhile sees whole revisions only, and the latest in the end', async () => {
  await using site = await writerSite();
  await using store = await site.open();
  const reader = spawn(process.execPath, [script('reading'), site.path], { stdio: ['pipe', 'pipe', 'inherit'] });
  const lines = createInterface({ input: reader.stdout })[Symbol.asyncIterator]();
  assert.equal((await lines.next()).value, 'ready');
  for (let batch = 0; batch < 10; batch += 1) {
    await Promise.all(
      Array.from({ length: 20 }, (_, index) =>
        store.transact('test', async (tx) => {
          const id = `c${batch}-${index}`;
          await tx.certificates.insert(fakeCertificate(id, { tags: ['t'] }));
          await new Promise(setImmediate);
          await tx.snis.insert(fakeSni(id, `${id}.test`, id));
        }),
      ),
    );
  }
  reader.stdin.end();
  assert.match(String((await lines.next()).value), /^saw 200 in \d+ reads$/);
  await once(reader, 'close');
});

interface WriterSite extends AsyncDisposable {
  readonly path: string;
  start(prefix?: readonly string[]): ChildProcess;
  open(): Promise<Store>;
}

async function writerSite(): Promise<WriterSite> {
  const { directory, ...temporary } = await temporaryDirectory();
  const file = path.join(directory, 'store.db');
  const keyring = path.join(directory, 'keyring');
  const sealer = createSealer(await createKeyringFile(keyring));
  const children: ChildProcess[] = [];
  return {
    path: file,
    start(prefix = []) {
      const [command, ...values] = [...prefix, process.execPath, script('writing'), file, keyring];
      const child = spawn(command, values, { stdio: ['ignore', 'pipe', 'inherit'] });
      children.push(child);
      return child;
    },
    open: () => openSqliteStore({ path: file, sealer, waitMaxMs: 60_000 }),
    async [Symbol.asyncDispose]() {
      for (const child of children) child.kill('SIGKILL');
      await temporary[Symbol.asyncDispose]();
    },
  };
}

/** @returns the revision, each of which holds a certificate and an SNI of it */
async function assertWhole(store: Store, file: string): Promise<number> {
  const revision = await store.revision();
  const changes = await store.changesSince(0, 100_000);
  assert.deepEqual(
    changes.map((change) => `${change.revision} ${change.entity}`),
    Array.from({ length: revision }, (_, index) => [`${index + 1} certificate`, `${index + 1} sni`]).flat(),
  );
  assert.equal(await store.certificates.count(), revision);
  assert.equal(await store.certificates.count({ tags: { all: ['t'] } }), revision);
  assert.equal(await store.snis.count(), revision);
  for (let index = 0; index < revision; index += 1) {
    assert.equal((await store.binding(`${index}.test`))?.certificateId, `c${index}`);
  }
  const database = new DatabaseSync(file, { readOnly: true });
  assert.deepEqual({ ...database.prepare('PRAGMA integrity_check').get() }, { integrity_check: 'ok' });
  assert.deepEqual(database.prepare('PRAGMA foreign_key_check').all(), []);
  database.close();
  return revision;
}

function script(name: string): string {
  return fileURLToPath(new URL(`processes/${name}.ts`, import.meta.url));
}
