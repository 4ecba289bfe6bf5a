// Callers of the Admin API who prove themselves by a certificate.
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import https from 'node:https';
import { test, type TestContext } from 'node:test';
import { connect, type ConnectionOptions, type SecureVersion } from 'node:tls';
import type { AdminClients, AdminTls } from '../../src/admin/admin-server.ts';
import { makeTokenText } from '../../src/model/token-text.ts';
import { objectIdentifier, sequence } from '../../src/x509/write-der.ts';
import { fakeToken } from '../contracts/entities.ts';
import { startAdmin } from '../support/admin-server.ts';
import { extension, type Issued, makeAuthority, makeSelfSigned } from '../support/certificates.ts';

const root = makeAuthority();
const api = JSON.stringify({ name: 'n', request_host: 'a.test', upstream_url: 'http://u' });

async function start(t: TestContext, clients: Partial<AdminClients> = {}, { demandsToken = true } = {}) {
  const own = makeSelfSigned({ names: ['localhost'] });
  const tlsWith = (changed: Partial<AdminClients> | undefined): AdminTls => ({
    certificates: [{ chain: own.cert, key: own.key }],
    minVersion: 'TLSv1.2',
    maxVersion: 'TLSv1.3',
    ciphers: 'TLS_AES_128_GCM_SHA256:ECDHE-ECDSA-AES128-GCM-SHA256',
    groups: 'X25519:P-256',
    clients:
      changed === undefined
        ? undefined
        : { roots: root.certificate, revocations: [], isDemanded: false, role: 'admin', ...changed },
  });
  const admin = await startAdmin(t, { demandsToken, tls: tlsWith(clients) });
  const { text, ...made } = makeTokenText();
  await admin.store.transact('test', (tx) =>
    tx.tokens.insert(fakeToken('reader', { ...made, name: 'reader', role: 'read' })),
  );
  return {
    ...admin,
    token: text,
    renew: (changed: Partial<AdminClients> | undefined) => admin.server.renewTls(tlsWith(changed)),
    ask: (asked?: Partial<Issued>, options?: Ask) => ask(admin.port, asked, options),
  };
}

interface Ask extends ConnectionOptions {
  readonly method?: string;
  readonly token?: string;
  readonly agent?: https.Agent;
}

/** The status, and the code if there is one. */
async function ask(port: number, { chain, cert, key }: Partial<Issued> = {}, options: Ask = {}): Promise<unknown[]> {
  const { method = 'GET', token, ...rest } = options;
  const request = https.request({
    port,
    method,
    path: '/apis',
    cert: chain ?? cert,
    key,
    rejectUnauthorized: false,
    agent: false,
    headers: {
      'content-type': 'application/json',
      ...(token !== undefined && { authorization: `Bearer ${token}` }),
    },
    ...rest,
  });
  request.end(method === 'POST' ? api : undefined);
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    request.on('response', resolve).on('error', reject);
  });
  let text = '';
  for await (const chunk of response.setEncoding('utf8')) text += String(chunk);
  const { code } = JSON.parse(text) as { code?: string };
  return code === undefined ? [response.statusCode] : [response.statusCode, code];
}

/** Extended key usage (RFC 5280 section 4.2.1.12). */
const usage = (purpose: string): Buffer => extension('2.5.29.37', sequence(objectIdentifier(purpose)));

const invalid = [403, 'ADMIN_CERTIFICATE_INVALID'];

test('a certificate of the authority lets in, and the audit trail has its subject and fingerprint', async (t) => {
  const { ask, store } = await start(t);
  const ops = root.intermediate().issue({ names: [], commonName: 'ops, on call\nrole=x' });
  assert.deepEqual(await ask(ops, { method: 'POST' }), [201]);
  const [entry] = (await store.audit(undefined, 1)).entries;
  const fingerprint = new X509Certificate(ops.cert).fingerprint256.replaceAll(':', '').toLowerCase();
  assert.equal(entry?.actor, `certificate:CN=ops\\, on call\\0Arole=x sha256:${fingerprint}`);
});

test('without one a token is needed, and one that does not verify lets nobody in, token or not', async (t) => {
  const { ask, token, refusals } = await start(t);
  assert.deepEqual(await ask(), [401, 'ADMIN_TOKEN_MISSING']);
  assert.deepEqual(await ask({}, { token }), [200]);
  const hour = 3_600_000;
  const wrongs = {
    foreign: makeAuthority().issue({ names: ['x'] }),
    'of its own': makeSelfSigned({ names: ['x'] }),
    expired: root.issue({ names: ['x'], notAfter: Date.now() - hour }),
    early: root.issue({ names: ['x'], notBefore: Date.now() + hour }),
    'for servers': root.issue({ names: ['x'], extensions: [usage('1.3.6.1.5.5.7.3.1')] }),
    'below a leaf': makeAuthority({ commonName: 'x' })
      .intermediate({ commonName: 'x' })
      .issue({ names: ['x'] }),
  };
  for (const [what, wrong] of Object.entries(wrongs)) {
    assert.deepEqual(await ask(wrong), invalid, what);
    assert.deepEqual(await ask(wrong, { token }), invalid, what);
  }
  assert.equal(refusals.filter((code) => code === 'ADMIN_CERTIFICATE_INVALID').length, 12);
  assert.deepEqual(await ask(root.issue({ names: ['x'], extensions: [usage('1.3.6.1.5.5.7.3.2')] })), [200]);
});

test('where they are demanded nobody is let in without one, also on loopback and with a token', async (t) => {
  const { ask, token } = await start(t, { isDemanded: true }, { demandsToken: false });
  assert.deepEqual(await ask(), [403, 'ADMIN_CERTIFICATE_MISSING']);
  assert.deepEqual(await ask({}, { token }), [403, 'ADMIN_CERTIFICATE_MISSING']);
  assert.deepEqual(await ask(root.issue({ names: ['x'] })), [200]);
});

test('a certificate has the role of the setting, a token that comes along has its own, and with none both are needed', async (t) => {
  const caller = root.issue({ names: ['x'] });
  const reader = await start(t, { role: 'certificates' });
  assert.deepEqual(await reader.ask(caller), [403, 'ADMIN_ROLE_INSUFFICIENT']);
  assert.deepEqual(await reader.ask(caller, { token: reader.token }), [200]);
  assert.deepEqual(await reader.ask(caller, { token: 'wrong' }), [401, 'ADMIN_TOKEN_INVALID']);
  const both = await start(t, { role: 'none', isDemanded: true }, { demandsToken: false });
  assert.deepEqual(await both.ask(caller), [401, 'ADMIN_TOKEN_MISSING']);
  assert.deepEqual(await both.ask({}, { token: both.token }), [403, 'ADMIN_CERTIFICATE_MISSING']);
  assert.deepEqual(await both.ask(caller, { token: both.token }), [200]);
});

test('a revoked certificate lets nobody in', async (t) => {
  const gone = root.issue({ names: ['gone'] });
  const { ask } = await start(t, { revocations: [root.revoke([gone.cert])] });
  assert.deepEqual(await ask(gone), invalid);
  assert.deepEqual(await ask(root.issue({ names: ['x'] })), [200]);
});

for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
  test(`a session is not resumed: ${version}`, async (t) => {
    const { port } = await start(t, { isDemanded: true });
    const { cert, key } = root.issue({ names: ['x'] });
    const session = await sessionOf(port, version, { cert, key });
    for (const proof of [{ cert, key }, {}]) {
      const socket = connect({ port, rejectUnauthorized: false, maxVersion: version, session, ...proof });
      await once(socket, 'secureConnect');
      assert.equal(socket.isSessionReused(), false);
      socket.write('GET /apis HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n');
      let text = '';
      for await (const chunk of socket.setEncoding('utf8')) text += String(chunk);
      assert.match(text, 'cert' in proof ? /^HTTP\/1\.1 200 / : /^HTTP\/1\.1 403 /);
    }
  });
}

/** What a client would resume with: in TLS 1.3 it comes after the handshake. */
async function sessionOf(port: number, maxVersion: SecureVersion, proof: ConnectionOptions): Promise<Buffer> {
  const socket = connect({ port, rejectUnauthorized: false, maxVersion, ...proof });
  const session = new Promise<Buffer>((resolve) => socket.once('session', resolve));
  socket.write('GET /apis HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n');
  socket.resume();
  await new Promise((resolve) => socket.once('end', resolve));
  const got = socket.getSession();
  return got ?? session;
}

test('after other authorities were read, the old ones let nobody in, on connections that are open either', async (t) => {
  const { ask, renew } = await start(t);
  const agent = new https.Agent({ keepAlive: true, maxSockets: 1 });
  t.after(() => agent.destroy());
  const old = root.issue({ names: ['old'] });
  assert.deepEqual(await ask(old, { agent }), [200]);
  const other = makeAuthority();
  const [idle] = Object.values(agent.freeSockets).flat();
  assert.ok(idle !== undefined);
  renew({ roots: other.certificate });
  if (!idle.destroyed) await once(idle, 'close');
  assert.deepEqual(await ask(old), invalid);
  assert.deepEqual(await ask(other.issue({ names: ['new'] })), [200]);
  // Without any, not even those of the system do.
  renew(undefined);
  assert.deepEqual(await ask(other.issue({ names: ['new'] })), invalid);
  assert.deepEqual(await ask(), [401, 'ADMIN_TOKEN_MISSING']);
});

test('what is under way when they are replaced is answered, and its connection ends', async (t) => {
  const pending = Promise.withResolvers<object>();
  const asked = Promise.withResolvers<void>();
  const own = makeSelfSigned({ names: ['localhost'] });
  const tlsWith = (roots: string): AdminTls => ({
    certificates: [{ chain: own.cert, key: own.key }],
    minVersion: 'TLSv1.3',
    maxVersion: 'TLSv1.3',
    ciphers: 'TLS_AES_128_GCM_SHA256',
    groups: 'X25519:P-256',
    clients: { roots, revocations: [], isDemanded: true, role: 'admin' },
  });
  const admin = await startAdmin(t, {
    demandsToken: true,
    tls: tlsWith(root.certificate),
    deps: {
      status: () => {
        asked.resolve();
        return pending.promise;
      },
    },
  });
  const { cert, key } = root.issue({ names: ['old'] });
  const socket = connect({ port: admin.port, rejectUnauthorized: false, cert, key });
  socket.write('GET /status HTTP/1.1\r\nHost: localhost\r\n\r\n');
  await asked.promise;
  admin.server.renewTls(tlsWith(makeAuthority().certificate));
  // Pipelined on the connection of an authority that is no longer one.
  socket.write(
    `POST /apis HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: ${api.length}\r\n\r\n${api}`,
  );
  pending.resolve({});
  let text = '';
  for await (const chunk of socket.setEncoding('utf8')) text += String(chunk);
  assert.match(text, /^HTTP\/1\.1 200 /);
  assert.match(text, /^connection: close/im);
  assert.equal(await admin.store.revision(), 0);
});

test('a certificate that ends while its connection is open ends with it', async (t) => {
  let now = Date.now();
  const own = makeSelfSigned({ names: ['localhost'] });
  const admin = await startAdmin(t, {
    deps: { now: () => now },
    demandsToken: true,
    tls: {
      certificates: [{ chain: own.cert, key: own.key }],
      minVersion: 'TLSv1.2',
      maxVersion: 'TLSv1.3',
      ciphers: 'TLS_AES_128_GCM_SHA256',
      groups: 'X25519:P-256',
      clients: { roots: root.certificate, revocations: [], isDemanded: true, role: 'read' },
    },
  });
  const agent = new https.Agent({ keepAlive: true, maxSockets: 1 });
  t.after(() => agent.destroy());
  const caller = root.issue({ names: ['x'], notAfter: now + 3_600_000 });
  assert.deepEqual(await ask(admin.port, caller, { agent }), [200]);
  now += 3_700_000;
  assert.deepEqual(await ask(admin.port, caller, { agent }), invalid);
});

// getPeerCertificate of Node 24 ends the process over the first of them.
for (const curve of ['brainpoolP256r1', 'brainpoolP384r1', 'secp256k1', 'secp521r1']) {
  test(`keys on ${curve} end no process, whoever signed for them`, async (t) => {
    const { ask, port } = await start(t);
    for (const { cert, key } of [root.issue({ names: ['x'], curve }), makeSelfSigned({ names: ['x'], curve })]) {
      for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
        const socket = connect({
          port,
          rejectUnauthorized: false,
          cert,
          key,
          minVersion: version,
          maxVersion: version,
          ...(version === 'TLSv1.2' && { ecdhCurve: `${curve}:P-256`, sigalgs: 'ECDSA+SHA256:ECDSA+SHA384' }),
        });
        socket.write('GET /apis HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n');
        socket.on('error', () => undefined).resume();
        await new Promise((resolve) => socket.once('close', resolve));
      }
    }
    assert.deepEqual(await ask(root.issue({ names: ['x'] })), [200]);
  });
}
