// Bent requests to the Admin API over real sockets: each is answered or its connection ends; none is the server's own fault;
// and what is refused has written nothing.
import assert from 'node:assert/strict';
import net from 'node:net';
import { test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { fc } from '../support/fast-check.ts';
import { bent } from '../http1/mutations.ts';
import { type AdminFixture, startAdmin } from '../support/admin-server.ts';
import { makeSelfSigned } from '../support/certificates.ts';
import { assertHolds, fuzzBudget } from '../support/fuzz-budget.ts';
import { until } from '../support/until.ts';

const { cert, key } = makeSelfSigned({ names: ['a.test'] });
/** How long a request that may not be whole is waited for before its client ends. */
const patienceMs = 100;

type Fields = readonly (readonly [name: string, value: string])[];

const api: Fields = [
  ['name', 'one'],
  ['request_host', 'a.test'],
  ['upstream_url', 'http://127.0.0.1:1/'],
];
const ssl: Fields = [
  ['name', 'ssl'],
  ['config.cert', cert],
  ['config.key', key],
  ['config.only_https', 'true'],
];
const certificate: Fields = [
  ['cert', cert],
  ['key', key],
  ['snis[]', 'b.test'],
  ['snis[]', '*.c.test'],
  ['tags', 'x,y'],
];
const paths: readonly (readonly [path: string, fields: Fields])[] = [
  ['/apis', api],
  ['/apis/one', api],
  ['/apis/one/plugins', ssl],
  ['/plugins?size=1', ssl],
  ['/certificates', certificate],
  ['/certificates?dry_run=true&force=true', certificate],
  ['/certificates/b.test', certificate],
  [
    '/snis',
    [
      ['name', 'd.test'],
      ['certificate.id', '7fca84d6-7d37-4a74-a7b0-93e576089a41'],
    ],
  ],
  [
    '/snis/d.test',
    [
      ['name', 'd.test'],
      ['ssl_certificate_id', '7fca84d6-7d37-4a74-a7b0-93e576089a41'],
    ],
  ],
  ['/ca_certificates', [['cert', cert]]],
  ['/portunus/hosts/a.test', [['min_version', 'TLSv1.3']]],
  ['/portunus/audit?size=2', []],
  ['/portunus/explain?host=a.test', []],
  ['/apis?size=2&offset=WzFd', []],
];

const encodings: Record<string, (fields: Fields) => string> = {
  'application/json': (fields) => JSON.stringify(nested(fields)),
  'application/x-www-form-urlencoded': (fields) =>
    new URLSearchParams(fields.map(([name, value]) => [name, value] as [string, string])).toString(),
  'multipart/form-data; boundary=bound': (fields) =>
    `${fields
      .map(([name, value]) => `--bound\r\nContent-Disposition: form-data; name="${name}"\r\n\r\n${value}\r\n`)
      .join('')}--bound--\r\n`,
};

/** As the names of forms mean it. */
function nested(fields: Fields): Record<string, unknown> {
  const all: Record<string, unknown> = {};
  for (const [name, value] of fields) {
    const [first = '', second] = name.split('.');
    if (name.endsWith('[]')) all[name.slice(0, -2)] = [...((all[name.slice(0, -2)] as string[]) ?? []), value];
    else if (second === undefined) all[name] = value;
    else all[first] = { ...(all[first] as object), [second]: value };
  }
  return all;
}

const method = fc.constantFrom('GET', 'POST', 'PUT', 'PATCH', 'DELETE');
const place = fc.constantFrom(...paths);
const type = fc.constantFrom(...Object.keys(encodings));

const plain = fc
  .tuple(method, place, type)
  .map(([verb, [path, fields], media]) => message(verb, path, media, encodings[media]?.(fields) ?? ''));
/** Whole requests whose body is bent, or is said to be of another kind. */
const bentBody = place.chain(([path, fields]) =>
  fc
    .tuple(
      fc.constantFrom('POST', 'PUT', 'PATCH'),
      type,
      type,
      bent(type.map((media) => encodings[media]?.(fields) ?? '')),
    )
    .map(([verb, said, , body]) => message(verb, path, said, body)),
);
const bentPath = fc
  .tuple(method, bent(place.map(([path]) => path)), type)
  .map(([verb, path, media]) => message(verb, path, media, '{}'));

function message(verb: string, path: string, media: string, body: string): string {
  return `${verb} ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nContent-Type: ${media}\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
}

test('bent requests are answered or refused, and what is refused writes nothing', async (context) => {
  const admin = await startAdmin(context);
  const statuses: Record<string, number> = {};
  const details = await fc.check(
    fc.asyncProperty(fc.oneof(plain, bentBody, bentBody, bentPath, bent(plain)), async (text) => {
      const before = await admin.store.revision();
      const answers = await ask(admin.port, text);
      for (const status of answers) {
        statuses[status] = (statuses[status] ?? 0) + 1;
        assert.ok(status < 500, `${status}`);
      }
      assert.deepEqual(admin.errors, []);
      const written = (await admin.store.revision()) - before;
      const taken = answers.filter((status) => status < 300).length;
      assert.ok(written <= taken + (answers.length === 0 ? 1 : 0), `${written} writes, answers ${answers.join()}`);
      if (written > 0) await assertWhole(admin);
    }),
    fuzzBudget(context, 200),
  );
  assertHolds(details);
  context.diagnostic(`${details.numRuns} runs, answers: ${JSON.stringify(statuses)}`);
});

/** @returns the status of each answer */
async function ask(port: number, text: string): Promise<number[]> {
  const socket = net.connect({ port, host: '127.0.0.1' });
  let received = '';
  let closed = false;
  socket.setEncoding('latin1');
  socket.on('data', (piece: string) => (received += piece));
  socket.on('error', () => {});
  socket.on('close', () => (closed = true));
  socket.write(text, 'latin1');
  await Promise.race([pause(patienceMs), until('the end', () => closed)]);
  socket.end();
  await until('the end of a connection whose client has ended', () => closed);
  return [...received.matchAll(/^HTTP\/1\.1 (\d{3}) /gm)].map((found) => Number(found[1]));
}

/** What is stored is whole: all of it can be listed, and what it refers to is there. */
async function assertWhole(admin: AdminFixture): Promise<void> {
  const [apis, plugins, certificates, snis] = await Promise.all(
    ['/apis', '/plugins', '/certificates', '/snis'].map(async (path) => {
      const { status, body } = await admin.send('GET', `${path}?size=1000`);
      assert.equal(status, 200);
      return (body as { readonly data: readonly Listed[] }).data;
    }),
  );
  const ids = (list: readonly Listed[] | undefined): Set<string> => new Set(list?.map(({ id }) => id));
  for (const plugin of plugins ?? []) if (plugin.api_id !== undefined) assert.ok(ids(apis).has(plugin.api_id));
  for (const sni of snis ?? []) assert.ok(ids(certificates).has(sni.certificate?.id ?? ''));
  for (const { cert: stored, key: shown } of certificates ?? []) {
    assert.match(stored ?? '', /^-----BEGIN CERTIFICATE-----/);
    assert.match(shown ?? '', /^\{sealed:sha256:/);
  }
}

interface Listed {
  readonly id: string;
  readonly api_id?: string;
  readonly certificate?: { readonly id: string };
  readonly cert?: string;
  readonly key?: string;
}
