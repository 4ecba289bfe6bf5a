// Who is let in, and what each role may do.
import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { authenticate } from '../../src/admin/authenticate.ts';
import { createFailureLimit } from '../../src/admin/failure-limit.ts';
import type { Token, TokenRole } from '../../src/model/entities.ts';
import { makeTokenText } from '../../src/model/token-text.ts';
import { fakeToken } from '../contracts/entities.ts';
import { type AdminFixture, type FixtureOptions, holdsKeyMaterial, startAdmin } from '../support/admin-server.ts';
import { makeAuthority, makeSelfSigned } from '../support/certificates.ts';

const { cert, key } = makeSelfSigned({ names: ['a.test'] });
const api = { name: 'n', request_host: 'a.test', upstream_url: 'http://u' };

interface Fixture extends AdminFixture {
  readonly tokens: Readonly<Record<TokenRole, string>>;
  readonly add: (fields: Partial<Token>) => Promise<string>;
  /** The status of an answer, and the code if there is one. */
  readonly ask: (method: string, path: string, token?: string, json?: object) => Promise<readonly [number, string?]>;
}

async function start(t: TestContext, options: FixtureOptions = {}): Promise<Fixture> {
  const admin = await startAdmin(t, { demandsToken: true, ...options });
  const add = async (fields: Partial<Token>): Promise<string> => {
    const { text, ...made } = makeTokenText();
    await admin.store.transact('test', (tx) => tx.tokens.insert(fakeToken(made.prefix, { ...made, ...fields })));
    return text;
  };
  const tokens = {
    admin: await add({ role: 'admin', name: 'root' }),
    certificates: await add({ role: 'certificates', name: 'acme' }),
    read: await add({ role: 'read', name: 'viewer' }),
  };
  return {
    ...admin,
    tokens,
    add,
    async ask(method, path, token, json) {
      const headers = token === undefined ? {} : bearer(token);
      const { status, body } = await admin.send(method, path, { headers, ...(json !== undefined && { json }) });
      return body?.code === undefined ? [status] : [status, body.code as string];
    },
  };
}

const bearer = (token: string) => ({ authorization: `Bearer ${token}` });

test('who is let in by client certificates is for admins to say, and for readers to read', async (t) => {
  const { ask, tokens } = await start(t);
  const authority = { cert: makeAuthority().certificate };
  for (const [path, json] of [
    ['/ca_certificates', authority],
    ['/portunus/hosts', { name: 'a.test' }],
  ] as const) {
    for (const role of ['certificates', 'read'] as const) {
      assert.deepEqual(await ask('POST', path, tokens[role], json), [403, 'ADMIN_ROLE_INSUFFICIENT']);
    }
    assert.deepEqual(await ask('GET', path, tokens.certificates), [403, 'ADMIN_ROLE_INSUFFICIENT']);
    assert.deepEqual(await ask('GET', path, tokens.read), [200]);
    assert.deepEqual(await ask('POST', path, tokens.admin, json), [201]);
  }
});

test('a listener that demands tokens answers nothing without one, whatever is asked', async (t) => {
  const { send, store } = await start(t);
  const revision = await store.revision();
  for (const [method, path] of [
    ['GET', '/'],
    ['HEAD', '/certificates'],
    ['POST', '/apis'],
    ['OPTIONS', '/certificates'],
    ['GET', '/nothing'],
    ['DELETE', '/apis'],
    ['GET', '/openapi.json'],
  ] as const) {
    const { status, headers, text } = await send(method, path, { ...(method === 'POST' && { json: api }) });
    assert.equal(status, 401, `${method} ${path}`);
    assert.equal(headers.get('www-authenticate'), 'Bearer realm="portunus"');
    if (method !== 'HEAD') assert.equal(JSON.parse(text).code, 'ADMIN_TOKEN_MISSING');
  }
  assert.equal(await store.revision(), revision);
});

test('a token is taken from Authorization and from the header of Kong, and named as who did it', async (t) => {
  const { send, store, tokens } = await start(t);
  const headers = [
    bearer(tokens.admin),
    { authorization: `bearer  ${tokens.admin}` },
    { 'kong-admin-token': tokens.admin },
  ];
  for (const [at, header] of headers.entries()) {
    const { status } = await send('POST', '/apis', {
      headers: header,
      json: { ...api, name: `n${at}`, request_host: `${at}.test` },
    });
    assert.equal(status, 201);
  }
  const changes = await store.changesSince(3, 10);
  assert.deepEqual(
    changes.map(({ actor }) => actor),
    ['token:root', 'token:root', 'token:root'],
  );
});

test('what is no token, was revoked or has expired lets nobody in', async (t) => {
  let now = 1_800_000_000_000;
  const { send, ask, store, tokens, add } = await start(t, { deps: { now: () => now } });
  const short = await add({ role: 'admin', name: 'short', expiresAt: now + 1000 });
  assert.deepEqual(await ask('GET', '/', short), [200]);
  now += 1000;
  const other = makeTokenText().text;
  const wrongs = ['', 'x', short, other, `${tokens.admin}x`, `${tokens.admin.slice(0, 21)}${other.slice(21)}`];
  for (const wrong of wrongs) assert.deepEqual(await ask('GET', '/', wrong), [401, 'ADMIN_TOKEN_INVALID'], wrong);
  const basic = await send('GET', '/', { headers: { authorization: `Basic ${btoa(`x:${tokens.admin}`)}` } });
  assert.equal(basic.status, 401);
  assert.match(basic.headers.get('www-authenticate') ?? '', /error="invalid_token"/);
  const viewer = await store.tokens.findByName('viewer');
  assert.deepEqual(await ask('GET', '/', tokens.read), [200]);
  await store.transact('test', (tx) => tx.tokens.delete(viewer?.id ?? ''));
  assert.deepEqual(await ask('GET', '/', tokens.read), [401, 'ADMIN_TOKEN_INVALID']);
});

test('where no token is demanded, one that is sent counts all the same', async (t) => {
  const { ask, tokens } = await start(t, { demandsToken: false });
  assert.deepEqual(await ask('GET', '/apis'), [200]);
  assert.deepEqual(await ask('GET', '/apis', 'wrong'), [401, 'ADMIN_TOKEN_INVALID']);
  assert.deepEqual(await ask('POST', '/apis', tokens.read, api), [403, 'ADMIN_ROLE_INSUFFICIENT']);
});

test('each role may do what it is for, and nothing else', async (t) => {
  const { ask, send, tokens } = await start(t);
  const forbidden = [403, 'ADMIN_ROLE_INSUFFICIENT'];
  assert.deepEqual(await ask('POST', '/certificates', tokens.read, { cert, key }), forbidden);
  assert.deepEqual(await ask('POST', '/certificates?dry_run=true', tokens.read, { cert, key }), forbidden);
  assert.deepEqual(await ask('POST', '/certificates', tokens.certificates, { cert, key, snis: ['a.test'] }), [201]);
  assert.deepEqual(await ask('DELETE', '/snis/a.test', tokens.certificates), [204]);
  for (const path of ['/certificates', '/snis', '/'])
    assert.deepEqual(await ask('GET', path, tokens.certificates), [200]);
  for (const path of ['/apis', '/plugins', '/status', '/portunus/nodes']) {
    assert.deepEqual(await ask('GET', path, tokens.certificates), forbidden, path);
    assert.deepEqual(await ask('GET', path, tokens.read), [200], path);
  }
  assert.deepEqual(await ask('POST', '/apis', tokens.certificates, api), forbidden);
  assert.deepEqual(await ask('POST', '/apis', tokens.admin, api), [201]);
  assert.deepEqual(
    await ask('POST', '/apis/n/plugins', tokens.certificates, { name: 'ssl', config: { cert, key } }),
    forbidden,
  );
  assert.equal((await send('HEAD', '/apis', { headers: bearer(tokens.read) })).status, 200);
  assert.match(
    (await send('DELETE', '/apis/n', { headers: bearer(tokens.read) })).headers.get('www-authenticate') ?? '',
    /error="insufficient_scope"/,
  );
  assert.deepEqual(await ask('GET', '/nothing', tokens.read), [404]);
});

test('private keys that the Admin API may show are for the role admin alone', async (t) => {
  const { send, tokens } = await start(t, { config: { adminPrivateKeys: 'visible' } });
  const made = await send('POST', '/certificates', { headers: bearer(tokens.certificates), json: { cert, key } });
  assert.ok(!holdsKeyMaterial(made, [key]));
  for (const [role, isShown] of [
    ['admin', true],
    ['certificates', false],
    ['read', false],
  ] as const) {
    const answer = await send('GET', '/certificates', { headers: bearer(tokens[role]) });
    assert.equal(holdsKeyMaterial(answer, [key]), isShown, role);
  }
});

test('of an address that sent too many wrong tokens others wait, but a right one is taken; asking without one does not count', async (t) => {
  const { ask, send, tokens } = await start(t, { config: { adminAuthFailuresMax: 3 } });
  for (let count = 0; count < 5; count += 1) await ask('GET', '/');
  for (let count = 0; count < 3; count += 1)
    assert.deepEqual(await ask('GET', '/', 'wrong'), [401, 'ADMIN_TOKEN_INVALID']);
  assert.deepEqual(await ask('GET', '/', 'wrong'), [429, 'ADMIN_FAILURES_TOO_MANY']);
  const known = `${tokens.admin.slice(0, 21)}${makeTokenText().text.slice(21)}`;
  const { status, headers } = await send('GET', '/', { headers: bearer(known) });
  assert.equal(status, 429);
  assert.equal(headers.get('retry-after'), '20');
  assert.deepEqual(await ask('GET', '/', tokens.admin), [200]);
  assert.deepEqual(await ask('GET', '/', 'wrong'), [429, 'ADMIN_FAILURES_TOO_MANY']);
});

test('who was turned away is counted by code and logged by address, without a word that was sent', async (t) => {
  const { ask, tokens, refusals, warnings } = await start(t, { config: { adminAuthFailuresMax: 1 } });
  const secret = makeTokenText().text;
  await ask('GET', '/');
  await ask('DELETE', '/apis/x', tokens.read);
  for (let count = 0; count < 50; count += 1) await ask('PUT', `/apis?token=${secret}`, secret);
  assert.deepEqual(refusals.slice(0, 4), [
    'ADMIN_TOKEN_MISSING',
    'ADMIN_ROLE_INSUFFICIENT',
    'ADMIN_TOKEN_INVALID',
    'ADMIN_FAILURES_TOO_MANY',
  ]);
  assert.equal(refusals.length, 52);
  const [first] = warnings as [object, string][];
  assert.deepEqual(first, [
    { code: 'ADMIN_TOKEN_MISSING', address: '127.0.0.1', method: 'GET', leftOut: 0 },
    'a request of the Admin API was turned away',
  ]);
  assert.ok(!JSON.stringify(warnings).includes(secret.slice(25)));
});

test('who sends nothing is told what lets in', async () => {
  const deps = {
    tokens: { findByPrefix: async () => undefined },
    failures: createFailureLimit(1, () => 0),
    now: () => 0,
  };
  const nothing = {
    authorization: undefined,
    kongAdminToken: undefined,
    certificate: { kind: 'none' },
    address: '127.0.0.1',
  } as const;
  for (const [certificates, message] of [
    [undefined, /with a token only/],
    [{ isDemanded: false, role: 'none' }, /with a token only/],
    [{ isDemanded: false, role: 'read' }, /with a token or a client certificate only/],
  ] as const)
    await assert.rejects(authenticate(deps, nothing, { identity: true, certificates }), message);
});
