import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';
import { test } from 'node:test';
import { connect as connectTls } from 'node:tls';
import { fc } from '../support/fast-check.ts';
import { parseClientHello, type ClientHello } from '../../src/tls/client-hello.ts';

const roomy = 64 * 1024;

test('a ClientHello of openssl s_client is read', async () => {
  const bytes = await captureFrom((port) => {
    const args = ['s_client', '-connect', `127.0.0.1:${port}`, '-servername', 'Shop.Example.COM'];
    args.push('-alpn', 'h2,http/1.1', '-min_protocol', 'TLSv1.2');
    const child = spawn('openssl', args, { stdio: ['pipe', 'ignore', 'ignore'] });
    return () => child.kill();
  });
  assert.deepEqual(parseClientHello(bytes, roomy), {
    kind: 'hello',
    serverName: 'Shop.Example.COM',
    alpn: ['h2', 'http/1.1'],
    versions: [0x0304, 0x0303],
    earlyData: false,
  });
});

test('a ClientHello of Node with a post-quantum share is read', async () => {
  const bytes = await captureFrom((port) => {
    const socket = connectTls({
      port,
      host: '127.0.0.1',
      servername: 'a.test',
      ALPNProtocols: ['http/1.1'],
      ecdhCurve: 'X25519MLKEM768:X25519',
    });
    socket.on('error', () => {});
    return () => socket.destroy();
  });
  assert.ok(bytes.length > 1400, `${bytes.length} bytes hold no ML-KEM share`);
  const hello = parseClientHello(bytes, roomy);
  const versions = [0x0304, 0x0303];
  assert.deepEqual(hello, { kind: 'hello', serverName: 'a.test', alpn: ['http/1.1'], versions, earlyData: false });
});

test('without extensions there is no name, and the legacy version is what is offered', () => {
  const hello = { kind: 'hello', serverName: undefined, alpn: [], versions: [0x0303], earlyData: false };
  assert.deepEqual(parseClientHello(record(handshake(body(undefined))), roomy), hello);
  assert.deepEqual(parseClientHello(record(handshake(body([]))), roomy), hello);
});

test('of several names the first host_name counts, of other name types none', () => {
  const list = serverNames([1, 'other'], [0, 'first.test'], [0, 'second.test']);
  assert.equal(nameOf(extension(0, list)), 'first.test');
  assert.equal(nameOf(extension(0, serverNames([1, 'other']))), undefined);
});

test('a name is given as it was sent, be it an address, 10 KB long or full of NUL', () => {
  for (const name of ['192.0.2.1', 'x'.repeat(10_000), 'a\0b', 'ÿ ']) {
    assert.equal(nameOf(extension(0, serverNames([0, name]))), name);
  }
});

test('unknown extensions are passed over', () => {
  const grease = extension(0x0a0a, Buffer.from([1, 2, 3]));
  assert.equal(nameOf(grease, extension(0, serverNames([0, 'a.test'])), grease), 'a.test');
});

test('what contradicts itself is malformed', () => {
  const name = extension(0, serverNames([0, 'a.test']));
  const cases: readonly (readonly [string, Buffer, string])[] = [
    ['two names', record(handshake(body([name, name]))), 'duplicate-extension'],
    ['a name list longer than its extension', helloWith(extension(0, Buffer.from([0, 9, 0, 0, 1, 97]))), 'extension'],
    ['a name longer than its list', helloWith(extension(0, Buffer.from([0, 4, 0, 0, 9, 97]))), 'extension'],
    ['an empty server_name', helloWith(extension(0, Buffer.alloc(0))), 'extension'],
    ['an empty protocol', helloWith(extension(16, Buffer.from([0, 2, 0, 0]))), 'extension'],
    ['no protocols', helloWith(extension(16, Buffer.from([0, 0]))), 'extension'],
    ['an odd list of versions', helloWith(extension(43, Buffer.from([3, 3, 4, 3]))), 'extension'],
    ['an extension cut off', record(handshake(body([Buffer.from([0, 0, 0])]))), 'extension'],
    ['bytes behind the extensions', record(handshake(Buffer.concat([body([]), Buffer.from([0])]))), 'length'],
    ['a hello that ends in its random', record(handshake(Buffer.alloc(20))), 'length'],
    ['another handshake message', record(handshake(body([]), 2)), 'not-client-hello'],
    ['an empty record', Buffer.from([22, 3, 1, 0, 0]), 'record-length'],
    ['a record over 16 KiB', Buffer.from([22, 3, 1, 0x40, 1]), 'record-length'],
    ['an alert', Buffer.from([21, 3, 1, 0, 2, 1, 0]), 'not-tls'],
    ['SSL 2', Buffer.from([0x80, 0x2e, 1, 0, 2]), 'not-tls'],
    [
      'another record between',
      Buffer.concat([record(handshake(body([])).subarray(0, 9)), Buffer.from([23])]),
      'not-tls',
    ],
  ];
  for (const [what, bytes, reason] of cases) {
    assert.deepEqual(parseClientHello(bytes, roomy), { kind: 'malformed', reason }, what);
  }
});

test('plain HTTP is told by its first byte', () => {
  for (const text of ['GET / HTTP/1.1\r\n', 'P', 'OPTIONS *']) {
    assert.deepEqual(parseClientHello(Buffer.from(text), roomy), { kind: 'plain-http' });
  }
});

test('a hello may end at the limit and not behind it', () => {
  const bytes = helloWith(extension(0, serverNames([0, 'a.test'])));
  assert.equal(parseClientHello(bytes, bytes.length).kind, 'hello');
  const tooLarge = { kind: 'malformed', reason: 'too-large' };
  assert.deepEqual(parseClientHello(bytes, bytes.length - 1), tooLarge);
  // Known from the header on, before the rest was sent.
  assert.deepEqual(parseClientHello(bytes.subarray(0, 9), bytes.length - 1), tooLarge);
  const second = inRecords(handshake(body([extension(0, serverNames([0, 'a.test']))])), [20, 20]);
  assert.equal(parseClientHello(second, second.length).kind, 'hello');
  assert.deepEqual(parseClientHello(second, second.length - 1), tooLarge);
});

const anyHello = fc
  .record({
    name: fc.option(fc.string({ maxLength: 300 }), { nil: undefined }),
    alpn: fc.array(fc.constantFrom('h2', 'http/1.1', 'acme-tls/1'), { maxLength: 3 }),
    padding: fc.nat(3000),
  })
  .map(({ name, alpn, padding }) => {
    const list = [extension(21, Buffer.alloc(padding)), extension(43, Buffer.from([4, 3, 4, 3, 3]))];
    if (name !== undefined) list.push(extension(0, serverNames([0, Buffer.from(name).toString('latin1')])));
    if (alpn.length > 0) list.push(extension(16, protocols(alpn)));
    return handshake(body(list));
  });

test('however a hello is spread over records and segments, it is the same hello', () => {
  const cuts = fc.array(fc.integer({ min: 1, max: 2000 }), { maxLength: 12 });
  fc.assert(
    fc.property(anyHello, cuts, cuts, fc.uint8Array({ maxLength: 20 }), (message, records, segments, after) => {
      const whole = parseClientHello(record(message), roomy);
      assert.equal(whole.kind, 'hello');
      const bytes = Buffer.concat([inRecords(message, records), after]);
      assert.deepEqual(parseClientHello(bytes, roomy), whole);
      assert.deepEqual(dripped(bytes, segments), whole);
    }),
  );
});

test('the answer for a beginning is "incomplete" or that of the whole, and `needed` lies ahead', () => {
  const mutation = fc.tuple(fc.nat(400), fc.nat(255));
  fc.assert(
    fc.property(
      anyHello,
      fc.array(mutation, { maxLength: 4 }),
      fc.array(fc.integer({ min: 1, max: 90 })),
      (message, changes, records) => {
        const bytes = inRecords(message, records);
        for (const [at, value] of changes) if (at < bytes.length) bytes[at] = value;
        const whole = parseClientHello(bytes, 2048);
        for (let end = 0; end <= Math.min(bytes.length, 600); end += 1) {
          const part = parseClientHello(bytes.subarray(0, end), 2048);
          if (part.kind === 'incomplete') assert.ok(part.needed > end && part.needed <= 2048);
          else assert.deepEqual(part, whole);
        }
      },
    ),
    { numRuns: 60 },
  );
});

test('garbage and damaged hellos never throw', () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 400 }), (bytes) => void parseClientHello(bytes, roomy)));
  const prefixed = fc.uint8Array({ maxLength: 400 }).map((rest) => Buffer.concat([Buffer.from([22, 3, 1]), rest]));
  fc.assert(fc.property(prefixed, (bytes) => void parseClientHello(bytes, roomy)));
  fc.assert(
    fc.property(anyHello, fc.array(fc.tuple(fc.nat(3400), fc.nat(255)), { minLength: 1 }), (message, changes) => {
      const bytes = record(message);
      for (const [at, value] of changes) if (at < bytes.length) bytes[at] = value;
      parseClientHello(bytes, roomy);
    }),
    { numRuns: 1000 },
  );
});

/** As a connection reads: again whenever what was needed has come. */
function dripped(bytes: Buffer, sizes: readonly number[]): ClientHello {
  let needed = 0;
  let end = 0;
  for (let index = 0; ; index += 1) {
    end = Math.min(bytes.length, end + (sizes[index % Math.max(sizes.length, 1)] ?? 1));
    if (end < needed && end < bytes.length) continue;
    const result = parseClientHello(bytes.subarray(0, end), roomy);
    if (result.kind !== 'incomplete') return result;
    needed = result.needed;
    assert.ok(end < bytes.length, 'incomplete at the end');
  }
}

function nameOf(...extensions: readonly Buffer[]): string | undefined {
  const hello = parseClientHello(helloWith(...extensions), roomy);
  assert.equal(hello.kind, 'hello');
  return hello.kind === 'hello' ? hello.serverName : undefined;
}

function helloWith(...extensions: readonly Buffer[]): Buffer {
  return record(handshake(body(extensions)));
}

function body(extensions: readonly Buffer[] | undefined): Buffer {
  const start = Buffer.concat([Buffer.from([3, 3]), Buffer.alloc(32, 9), Buffer.from([0, 0, 2, 0x13, 1, 1, 0])]);
  if (extensions === undefined) return start;
  const all = Buffer.concat(extensions);
  return Buffer.concat([start, uint16(all.length), all]);
}

function extension(type: number, content: Buffer): Buffer {
  return Buffer.concat([uint16(type), uint16(content.length), content]);
}

function serverNames(...names: readonly (readonly [number, string])[]): Buffer {
  const list = Buffer.concat(
    names.map(([type, name]) => Buffer.concat([Buffer.from([type]), uint16(name.length), Buffer.from(name, 'latin1')])),
  );
  return Buffer.concat([uint16(list.length), list]);
}

function protocols(names: readonly string[]): Buffer {
  const list = Buffer.concat(names.map((name) => Buffer.concat([Buffer.from([name.length]), Buffer.from(name)])));
  return Buffer.concat([uint16(list.length), list]);
}

function handshake(content: Buffer, type = 1): Buffer {
  return Buffer.concat([Buffer.from([type, 0]), uint16(content.length), content]);
}

function record(fragment: Buffer): Buffer {
  return Buffer.concat([Buffer.from([22, 3, 1]), uint16(fragment.length), fragment]);
}

/** In records of these sizes, the last one with what is left. */
function inRecords(message: Buffer, sizes: readonly number[]): Buffer {
  const records: Buffer[] = [];
  let at = 0;
  for (const size of sizes) {
    if (at >= message.length) break;
    records.push(record(message.subarray(at, at + size)));
    at += size;
  }
  if (at < message.length) records.push(record(message.subarray(at)));
  return Buffer.concat(records);
}

function uint16(value: number): Buffer {
  return Buffer.from([value >> 8, value & 0xff]);
}

/** The first bytes that a client sends. */
async function captureFrom(start: (port: number) => () => void): Promise<Buffer> {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const stop = start((server.address() as AddressInfo).port);
  const [socket] = await once(server, 'connection');
  socket.on('error', () => {});
  let bytes = Buffer.alloc(0);
  for await (const chunk of socket) {
    bytes = Buffer.concat([bytes, chunk as Buffer]);
    if (parseClientHello(bytes, roomy).kind !== 'incomplete') break;
  }
  stop();
  server.close();
  return bytes;
}
