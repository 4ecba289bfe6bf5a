// Importing many certificates: the sources, all or nothing, keep going, again and again; into both stores.
import assert from 'node:assert/strict';
import { createSecretKey, randomBytes, X509Certificate } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import type { ImportProblem } from '../../src/move/compose-entry.ts';
import { importAll, type ImportOptions, type ImportSummary } from '../../src/move/import-all.ts';
import { openSource } from '../../src/move/sources.ts';
import type { Store } from '../../src/store/contract.ts';
import type { Keyring } from '../../src/store/keyring.ts';
import { createSealer } from '../../src/store/sealing.ts';
import { temporaryPostgres } from '../store/temporary-postgres.ts';
import { temporaryStore } from '../store/temporary-store.ts';
import { type Issued, makeAuthority, makeSelfSigned } from '../support/certificates.ts';
import { pkcs12By, pkcs7By } from '../support/containers.ts';
import { type PostgresServer, startPostgres } from '../support/postgres.ts';

let folder: string;
let server: PostgresServer;
before(async () => {
  folder = mkdtempSync(path.join(os.tmpdir(), 'portunus-import-'));
  server = await startPostgres();
});
after(async () => {
  rmSync(folder, { recursive: true, force: true });
  await server?.[Symbol.asyncDispose]();
});

interface Result extends ImportSummary {
  readonly problems: readonly ImportProblem[];
  readonly leftOut: Readonly<Record<string, number>>;
}

const keyring: Keyring = { keys: [{ id: 'k1', secret: createSecretKey(randomBytes(32)) }] };
const sealer = createSealer(keyring);

async function run(
  { store }: { readonly store: Store },
  place: string,
  flags: Partial<ImportOptions> = {},
): Promise<Result> {
  const problems: ImportProblem[] = [];
  const leftOut: Record<string, number> = {};
  const { items } = await openSource(place);
  const summary = await importAll({
    store,
    keyring,
    items,
    minRsaBits: 2048,
    now: Date.now,
    tags: ['imported'],
    keepGoing: false,
    replace: false,
    force: false,
    dryRun: false,
    ...flags,
    refused: (problem) => problems.push(problem),
    leftOut: (section, count) => (leftOut[section] = count),
    progress: () => undefined,
  });
  return { ...summary, problems, leftOut };
}

/** With the intermediates, as a client would send it. */
function wholeChain(issued: Issued | undefined): object {
  return { cert: issued?.chain, key: issued?.key };
}

const nothing: Result = { read: 0, written: 0, replaced: 0, unchanged: 0, refused: 0, problems: [], leftOut: {} };

function linesFile(name: string, lines: readonly (object | string)[]): string {
  const file = path.join(folder, name);
  writeFileSync(file, lines.map((line) => (typeof line === 'string' ? line : JSON.stringify(line))).join('\n'));
  return file;
}

const stores = {
  SQLite: () => temporaryStore({ sealer }),
  PostgreSQL: () => temporaryPostgres(server.port, { sealer }),
} as const;

for (const [name, open] of Object.entries(stores)) {
  describe(`into ${name}`, () => {
    test('JSON lines: names by default from the certificate, its own by snis; a second time nothing changes', async () => {
      await using opened = await open();
      const plain = makeSelfSigned({ names: ['plain.test', '*.plain.test'] });
      const named = makeSelfSigned({ names: ['named.test'] });
      const file = linesFile(`${name}-good.jsonl`, [
        plain,
        '',
        { ...named, snis: ['Other.Test.'], tags: ['mine'], id: 'B5B30A1E-5F0A-4B6A-9A6E-1D9F5A0B7C11' },
      ]);
      assert.deepEqual(await run(opened, file), { ...nothing, read: 2, written: 2 });
      const { items } = await opened.store.snis.list({ size: 10 });
      assert.deepEqual(items.map((sni) => sni.name).toSorted(), ['*.plain.test', 'other.test', 'plain.test']);
      const stored = await opened.store.certificates.get('b5b30a1e-5f0a-4b6a-9a6e-1d9f5a0b7c11');
      assert.deepEqual(stored?.tags, ['imported', 'mine']);
      assert.match(
        opened.sealer.open(stored.primary.sealedKey, stored.primary.publicKeySha256).toString(),
        /PRIVATE KEY/,
      );
      assert.deepEqual(await run(opened, file), { ...nothing, read: 2, unchanged: 2 });
      assert.equal(await opened.store.certificates.count(), 2);
    });

    test('with one line at fault nothing is written, or the rest; each fault is told with its line and no key', async () => {
      await using opened = await open();
      const good = makeSelfSigned({ names: ['good.test'] });
      const held = makeSelfSigned({ names: ['held.test'] });
      await run(opened, linesFile(`${name}-held.jsonl`, [held]));
      const before = await opened.store.revision();
      const secret = 'c2VjcmV0LXNlY3JldA';
      const file = linesFile(`${name}-bad.jsonl`, [
        good,
        `{"cert": "x", "key": "${secret}`,
        { cert: good.cert, key: held.key },
        { ...makeSelfSigned({ names: ['held.test'] }) },
        { ...good, snis: ['10.0.0.1'] },
        { cert: 'nonsense', key: secret },
        { ...good, surprise: secret },
      ]);
      const refused = await run(opened, file);
      assert.deepEqual({ ...refused, problems: [] }, { ...nothing, read: 7, refused: 6 });
      assert.deepEqual([...new Set(refused.problems.map(({ where }) => where))].toSorted(), [
        'line 2',
        'line 3',
        'line 4',
        'line 5',
        'line 6',
        'line 7',
      ]);
      assert.ok(refused.problems.some(({ code, where }) => where === 'line 4' && code === 'UNIQUE_VIOLATION'));
      assert.doesNotMatch(JSON.stringify(refused), new RegExp(secret));
      assert.equal(await opened.store.revision(), before);

      const dry = await run(opened, file, { keepGoing: true, dryRun: true });
      assert.deepEqual([dry.written, dry.refused], [1, 6]);
      assert.equal(await opened.store.revision(), before);

      const rest = await run(opened, file, { keepGoing: true });
      assert.deepEqual([rest.written, rest.refused], [1, 6]);
      assert.ok(await opened.store.binding('good.test'));
    });

    test('more than a batch, with its intermediates remembered once', async () => {
      await using opened = await open();
      const { key, cert } = makeSelfSigned({ names: ['*.many.test'] });
      const lines = Array.from({ length: 1203 }, (_, at) => ({ key, cert, snis: [`n${at}.many.test`] }));
      const summary = await run(opened, linesFile(`${name}-many.jsonl`, lines), { keepGoing: true });
      assert.deepEqual([summary.written, summary.refused], [1203, 0]);
      assert.equal(await opened.store.snis.count(), 1203);
      assert.equal((await opened.store.binding('n1202.many.test'))?.holder.kind, 'sni');
    });

    test('repeating it finds what has no names, and what holds the names by a certificate of its own', async () => {
      await using opened = await open();
      const nameless = makeSelfSigned({ names: ['nameless.test'] });
      const address = makeSelfSigned({ names: ['10.0.0.1'] });
      const file = linesFile(`${name}-nameless.jsonl`, [{ ...nameless, snis: [] }, address, { ...nameless, snis: [] }]);
      assert.deepEqual(await run(opened, file), { ...nothing, read: 3, written: 2, unchanged: 1 });
      assert.deepEqual(await run(opened, file), { ...nothing, read: 3, unchanged: 3 });
      assert.equal(await opened.store.certificates.count(), 2);
    });

    test('a chain is completed with what the store knows, and with what came before', async () => {
      await using opened = await open();
      const [known, later] = [makeAuthority().intermediate(), makeAuthority().intermediate()];
      await run(opened, linesFile(`${name}-known.jsonl`, [wholeChain(known.issue({ names: ['first.test'] }))]));
      const leaves = Array.from({ length: 40 }, (_, at) => later.issue({ names: [`l${at}.test`] }));
      const alone = known.issue({ names: ['alone.test'] });
      const file = linesFile(`${name}-alone.jsonl`, [
        { cert: alone.cert, key: alone.key },
        wholeChain(leaves[0]),
        ...leaves.slice(1).map(({ cert, key }) => ({ cert, key })),
      ]);
      assert.equal((await run(opened, file, { keepGoing: true })).written, 41);
      const { items } = await opened.store.certificates.list({ size: 100 });
      for (const { primary } of items) assert.equal(primary.chain.match(/BEGIN/g)?.length, 2, primary.subject);
    });

    test('a rehearsal that keeps going finds conflicts between batches, as the import itself does', async () => {
      await using opened = await open();
      const shared = makeSelfSigned({ names: ['*.many.test'] });
      const lines: object[] = Array.from({ length: 501 }, (_, at) => ({ ...shared, snis: [`n${at}.many.test`] }));
      const other = makeSelfSigned({ names: ['other.test'] });
      lines.push({ ...other, snis: ['n7.many.test'] }, { ...shared, snis: ['n8.many.test'] });
      const file = linesFile(`${name}-conflicts.jsonl`, lines);
      const told = await run(opened, file, { keepGoing: true, dryRun: true });
      assert.equal(await opened.store.revision(), 0);
      assert.deepEqual([told.written, told.unchanged, told.refused], [501, 1, 1]);
      assert.deepEqual(await run(opened, file, { keepGoing: true }), told);
    });

    test('a certificate whose stored key does not open any more comes again with its key', async () => {
      await using opened = await open();
      const file = linesFile(`${name}-lost.jsonl`, [
        { ...makeSelfSigned({ names: ['lost.test'] }), snis: ['lost.test'] },
      ]);
      await run(opened, file);
      const id = (await opened.store.binding('lost.test'))?.certificateId ?? '';
      await opened.store.transact('test', async (tx) => {
        const stored = await tx.certificates.get(id);
        assert.ok(stored);
        await tx.certificates.replace({ ...stored, primary: { ...stored.primary, sealedKey: 'v1.lost.AAAA.AAAA' } });
      });
      assert.deepEqual(await run(opened, file), { ...nothing, read: 1, unchanged: 1 });
      assert.deepEqual(await run(opened, file, { replace: true }), { ...nothing, read: 1, replaced: 1 });
      assert.deepEqual(await run(opened, file, { replace: true }), { ...nothing, read: 1, unchanged: 1 });
      assert.equal((await opened.store.binding('lost.test'))?.certificateId, id);
    });

    test('a renewed certificate takes the place of the one that holds its names, and keeps its id', async () => {
      await using opened = await open();
      const [old, renewed] = [makeSelfSigned({ names: ['r.test'] }), makeSelfSigned({ names: ['r.test', 'new.test'] })];
      const more = makeSelfSigned({ names: ['more.test'] });
      await run(
        opened,
        linesFile(`${name}-old.jsonl`, [{ ...old, tags: ['mine'], snis: ['r.test', 'kept.test'] }, more]),
      );
      const before = await opened.store.binding('r.test');
      const file = linesFile(`${name}-renewed.jsonl`, [renewed]);
      assert.equal((await run(opened, file)).problems[0]?.code, 'UNIQUE_VIOLATION');
      const dry = await run(opened, file, { replace: true, dryRun: true });
      assert.deepEqual([dry.replaced, (await opened.store.binding('new.test')) ?? 'free'], [1, 'free']);
      assert.deepEqual(await run(opened, file, { replace: true }), { ...nothing, read: 1, replaced: 1 });
      assert.deepEqual(await run(opened, file, { replace: true }), { ...nothing, read: 1, unchanged: 1 });
      for (const each of ['r.test', 'kept.test', 'new.test']) {
        assert.equal((await opened.store.binding(each))?.certificateId, before?.certificateId);
      }
      const stored = await opened.store.certificates.get(before?.certificateId ?? '');
      assert.deepEqual(stored?.tags, ['imported', 'mine']);
      assert.deepEqual(stored.primary.dnsNames, ['r.test', 'new.test']);

      const both = linesFile(`${name}-both.jsonl`, [{ ...renewed, snis: ['r.test', 'more.test'] }]);
      assert.match((await run(opened, both, { replace: true })).problems[0]?.message ?? '', /several certificates/);
    });
  });
}

test('two pairs of different types; what is expired only with force', async () => {
  await using opened = await temporaryStore({ sealer });
  const ec = makeSelfSigned({ names: ['two.test'] });
  const rsa = makeSelfSigned({ names: ['two.test'], keyType: 'rsa' });
  const expired = makeSelfSigned({ names: ['old.test'], notBefore: Date.now() - 2e9, notAfter: Date.now() - 1e9 });
  const file = linesFile('pairs.jsonl', [
    { ...ec, cert_alt: rsa.cert, key_alt: rsa.key },
    { ...ec, snis: ['same.test'], cert_alt: ec.cert, key_alt: ec.key },
    { ...ec, snis: ['half.test'], key_alt: rsa.key },
    expired,
  ]);
  const { written, problems } = await run(opened, file, { keepGoing: true });
  assert.equal(written, 1);
  assert.deepEqual(
    problems.map(({ where, code }) => `${where} ${code}`),
    ['line 2 INPUT_INVALID', 'line 3 INPUT_INVALID', 'line 4 CERTIFICATE_EXPIRED'],
  );
  const { items } = await opened.store.certificates.list({ size: 10 });
  assert.deepEqual([items[0]?.primary.keyType, items[0]?.alternative?.keyType], ['ec', 'rsa']);
  assert.equal((await run(opened, file, { keepGoing: true, force: true })).written, 1);
});

test('a line beyond its limit is refused by its number, and the others are read', async () => {
  await using opened = await temporaryStore({ sealer });
  const good = makeSelfSigned({ names: ['long.test'] });
  const file = linesFile('long.jsonl', ['x'.repeat(3 * 1024 * 1024), good]);
  const { written, problems } = await run(opened, file, { keepGoing: true });
  assert.equal(written, 1);
  assert.equal(problems[0]?.where, 'line 1');
  assert.match(problems[0]?.message, /longer than/);
});

test('a directory of PEM pairs, with keys beside or inside', async () => {
  await using opened = await temporaryStore({ sealer });
  const place = path.join(folder, 'pairs');
  mkdirSync(place);
  const [beside, inside] = [makeSelfSigned({ names: ['beside.test'] }), makeSelfSigned({ names: ['inside.test'] })];
  writeFileSync(path.join(place, 'beside.crt'), beside.cert);
  writeFileSync(path.join(place, 'beside.key'), beside.key);
  writeFileSync(path.join(place, 'inside.pem'), inside.cert + inside.key);
  writeFileSync(path.join(place, 'README'), 'not a certificate');
  assert.equal((await openSource(place)).format, 'pem-pairs');
  const { written, problems } = await run(opened, place);
  assert.deepEqual([written, problems], [2, []]);
});

test('a directory with PKCS#12, PKCS#7 and DER files', async () => {
  await using opened = await temporaryStore({ sealer });
  const place = path.join(folder, 'containers');
  mkdirSync(place);
  const [p12, p7b, der] = ['p12', 'p7b', 'der'].map((name) => makeSelfSigned({ names: [`${name}.test`] }));
  assert.ok(p12 !== undefined && p7b !== undefined && der !== undefined);
  writeFileSync(path.join(place, 'one.PFX'), pkcs12By({ chain: p12.cert, key: p12.key }, 'sesame'));
  writeFileSync(path.join(place, 'two.p7b'), pkcs7By(p7b.cert, 'DER'));
  writeFileSync(path.join(place, 'two.key'), p7b.key);
  writeFileSync(path.join(place, 'three.der'), new X509Certificate(der.cert).raw);
  writeFileSync(path.join(place, 'three.key'), der.key);
  const locked = await run(opened, place, { keepGoing: true, dryRun: true });
  assert.deepEqual(
    locked.problems.map(({ where, code }) => [path.basename(where), code]),
    [['one.PFX', 'KEY_ENCRYPTED']],
  );
  const { written, problems } = await run(opened, place, { passphrase: 'sesame' });
  assert.deepEqual([written, problems], [3, []]);
});

test('a line brings its own passphrase, and one that is wrong is not repeated', async () => {
  await using opened = await temporaryStore({ sealer });
  const issued = makeSelfSigned({ names: ['line.test'] });
  const cert = pkcs12By({ chain: issued.cert, key: issued.key }, 'sesame').toString('base64');
  const wrong = await run(opened, linesFile('wrong.jsonl', [{ cert, passphrase: 'open barley' }]));
  assert.deepEqual([wrong.written, wrong.problems.map(({ code }) => code)], [0, ['KEY_PASSPHRASE_WRONG']]);
  assert.ok(!JSON.stringify(wrong.problems).includes('barley'));
  const right = await run(opened, linesFile('right.jsonl', [{ cert, passphrase: 'sesame' }]), { passphrase: 'other' });
  assert.deepEqual([right.written, right.problems], [1, []]);
});

test("certbot's live directory", async () => {
  await using opened = await temporaryStore({ sealer });
  const place = path.join(folder, 'live');
  for (const name of ['one.test', 'two.test']) {
    const pair = makeSelfSigned({ names: [name] });
    mkdirSync(path.join(place, name), { recursive: true });
    writeFileSync(path.join(place, name, 'fullchain.pem'), pair.cert);
    writeFileSync(path.join(place, name, 'privkey.pem'), pair.key);
  }
  mkdirSync(path.join(place, 'three.test'));
  writeFileSync(path.join(place, 'three.test', 'fullchain.pem'), makeSelfSigned({ names: ['three.test'] }).cert);
  writeFileSync(path.join(place, 'README'), '');
  assert.equal((await openSource(place)).format, 'certbot');
  const { written, problems } = await run(opened, place, { keepGoing: true });
  assert.equal(written, 2);
  assert.match(problems[0]?.where ?? '', /three\.test/);
  assert.match(problems[0]?.message ?? '', /ENOENT/);
});
