import assert from 'node:assert/strict';
import { isIP } from 'node:net';
import { test } from 'node:test';
import { fc } from '../support/fast-check.ts';
import {
  normalizeAddress,
  parseProxyHeader,
  proxyHeaderMaxBytes,
  type ProxyHeader,
} from '../../src/proxy/proxy-protocol.ts';

const signature = Buffer.from('\r\n\r\n\0\r\nQUIT\n', 'latin1');

const version2 = (versionAndCommand: number, family: number, content: Buffer, length = content.length): Buffer =>
  Buffer.concat([signature, Buffer.of(versionAndCommand, family, length >> 8, length & 0xff), content]);

const tcp4 = Buffer.of(192, 0, 2, 1, 198, 51, 100, 2, 0x1f, 0x90, 0x01, 0xbb);
const client4 = { address: '192.0.2.1', port: 8080, localPort: 443 };

test('version 1: TCP4, TCP6 and UNKNOWN', () => {
  const cases: readonly (readonly [string, ProxyHeader & { kind: 'header' }])[] = [
    ['PROXY TCP4 192.0.2.1 198.51.100.2 8080 443\r\n', { kind: 'header', length: 44, client: client4 }],
    [
      'PROXY TCP6 2001:DB8:0:0::1 ::1 65535 0\r\n',
      { kind: 'header', length: 40, client: { address: '2001:db8::1', port: 65_535, localPort: 0 } },
    ],
    [
      'PROXY TCP6 ::ffff:192.0.2.1 ::1 1 2\r\n',
      { kind: 'header', length: 37, client: { address: '192.0.2.1', port: 1, localPort: 2 } },
    ],
    ['PROXY UNKNOWN\r\n', { kind: 'header', length: 15, client: undefined }],
    ['PROXY UNKNOWN whatever follows\r\n', { kind: 'header', length: 32, client: undefined }],
  ];
  for (const [line, header] of cases) {
    assert.deepEqual(parseProxyHeader(Buffer.from(line)), header, line);
    assert.deepEqual(parseProxyHeader(Buffer.from(`${line}GET / HTTP/1.1\r\n`)), header, line);
  }
});

test('version 2: TCP over IPv4 and IPv6, with type-length-values passed over', () => {
  assert.deepEqual(parseProxyHeader(version2(0x21, 0x11, tcp4)), { kind: 'header', length: 28, client: client4 });
  const withValues = Buffer.concat([tcp4, Buffer.of(4, 0xff, 0xff, 1)]);
  assert.deepEqual(parseProxyHeader(version2(0x21, 0x11, withValues)), { kind: 'header', length: 32, client: client4 });
  const tcp6 = Buffer.concat([
    Buffer.from('20010db8000000000000000000000001', 'hex'),
    Buffer.alloc(16),
    Buffer.of(0, 80, 0x20, 0xfb),
  ]);
  assert.deepEqual(parseProxyHeader(version2(0x21, 0x21, tcp6)), {
    kind: 'header',
    length: 52,
    client: { address: '2001:db8::1', port: 80, localPort: 8443 },
  });
});

test('version 2: LOCAL, unspecified, datagram and UNIX addresses name no client', () => {
  const cases = [
    version2(0x20, 0x00, Buffer.alloc(0)),
    version2(0x20, 0x11, tcp4),
    version2(0x20, 0xff, Buffer.alloc(7)),
    version2(0x21, 0x00, Buffer.alloc(5)),
    version2(0x21, 0x12, tcp4),
    version2(0x21, 0x31, Buffer.alloc(216)),
  ];
  for (const bytes of cases) {
    assert.deepEqual(parseProxyHeader(bytes), { kind: 'header', length: bytes.length, client: undefined });
  }
});

test('the bytes that HAProxy 2.6 sends are read', () => {
  for (const [form, hex, client] of [
    [
      'send-proxy-v2 with everything it can tell of TLS and the client’s certificate, by proxy-v2-options',
      '0d0a0d0a000d0a515549540a21110075c0000201c63364029c4001bb0300049ad8d51002000a66726f6e742e746573742000520700000000210007544c5376312e3322000b636c69656e742e74657374250005454332353624001165636473612d776974682d534841323536230016544c535f4145535f3235365f47434d5f534841333834',
      { address: '192.0.2.1', port: 40_000, localPort: 443 },
    ],
    [
      'send-proxy-v2-ssl-cn of a client without TLS, over IPv6',
      '0d0a0d0a000d0a515549540a2121002c20010db800000000000000000000000120010db80000000000000000000000029c4001bb2000050000000000',
      { address: '2001:db8::1', port: 40_000, localPort: 443 },
    ],
    ['send-proxy-v2 of a UNIX socket', '0d0a0d0a000d0a515549540a20000000', undefined],
    ['send-proxy of a UNIX socket', '50524f585920554e4b4e4f574e0d0a', undefined],
    [
      'send-proxy over IPv6',
      '50524f5859205443503620323030313a6462383a3a3120323030313a6462383a3a32203430303030203434330d0a',
      { address: '2001:db8::1', port: 40_000, localPort: 443 },
    ],
  ] as const) {
    const bytes = Buffer.from(hex, 'hex');
    assert.deepEqual(
      parseProxyHeader(Buffer.concat([bytes, Buffer.from('GET /')])),
      { kind: 'header', length: bytes.length, client },
      form,
    );
  }
});

test('what is no header is malformed, as early as can be told', () => {
  const cases: readonly (readonly [Buffer, string])[] = [
    [Buffer.from('GET / HTTP/1.1\r\n'), 'signature'],
    [Buffer.from('PRO_'), 'signature'],
    [Buffer.from('\r\n\r\nGET'), 'signature'],
    [Buffer.of(22, 3, 1), 'signature'],
    [Buffer.from(`PROXY ${'x'.repeat(200)}`), 'too-large'],
    [Buffer.from('PROXY UDP4 1.1.1.1 1.1.1.1 1 1\r\n'), 'family'],
    [Buffer.from('PROXY TCP4 1.1.1.1 1.1.1.1 1\r\n'), 'address'],
    [Buffer.from('PROXY TCP4 1.1.1.1 1.1.1.1 1 1 1\r\n'), 'address'],
    [Buffer.from('PROXY TCP4  1.1.1.1 1.1.1.1 1 1\r\n'), 'address'],
    [Buffer.from('PROXY TCP4 ::1 ::1 1 1\r\n'), 'address'],
    [Buffer.from('PROXY TCP4 1.1.1.01 1.1.1.1 1 1\r\n'), 'address'],
    [Buffer.from('PROXY TCP6 fe80::1%eth0 ::1 1 1\r\n'), 'address'],
    [Buffer.from('PROXY TCP4 1.1.1.1 1.1.1.1 65536 1\r\n'), 'address'],
    [Buffer.from('PROXY TCP4 1.1.1.1 1.1.1.1 01 1\r\n'), 'address'],
    [Buffer.from('PROXY TCP4 1.1.1.1 1.1.1.1 -1 1\r\n'), 'address'],
    [Buffer.concat([signature, Buffer.of(0x11)]), 'version'],
    [Buffer.concat([signature, Buffer.of(0x22)]), 'command'],
    [version2(0x21, 0x41, Buffer.alloc(0)), 'family'],
    [version2(0x21, 0x13, Buffer.alloc(0)), 'family'],
    [version2(0x21, 0x11, tcp4.subarray(1)), 'length'],
    [version2(0x21, 0x11, Buffer.alloc(0), proxyHeaderMaxBytes - 15), 'too-large'],
  ];
  for (const [bytes, reason] of cases) {
    assert.deepEqual(parseProxyHeader(bytes), { kind: 'malformed', reason }, JSON.stringify(String(bytes)));
  }
});

const anyHeader = fc.oneof(
  fc
    .constantFrom('PROXY TCP4 192.0.2.1 198.51.100.2 8080 443\r\n', 'PROXY UNKNOWN a b c\r\n')
    .map((line) => Buffer.from(line)),
  fc
    .tuple(
      fc.constantFrom(0x20, 0x21),
      fc.constantFrom(0, 0x11, 0x12, 0x21),
      fc.uint8Array({ minLength: 36, maxLength: 90 }),
    )
    .map(([command, family, content]) => version2(command, family, Buffer.from(content))),
);

test('the answer for a beginning is "incomplete" or that of the whole, and `needed` lies ahead', () => {
  const changes = fc.array(fc.tuple(fc.nat(60), fc.nat(255)), { maxLength: 2 });
  fc.assert(
    fc.property(anyHeader, changes, (header, list) => {
      const bytes = Buffer.concat([header, Buffer.alloc(120, 'x')]);
      for (const [at, value] of list) bytes[at] = value;
      const whole = parseProxyHeader(bytes);
      if (list.length === 0) assert.equal(whole.kind, 'header');
      for (let end = 0; end <= bytes.length; end += 1) {
        const part = parseProxyHeader(bytes.subarray(0, end));
        if (part.kind === 'incomplete') assert.ok(part.needed > end);
        else assert.deepEqual(part, whole);
      }
      if (whole.kind === 'header' && whole.client !== undefined) assert.notEqual(isIP(whole.client.address), 0);
    }),
  );
});

test('garbage never throws', () => {
  const rest = fc.uint8Array({ maxLength: 300 });
  fc.assert(
    fc.property(fc.constantFrom(Buffer.alloc(0), Buffer.from('PROXY '), signature), rest, (start, end) => {
      parseProxyHeader(Buffer.concat([start, end]));
    }),
  );
});

test('an address has one form', () => {
  for (const [written, normal] of [
    ['192.0.2.1', '192.0.2.1'],
    ['::FFFF:192.0.2.1', '192.0.2.1'],
    ['::ffff:c000:201', '192.0.2.1'],
    ['2001:DB8:0000::0001', '2001:db8::1'],
    ['::', '::'],
  ] as const) {
    assert.equal(normalizeAddress(written), normal);
  }
});
