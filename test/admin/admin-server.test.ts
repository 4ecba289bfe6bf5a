// What the server does whatever the resource: methods, bodies, browsers, revisions, dry runs, failures.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import http from 'node:http';
import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { test } from 'node:test';
import { createAdminServer } from '../../src/admin/admin-server.ts';
import { PortunusError } from '../../src/lib/errors.ts';
import { startAdmin } from '../support/admin-server.ts';
import { makeSelfSigned } from '../support/certificates.ts';
import { command } from '../support/command.ts';

const { cert, key } = makeSelfSigned({ names: ['a.test'] });
const api = { name: 'n', request_host: 'a.test', upstream_url: 'http://u' };

test('unknown paths, unknown methods and OPTIONS', async (t) => {
  const { send } = await startAdmin(t);
  const unknown = await send('POST', '/nothing', { body: 'x', headers: { 'content-type': 'text/odd' } });
  assert.deepEqual([unknown.status, unknown.body], [404, { message: 'Not found' }]);
  const method = await send('DELETE', '/apis/');
  assert.deepEqual([method.status, method.body], [405, { message: 'Method not allowed' }]);
  assert.equal(method.headers.get('allow'), 'GET, HEAD, OPTIONS, POST, PUT');
  assert.equal((await send('PUT', '/plugins/enabled', { json: {} })).headers.get('allow'), 'GET, HEAD, OPTIONS');
  const options = await send('OPTIONS', '/certificates/x');
  assert.deepEqual([options.status, options.text], [204, '']);
  assert.equal(options.headers.get('access-control-allow-methods'), 'DELETE, GET, HEAD, OPTIONS, PATCH, PUT');
  assert.equal(options.headers.get('access-control-allow-origin'), null);
});

test('HEAD is GET without the body', async (t) => {
  const { send } = await startAdmin(t);
  const [head, get] = [await send('HEAD', '/apis'), await send('GET', '/apis')];
  assert.deepEqual([head.status, head.text], [200, '']);
  assert.equal(head.headers.get('content-length'), get.headers.get('content-length'));
  assert.equal((await send('HEAD', '/apis/x')).status, 404);
});

test('JSON ends with a newline and names the server', async (t) => {
  const { send } = await startAdmin(t);
  for (const path of ['/', '/apis', '/nothing', '/apis/x']) {
    const { text: body, headers } = await send('GET', path);
    assert.ok(body.endsWith('}\n'), path);
    assert.equal(headers.get('server'), 'portunus/0.0.0-test');
    assert.equal(headers.get('content-type'), 'application/json; charset=utf-8');
  }
});

test('bodies that cannot be read are refused by what is wrong with them', async (t) => {
  const { send, store } = await startAdmin(t);
  const post = async (type: string | undefined, body: string, headers = {}) => {
    const { status, body: answer } = await send('POST', '/apis', {
      body: Buffer.from(body),
      headers: { ...(type !== undefined && { 'content-type': type }), ...headers },
    });
    return [status, answer.message];
  };
  const broken = [400, 'Cannot parse JSON body'];
  assert.deepEqual(await post('application/json', '{"a":'), broken);
  assert.deepEqual(await post('application/json', '[]'), broken);
  assert.deepEqual(await post('application/json; charset=utf-8', '"a"'), broken);
  assert.deepEqual(await post('application/json', '{"a":"\u00ff"}'.replace('\u00ff', '') + '\u0000'), broken);
  assert.deepEqual(await post('text/plain', 'a'), [415, 'Unsupported Content-Type']);
  assert.deepEqual(await post(undefined, 'a'), [415, 'Unsupported Content-Type']);
  assert.deepEqual(await post('nonsense', 'a'), [415, 'Unsupported Content-Type']);
  assert.deepEqual(await post('application/json', '{}', { 'content-encoding': 'gzip' }), [
    415,
    'Unsupported Content-Encoding',
  ]);
  assert.match(String((await post('multipart/form-data', 'a'))[1]), /names no boundary/);
  assert.match(String((await post('multipart/form-data; boundary=x', 'a'))[1]), /^Cannot parse multipart body: /);
  assert.equal(await store.revision(), 0);
});

test('a body on GET or DELETE is not looked at', async (t) => {
  const { send, port } = await startAdmin(t);
  await send('POST', '/apis', { json: api });
  const request = http.request({
    port,
    path: '/apis',
    headers: { 'content-type': 'application/json', 'content-length': 4 },
  });
  request.end('{"a"');
  const response = await new Promise<http.IncomingMessage>((resolve) => request.on('response', resolve));
  assert.equal(response.statusCode, 200);
  response.resume();
  const deleted = await send('DELETE', '/apis/n', { body: '{', headers: { 'content-type': 'application/json' } });
  assert.equal(deleted.status, 204);
});

test('a body over the limit is answered 413, even while curl still sends it', async (t) => {
  const { base, send } = await startAdmin(t);
  const big = 'x'.repeat(11 * 1024 * 1024);
  const declared = await send('POST', '/apis', { body: big, headers: { 'content-type': 'application/json' } });
  assert.deepEqual([declared.status, declared.body], [413, { message: 'Payload too large' }]);
  for (const expect of ['Expect:', 'Expect: 100-continue']) {
    for (const encoding of ['X-Nothing: 1', 'Transfer-Encoding: chunked']) {
      const args = [
        '-sS',
        '-o',
        '/dev/null',
        '-w',
        '%{http_code}',
        '-H',
        expect,
        '-H',
        encoding,
        '-H',
        'Content-Type: application/json',
        '--data-binary',
        '@-',
      ];
      const { stdout } = await command('curl', [...args, `${base}/apis`], { input: big });
      assert.equal(stdout, '413', `${expect}, ${encoding}`);
    }
  }
  assert.equal((await send('GET', '/apis')).status, 200);
});

test('what is not HTTP is answered as JSON too', async (t) => {
  const { port, send } = await startAdmin(t);
  const socket = connect(port, '127.0.0.1');
  socket.end('NONSENSE\r\n\r\n');
  assert.match(
    await text(socket),
    /^HTTP\/1\.1 400 Bad Request\r\nServer: portunus\/.*\{"message":"Bad request"\}\n$/s,
  );
  const bad = await send('GET', '/apis/%zz');
  assert.deepEqual([bad.status, Object.keys(bad.body)], [400, ['message']]);
});

test('what a proxy in front may read in another way is refused', async (t) => {
  const { port, store } = await startAdmin(t);
  const sent = JSON.stringify(api);
  const head = (lines: readonly string[]): string => ['POST /apis HTTP/1.1', ...lines, '', ''].join('\r\n');
  const json = 'Content-Type: application/json';
  const host = 'Host: localhost';
  const whole = `Content-Length: ${sent.length}`;
  const chunked = 'Transfer-Encoding: chunked';
  const chunks = `${sent.length.toString(16)}\r\n${sent}\r\n0\r\n\r\n`;
  const cases: Readonly<Record<string, string>> = {
    'two hosts': head([host, 'Host: evil.example.com', json, whole]) + sent,
    'two hosts that are the same': head([host, host, json, whole]) + sent,
    'no host': head([json, whole]) + sent,
    'an absolute target': head([host, json, whole]).replace('/apis', 'http://evil.example.com/apis') + sent,
    'a length and chunks': head([host, json, whole, chunked]) + chunks,
    'two lengths': head([host, json, whole, 'Content-Length: 2']) + sent,
    'a length with a sign': head([host, json, `Content-Length: +${sent.length}`]) + sent,
    'chunked that is not the last coding': head([host, json, 'Transfer-Encoding: chunked, identity']) + chunks,
    'two codings': head([host, json, chunked, 'Transfer-Encoding: identity']) + chunks,
    'chunked in another spelling': head([host, json, 'Transfer-Encoding: xchunked']) + chunks,
    'bare line feeds': head([host, json, whole]).replaceAll('\r\n', '\n') + sent,
    'a space before the colon': head(['Host : localhost', json, whole]) + sent,
    'a folded line': head([host, json, 'X-A: b\r\n c', whole]) + sent,
    'a chunk size with a sign': head([host, json, chunked]) + chunks.replace(/^/, '+'),
  };
  for (const [what, bytes] of Object.entries(cases)) {
    const socket = connect(port, '127.0.0.1');
    const smuggled = 'GET /apis HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n';
    socket.end(bytes + smuggled);
    assert.match(await text(socket), /^HTTP\/1\.1 400 /, what);
  }
  assert.equal(await store.revision(), 0);
});

test('a NUL in a target is refused, in a path and in a query', async (t) => {
  const { port } = await startAdmin(t);
  for (const target of ['/apis/%00', '/apis/a%00b/plugins', '/apis?name=%00', '/portunus/audit?actor=%00']) {
    const answer = await fetch(`http://127.0.0.1:${port}${target}`);
    assert.deepEqual([answer.status, await answer.json()], [400, { message: 'The target has a NUL in it' }], target);
  }
});

test('a write with nonsense behind it is answered as a write, and its connection ends', async (t) => {
  const { port, store } = await startAdmin(t);
  const sent = JSON.stringify(api);
  const head = `POST /apis HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: ${sent.length}\r\n`;
  for (const [at, close] of ['', 'Connection: close\r\n'].entries()) {
    const socket = connect(port, '127.0.0.1');
    const body = sent.replace('"n"', `"${at}"`).replace('a.test', `${at}.test`);
    socket.write(`${head}${close}\r\n${body}h: 77\r\n\r\n{"name"`);
    assert.match(await text(socket), /^HTTP\/1\.1 201 /);
  }
  assert.equal(await store.revision(), 2);
});

interface BrowserCase {
  readonly title: string;
  readonly method?: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly status: number;
}

test('web pages of other origins are kept out, other clients are not', async (t) => {
  const { port, store } = await startAdmin(t, { config: { adminHosts: ['gateway.example.com'] } });
  const json = { 'content-type': 'application/json' };
  const cases: readonly BrowserCase[] = [
    {
      title: 'a name that was made to resolve to loopback',
      headers: { host: `evil.example.com:${port}` },
      status: 403,
    },
    { title: 'the same for a write', method: 'POST', headers: { ...json, host: 'evil.example.com' }, status: 403 },
    { title: 'localhost', headers: { host: `localhost:${port}` }, status: 200 },
    { title: 'an IPv6 address', headers: { host: `[::1]:${port}` }, status: 200 },
    { title: 'a service name without dots', headers: { host: 'portunus:8001' }, status: 200 },
    { title: 'a configured name', headers: { host: 'GATEWAY.example.com.' }, status: 200 },
    {
      title: 'a form of another origin',
      method: 'POST',
      headers: { ...json, origin: 'https://evil.example.com' },
      status: 403,
    },
    { title: 'a sandboxed page', method: 'POST', headers: { ...json, origin: 'null' }, status: 403 },
    {
      title: 'another site by fetch metadata',
      method: 'POST',
      headers: { ...json, 'sec-fetch-site': 'cross-site' },
      status: 403,
    },
    {
      title: 'another port of this host',
      method: 'POST',
      headers: { ...json, origin: 'http://127.0.0.1:1', 'sec-fetch-site': 'same-site' },
      status: 403,
    },
    {
      title: 'its own origin',
      method: 'POST',
      headers: {
        ...json,
        host: `127.0.0.1:${port}`,
        origin: `http://127.0.0.1:${port}`,
        'sec-fetch-site': 'same-origin',
      },
      status: 400,
    },
    { title: 'no browser at all', method: 'POST', headers: json, status: 400 },
  ];
  for (const { title, method = 'GET', headers, status } of cases) {
    const request = http.request({ port, method, path: '/apis', headers });
    request.end(method === 'POST' ? '{}' : undefined);
    const response = await new Promise<http.IncomingMessage>((resolve) => request.on('response', resolve));
    response.resume();
    assert.equal(response.statusCode, status, title);
    assert.equal(response.headers['access-control-allow-origin'], undefined);
  }
  assert.equal(await store.revision(), 0);
});

test('no page of another origin changes anything, by form, fetch or beacon, whatever the type of its body', async (t) => {
  const { port, store, send, refusals } = await startAdmin(t);
  await send('POST', '/apis', { json: api });
  const revision = await store.revision();
  const bodies = {
    'text/plain': JSON.stringify({ ...api, name: 'm' }),
    'application/x-www-form-urlencoded': 'name=m&request_host=m.test&upstream_url=http://u',
    'multipart/form-data; boundary=b':
      '--b\r\nContent-Disposition: form-data; name="name"\r\n\r\nm\r\n--b\r\nContent-Disposition: form-data; name="request_host"\r\n\r\nm.test\r\n--b--\r\n',
    'application/json': JSON.stringify({ ...api, name: 'm' }),
  };
  const marks = [
    { origin: 'https://evil.example.com' },
    { origin: 'null' },
    { origin: `http://127.0.0.1:${port + 1}` },
    { origin: `http://evil.example.com:${port}` },
    { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'no-cors' },
    { 'sec-fetch-site': 'same-site', origin: `http://127.0.0.1:${port}` },
  ];
  let asked = 0;
  for (const [type, body] of Object.entries(bodies)) {
    for (const mark of marks) {
      for (const [method, path] of [
        ['POST', '/apis'],
        ['PUT', '/apis'],
        ['PATCH', '/apis/n'],
        ['DELETE', '/apis/n'],
      ] as const) {
        const headers = { host: `127.0.0.1:${port}`, 'content-type': type, 'content-length': body.length, ...mark };
        const request = http.request({ port, method, path, headers });
        request.end(body);
        const [response] = (await once(request, 'response')) as [http.IncomingMessage];
        response.resume();
        assert.equal(response.statusCode, 403, `${method} ${type} ${JSON.stringify(mark)}`);
        asked += 1;
      }
    }
  }
  assert.equal(refusals.filter((code) => code === 'ADMIN_ORIGIN_REFUSED').length, asked);
  assert.equal(await store.revision(), revision);
});

test('a listener on loopback takes no other names than it was told, though another listener is reached by others', async (t) => {
  const { port, server } = await startAdmin(t);
  const reached = await server.listen({ host: '0.0.0.0', port: 0, demandsToken: false, tls: undefined });
  const status = async (to: number): Promise<number | undefined> => {
    const request = http.request({ port: to, path: '/apis', headers: { host: 'rebound.example.com' } }).end();
    const [response] = (await once(request, 'response')) as [http.IncomingMessage];
    response.resume();
    return response.statusCode;
  };
  assert.equal(await status(port), 403);
  assert.equal(await status(reached), 200);
});

test('with names that were told a node that other machines reach takes no others', async (t) => {
  const { port } = await startAdmin(t, { host: '0.0.0.0', config: { adminHosts: ['gateway.example.com'] } });
  for (const [host, status] of [
    ['gateway.example.com', 200],
    ['other.example.com', 403],
  ] as const) {
    const request = http.request({ port, path: '/apis', headers: { host } }).end();
    const [response] = (await once(request, 'response')) as [http.IncomingMessage];
    response.resume();
    assert.equal(response.statusCode, status);
    assert.equal(response.headers['cache-control'], 'no-store');
    assert.equal(response.headers['x-content-type-options'], 'nosniff');
  }
});

test('a node that other machines reach is called by whatever name they know, but not by foreign pages', async (t) => {
  const { port } = await startAdmin(t, { host: '0.0.0.0' });
  const host = 'gateway.example.com';
  for (const [headers, status] of [
    [{ host }, 200],
    [{ host, origin: 'http://evil.example.com', 'content-type': 'application/json' }, 403],
  ] as const) {
    const request = http.request({ port, method: status === 200 ? 'GET' : 'POST', path: '/apis', headers });
    request.end();
    const response = await new Promise<http.IncomingMessage>((resolve) => request.on('response', resolve));
    response.resume();
    assert.equal(response.statusCode, status);
  }
});

test('a write is answered with its revision once this node has applied it, and says so when it has not', async (t) => {
  const order: string[] = [];
  let applied = true;
  const { send, store } = await startAdmin(t, {
    deps: {
      async whenApplied(revision) {
        await Promise.resolve();
        order.push(`applied ${revision}`);
        return { applied };
      },
    },
  });
  const first = await send('POST', '/apis', { json: api });
  order.push('answered');
  assert.deepEqual(order, ['applied 1', 'answered']);
  assert.deepEqual([first.headers.get('portunus-revision'), first.headers.get('portunus-applied')], ['1', 'yes']);
  applied = false;
  const late = await send('DELETE', '/apis/n');
  assert.deepEqual([late.status, late.headers.get('portunus-applied')], [204, 'no']);
  assert.match(late.headers.get('warning') ?? '', /^299 portunus "revision 2 is stored, but not every worker/);
  const changes = await store.changesSince(0, 10);
  assert.ok(
    changes.every(({ actor }) => actor === 'admin:127.0.0.1'),
    JSON.stringify(changes),
  );
});

test('a dry run gives the same errors, a report, and writes nothing', async (t) => {
  const { send, store, uploads } = await startAdmin(t);
  await send('POST', '/apis', { json: api });
  for (const [path, json] of [
    ['/apis/n/plugins', { name: 'ssl', config: { cert, key } }],
    ['/certificates', { cert, key, snis: ['b.test'] }],
  ] as const) {
    const { status, body, headers } = await send('POST', `${path}?dry_run=true`, { json });
    assert.deepEqual([status, body.dry_run, body.would_answer], [200, true, 201]);
    assert.deepEqual(body.certificates[0].dns_names, ['a.test']);
    assert.ok(body.warnings.some(({ code }: { code: string }) => code === 'CERTIFICATE_SELF_SIGNED'));
    assert.deepEqual([body.repairs, headers.get('portunus-revision')], [[], null]);
    const { key: _key, ...keyless } = { key: '', ...json };
    const refused = await send('POST', `${path}?dry_run`, {
      json: { ...keyless, ...('config' in json && { config: {} }) },
    });
    assert.equal(refused.status, 400);
  }
  const odd = await send('POST', '/certificates?dry_run=perhaps', { json: { cert, key } });
  assert.deepEqual(odd.body.fields, { dry_run: 'must be true or false' });
  const misspelt = await send('POST', '/certificates?dryrun=true', { json: { cert, key } });
  assert.deepEqual([misspelt.status, misspelt.body.fields], [400, { dryrun: 'unknown query parameter' }]);
  assert.match(misspelt.body.hint, /dry_run, force, wait/);
  assert.deepEqual([await store.revision(), uploads], [1, []]);
});

test('an expired certificate is refused, and taken with force', async (t) => {
  const { send } = await startAdmin(t);
  const old = makeSelfSigned({ names: ['a.test'], notBefore: Date.now() - 9e9, notAfter: Date.now() - 1e9 });
  const json = { cert: old.cert, key: old.key, snis: ['a.test'] };
  const refused = await send('POST', '/certificates', { json });
  assert.deepEqual([refused.status, refused.body.reason], [400, 'CERTIFICATE_EXPIRED']);
  const forced = await send('POST', '/certificates?force=true', { json });
  assert.equal(forced.status, 201);
  assert.match(forced.headers.get('warning') ?? '', /CERTIFICATE_EXPIRED|expired/);
});

test('the RSA floor is the configured one', async (t) => {
  const small = makeSelfSigned({ names: ['a.test'], keyType: 'rsa', bits: 1024 });
  const json = { cert: small.cert, key: small.key };
  const strict = await startAdmin(t);
  assert.equal((await strict.send('POST', '/certificates', { json })).body.reason, 'KEY_TOO_WEAK');
  const lax = await startAdmin(t, { config: { sslMinRsaBits: 1024 } });
  assert.equal((await lax.send('POST', '/certificates', { json })).status, 201);
});

test('uploads are counted by result', async (t) => {
  const { send, uploads } = await startAdmin(t);
  await send('POST', '/certificates', { json: { cert, key, snis: ['a.test'] } });
  await send('PATCH', '/certificates/a.test', { json: { tags: ['x'] } });
  await send('POST', '/certificates', { json: { cert, key: 'x' } });
  await send('POST', '/certificates', { json: {} });
  assert.deepEqual(uploads, [
    ['accepted', undefined],
    ['refused', 'KEY_UNREADABLE'],
  ]);
});

test('failures of the inside are logged and not shown', async (t) => {
  const failing = await startAdmin(t, {
    deps: {
      status: () => Promise.reject(new Error('secret detail')),
      now: () => {
        throw new PortunusError('STORE_UNAVAILABLE', 'disk /secret/path is full');
      },
    },
  });
  const status = await failing.send('GET', '/status');
  assert.deepEqual([status.status, status.body], [500, { message: 'An unexpected error occurred' }]);
  const write = await failing.send('POST', '/apis', { json: api });
  assert.equal(write.status, 503);
  assert.ok(!write.text.includes('secret'));
  assert.equal(failing.errors.length, 2);
});

test('a stored write is answered as stored even when waiting for it fails', async (t) => {
  const { send, errors } = await startAdmin(t, {
    deps: { whenApplied: () => Promise.reject(new Error('pipe broke')) },
  });
  const { status, headers } = await send('POST', '/apis', { json: api });
  assert.deepEqual([status, headers.get('portunus-revision'), headers.get('portunus-applied')], [201, '1', 'no']);
  assert.equal(errors.length, 1);
});

test('of 50 writes for one name at once exactly one wins', async (t) => {
  const { send, store } = await startAdmin(t);
  const { body } = await send('POST', '/certificates', { json: { cert, key } });
  for (const once of [
    () => send('POST', '/certificates', { json: { cert, key, snis: ['race.test'] } }),
    () => send('POST', '/snis', { json: { name: 'other.test', certificate: { id: body.id } } }),
    () => send('POST', '/apis', { json: { ...api, request_host: 'race.test' } }),
  ]) {
    const before = await store.revision();
    const answers = await Promise.all(Array.from({ length: 50 }, once));
    const statuses = answers.map(({ status }) => status);
    assert.equal(statuses.filter((status) => status === 201).length, 1, String(statuses));
    assert.ok(statuses.every((status) => [201, 400, 409].includes(status)));
    assert.equal(await store.revision(), before + 1);
  }
});

test('closing lets a request in flight finish, and a server that never listened closes too', async (t) => {
  let answer: (() => void) | undefined;
  const admin = await startAdmin(t, { deps: { status: () => new Promise((resolve) => (answer = () => resolve({}))) } });
  const pending = admin.send('GET', '/status');
  while (answer === undefined) await new Promise(setImmediate);
  answer();
  assert.equal((await pending).status, 200);
  const { store, sealer } = admin;
  const idle = await createAdminServer({
    store,
    tokens: store.tokens,
    sealer,
    config: {
      adminAuthFailuresMax: 1,
      adminBodyMaxBytes: 1,
      adminPrivateKeys: 'sealed',
      adminHosts: [],
      sslMinRsaBits: 2048,
      trustedIpsConfigured: false,
    },
    whenApplied: async () => ({ applied: true }),
    whenAppliedByAll: async (revision) => ({ revision, applied: [], lagging: [], known: true }),
    nodes: async () => [],
    storeTrouble: () => undefined,
    status: async () => ({}),
    countRefusal: () => undefined,
    countUpload: () => undefined,
    log: { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined },
    now: Date.now,
    version: '0',
  });
  await idle.close();
  await idle.close();
});

test('clients that say nothing do not hold up its end', async (t) => {
  const { port, base, server } = await startAdmin(t);
  const silent = connect(port, '127.0.0.1');
  await once(silent, 'connect');
  assert.equal((await fetch(`${base}/apis`)).status, 200);
  silent.resume();
  await Promise.all([once(silent, 'close'), server.close()]);
});
