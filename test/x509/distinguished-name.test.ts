import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { test } from 'node:test';
import { fc } from '../support/fast-check.ts';
import { outlineOf } from '../../src/x509/certificate.ts';
import { distinguishedNameText } from '../../src/x509/distinguished-name.ts';
import { encodePem } from '../../src/x509/pem.ts';
import { readElement } from '../../src/x509/read-der.ts';
import { objectIdentifier, sequence, set } from '../../src/x509/write-der.ts';
import { makeAuthority } from '../support/certificates.ts';
import { succeed } from '../support/command.ts';

const utf8 = 0x0c;
const printable = 0x13;
const teletex = 0x14;
const ia5 = 0x16;
const bmp = 0x1e;

type Value = readonly [oid: string, text: string, tag?: number];

const cn = '2.5.4.3';
const examples: readonly (readonly [parts: readonly (readonly Value[])[], text: string])[] = [
  [[], ''],
  [[[['2.5.4.10', 'Example']], [[cn, 'Alice']]], 'CN=Alice,O=Example'],
  [
    [
      [
        ['2.5.4.11', 'Keys'],
        ['2.5.4.7', 'Bern'],
      ],
      [[cn, 'x']],
    ],
    'CN=x,L=Bern+OU=Keys',
  ],
  [[[[cn, 'a,b+c"d\\e<f>g;h=i']]], 'CN=a\\,b\\+c\\"d\\\\e\\<f\\>g\\;h=i'],
  [[[[cn, ' #both ends ']]], 'CN=\\ #both ends\\ '],
  [[[[cn, '#1']]], 'CN=\\#1'],
  [[[[cn, ' ']]], 'CN=\\ '],
  [[[[cn, 'Zoë 雪']]], 'CN=Zo\\C3\\AB \\E9\\9B\\AA'],
  [[[[cn, 'a\r\nX-Client-Cert-DN: b\0']]], 'CN=a\\0D\\0AX-Client-Cert-DN: b\\00'],
  [[[[cn, 'Zo\u00eb', teletex]]], 'CN=Zo\\C3\\AB'],
  [[[[cn, 'Zo\u00eb', bmp]]], 'CN=Zo\\C3\\AB'],
  [[[['0.9.2342.19200300.100.1.25', 'test', ia5]], [['0.9.2342.19200300.100.1.1', 'u1']]], 'UID=u1,DC=test'],
  [
    [[['1.2.840.113549.1.9.1', 'a@b.test', ia5]], [['2.5.4.5', '7', printable]]],
    'serialNumber=7,emailAddress=a@b.test',
  ],
  [[[['1.3.6.1.4.1.99999.1', 'x']]], '1.3.6.1.4.1.99999.1=#0C0178'],
];

for (const [parts, text] of examples) {
  test(`a name reads ${JSON.stringify(text)}, as OpenSSL writes it`, async () => {
    const name = nameOf(parts);
    assert.equal(distinguishedNameText(readElement(name)), text);
    assert.equal(await opensslText(name), text);
  });
}

test('a name is printable ASCII on one line, and no two values read alike', () => {
  const value = fc.string({ unit: 'binary' });
  const textOf = (text: string) => distinguishedNameText(readElement(nameOf([[[cn, text]]])));
  fc.assert(
    fc.property(value, value, (one, other) => {
      assert.match(textOf(one), /^CN=[\x20-\x7e]*$/);
      assert.equal(textOf(one) === textOf(other), Buffer.from(one).equals(Buffer.from(other)));
    }),
  );
});

test('bytes that are no name read as none', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => {
      assert.match(distinguishedNameText(readElement(bytes)), /^[\x20-\x7e]*$/);
    }),
  );
  assert.equal(distinguishedNameText(undefined), '');
});

test('the name is the subject’s', () => {
  const { cert } = makeAuthority().issue({ names: [], commonName: 'Alice' });
  assert.equal(distinguishedNameText(outlineOf(new X509Certificate(cert).raw).subject), 'CN=Alice');
});

function nameOf(parts: readonly (readonly Value[])[]): Buffer {
  return sequence(
    ...parts.map((values) =>
      set(...values.map(([oid, text, tag = utf8]) => sequence(objectIdentifier(oid), stringOf(tag, text)))),
    ),
  );
}

function stringOf(tag: number, text: string): Buffer {
  const encoding = tag === utf8 ? 'utf8' : tag === bmp ? 'utf16le' : 'latin1';
  const bytes = Buffer.from(text, encoding);
  if (tag === bmp) bytes.swap16();
  const length = bytes.length < 0x80 ? [bytes.length] : [0x82, bytes.length >> 8, bytes.length & 0xff];
  return Buffer.concat([Buffer.of(tag, ...length), bytes]);
}

/** Of a certificate with this name and a signature that is wrong, which nobody looks at. */
async function opensslText(name: Buffer): Promise<string> {
  const { cert } = makeAuthority().issue({ names: ['name.test'] });
  const whole = new X509Certificate(cert).raw;
  const { subject } = outlineOf(whole);
  assert.ok(subject !== undefined);
  const [content, ...signature] = partsOf(whole);
  assert.ok(content !== undefined);
  const fields = partsOf(content);
  const other = sequence(sequence(...fields.slice(0, 5), name, ...fields.slice(6)), ...signature);
  const output = await succeed('openssl', ['x509', '-noout', '-subject', '-nameopt', 'RFC2253'], {
    input: encodePem('CERTIFICATE', other),
  });
  return output.replace(/^subject=/, '').replace(/\n$/, '');
}

function partsOf(der: Uint8Array): readonly Uint8Array[] {
  const parts: Uint8Array[] = [];
  for (let rest = readElement(der)?.content ?? new Uint8Array(); rest.length > 0;) {
    const part = readElement(rest);
    assert.ok(part !== undefined);
    parts.push(part.whole);
    rest = rest.subarray(part.whole.length);
  }
  return parts;
}
