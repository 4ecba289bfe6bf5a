import assert from 'node:assert/strict';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { once } from 'node:events';
import { after, test } from 'node:test';
import { connect as connectTls } from 'node:tls';
import { makeAuthority, makeSelfSigned } from '../support/certificates.ts';
import {
  ask,
  askInVain,
  fakeCatalog,
  fingerprintOf,
  makeRecord,
  sClient,
  startAcceptor,
  type FakeCatalog,
} from '../support/tls-acceptor.ts';
import { until } from '../support/until.ts';

const authority = makeAuthority();
const issued = (name: string, keyType: 'ec' | 'rsa' = 'ec') => authority.issue({ names: [name], keyType });

const plain = {
  exact: issued('shop.example.com'),
  wild: issued('*.example.com'),
  suffix: issued('shop.example.net'),
  any: issued('any.test'),
  standard: issued('default.test'),
};

const running = await startAcceptor({ catalog: everything() });
after(() => running[Symbol.asyncDispose]());

function everything(): FakeCatalog {
  const catalog = fakeCatalog();
  catalog.bind('shop.example.com', makeRecord('exact', [plain.exact]));
  catalog.bind('*.example.com', makeRecord('wild', [plain.wild]));
  catalog.bind('shop.example.*', makeRecord('suffix', [plain.suffix]));
  catalog.bind('*', makeRecord('any', [plain.any]));
  catalog.standard = makeRecord('standard', [plain.standard]);
  return catalog;
}

test('each name gets its own certificate', async () => {
  const cases = [
    ['shop.example.com', plain.exact],
    ['cart.example.com', plain.wild],
    ['shop.example.org', plain.suffix],
    ['a.b.example.com', plain.any],
    ['elsewhere.test', plain.any],
  ] as const;
  for (const [servername, { cert }] of cases) {
    const answer = await ask(running.port, { servername });
    assert.equal(answer.fingerprint, fingerprintOf(cert), servername);
    assert.equal(answer.serverName, servername);
  }
});

test('a name in capitals or with a trailing dot is the same name', async () => {
  for (const servername of ['SHOP.Example.COM', 'shop.example.com.']) {
    const output = await sClient(running.port, ['-servername', servername]);
    assert.match(output, /CN = shop\.example\.com/);
    assert.match(output, /"serverName":"shop\.example\.com"/);
  }
});

test('no name, or one that is no host name, gets the default certificate', async () => {
  for (const sni of [
    ['-noservername'],
    ['-servername', '127.0.0.1'],
    ['-servername', 'a b'],
    ['-servername', 'a..b'],
  ]) {
    const output = await sClient(running.port, sni);
    assert.match(output, /CN = default\.test/, sni.join(' '));
    assert.match(output, /"serverName":null/);
  }
});

test('a server name longer than TLS allows, or with NUL in it, ends the handshake and harms nobody', async () => {
  for (const name of ['x'.repeat(10_000), 'a\0b']) {
    assert.deepEqual([...(await exchange(running.port, helloNamed(name)))].slice(-2), [2, 112]);
  }
  assert.notDeepEqual([...(await exchange(running.port, helloNamed('a b'), 22))].slice(0, 1), [21]);
  assert.equal((await ask(running.port, { servername: 'shop.example.com' })).serverName, 'shop.example.com');
});

test('a pair of keys serves each client what it can verify', async () => {
  const intermediate = { ec: makeAuthority().intermediate(), rsa: makeAuthority().intermediate() };
  const ec = intermediate.ec.issue({ names: ['pair.test'] });
  const rsa = intermediate.rsa.issue({ names: ['pair.test'], keyType: 'rsa' });
  const catalog = fakeCatalog();
  catalog.bind('pair.test', makeRecord('pair', [rsa, ec]));
  await using pair = await startAcceptor({ catalog });
  const shown = async (...options: string[]) =>
    sClient(pair.port, ['-servername', 'pair.test', '-showcerts', ...options]);
  const cases: readonly (readonly [string[], typeof ec])[] = [
    [['-tls1_3'], ec],
    [['-tls1_2'], ec],
    [['-tls1_3', '-sigalgs', 'RSA-PSS+SHA256'], rsa],
    [['-tls1_2', '-sigalgs', 'RSA+SHA256'], rsa],
    [['-tls1_2', '-cipher', 'ECDHE-RSA-AES128-GCM-SHA256'], rsa],
    [['-tls1_2', '-cipher', 'ECDHE-ECDSA-AES128-GCM-SHA256'], ec],
  ];
  for (const [options, expected] of cases) {
    const output = await shown(...options);
    const certificates = output.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
    const wanted = expected.chain.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
    assert.equal(wanted.length, 2);
    // s_client shows the leaf once more at the end.
    assert.deepEqual(certificates.slice(0, 2).map(fingerprintOf), wanted.map(fingerprintOf), options.join(' '));
  }
});

test('a client without TLS 1.2 is refused', async () => {
  const before = running.counted.failures.length;
  const output = await sClient(running.port, ['-servername', 'a.test', '-tls1_1', '-cipher', 'ALL:@SECLEVEL=0']);
  assert.match(output, /alert protocol version|alert number 70/);
  await until('the failure is counted', () => running.counted.failures.length > before);
  assert.equal(running.counted.failures.at(-1), 'tls-alert');
});

test('the key exchange is post-quantum where the client can, and X25519 or P-256 where not', async () => {
  for (const [groups, expected] of [
    ['X25519MLKEM768:X25519', undefined],
    ['X25519', 'X25519'],
    ['P-256', 'prime256v1'],
  ] as const) {
    const answer = await ask(running.port, { servername: 'shop.example.com', ecdhCurve: groups });
    assert.equal(answer.protocol, 'TLSv1.3');
    if (expected === undefined) continue;
    const output = await sClient(running.port, ['-servername', 'shop.example.com', '-groups', groups]);
    assert.match(output, new RegExp(`Server Temp Key: (ECDH, )?${expected}`));
  }
});

test('the list of ciphers decides, AES-128 first, but a client that wants ChaCha most gets it', async () => {
  const [aes128, aes256, chacha] = ['TLS_AES_128_GCM_SHA256', 'TLS_AES_256_GCM_SHA384', 'TLS_CHACHA20_POLY1305_SHA256'];
  for (const [wanted, got] of [
    [[aes256, chacha, aes128], aes128],
    [[aes256, chacha], aes256],
    [[chacha, aes128, aes256], chacha],
  ] as const) {
    const output = await sClient(running.port, [
      '-servername',
      'shop.example.com',
      '-tls1_3',
      '-ciphersuites',
      wanted.join(':'),
    ]);
    assert.match(output, new RegExp(`Cipher is ${got}`));
  }
});

test('a ClientHello that comes byte by byte works like any other', async () => {
  const answer = await ask(await drippingProxy(running.port), { servername: 'shop.example.com' });
  assert.equal(answer.fingerprint, fingerprintOf(plain.exact.cert));
});

test('a handshake that stops is ended when its time is over, at each of its stages', async () => {
  await using slow = await startAcceptor({ catalog: everything(), settings: { handshakeTimeoutMs: 150 } });
  const hello = await clientHello('shop.example.com');
  for (const bytes of [Buffer.alloc(0), hello.subarray(0, 1), hello.subarray(0, -1), hello]) {
    const socket = connect(slow.port, '127.0.0.1');
    socket.on('error', () => {});
    socket.resume();
    if (bytes.length > 0) socket.write(bytes);
    await once(socket, 'close');
  }
  await until('all are gone', () => slow.open.size === 0);
  assert.deepEqual(slow.counted.failures, ['timeout', 'timeout', 'timeout', 'timeout']);
  assert.equal(slow.acceptor.pending, 0);
});

test('a client that leaves in the middle is counted and leaves nothing behind', async () => {
  await using acceptor = await startAcceptor({ catalog: everything() });
  const hello = await clientHello('shop.example.com');
  for (const bytes of [Buffer.alloc(0), hello.subarray(0, 40), hello]) {
    const socket = connect(acceptor.port, '127.0.0.1');
    await once(socket, 'connect');
    if (bytes.length > 0) await new Promise((resolve) => socket.write(bytes, resolve));
    socket.resetAndDestroy();
  }
  await until('three are counted', () => acceptor.counted.failures.length === 3);
  assert.deepEqual(acceptor.counted.failures, ['disconnected', 'disconnected', 'disconnected']);
  await until('all are gone', () => acceptor.open.size === 0 && acceptor.acceptor.pending === 0);
});

test('garbage gets an alert, and is counted by what it is', async () => {
  await using acceptor = await startAcceptor({ catalog: everything(), settings: { clientHelloMaxBytes: 2048 } });
  const decodeError = Buffer.from([21, 3, 3, 0, 2, 2, 50]);
  assert.deepEqual(await exchange(acceptor.port, Buffer.from([1, 2, 3, 4])), decodeError);
  assert.deepEqual(await exchange(acceptor.port, Buffer.from([22, 3, 1, 0x20, 0, 1, 0, 0x1f, 0xfc])), decodeError);
  assert.deepEqual(acceptor.counted.failures, ['client-hello-malformed', 'client-hello-too-large']);
  // A hello that is well-formed where it is read here and broken elsewhere is OpenSSL's to refuse.
  const hello = await clientHello('shop.example.com');
  hello.fill(0xff, 43, 60);
  assert.equal((await exchange(acceptor.port, hello))[0], 21);
  await until('it is counted', () => acceptor.counted.failures.length === 3);
});

test('plain HTTP on a TLS port is told so', async () => {
  const before = running.counted.failures.length;
  const answer = String(await exchange(running.port, Buffer.from('GET / HTTP/1.1\r\nHost: shop.example.com\r\n\r\n')));
  assert.match(answer, /^HTTP\/1\.1 400 Bad Request\r\n/);
  const [head = '', body = ''] = answer.split('\r\n\r\n');
  assert.deepEqual(JSON.parse(body), { message: 'The plain HTTP request was sent to HTTPS port' });
  assert.match(head, /Connection: close/);
  assert.match(head, new RegExp(`Content-Length: ${body.length}(\r\n|$)`));
  assert.equal(running.counted.failures[before], 'plain-http');
});

test('a name without any certificate ends with unrecognized_name', async () => {
  const catalog = fakeCatalog();
  catalog.bind('a.test', makeRecord('a', [issued('a.test')]));
  await using acceptor = await startAcceptor({ catalog });
  assert.equal(await askInVain(acceptor.port, { servername: 'b.test' }), 'ERR_SSL_TLSV1_UNRECOGNIZED_NAME');
  assert.equal((await ask(acceptor.port, { servername: 'a.test' })).serverName, 'a.test');
  assert.deepEqual(acceptor.counted.failures, ['no-certificate']);
});

test('an unusable certificate fails for its own names alone, is logged once and listed until it is replaced', async () => {
  const catalog = fakeCatalog();
  const good = issued('good.test');
  const other = issued('other.test');
  catalog.standard = makeRecord('standard', [plain.standard]);
  catalog.bind('good.test', makeRecord('good', [good]));
  catalog.bind('sealed.test', makeRecord('sealed', [{ ...good, key: 'cannot be opened' }]));
  catalog.bind('garbage.test', {
    id: 'garbage',
    revision: 1,
    pairs: [{ chain: 'x', sealedKey: '', publicKeySha256: '', fingerprint: '' }],
  });
  catalog.bind('mismatch.test', makeRecord('mismatch', [{ ...good, key: other.key }]));
  catalog.bind('empty.test', { id: 'empty', revision: 1, pairs: [] });
  await using acceptor = await startAcceptor({
    catalog,
    openKey(sealed) {
      if (sealed === 'cannot be opened') throw new Error('no key of the keyring opens it');
      return Buffer.from(sealed);
    },
  });
  const bad = ['sealed', 'garbage', 'mismatch', 'empty'];
  for (const id of [...bad, ...bad]) {
    assert.equal(await askInVain(acceptor.port, { servername: `${id}.test` }), 'ERR_SSL_TLSV1_ALERT_INTERNAL_ERROR');
  }
  assert.equal((await ask(acceptor.port, { servername: 'good.test' })).fingerprint, fingerprintOf(good.cert));
  assert.deepEqual([...acceptor.acceptor.unusableCertificates()].sort(), bad.toSorted());
  assert.equal(acceptor.errors.length, bad.length);
  assert.equal(acceptor.counted.contexts.unusable, bad.length);
  assert.ok(!JSON.stringify(acceptor.errors).includes('PRIVATE'));
  assert.deepEqual(acceptor.counted.failures, Array(8).fill('certificate-unusable'));

  catalog.bind('sealed.test', makeRecord('sealed', [good], 2));
  catalog.bind('garbage.test', undefined);
  assert.equal((await ask(acceptor.port, { servername: 'sealed.test' })).fingerprint, fingerprintOf(good.cert));
  assert.deepEqual([...acceptor.acceptor.unusableCertificates()].sort(), ['empty', 'mismatch']);
});

test('a certificate that cannot be read fails for its own names alone, told of once, and serves again when it can', async () => {
  const catalog = fakeCatalog();
  const [good, damaged] = [issued('good.test'), issued('damaged.test')];
  catalog.bind('good.test', makeRecord('good', [good]));
  catalog.bind('damaged.test', makeRecord('damaged', [damaged]));
  let isDamaged = true;
  await using acceptor = await startAcceptor({
    catalog: {
      ...catalog,
      findCertificate(names) {
        if (isDamaged && names.includes('damaged.test')) throw new Error('database disk image is malformed');
        return catalog.findCertificate(names);
      },
    },
  });
  for (let time = 0; time < 3; time += 1) {
    assert.equal(await askInVain(acceptor.port, { servername: 'damaged.test' }), 'ERR_SSL_TLSV1_ALERT_INTERNAL_ERROR');
  }
  assert.equal((await ask(acceptor.port, { servername: 'good.test' })).fingerprint, fingerprintOf(good.cert));
  assert.equal(acceptor.errors.length, 1);
  assert.deepEqual(acceptor.acceptor.unusableCertificates(), []);
  isDamaged = false;
  assert.equal((await ask(acceptor.port, { servername: 'damaged.test' })).fingerprint, fingerprintOf(damaged.cert));
});

test('a replaced certificate shows at the next handshake, and open connections go on', async () => {
  const catalog = fakeCatalog();
  const [before, behind] = [issued('a.test'), issued('a.test')];
  catalog.bind('a.test', makeRecord('a', [before]));
  await using acceptor = await startAcceptor({ catalog });
  assert.equal((await ask(acceptor.port, { servername: 'a.test' })).fingerprint, fingerprintOf(before.cert));
  catalog.bind('a.test', makeRecord('a', [behind], 2));
  assert.equal((await ask(acceptor.port, { servername: 'a.test' })).fingerprint, fingerprintOf(behind.cert));
  catalog.bind('a.test', undefined);
  await askInVain(acceptor.port, { servername: 'a.test' });
});

test('a context that makes room frees its memory, and connections and handshakes that use it go on', async () => {
  const catalog = fakeCatalog();
  for (const id of ['a', 'b']) catalog.bind(`${id}.test`, makeRecord(id, [issued(`${id}.test`)]));
  await using acceptor = await startAcceptor({ catalog, echo: true, settings: { tlsContextsMax: 1 } });
  const options = { host: '127.0.0.1', rejectUnauthorized: false };
  const dial = (port: number, id: string) => connectTls({ ...options, port, servername: `${id}.test` });
  const open = dial(acceptor.port, 'a');
  await once(open, 'secureConnect');
  const gate = await gatedProxy(acceptor.port);
  const halfway = dial(gate.port, 'a');
  await gate.closed;
  const other = dial(acceptor.port, 'b');
  await once(other, 'secureConnect');
  assert.equal(acceptor.acceptor.contexts, 1);
  assert.equal(acceptor.counted.contexts.evicted, 1);
  gate.open();
  for (const socket of [open, halfway, other]) {
    socket.write('hello');
    assert.equal(String((await once(socket, 'data'))[0]), 'hello');
    socket.destroy();
  }
  assert.deepEqual(acceptor.counted.failures, []);
});

test('the certificate of the configuration is the default, pairs included', async () => {
  const rsa = makeSelfSigned({ names: ['own.test'], keyType: 'rsa' });
  const ec = makeSelfSigned({ names: ['own.test'] });
  const catalog = everything();
  catalog.bind('*', undefined);
  const sslCertificates = [rsa, ec].map(({ cert, key }) => ({ chain: cert, key }));
  await using acceptor = await startAcceptor({ catalog, settings: { sslCertificates } });
  assert.equal((await ask(acceptor.port, { servername: 'own.test' })).fingerprint, fingerprintOf(ec.cert));
  const rsaOnly = { servername: 'own.test', sigalgs: 'rsa_pss_rsae_sha256' };
  assert.equal((await ask(acceptor.port, rsaOnly)).fingerprint, fingerprintOf(rsa.cert));
});

test('a default certificate that cannot be used is refused at the start', async () => {
  const [one, two] = [makeSelfSigned({ names: ['a'] }), makeSelfSigned({ names: ['b'] })];
  for (const pair of [
    { chain: one.cert, key: two.key },
    { chain: 'x', key: one.key },
    { chain: one.cert, key: '' },
  ]) {
    await assert.rejects(startAcceptor({ catalog: fakeCatalog(), settings: { sslCertificates: [pair] } }), {
      code: 'DEFAULT_CERTIFICATE_UNUSABLE',
    });
  }
});

test('ALPN: the protocol both know, HTTP/1.1 without, and an alert where there is none in common', async () => {
  const answer = async (protocols: string[] | undefined, port = running.port) =>
    (await ask(port, { servername: 'a.test', ...(protocols === undefined ? {} : { ALPNProtocols: protocols }) }))
      .alpnProtocol;
  assert.equal(await answer(['h2', 'http/1.1']), 'http/1.1');
  assert.equal(await answer(['http/1.0']), 'http/1.1');
  assert.equal(await answer(undefined), 'http/1.1');
  assert.equal(
    await askInVain(running.port, { servername: 'a.test', ALPNProtocols: ['smtp'] }),
    'ERR_SSL_TLSV1_ALERT_NO_APPLICATION_PROTOCOL',
  );
  await using both = await startAcceptor({ catalog: everything(), alpnProtocols: ['h2', 'http/1.1'] });
  assert.equal(await answer(['http/1.1', 'h2'], both.port), 'h2');
  assert.equal(await answer(['http/1.1'], both.port), 'http/1.1');
});

test('a client cannot renegotiate', async () => {
  await using acceptor = await startAcceptor({ catalog: everything(), echo: true });
  const socket = connectTls({
    port: acceptor.port,
    host: '127.0.0.1',
    servername: 'a.test',
    rejectUnauthorized: false,
    maxVersion: 'TLSv1.2',
  });
  await once(socket, 'secureConnect');
  socket.renegotiate({}, () => {});
  const [error] = (await once(socket, 'error')) as [Error & { code: string }];
  assert.equal(error.code, 'ERR_SSL_NO_RENEGOTIATION');
  socket.destroy();
});

test('a record that breaks after the handshake closes the connection', async () => {
  await using acceptor = await startAcceptor({ catalog: everything(), echo: true });
  const raw = connect(acceptor.port, '127.0.0.1');
  const socket = connectTls({ socket: raw, servername: 'a.test', rejectUnauthorized: false });
  socket.on('error', () => {});
  await once(socket, 'secureConnect');
  socket.write('hello');
  assert.equal(String((await once(socket, 'data'))[0]), 'hello');
  const closed = once(raw, 'close');
  raw.write(Buffer.from([23, 3, 3, 0, 30, ...Array<number>(30).fill(1)]));
  await closed;
  await until('the server has closed too', () => acceptor.open.size === 0);
  assert.deepEqual(acceptor.counted.failures, []);
});

test('200 handshakes at once all succeed', async () => {
  await using acceptor = await startAcceptor({ catalog: everything() });
  const answers = await Promise.all(
    Array.from({ length: 200 }, (_, index) => ask(acceptor.port, { servername: `host-${index}.example.com` })),
  );
  assert.deepEqual(new Set(answers.map(({ fingerprint }) => fingerprint)), new Set([fingerprintOf(plain.wild.cert)]));
  assert.deepEqual(acceptor.counted.contexts, { hit: 199, made: 1, unusable: 0, evicted: 0 });
  await until('all are gone', () => acceptor.open.size === 0);
});

test('a 1024-bit key is served where the floor allows it, with a lower level for it alone', async () => {
  const weak = makeSelfSigned({ names: ['weak.test'], keyType: 'rsa', bits: 1024 });
  const catalog = everything();
  catalog.bind('weak.test', makeRecord('weak', [{ chain: weak.cert, key: weak.key }]));
  const lenient = ['-cipher', 'DEFAULT:@SECLEVEL=0', '-servername', 'weak.test'];
  await using low = await startAcceptor({ catalog, settings: { sslMinRsaBits: 1024 } });
  for (const version of ['-tls1_2', '-tls1_3']) {
    assert.match(await sClient(low.port, [...lenient, version]), /Server public key is 1024 bit/);
  }
  const modern = 'TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384';
  await using only13 = await startAcceptor({ catalog, settings: { sslMinRsaBits: 1024, sslCiphers: modern } });
  assert.match(await sClient(only13.port, lenient), /Server public key is 1024 bit/);
  // SHA-1 signatures belong to level 0 and 1; the others must not take them.
  const sha1 = [
    '-cipher',
    'DEFAULT:@SECLEVEL=0',
    '-servername',
    'shop.example.com',
    '-tls1_2',
    '-sigalgs',
    'ECDSA+SHA1',
  ];
  assert.match(await sClient(low.port, sha1), /handshake failure|no shared|alert/);
  await using high = await startAcceptor({ catalog });
  assert.match(await sClient(high.port, lenient), /internal error/);
});

test('disposing ends the handshakes under way', async () => {
  const acceptor = await startAcceptor({ catalog: everything() });
  const socket = connect(acceptor.port, '127.0.0.1');
  await until('it is under way', () => acceptor.acceptor.pending === 1);
  const closed = once(socket, 'close');
  await acceptor[Symbol.asyncDispose]();
  await closed;
});

/** Sends bytes and reads until the server closes, or has sent something that begins with `until`. */
async function exchange(port: number, bytes: Buffer, until = -1): Promise<Buffer> {
  const socket = connect(port, '127.0.0.1');
  socket.write(bytes);
  const chunks: Buffer[] = [];
  for await (const chunk of socket) {
    chunks.push(chunk as Buffer);
    if (chunks[0]?.[0] === until) break;
  }
  return Buffer.concat(chunks);
}

/** A ClientHello of TLS 1.2 for one ECDSA suite. */
function helloNamed(name: string): Buffer {
  const uint16 = (value: number) => Buffer.from([value >> 8, value & 0xff]);
  const sized = (content: Buffer) => Buffer.concat([uint16(content.length), content]);
  const serverName = Buffer.concat([uint16(0), sized(sized(Buffer.concat([Buffer.of(0), sized(Buffer.from(name))])))]);
  const groups = Buffer.concat([uint16(10), sized(sized(uint16(0x17)))]);
  const signatures = Buffer.concat([uint16(13), sized(sized(uint16(0x0403)))]);
  const fixed = Buffer.concat([
    uint16(0x0303),
    Buffer.alloc(32, 5),
    Buffer.of(0),
    sized(uint16(0xc02b)),
    Buffer.of(1, 0),
  ]);
  const body = Buffer.concat([fixed, sized(Buffer.concat([serverName, groups, signatures]))]);
  return Buffer.concat([Buffer.of(22, 3, 1), sized(Buffer.concat([Buffer.of(1, 0), sized(body)]))]);
}

/** What a TLS client begins with. */
async function clientHello(servername: string): Promise<Buffer> {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const client = connectTls({ port: (server.address() as AddressInfo).port, host: '127.0.0.1', servername });
  client.on('error', () => {});
  const [socket] = (await once(server, 'connection')) as [Socket];
  const [bytes] = (await once(socket, 'data')) as [Buffer];
  client.destroy();
  socket.destroy();
  server.close();
  return bytes;
}

/** A port that passes what clients send on one byte at a time. @returns its number */
async function drippingProxy(port: number): Promise<number> {
  const server = createServer((client) => {
    server.close();
    const upstream = connect({ port, host: '127.0.0.1', noDelay: true });
    upstream.pipe(client);
    void drip(client, upstream);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}

async function drip(from: Socket, to: Socket): Promise<void> {
  for await (const chunk of from) {
    for (const byte of chunk as Buffer) await new Promise((resolve) => to.write(Buffer.of(byte), resolve));
  }
  to.end();
}

interface Gate {
  readonly port: number;
  /** Resolves when the client's second flight is held back. */
  readonly closed: Promise<void>;
  open(): void;
}

/** Passes on the first chunk a client sends, and the others once it is opened. */
async function gatedProxy(port: number): Promise<Gate> {
  const closed = Promise.withResolvers<void>();
  const opened = Promise.withResolvers<void>();
  const server = createServer((client) => {
    server.close();
    const upstream = connect({ port, host: '127.0.0.1', noDelay: true });
    for (const socket of [client, upstream]) socket.on('error', () => {});
    upstream.pipe(client);
    client.once('data', (first: Buffer) => {
      upstream.write(first);
      client.once('data', (second: Buffer) => {
        client.pause();
        closed.resolve();
        void opened.promise.then(() => {
          upstream.write(second);
          client.pipe(upstream);
        });
      });
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return { port: (server.address() as AddressInfo).port, closed: closed.promise, open: opened.resolve };
}
