// An export read back: the same bytes again, from either store into the other; and one without keys.
import assert from 'node:assert/strict';
import { createSecretKey, randomBytes, randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { exportAll } from '../../src/move/export-all.ts';
import { importAll, type ImportOptions } from '../../src/move/import-all.ts';
import { openSource } from '../../src/move/sources.ts';
import type { Store } from '../../src/store/contract.ts';
import type { Keyring } from '../../src/store/keyring.ts';
import { createSealer } from '../../src/store/sealing.ts';
import { temporaryPostgres } from '../store/temporary-postgres.ts';
import { temporaryStore } from '../store/temporary-store.ts';
import { makeAuthority, makeSelfSigned } from '../support/certificates.ts';
import { type PostgresServer, startPostgres } from '../support/postgres.ts';

let folder: string;
let server: PostgresServer;
before(async () => {
  folder = mkdtempSync(path.join(os.tmpdir(), 'portunus-export-'));
  server = await startPostgres();
});
after(async () => {
  rmSync(folder, { recursive: true, force: true });
  await server?.[Symbol.asyncDispose]();
});

const authorityId = randomUUID();

const keyring = (): Keyring => ({ keys: [{ id: 'k1', secret: createSecretKey(randomBytes(32)) }] });

async function exported(store: Store, keys?: Keyring): Promise<string> {
  let text = '';
  await exportAll({
    reader: store,
    sealer: keys && createSealer(keys),
    async write(more) {
      text += more;
    },
    progress: () => undefined,
  });
  return text;
}

async function imported(store: Store, keys: Keyring, text: string, flags: Partial<ImportOptions> = {}) {
  const file = path.join(folder, `${randomBytes(6).toString('hex')}.yaml`);
  writeFileSync(file, text);
  const problems: string[] = [];
  const leftOut: Record<string, number> = {};
  const summary = await importAll({
    store,
    keyring: keys,
    items: (await openSource(file)).items,
    minRsaBits: 2048,
    now: Date.now,
    tags: [],
    keepGoing: false,
    replace: false,
    force: false,
    dryRun: false,
    refused: ({ where, code, message }) => problems.push(`${where}: ${code}: ${message}`),
    leftOut: (section, items) => (leftOut[section] = items),
    progress: () => undefined,
    ...flags,
  });
  return { ...summary, problems, leftOut };
}

function everything(): string {
  const authority = makeAuthority().intermediate();
  const ec = authority.issue({ names: ['a.test', '*.a.test'] });
  const rsa = authority.issue({ names: ['a.test', '*.a.test'], keyType: 'rsa' });
  const bare = makeSelfSigned({ names: ['bare.test'] });
  const plugin = makeSelfSigned({ names: ['api.test'] });
  const clients = makeAuthority();
  const rule = { client_certificate: 'required', ca_certificates: [authorityId], client_verify_depth: 2 };
  const document = {
    _format_version: '3.0',
    certificates: [
      {
        id: '0b1e3f5c-7f5a-4b7e-8a9c-1d2e3f405162',
        cert: ec.chain,
        key: ec.key,
        cert_alt: rsa.chain,
        key_alt: rsa.key,
        tags: ['x', 'yes', '1', 'ä: b'],
        snis: [{ name: 'a.test', tags: ['null'] }, { name: '*.a.test' }, { name: 'xn--bcher-kva.test' }],
      },
      { cert: bare.cert, key: bare.key },
    ],
    // Before the authority that they name.
    hosts: [
      { name: '*.a.test', ...rule, ssl_min_version: 'TLSv1.3', ssl_ciphers: 'ECDHE-ECDSA-AES128-GCM-SHA256' },
      { name: 'open.a.test' },
    ],
    ca_certificates: [
      { id: authorityId, cert: clients.certificate, cert_digest: 'x', crl: clients.revoke([]), tags: ['t'] },
    ],
    apis: [
      {
        name: 'new',
        hosts: ['api.test'],
        uris: ['/v1'],
        methods: ['GET'],
        upstream_url: 'http://127.0.0.1:1/x',
        retries: 0,
        https_only: true,
        ...rule,
        hsts_max_age: 60,
        plugins: [{ name: 'ssl', config: { ...plugin, only_https: true } }],
      },
      { name: 'old', request_path: '/old', strip_request_path: true, upstream_url: 'http://127.0.0.1:2' },
    ],
    plugins: [{ name: 'ssl', enabled: false, config: { ...bare } }],
  };
  return JSON.stringify(document);
}

test('an export read into another store, and exported from there, is the same bytes', async () => {
  const [from, to] = [keyring(), keyring()];
  await using embedded = await temporaryStore({ sealer: createSealer(from) });
  await using shared = await temporaryPostgres(server.port, { sealer: createSealer(to) });
  const counted = { read: 9, written: 9, replaced: 0, unchanged: 0, refused: 0, problems: [], leftOut: {} };
  assert.deepEqual(await imported(embedded.store, from, everything()), counted);
  const first = await exported(embedded.store, from);
  assert.deepEqual(await imported(shared.store, to, first), counted);
  assert.equal(await exported(shared.store, to), first);
  assert.deepEqual(await shared.store.binding('api.test').then((found) => found?.holder.kind), 'plugin');
  await using again = await temporaryStore({ sealer: createSealer(from) });
  await imported(again.store, from, await exported(shared.store, to));
  assert.equal(await exported(again.store, from), first);
});

test('reading it into the store it came from changes nothing, with keys or without', async () => {
  const keys = keyring();
  await using opened = await temporaryStore({ sealer: createSealer(keys) });
  await imported(opened.store, keys, everything());
  const revision = await opened.store.revision();
  for (const text of [await exported(opened.store, keys), await exported(opened.store)]) {
    const { written, unchanged, problems } = await imported(opened.store, keys, text);
    assert.deepEqual([written, unchanged, problems], [0, 9, []]);
  }
  assert.equal(await opened.store.revision(), revision);
});

test('an authority that is stored keeps what it has revoked where the file does not say, and takes no older list', async () => {
  const keys = keyring();
  await using opened = await temporaryStore({ sealer: createSealer(keys) });
  const authority = makeAuthority();
  const lists = [3, 2, 1].map((days) => authority.revoke([], { thisUpdate: Date.now() - days * 86_400_000 }));
  const file = (...fields: readonly object[]): string =>
    JSON.stringify({ ca_certificates: fields.map((each) => ({ cert: authority.certificate, ...each })) });
  const crl = async () => (await opened.store.caCertificates.list({ size: 9 })).items.map((each) => each.crl);
  assert.equal((await imported(opened.store, keys, file({ crl: lists[1] }))).written, 1);
  // By its fingerprint, since decK may leave ids out.
  assert.equal((await imported(opened.store, keys, file({}))).unchanged, 1);
  assert.equal((await imported(opened.store, keys, file({ tags: ['x'] }), { replace: true })).replaced, 1);
  assert.deepEqual(await crl(), [lists[1]]);
  const older = await imported(opened.store, keys, file({ crl: lists[0] }), { replace: true });
  assert.match(older.problems.join(), /crl: The revocation list is older/);
  assert.match((await imported(opened.store, keys, file({ crl: lists[2] }))).problems.join(), /UNIQUE_VIOLATION/);
  assert.equal((await imported(opened.store, keys, file({ crl: lists[2] }), { replace: true })).replaced, 1);
  assert.deepEqual(await crl(), [lists[2]]);
});

test('a rule whose authority is neither stored nor in the file is refused, of a host and of an API', async () => {
  const keys = keyring();
  await using opened = await temporaryStore({ sealer: createSealer(keys) });
  const rule = { client_certificate: 'required', ca_certificates: [authorityId] };
  const api = { name: 'a', hosts: ['a.test'], upstream_url: 'http://127.0.0.1:1', ...rule };
  const text = JSON.stringify({
    certificates: [],
    apis: [api],
    hosts: [{ name: 'a.test', ...rule }, { name: 'b.test' }],
  });
  const { written, problems } = await imported(opened.store, keys, text, { keepGoing: true });
  assert.equal(written, 1);
  assert.deepEqual(
    problems.map((each) => each.split(': ').slice(0, 2).join(' ')),
    ['apis[0] REFERENCE_MISSING', 'hosts[0] REFERENCE_MISSING'],
  );
});

test('without keys it holds none, and another store refuses what it names only', async () => {
  const keys = keyring();
  await using opened = await temporaryStore({ sealer: createSealer(keys) });
  await imported(opened.store, keys, everything());
  const text = await exported(opened.store);
  assert.doesNotMatch(text, /PRIVATE KEY/);
  assert.match(await exported(opened.store, keys), /PRIVATE KEY/);
  await using empty = await temporaryStore({ sealer: createSealer(keys) });
  const { written, problems } = await imported(empty.store, keys, text);
  assert.equal(written, 0);
  assert.equal(problems.filter((each) => each.includes('KEY_MISSING')).length, 2);
  assert.match(problems.join('\n'), /apis\[0\].*plugins\[0\]: INPUT_INVALID: config\.key: this sealed key/);
  assert.equal(await empty.store.revision(), 0);
});

test('an empty store gives a file that can be read', async () => {
  const keys = keyring();
  await using opened = await temporaryStore({ sealer: createSealer(keys) });
  const text = await exported(opened.store, keys);
  assert.equal(text, '_format_version: "3.0"\ncertificates: []\n');
  assert.equal((await imported(opened.store, keys, text)).read, 0);
});

test("what Kong's file holds besides is told and left out; an item of an API that is wrong is named", async () => {
  const keys = keyring();
  await using opened = await temporaryStore({ sealer: createSealer(keys) });
  const text = `
_format_version: "3.0"
_info: { defaults: {} }
services:
- name: one
- name: two
consumers: []
apis:
- name: no-url
  hosts: [a.test]
- name: fine
  hosts: [b.test]
  upstream_url: http://127.0.0.1:1
  plugins:
  - name: rate-limiting
`;
  const { leftOut, problems, written } = await imported(opened.store, keys, text, { keepGoing: true });
  assert.deepEqual([leftOut, written], [{ services: 2 }, 1]);
  assert.match(problems[0] ?? '', /^apis\[0\], line 9: INPUT_INVALID: .*upstream_url/);
  assert.match(
    problems[1] ?? '',
    /^apis\[1\], line 11, plugins\[0\]: INPUT_INVALID: config: Plugin "rate-limiting" not found/,
  );
});
