import assert from 'node:assert/strict';
import { createCipheriv, createHmac, randomBytes } from 'node:crypto';
import { test } from 'node:test';
import {
  createClientFlight,
  type ClientFlightOptions,
  type FlightVerdict,
  type HandshakeSecret,
} from '../../src/tls/client-flight.ts';
import { fc } from '../support/fast-check.ts';

const chain = [Buffer.from('the client'), Buffer.alloc(20_000, 'x'), Buffer.from('its issuer')];
const types = { changeCipherSpec: 20, alert: 21, handshake: 22, applicationData: 23 };
const hello = message(1, Buffer.alloc(300, 1));
const behind = Buffer.concat([message(16, Buffer.alloc(70)), message(15, Buffer.alloc(80))]);

const suites = {
  TLS_AES_128_GCM_SHA256: { cipher: 'aes-128-gcm', keyLength: 16, tagLength: 16, hash: 'sha256' },
  TLS_AES_256_GCM_SHA384: { cipher: 'aes-256-gcm', keyLength: 32, tagLength: 16, hash: 'sha384' },
  TLS_CHACHA20_POLY1305_SHA256: { cipher: 'chacha20-poly1305', keyLength: 32, tagLength: 16, hash: 'sha256' },
  TLS_AES_128_CCM_SHA256: { cipher: 'aes-128-ccm', keyLength: 16, tagLength: 16, hash: 'sha256' },
  TLS_AES_128_CCM_8_SHA256: { cipher: 'aes-128-ccm', keyLength: 16, tagLength: 8, hash: 'sha256' },
} as const;
type Suite = keyof typeof suites;

interface Reading {
  readonly verdict: FlightVerdict;
  readonly passed: Buffer;
  readonly rest: Buffer;
  /** What was to be judged, each time. */
  readonly judged: readonly (readonly Buffer[])[];
}

function read(
  pieces: readonly Uint8Array[],
  secret?: HandshakeSecret,
  allowed = true,
  options: Partial<ClientFlightOptions> = {},
): Reading {
  const passed: Uint8Array[] = [];
  const judged: Buffer[][] = [];
  const flight = createClientFlight({
    pass: (bytes) => void passed.push(Buffer.from(bytes)),
    secret: () => (passed.length === 0 ? undefined : secret),
    earlyData: false,
    mayVerify(sent) {
      judged.push(sent.map((each) => Buffer.from(each)));
      return allowed;
    },
    ...options,
  });
  let verdict: FlightVerdict = 'more';
  for (const piece of pieces) {
    verdict = flight.read(piece);
    if (verdict !== 'more') break;
  }
  return { verdict, passed: Buffer.concat(passed), rest: Buffer.from(flight.rest), judged };
}

const flights: readonly (readonly [
  what: string,
  secret: HandshakeSecret | undefined,
  before: Buffer,
  after: Buffer,
])[] = [
  ['TLS 1.2', undefined, records(types.handshake, hello), records(types.handshake, plainCertificates(chain), behind)],
  ...(Object.keys(suites) as Suite[]).map((suite) => tls13(suite)),
];

for (const [what, secret, before, after] of flights) {
  test(`${what}: certificates are judged before the record that they end in is passed on, wherever it is cut`, () => {
    const whole = Buffer.concat([before, after]);
    fc.assert(
      fc.property(fc.array(fc.nat(whole.length), { maxLength: 12 }), fc.boolean(), (cuts, allowed) => {
        const { verdict, passed, rest, judged } = read(cut(whole, cuts), secret, allowed);
        assert.equal(verdict, allowed ? 'done' : 'refused');
        assert.deepEqual(judged, [chain]);
        // What is behind them comes with the last of them, as far as it is there.
        assert.deepEqual(Buffer.concat([passed, rest]), whole.subarray(0, passed.length + rest.length));
        assert.ok(passed.length < whole.length - behind.length);
      }),
    );
  });

  test(`${what}: whatever is bent, nothing is passed on that was not read, and it ends`, () => {
    const whole = Buffer.concat([before, after]);
    const bend = fc.tuple(fc.nat(whole.length - 1), fc.nat(255));
    fc.assert(
      fc.property(fc.array(bend, { minLength: 1, maxLength: 4 }), (bends) => {
        const bytes = Buffer.from(whole);
        for (const [at, value] of bends) bytes[at] = value;
        const { verdict, passed, rest } = read([bytes, Buffer.alloc(200_000)], secret);
        assert.notEqual(verdict, 'more');
        assert.deepEqual(Buffer.concat([passed, rest]).subarray(0, passed.length), bytes.subarray(0, passed.length));
      }),
    );
  });
}

test('in fragments of 64 bytes, and with none at all', () => {
  const fragments = Buffer.concat(Array.from({ length: 100 }, (_, at) => record(22, Buffer.alloc(64, at))));
  const list = plainCertificates([Buffer.alloc(100 * 64 - 10)]);
  const small = Buffer.concat([record(22, hello), ...slices(list, 64).map((each) => record(22, each))]);
  assert.equal(read([small]).verdict, 'done');
  assert.equal(read([Buffer.concat([record(22, hello), record(22, plainCertificates([]))])]).verdict, 'done');
  assert.equal(read([fragments]).verdict, 'malformed');
});

test('a second ClientHello, alerts and the record that TLS 1.3 has for old boxes are passed on', () => {
  const before = Buffer.concat([
    record(22, hello),
    record(20, Buffer.of(1)),
    record(22, hello),
    record(21, Buffer.of(1, 0)),
  ]);
  const { verdict, passed } = read([before]);
  assert.deepEqual([verdict, passed.length], ['more', before.length]);
  assert.equal(read([before, record(22, plainCertificates(chain.slice(0, 1)))]).verdict, 'done');
});

for (const [what, secret, before, after] of flights.slice(1)) {
  test(`${what}: data that was sent at once for another session is passed over, wherever it is cut`, () => {
    const early = Buffer.concat([
      record(23, randomBytes(100)),
      record(23, randomBytes(17)),
      record(23, randomBytes(3)),
    ]);
    const whole = Buffer.concat([before, early, after]);
    fc.assert(
      fc.property(fc.array(fc.nat(whole.length), { maxLength: 12 }), (cuts) => {
        const { verdict, judged, passed } = read(cut(whole, cuts), secret, true, { earlyData: true });
        assert.deepEqual([verdict, judged], ['done', [chain]]);
        assert.ok(passed.length < whole.length - behind.length);
      }),
    );
  });
}

test('data that was sent at once is passed over before a second ClientHello', () => {
  let isSaid = false;
  const early = record(23, randomBytes(100));
  const flight = createClientFlight({
    pass: () => {},
    secret: () => (isSaid ? secret : undefined),
    earlyData: true,
    mayVerify: () => true,
  });
  assert.equal(flight.read(Buffer.concat([record(22, hello), early, record(22, hello)])), 'more');
  isSaid = true;
  assert.equal(flight.read(sealer(secret)(22, sealedCertificates(chain.slice(0, 1)))), 'done');
});

test('behind a record that could be opened nothing is passed over', () => {
  const seal = sealer(secret);
  const pieces = [record(22, hello), seal(21, Buffer.of(1, 0)), record(23, randomBytes(100))];
  const { verdict, passed } = read(pieces, secret, true, { earlyData: true });
  assert.deepEqual([verdict, passed.length], ['malformed', Buffer.concat(pieces.slice(0, 2)).length]);
});

test('what was sent at once is passed over by nobody who does not know the suite', () => {
  const known = { ...secret, cipher: 'TLS_NULL' };
  const { verdict } = read([record(22, hello), record(23, randomBytes(100))], known, true, { earlyData: true });
  assert.equal(verdict, 'malformed');
});

const suite = 'TLS_AES_128_GCM_SHA256';
const secret: HandshakeSecret = { cipher: suite, secret: randomBytes(32) };
const malformed: Readonly<Record<string, (seal: Seal) => readonly Buffer[]>> = {
  'another message first': () => [record(22, message(16, Buffer.alloc(10)))],
  'a message of no length that there is': () => [record(22, Buffer.of(11, 0xff, 0xff, 0xff))],
  'more certificates than OpenSSL takes': () => [record(22, Buffer.concat([Buffer.of(11), number(102_401, 3)]))],
  'a record longer than there are': () => [Buffer.of(22, 3, 3, 0xff, 0xff)],
  'a record of another kind': () => [record(24, Buffer.of(1))],
  'a list longer than its message': () => [
    record(22, message(11, Buffer.concat([number(9, 3), number(3, 3), Buffer.alloc(3)]))),
  ],
  'a certificate longer than its list': () => [
    record(22, message(11, Buffer.concat([number(6, 3), number(9, 3), Buffer.alloc(3)]))),
  ],
  'an encrypted record where nothing is encrypted': () => [record(23, Buffer.alloc(40))],
  'a great many records': () => Array.from({ length: 600 }, () => record(20, Buffer.of(1))),
  'a record under another key': () => [
    sealer({ cipher: suite, secret: randomBytes(32) })(22, sealedCertificates(chain)),
  ],
  'a record out of its order': (seal) => [seal(21, Buffer.of(1, 0)), seal(21, Buffer.of(1, 0))].slice(1),
  'a record that holds nothing': (seal) => [seal(0, Buffer.alloc(3))],
  'a record too short to be sealed': () => [record(23, Buffer.alloc(15))],
  'data before the certificates': (seal) => [seal(23, Buffer.from('GET /'))],
  'a message before the certificates': (seal) => [seal(22, message(24, Buffer.of(0)))],
  'certificates in the clear behind what is sealed': (seal) => [
    seal(21, Buffer.of(1, 0)),
    record(22, plainCertificates(chain)),
  ],
  'sealed certificates that begin in the clear': (seal) => [
    record(22, sealedCertificates(chain).subarray(0, 50)),
    seal(22, sealedCertificates(chain).subarray(50)),
  ],
};

for (const [what, make] of Object.entries(malformed)) {
  test(`${what}: malformed, and not passed on`, () => {
    const bytes = make(sealer(secret));
    const takes = what === 'an encrypted record where nothing is encrypted' ? undefined : secret;
    const { verdict, judged, passed } = read([record(22, hello), ...bytes], takes);
    assert.deepEqual([verdict, judged], ['malformed', []]);
    assert.ok(passed.length < hello.length + 5 + Buffer.concat(bytes).length);
  });
}

test('what a suite that is not known has sealed is not passed on', () => {
  const sealed = sealer(secret)(22, sealedCertificates(chain));
  const { verdict } = read([record(22, hello), sealed], { ...secret, cipher: 'TLS_NULL' });
  assert.equal(verdict, 'malformed');
});

type Seal = (type: number, content: Buffer) => Buffer;

function tls13(name: Suite): (typeof flights)[number] {
  const shared = { cipher: name, secret: randomBytes(name.endsWith('384') ? 48 : 32) };
  const seal = sealer(shared);
  const flight = slices(Buffer.concat([sealedCertificates(chain), behind]), 9000).map((each) => seal(22, each));
  const before = Buffer.concat([record(22, hello), record(20, Buffer.of(1))]);
  return [name, shared, before, Buffer.concat(flight)];
}

/** RFC 8446 section 5.2, with padding. */
function sealer({ cipher: name, secret: shared }: HandshakeSecret): Seal {
  const { cipher, keyLength, tagLength, hash } = suites[name as Suite];
  const key = expand(hash, shared, 'key', keyLength);
  const iv = expand(hash, shared, 'iv', 12);
  let sequence = 0;
  return (type, content) => {
    const inner = Buffer.concat([content, Buffer.of(type), Buffer.alloc(7)]);
    const header = Buffer.concat([Buffer.of(23, 3, 3), number(inner.length + tagLength, 2)]);
    const nonce = Buffer.from(iv);
    nonce[11] = (nonce[11] as number) ^ sequence++;
    const sealing = createCipheriv(cipher as 'aes-128-ccm', key, nonce, { authTagLength: tagLength });
    sealing.setAAD(header, { plaintextLength: inner.length });
    return Buffer.concat([header, sealing.update(inner), sealing.final(), sealing.getAuthTag()]);
  };
}

function expand(hash: string, shared: Uint8Array, label: string, length: number): Buffer {
  const info = Buffer.concat([
    number(length, 2),
    Buffer.of(6 + label.length),
    Buffer.from(`tls13 ${label}`),
    Buffer.of(0),
  ]);
  return createHmac(hash, shared).update(info).update(Buffer.of(1)).digest().subarray(0, length);
}

/** RFC 5246 section 7.4.2. */
function plainCertificates(each: readonly Buffer[]): Buffer {
  const list = Buffer.concat(each.flatMap((der) => [number(der.length, 3), der]));
  return message(11, Buffer.concat([number(list.length, 3), list]));
}

/** RFC 8446 section 4.4.2, with extensions. */
function sealedCertificates(each: readonly Buffer[]): Buffer {
  const list = Buffer.concat(each.flatMap((der) => [number(der.length, 3), der, number(3, 2), Buffer.alloc(3)]));
  return message(11, Buffer.concat([Buffer.of(0), number(list.length, 3), list]));
}

function message(type: number, body: Buffer): Buffer {
  return Buffer.concat([Buffer.of(type), number(body.length, 3), body]);
}

function records(type: number, ...messages: readonly Buffer[]): Buffer {
  return Buffer.concat(slices(Buffer.concat(messages), 16_384).map((each) => record(type, each)));
}

function record(type: number, content: Buffer): Buffer {
  return Buffer.concat([Buffer.of(type, 3, 3), number(content.length, 2), content]);
}

function slices(bytes: Buffer, length: number): readonly Buffer[] {
  return Array.from({ length: Math.ceil(bytes.length / length) }, (_, at) =>
    bytes.subarray(at * length, (at + 1) * length),
  );
}

function cut(bytes: Buffer, at: readonly number[]): readonly Buffer[] {
  const ends = [...at.toSorted((a, b) => a - b), bytes.length];
  return ends.map((end, index) => bytes.subarray(ends[index - 1] ?? 0, end));
}

function number(value: number, bytes: number): Buffer {
  return Buffer.from(Array.from({ length: bytes }, (_, at) => Math.floor(value / 256 ** (bytes - 1 - at)) % 256));
}
