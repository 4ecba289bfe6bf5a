// What was proved for one host is nothing for another: other names on one connection, sessions, rules that change while
// connections are open, and every way to name a host.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { suite, test } from 'node:test';
import { makeAuthority } from '../support/certificates.ts';
import {
  connectHttp2,
  connectPlain,
  connectTls,
  optional,
  required,
  type RunningDataPlane,
  startDataPlane,
} from '../support/data-plane.ts';
import { sClient } from '../support/tls-acceptor.ts';
import { until } from '../support/until.ts';

const rootA = makeAuthority();
const rootB = makeAuthority();
const alice = rootA.issue({ names: [], commonName: 'Alice' });
const bob = rootB.issue({ names: [], commonName: 'Bob' });
const [a, b, open] = ['a.test', 'b.test', 'open.test'];

/** a.test and b.test with an authority each, open.test without; one certificate for all, as with a wildcard. */
async function threeHosts(settings: Readonly<Record<string, string>> = {}): Promise<RunningDataPlane> {
  const plane = await startDataPlane({ settings });
  await plane.serve(a, b, open);
  await plane.authority('A', rootA);
  await plane.authority('B', rootB);
  for (const host of [a, b, open]) await plane.api(host);
  await plane.policy(a, { clientCertificate: required(['A']) });
  await plane.policy(b, { clientCertificate: required(['B']) });
  return plane;
}

suite('a request for another host than the connection began with', () => {
  const cases = [
    ['a certificate of A', a, alice, b, 421],
    ['a certificate of A', a, alice, open, 200],
    ['no certificate', open, undefined, a, 421],
    ['a certificate nobody asked for', open, alice, a, 421],
    ['no name in the ClientHello', undefined, alice, a, 421],
    ['no name in the ClientHello', undefined, undefined, open, 200],
    ['a name that nobody has', 'nobody.test', alice, a, 421],
    ['a certificate of B that A does not know', a, bob, a, 403],
    ['a certificate of B that A does not know', a, bob, b, 421],
    ['its own certificate', a, alice, a, 200],
  ] as const;
  for (const [what, sni, certificate, host, status] of cases) {
    test(`${sni ?? 'no name'} with ${what}, then ${host}: ${status}`, async () => {
      await using plane = await threeHosts();
      using http1 = await connectTls(plane.tlsPort, { sni, certificate });
      const answer = await http1.get(host);
      assert.equal(answer.status, status);
      assert.equal(answer.field('connection'), status === 421 ? 'close' : undefined);
      if (status === 421) {
        assert.deepEqual([answer.json.code, answer.json.hint], ['CONNECTION_NOT_PROVEN', 'not-asked']);
        await http1.rest();
      }
      using http2 = await connectHttp2(plane.tlsPort, { sni, certificate });
      assert.equal((await http2.get(host)).status, status);
      if (status !== 200) assert.equal(plane.upstreamRequests(), 0);
      // A stream that was misdirected ends nothing else.
      assert.equal((await http2.get(open)).status, 200);
    });
  }

  test('what one host let in is not told to the upstream of another that did not ask', async () => {
    await using plane = await threeHosts();
    using client = await connectTls(plane.tlsPort, { sni: a, certificate: alice });
    assert.equal((await client.get(a)).json.headers?.['x-client-cert-dn'], 'CN=Alice');
    const { json } = await client.get(open);
    assert.equal(json.headers?.['x-client-cert-dn'], undefined);
    assert.equal(json.headers?.['client-cert'], undefined);
  });

  test('hosts with one authority share a connection, each by its own rule', async () => {
    await using plane = await threeHosts();
    await plane.policy(b, { clientCertificate: required(['A'], 0) });
    const between = rootA.intermediate();
    using http2 = await connectHttp2(plane.tlsPort, {
      sni: a,
      certificate: between.issue({ names: [], commonName: 'x' }),
    });
    assert.equal((await http2.get(a)).status, 200);
    assert.deepEqual((await http2.get(b)).json.hint, 'too-deep');
    using direct = await connectHttp2(plane.tlsPort, { sni: a, certificate: alice });
    for (const host of [a, b, a]) assert.equal((await direct.get(host)).status, 200);
  });

  test('a rule that one of its authorities satisfies does not ask for the others; one that none does, does', async () => {
    await using plane = await threeHosts();
    await plane.policy(b, { clientCertificate: required(['A', 'B']) });
    using known = await connectTls(plane.tlsPort, { sni: a, certificate: alice });
    assert.equal((await known.get(b)).status, 200);
    using unknown = await connectTls(plane.tlsPort, { sni: a });
    assert.equal((await unknown.get(b)).status, 421);
    await plane.policy(b, { clientCertificate: optional(['A', 'B']) });
    using anonymous = await connectTls(plane.tlsPort, { sni: a });
    assert.equal((await anonymous.get(b)).status, 421, 'it may have had one of B');
    using asked = await connectTls(plane.tlsPort, { sni: b });
    assert.equal((await asked.get(b)).status, 200);
  });
});

test('the rule of an API for any host, or for a domain, is asked for under every name that leads to it', async () => {
  await using plane = await threeHosts();
  await plane.api('any', { hosts: [], uris: ['/any'], methods: [], clientCertificate: required(['A']) });
  await plane.api('wide', { hosts: ['*.test'], uris: ['/wide'], clientCertificate: required(['B']) });
  for (const [sni, target, certificate, status] of [
    ['free.test', '/any', alice, 200],
    ['free.test', '/any', undefined, 403],
    ['free.test', '/any', bob, 403],
    [undefined, '/any', alice, 200],
    [open, '/wide', bob, 200],
    ['x.y.test', '/wide', bob, 200],
    ['x.y.test', '/any', bob, 403],
    [undefined, '/wide', bob, 421],
  ] as const) {
    using client = await connectTls(plane.tlsPort, { sni, certificate });
    assert.equal((await client.get(sni ?? 'free.test', target)).status, status, `${sni} ${target}`);
  }
  // No spelling of the path leads past the rule to another API that serves it.
  await plane.api('rest', { hosts: [], uris: ['/'] });
  const spellings = [
    '/any',
    '/any/',
    '/any?x',
    '/%61ny',
    '/%61%6Ey/x',
    '/any;x',
    '/any%2Fx',
    '/x/%2e%2e/any',
    '/./any',
  ];
  for (const target of spellings) {
    using anonymous = await connectTls(plane.tlsPort, { sni: 'free.test' });
    assert.ok([400, 403].includes((await anonymous.get('free.test', target)).status), target);
  }
});

suite('every way to name a protected host', () => {
  const heads = [
    ['its port', `GET / HTTP/1.1\r\nHost: ${a}:8443\r\n\r\n`],
    ['a trailing dot', `GET / HTTP/1.1\r\nHost: ${a}.\r\n\r\n`],
    ['upper case', `GET / HTTP/1.1\r\nHost: A.TEST\r\n\r\n`],
    ['an absolute target', `GET http://${a}/ HTTP/1.1\r\nHost: ${a}\r\n\r\n`],
    ['an absolute target and HTTP/1.0', `GET https://A.test./ HTTP/1.0\r\n\r\n`],
    ['an absolute target that Host denies', `GET http://${a}/ HTTP/1.1\r\nHost: ${open}\r\n\r\n`],
    ['a Host that the target denies', `GET http://${open}/ HTTP/1.1\r\nHost: ${a}\r\n\r\n`],
    ['two Hosts', `GET / HTTP/1.1\r\nHost: ${open}\r\nHost: ${a}\r\n\r\n`],
    ['OPTIONS for the whole server', `OPTIONS * HTTP/1.1\r\nHost: ${a}\r\n\r\n`],
    ['a path with an authority', `GET //${a}/ HTTP/1.1\r\nHost: ${a}\r\n\r\n`],
    ['a body', `POST / HTTP/1.1\r\nHost: ${a}\r\nContent-Length: 5\r\n\r\nhello`],
    ['a body that waits', `POST / HTTP/1.1\r\nHost: ${a}\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n`],
    ['X-Forwarded-Host', `GET / HTTP/1.1\r\nHost: ${a}\r\nX-Forwarded-Host: ${open}\r\n\r\n`],
  ] as const;
  for (const [what, head] of heads) {
    test(`${what} lets nobody in`, async () => {
      await using plane = await threeHosts();
      for (const sni of [open, a, undefined]) {
        using client = await connectTls(plane.tlsPort, { sni });
        client.send(head);
        const { status } = await client.answer();
        assert.ok(status === 400 || status === (sni === a ? 403 : 421), `${sni}: ${status}`);
      }
      using plain = await connectPlain(plane.plainPort);
      plain.send(head);
      assert.ok([400, 403].includes((await plain.answer()).status));
      assert.equal(plane.upstreamRequests(), 0);
    });
  }

  for (const [what, headers] of [
    ['a port', { ':authority': `${a}:443` }],
    ['upper case', { ':authority': 'A.Test' }],
    ['a trailing dot', { ':authority': `${a}.` }],
    ['another scheme', { ':scheme': 'http' }],
    ['a host beside it', { host: open }],
  ] as const) {
    test(`:authority with ${what} lets nobody in`, async () => {
      await using plane = await threeHosts();
      using client = await connectHttp2(plane.tlsPort, { sni: open });
      assert.ok([400, 421].includes((await client.get(a, '/', headers)).status));
      assert.equal(plane.upstreamRequests(), 0);
    });
  }

  test('a wildcard policy is that of the names it stands for, and one of their own takes its place', async () => {
    await using plane = await startDataPlane();
    await plane.serve('*.w.test');
    await plane.authority('A', rootA);
    for (const host of ['x.w.test', 'y.w.test']) await plane.api(host);
    await plane.policy('*.w.test', { clientCertificate: required(['A']) });
    await plane.policy('y.w.test', {});
    using client = await connectTls(plane.tlsPort, { sni: 'x.w.test' });
    assert.equal((await client.get('x.w.test')).status, 403);
    assert.equal((await client.get('y.w.test')).status, 200);
    // As for APIs, whose wildcards stand for one label or more.
    await plane.api('deep', { hosts: ['*.w.test', 'w.*'] });
    await plane.policy('w.*', { clientCertificate: required(['A']) });
    for (const host of ['b.a.w.test', 'w.co.test']) {
      using deep = await connectTls(plane.tlsPort, { sni: host });
      assert.equal((await deep.get(host)).status, 403);
      using fronted = await connectTls(plane.tlsPort, { sni: 'elsewhere.test' });
      assert.equal((await fronted.get(host)).status, 421);
    }
    await plane.policy('*', { clientCertificate: required(['A']) });
    using nameless = await connectTls(plane.tlsPort, { sni: undefined, certificate: alice });
    assert.equal((await nameless.get('127.0.0.1')).status, 404);
    using anonymous = await connectTls(plane.tlsPort, { sni: undefined });
    for (const host of ['127.0.0.1', '[::1]', 'elsewhere.test']) assert.equal((await anonymous.get(host)).status, 403);
    using old = await connectTls(plane.tlsPort, { sni: undefined });
    old.send('GET / HTTP/1.0\r\n\r\n');
    assert.equal((await old.answer()).status, 403);
  });
});

suite('sessions', () => {
  for (const version of ['-tls1_2', '-tls1_3'] as const) {
    for (const tickets of ['on', 'off']) {
      test(`${version.slice(1)}, tickets ${tickets}: none of an open host, or of another protected one, resumes where a certificate is asked for`, async () => {
        await using plane = await threeHosts({ ssl_session_tickets: tickets });
        await plane.policy('second.test', { clientCertificate: required(['A']) });
        const directory = await mkdtemp(path.join(tmpdir(), 'portunus-sessions-'));
        try {
          const file = (name: string) => path.join(directory, name);
          await writeFile(file('cert'), alice.chain);
          await writeFile(file('key'), alice.key);
          const asAlice = ['-cert', file('cert'), '-key', file('key')];
          const ask = (sni: string, host: string, ...options: string[]): Promise<string> =>
            sClient(plane.tlsPort, [version, '-servername', sni, ...options], getAndClose(host));
          for (const [name, sni, proof] of [
            ['open', open, []],
            ['proven', a, asAlice],
            ['refused', a, []],
          ] as const) {
            await ask(sni, sni, '-sess_out', file(name), ...proof);
          }
          for (const [name, sni, status] of [
            ['open', a, 403],
            ['open', b, 403],
            ['proven', a, 403],
            ['proven', b, 403],
            ['refused', a, 403],
            ['proven', open, 200],
          ] as const) {
            const session = await readFile(file(name)).catch(() => undefined);
            if (session === undefined || session.length === 0) continue;
            const output = await ask(sni, sni, '-sess_in', file(name));
            if (sni !== open) assert.match(output, /^New, /m, `${name} at ${sni}`);
            assert.match(output, new RegExp(`HTTP/1.1 ${status} `), `${name} at ${sni}`);
            // What resumed, if anything did, proved nothing for the others.
            assert.match(await ask(open, a, '-sess_in', file(name)), /HTTP\/1.1 421 /);
          }
          const { handshakes } = plane.plane.report().counters;
          const resumed = handshakes.filter((each) => each.resumed).reduce((sum, { count }) => sum + count, 0);
          assert.equal(resumed > 0, tickets === 'on', 'an open host resumes its own');
        } finally {
          await rm(directory, { recursive: true });
        }
      });
    }

    test(`${version.slice(1)}: a session from before the rule does not resume into it, nor one under other versions or ciphers`, async () => {
      await using plane = await threeHosts();
      const directory = await mkdtemp(path.join(tmpdir(), 'portunus-sessions-'));
      try {
        const file = path.join(directory, 'session');
        const ask = (...options: string[]): Promise<string> =>
          sClient(plane.tlsPort, [version, '-servername', open, ...options], getAndClose(open));
        await ask('-sess_out', file);
        assert.match(await ask('-sess_in', file), /^Reused, /m);
        for (const fields of [
          { clientCertificate: required(['A']) },
          { clientCertificate: null, minVersion: 'TLSv1.2' },
          { minVersion: null, ciphers: 'TLS_AES_256_GCM_SHA384:ECDHE-ECDSA-AES256-GCM-SHA384' },
        ] as const) {
          await plane.policy(open, fields);
          assert.match(await ask('-sess_in', file), /^New, /m, JSON.stringify(fields));
        }
        await plane.policy(open, null);
        assert.match(await ask('-sess_in', file), /^Reused, /m);
      } finally {
        await rm(directory, { recursive: true });
      }
    });
  }
});

suite('connections that are open', () => {
  test('a rule that is set holds for the next request; one that is taken away lets it in', async () => {
    await using plane = await threeHosts();
    using http1 = await connectTls(plane.tlsPort, { sni: open, certificate: alice });
    using http2 = await connectHttp2(plane.tlsPort, { sni: open, certificate: alice });
    for (const each of [http1, http2]) assert.equal((await each.get(open)).status, 200);
    await plane.policy(open, { clientCertificate: required(['A']) });
    assert.equal((await http2.get(open)).status, 421);
    assert.equal((await http1.get(open)).status, 421);
    using again = await connectTls(plane.tlsPort, { sni: open, certificate: alice });
    assert.equal((await again.get(open)).json.headers?.['x-client-cert-dn'], 'CN=Alice');
    await plane.policy(open, null);
    assert.equal((await http2.get(open)).status, 200);
    assert.equal((await again.get(open)).json.headers?.['x-client-cert-dn'], undefined);
  });

  test('the rule of an API holds for the next request on its path', async () => {
    await using plane = await threeHosts();
    using http1 = await connectTls(plane.tlsPort, { sni: open, certificate: alice });
    await plane.api('inner', { hosts: [open], uris: ['/inner'], clientCertificate: required(['A']) });
    assert.equal((await http1.get(open)).status, 200);
    assert.equal((await http1.get(open, '/inner')).status, 421);
    using again = await connectTls(plane.tlsPort, { sni: open, certificate: alice });
    assert.equal((await again.get(open, '/inner')).status, 200);
  });

  test('an authority that a rule no longer names lets nobody in, and one that is new is asked for', async () => {
    await using plane = await threeHosts();
    using http2 = await connectHttp2(plane.tlsPort, { sni: a, certificate: alice });
    assert.equal((await http2.get(a)).status, 200);
    await plane.policy(a, { clientCertificate: required(['B']) });
    assert.equal((await http2.get(a)).status, 421);
    using foreign = await connectTls(plane.tlsPort, { sni: a, certificate: alice });
    assert.equal((await foreign.get(a)).status, 403);
    using known = await connectTls(plane.tlsPort, { sni: a, certificate: bob });
    assert.equal((await known.get(a)).status, 200);
  });

  test('an authority that becomes another certificate is another authority', async () => {
    await using plane = await threeHosts();
    using client = await connectTls(plane.tlsPort, { sni: a, certificate: alice });
    assert.equal((await client.get(a)).status, 200);
    await plane.authority('A', makeAuthority());
    assert.equal((await client.get(a)).status, 421);
    using again = await connectTls(plane.tlsPort, { sni: a, certificate: alice });
    assert.equal((await again.get(a)).status, 403);
  });
});

suite('WebSockets', () => {
  const upgrade =
    'Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: eA==\r\nSec-WebSocket-Version: 13\r\n';

  test('by Upgrade: with a certificate, and not without', async () => {
    await using upstream = await startSwitching();
    await using plane = await threeHosts();
    await plane.api(a, { upstreamUrl: upstream.url });
    for (const [sni, certificate, status] of [
      [a, undefined, 403],
      [open, undefined, 421],
    ] as const) {
      using client = await connectTls(plane.tlsPort, { sni, certificate });
      assert.equal((await client.get(a, '/', upgrade)).status, status);
    }
    assert.equal(upstream.upgrades.length, 0);
    using proven = await connectTls(plane.tlsPort, { sni: a, certificate: alice });
    proven.send(`GET / HTTP/1.1\r\nHost: ${a}\r\n${upgrade}\r\n`);
    assert.match(await proven.take('\r\n\r\n'), /^HTTP\/1.1 101 /);
    assert.equal(upstream.upgrades[0]?.headers['x-client-cert-dn'], 'CN=Alice');
    proven.send('echo');
    await proven.take('echo');
  });

  test('by extended CONNECT: with a certificate, and not without', async () => {
    await using upstream = await startSwitching();
    await using plane = await threeHosts();
    await plane.api(a, { upstreamUrl: upstream.url });
    for (const [sni, certificate, status] of [
      [a, undefined, 403],
      [open, undefined, 421],
      [a, alice, 200],
    ] as const) {
      using client = await connectHttp2(plane.tlsPort, { sni, certificate });
      if (!client.session.remoteSettings.enableConnectProtocol) await once(client.session, 'remoteSettings');
      const stream = client.session.request({
        ':method': 'CONNECT',
        ':protocol': 'websocket',
        ':scheme': 'https',
        ':path': '/',
        ':authority': a,
        'sec-websocket-version': '13',
      });
      stream.on('error', () => {});
      const [headers] = (await once(stream, 'response')) as [Record<string, number>];
      assert.equal(headers[':status'], status);
      stream.destroy();
    }
    await until('the upstream has seen it', () => upstream.upgrades.length === 1);
    assert.equal(upstream.upgrades[0]?.headers['x-client-cert-dn'], 'CN=Alice');
  });
});

test('behind the PROXY protocol a certificate is asked for and judged as without it', async () => {
  await using plane = await threeHosts({
    proxy_listen: '127.0.0.1:0 http2, 127.0.0.1:0 ssl http2 proxy_protocol',
    trusted_ips: '127.0.0.1',
  });
  for (const [sni, certificate, status] of [
    [a, alice, 200],
    [a, undefined, 403],
    [a, bob, 403],
    [open, alice, 421],
  ] as const) {
    const socket = (await connectPlain(plane.tlsPort)).socket;
    socket.removeAllListeners('data');
    socket.write('PROXY TCP4 192.0.2.1 192.0.2.2 1234 443\r\n');
    using client = await connectTls(plane.tlsPort, { sni, certificate, tls: { socket } });
    const answer = await client.get(a);
    assert.equal(answer.status, status);
    if (status === 200) assert.equal(answer.json.headers?.['x-real-ip'], '192.0.2.1');
  }
});

suite('TLS settings of a host', () => {
  test('a host may ask for a later version than others, in the handshake and for each request', async () => {
    await using plane = await threeHosts();
    await plane.policy(open, { minVersion: 'TLSv1.3' });
    await assert.rejects(connectTls(plane.tlsPort, { sni: open, version: 'TLSv1.2' }), /protocol version|PROTOCOL/i);
    await plane.policy(a, null);
    using old = await connectTls(plane.tlsPort, { sni: a, version: 'TLSv1.2' });
    assert.equal((await old.get(a)).status, 200);
    const { status, json } = await old.get(open);
    assert.deepEqual([status, json.code, json.hint], [421, 'CONNECTION_NOT_PROVEN', 'version']);
    using late = await connectTls(plane.tlsPort, { sni: a, version: 'TLSv1.3' });
    assert.equal((await late.get(open)).status, 200);
  });

  test('a host may allow an earlier version than others, and no request of others goes through it', async () => {
    await using plane = await threeHosts({ ssl_protocols: 'TLSv1.3' });
    await plane.policy(open, { minVersion: 'TLSv1.2' });
    await plane.policy(a, null);
    using old = await connectTls(plane.tlsPort, { sni: open, version: 'TLSv1.2' });
    assert.equal((await old.get(open)).status, 200);
    assert.equal((await old.get(a)).json.hint, 'version');
    await assert.rejects(connectTls(plane.tlsPort, { sni: a, version: 'TLSv1.2' }));
  });

  test('a host’s ciphers are negotiated, and its requests come over no others', async () => {
    await using plane = await threeHosts();
    const only = 'TLS_CHACHA20_POLY1305_SHA256:ECDHE-ECDSA-CHACHA20-POLY1305';
    await plane.policy(open, { ciphers: only });
    await plane.policy(a, null);
    for (const [version, name] of [
      ['TLSv1.2', 'ECDHE-ECDSA-CHACHA20-POLY1305'],
      ['TLSv1.3', 'TLS_CHACHA20_POLY1305_SHA256'],
    ] as const) {
      using client = await connectTls(plane.tlsPort, { sni: open, version });
      assert.equal(client.tls.getCipher().name, name);
      assert.equal((await client.get(open)).status, 200);
      using other = await connectTls(plane.tlsPort, { sni: a, version });
      assert.notEqual(other.tls.getCipher().name, name);
      assert.equal((await other.get(open)).json.hint, 'ciphers');
    }
    await assert.rejects(
      connectTls(plane.tlsPort, { sni: open, version: 'TLSv1.2', tls: { ciphers: 'ECDHE-ECDSA-AES128-GCM-SHA256' } }),
    );
    using other = await connectTls(plane.tlsPort, { sni: a });
    assert.equal((await other.get(a)).status, 200);
  });

  test('settings that cannot be used fail for their own names alone, and say so', async () => {
    await using plane = await threeHosts({ ssl_protocols: 'TLSv1.2' });
    await plane.policy(open, { minVersion: 'TLSv1.3' });
    await assert.rejects(connectTls(plane.tlsPort, { sni: open }));
    assert.match(JSON.stringify(plane.errors), /"minVersion":"TLSv1.3"/);
    assert.equal(plane.plane.report().unusableCertificates.length, 1);
    using other = await connectTls(plane.tlsPort, { sni: a, certificate: alice });
    assert.equal((await other.get(a)).status, 200);
    await plane.policy(open, null);
    using again = await connectTls(plane.tlsPort, { sni: open });
    assert.equal((await again.get(open)).status, 200);
    assert.deepEqual(plane.plane.report().unusableCertificates, []);
  });
});

test('a policy that cannot be read keeps everybody out of its host, and nobody else', async () => {
  await using plane = await threeHosts();
  plane.damagePolicy(a);
  using client = await connectTls(plane.tlsPort, { sni: a, certificate: alice });
  assert.equal((await client.get(a)).status, 403);
  using other = await connectTls(plane.tlsPort, { sni: b, certificate: bob });
  assert.equal((await other.get(b)).status, 200);
});

test('more authorities than a handshake has room for: those that fit are asked for, and the rest says 421', async () => {
  await using plane = await startDataPlane();
  await plane.serve(open);
  const many = Array.from({ length: 110 }, () => makeAuthority());
  for (const [index, authority] of many.entries()) {
    const id = `many-${String(index).padStart(3, '0')}`;
    await plane.authority(id, authority);
    await plane.api(id, { hosts: [open], uris: [`/${index}`], clientCertificate: required([id]) });
  }
  using first = await connectTls(plane.tlsPort, { sni: open, certificate: many[0]?.issue({ names: ['x'] }) });
  assert.equal((await first.get(open, '/0')).status, 200);
  using last = await connectTls(plane.tlsPort, { sni: open, certificate: many.at(-1)?.issue({ names: ['x'] }) });
  assert.equal((await last.get(open, `/${many.length - 1}`)).status, 421);
  assert.match(JSON.stringify(plane.errors), /"authorities":110,"asked":100/);
});

test('names of authorities that fill a handshake are cut where they would break it', async () => {
  for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
    await using plane = await startDataPlane();
    await plane.serve(open);
    await plane.api(open);
    const ids = Array.from({ length: 16 }, (_, index) => `long-${String(index).padStart(2, '0')}`);
    const long = ids.map(() => makeAuthority({ commonName: `${'雪'.repeat(1500)} ${Math.random()}` }));
    for (const [index, id] of ids.entries()) await plane.authority(id, long[index] ?? rootA);
    await plane.policy(open, { clientCertificate: required(ids) });
    const known = long[0]?.issue({ names: ['x'] });
    using client = await connectTls(plane.tlsPort, { sni: open, certificate: known, version });
    assert.equal((await client.get(open)).status, 200);
    assert.match(JSON.stringify(plane.errors), /"authorities":16,"asked":7/);
  }
});

function getAndClose(host: string): string {
  return `GET / HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`;
}

/** Changes protocol whenever it is asked to, and sends back what it hears. */
async function startSwitching() {
  const upgrades: IncomingMessage[] = [];
  const server = createServer((_request, response) => response.end());
  server.on('upgrade', (request, socket: Socket) => {
    upgrades.push(request);
    socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n');
    socket.on('error', () => {});
    socket.pipe(socket);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    upgrades,
    [Symbol.asyncDispose]: async () => {
      server.close();
      server.closeAllConnections();
      await once(server, 'close').catch(() => undefined);
    },
  };
}
