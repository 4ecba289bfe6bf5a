import assert from 'node:assert/strict';
import { createPublicKey, X509Certificate, type KeyObject } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { fc } from '../support/fast-check.ts';
import { childrenOf, readElement, tags, timeOf } from '../../src/x509/read-der.ts';
import {
  parseRevocationList,
  revocationListMaxBytes,
  serialKey,
  type RevocationList,
} from '../../src/x509/revocation-list.ts';
import { boolean, context, octetString, objectIdentifier, sequence, time } from '../../src/x509/write-der.ts';
import { extension, makeAuthority, type AuthorityOptions } from '../support/certificates.ts';
import { succeed } from '../support/command.ts';

const root = makeAuthority();
const revoked = root.issue({ names: ['revoked.test'] }).cert;
const good = root.issue({ names: ['good.test'] }).cert;

test('a list names what it revokes, and nothing else', () => {
  const list = read(root.revoke([revoked]));
  assert.equal(list.revokes(serialOf(revoked)), true);
  assert.equal(list.revokes(serialOf(good)), false);
  assert.equal(list.revokes(''), false);
  assert.equal(list.size, 1);
});

test('a list says when it was made and until when it may be believed', () => {
  const list = read(
    root.revoke([], { thisUpdate: Date.UTC(2026, 0, 2, 3, 4, 5), nextUpdate: Date.UTC(2051, 5, 6, 7, 8, 9) }),
  );
  assert.equal(list.thisUpdate, Date.UTC(2026, 0, 2, 3, 4, 5));
  assert.equal(list.nextUpdate, Date.UTC(2051, 5, 6, 7, 8, 9));
  assert.equal(list.size, 0);
  assert.equal(read(root.revoke([revoked], { nextUpdate: null })).nextUpdate, undefined);
});

for (const options of [
  {},
  { curve: 'secp384r1', hash: 'sha384' },
  { keyType: 'rsa' },
  { keyType: 'rsa', hash: 'sha512' },
  { keyType: 'ed25519' },
  { keyType: 'ed448' },
] as const satisfies readonly AuthorityOptions[]) {
  test(`a list is its issuer's alone: signed with ${JSON.stringify(options)}`, () => {
    const authority = makeAuthority(options);
    const list = read(authority.revoke([revoked], 'hash' in options ? { hash: options.hash } : {}));
    assert.equal(list.isSignedBy(keyOf(authority.certificate)), true);
    assert.equal(list.isSignedBy(keyOf(root.certificate)), false);
    assert.equal(list.isSignedBy(keyOf(makeAuthority({ keyType: 'rsa', freshKey: true }).certificate)), false);
  });
}

test('a list signed with SHA-1 is nobody’s', () => {
  assert.equal(read(root.revoke([], { hash: 'sha1' })).isSignedBy(keyOf(root.certificate)), false);
});

test('a list that was changed is nobody’s', () => {
  const der = Buffer.from(derOf(root.revoke([revoked])));
  const serial = new X509Certificate(revoked).serialNumber;
  der.writeUInt8(der.readUInt8(der.indexOf(serial, 0, 'hex') + 3) ^ 1, der.indexOf(serial, 0, 'hex') + 3);
  const result = parseRevocationList(der);
  assert.equal(result.kind === 'list' && result.list.isSignedBy(keyOf(root.certificate)), false);
});

test('what OpenSSL makes is read, with RSA-PSS too', async () => {
  const directory = await mkdtemp(path.join(tmpdir(), 'portunus-crl-'));
  try {
    const at = (name: string) => path.join(directory, name);
    await writeFile(at('index'), '');
    await writeFile(at('number'), '01');
    await writeFile(
      at('conf'),
      `[ca]\ndefault_ca=c\n[c]\ndatabase=${at('index')}\ncrlnumber=${at('number')}\ndefault_md=sha256\ndefault_crl_days=3\ncrl_extensions=e\n[e]\nauthorityKeyIdentifier=keyid\n`,
    );
    const pss = ['-sigopt', 'rsa_padding_mode:pss'];
    await succeed('openssl', [
      ...['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-keyout', at('key'), '-out', at('ca')],
      ...['-subj', '/CN=PSS', ...pss],
    ]);
    const authority = ['-config', at('conf'), '-cert', at('ca'), '-keyfile', at('key')];
    await succeed('openssl', ['ca', ...authority, ...pss, '-revoke', at('ca'), '-crl_reason', 'keyCompromise']);
    await succeed('openssl', ['ca', ...authority, ...pss, '-gencrl', '-out', at('crl')]);
    const list = read(await readFile(at('crl'), 'utf8'));
    const certificate = await readFile(at('ca'), 'utf8');
    assert.equal(list.isSignedBy(keyOf(certificate)), true);
    assert.equal(list.revokes(serialOf(certificate)), true);
    assert.equal((list.nextUpdate ?? 0) - list.thisUpdate, 3 * 86_400_000);
  } finally {
    await rm(directory, { recursive: true });
  }
});

const indirect = extension('2.5.29.29', sequence(), 'critical');

test('lists that would be silent about a part are refused', () => {
  const partial = extension('2.5.29.28', sequence(context(1, Buffer.of(0xff), 'primitive')), 'critical');
  const delta = extension('2.5.29.27', Buffer.of(2, 1, 1), 'critical');
  for (const list of [
    root.revoke([revoked], { extensions: [partial] }),
    root.revoke([revoked], { extensions: [delta] }),
    root.revoke([revoked], { extensions: [extension('2.5.29.27', Buffer.of(2, 1, 1))] }),
    root.revoke([revoked], { entryExtensions: [indirect] }),
    root.revoke([revoked], { extensions: [octetString(Buffer.of(1))] }),
    root.revoke([revoked], { extensions: [sequence()] }),
  ]) {
    assert.deepEqual(parseRevocationList(derOf(list)), { kind: 'refused', problem: 'partial' });
  }
  const harmless = extension('2.5.29.20', Buffer.of(2, 1, 1));
  assert.equal(read(root.revoke([revoked], { extensions: [harmless], entryExtensions: [harmless] })).size, 1);
});

test('entries are read whatever they say beside their serial, the most common form or another', () => {
  const certificates = Array.from({ length: 20 }, () => root.issue({ names: ['many.test'] }).cert);
  const enumerated = (value: number) => extension('2.5.29.21', Buffer.of(0x0a, 1, value));
  const invalidityDate = extension('2.5.29.24', time(new Date(0)));
  for (const entryExtensions of [
    [enumerated(1)],
    [enumerated(6)],
    [invalidityDate],
    [enumerated(1), invalidityDate],
    [extension('1.3.6.1.4.1.99999.3', Buffer.alloc(200))],
  ]) {
    for (const thisUpdate of [Date.now(), Date.UTC(2050, 0, 1)]) {
      const list = read(root.revoke(certificates, { entryExtensions, thisUpdate }));
      assert.equal(list.size, certificates.length);
      assert.ok(certificates.every((certificate) => list.revokes(serialOf(certificate))));
    }
  }
  const critical = extension('2.5.29.21', Buffer.of(0x0a, 1, 1), 'critical');
  const refused = parseRevocationList(derOf(root.revoke(certificates, { entryExtensions: [critical] })));
  assert.deepEqual(refused, { kind: 'refused', problem: 'partial' });
});

test('a list beyond the limit is not read', () => {
  const refused = parseRevocationList(new Uint8Array(revocationListMaxBytes + 1));
  assert.deepEqual(refused, { kind: 'refused', problem: 'too-large' });
});

test('what is no list, or is more than one, is refused', () => {
  const list = derOf(root.revoke([revoked]));
  for (const bytes of [new Uint8Array(), Buffer.concat([list, list]), list.subarray(1), derOf(root.certificate)]) {
    assert.deepEqual(parseRevocationList(bytes), { kind: 'refused', problem: 'malformed' });
  }
});

test('reading a damaged list never throws', () => {
  const list = derOf(root.revoke([revoked, good], { extensions: [extension('2.5.29.20', Buffer.of(2, 1, 1))] }));
  fc.assert(
    fc.property(fc.nat(list.length - 1), fc.nat(255), fc.nat(list.length), (at, octet, length) => {
      const bent = Buffer.from(list);
      bent[at] = octet;
      const result = parseRevocationList(bent.subarray(0, length));
      if (result.kind === 'list') result.list.isSignedBy(keyOf(root.certificate));
    }),
    { numRuns: 2000 },
  );
});

test('serial numbers are compared whatever zeros precede them', () => {
  const serial = (...octets: number[]) => serialKey(readElement(Buffer.of(2, octets.length, ...octets)));
  assert.equal(serial(0, 0x80), '80');
  assert.equal(serial(0x80), '80');
  assert.equal(serial(0), '00');
  assert.equal(serialKey(readElement(boolean(true))), '');
});

test('times are those that certificates may have', () => {
  const read = (tag: number, text: string) =>
    timeOf(readElement(Buffer.concat([Buffer.of(tag, text.length), Buffer.from(text)])));
  assert.equal(read(tags.utcTime, '491231235959Z'), Date.UTC(2049, 11, 31, 23, 59, 59));
  assert.equal(read(tags.utcTime, '500101000000Z'), Date.UTC(1950, 0, 1));
  assert.equal(read(tags.generalizedTime, '99991231235959Z'), Date.UTC(9999, 11, 31, 23, 59, 59));
  for (const at of [Date.UTC(2026, 1, 28), Date.UTC(2060, 1, 29, 1, 2, 3)]) {
    assert.equal(timeOf(readElement(time(new Date(at)))), at);
  }
  for (const wrong of ['4912312359Z', '491231235959', '491331235959Z', '490230000000Z', '490101240000Z', '']) {
    assert.equal(read(tags.utcTime, wrong), undefined, wrong);
  }
  assert.equal(timeOf(readElement(objectIdentifier('1.2.3'))), undefined);
});

function read(pem: string): RevocationList {
  const result = parseRevocationList(derOf(pem));
  if (result.kind !== 'list') throw new Error(result.problem);
  return result.list;
}

function derOf(pem: string): Buffer {
  return Buffer.from(pem.replace(/-----[^-]*-----/g, ''), 'base64');
}

function keyOf(certificate: string): KeyObject {
  return createPublicKey(certificate);
}

function serialOf(certificate: string): string {
  const fields = childrenOf(childrenOf(readElement(derOf(certificate)))[0]);
  return serialKey(fields[1]);
}
