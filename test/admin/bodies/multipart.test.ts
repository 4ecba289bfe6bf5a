import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fc } from '../../support/fast-check.ts';
import { boundaryOf, parseMultipart } from '../../../src/admin/bodies/multipart.ts';
import { isPortunusError } from '../../../src/lib/errors.ts';

const parse = (text: string, boundary = 'b') => [...parseMultipart(Buffer.from(text, 'latin1'), boundary)];
const part = (head: string, content: string) => `--b\r\n${head}\r\n\r\n${content}\r\n`;
const named = (name: string) => `Content-Disposition: form-data; name=${name}`;

test('a part gives its name and text', () => {
  assert.deepEqual(parse(`${part(named('"a"'), '1')}${part(named('"b.c"; filename="x.pem"'), '2\r\n')}--b--\r\n`), [
    ['a', '1'],
    ['b.c', '2\r\n'],
  ]);
});

const heads: readonly (readonly [title: string, head: string, name: string])[] = [
  ['a bare name', named('a'), 'a'],
  ['the file name first', 'Content-Disposition: form-data; filename="name=x"; name="a"', 'a'],
  ['quotes as curl escapes them', named('"a\\"b"'), 'a"b'],
  ['quotes as browsers escape them', named('"a%22b"'), 'a"b'],
  ['other headers, any case', `content-type: text/plain\r\ncontent-DISPOSITION: form-data; name="a"`, 'a'],
];
for (const [title, head, name] of heads) {
  test(`a part's name: ${title}`, () => assert.equal(parse(`${part(head, '1')}--b--`)[0]?.[0], name));
}

test('preamble, epilogue, empty content and blanks after a boundary are all right', () => {
  assert.deepEqual(parse(`hello\r\n--b  \r\n${named('a')}\r\n\r\n\r\n--b--\r\nbye`), [['a', '']]);
});

test('a line that only begins like a boundary is content', () => {
  assert.deepEqual(parse(`${part(named('a'), 'x\r\n--bc\r\ny')}--b--`), [['a', 'x\r\n--bc\r\ny']]);
});

test('bytes that are not UTF-8 stay bytes', () => {
  const [, value] = parse(`${part(named('a'), '0\x82\xff\x00')}--b--`)[0] ?? [];
  assert.deepEqual(value, Uint8Array.from([0x30, 0x82, 0xff, 0x00]));
});

const broken: readonly (readonly [title: string, body: string])[] = [
  ['nothing of it', 'garbage'],
  ['no last boundary', part(named('a'), '1')],
  ['cut off in a head', `--b\r\n${named('a')}`],
  ['a part without a name', `${part('Content-Disposition: form-data', '1')}--b--`],
  ['a part without headers', `--b\r\n\r\n1\r\n--b--`],
  ['a boundary line with more on it', `--bx\r\n${named('a')}\r\n\r\n1\r\n--b--`],
  ['a head without end', `--b\r\nX: ${'x'.repeat(10_000)}\r\n\r\n1\r\n--b--`],
];
for (const [title, body] of broken) {
  test(`a malformed body is refused: ${title}`, () => {
    assert.throws(
      () => parse(body),
      (error) => isPortunusError(error, 'BODY_UNPARSABLE'),
    );
  });
}

test('the boundary is read as RFC 2046 writes it', () => {
  assert.equal(boundaryOf('multipart/form-data; boundary=abc'), 'abc');
  assert.equal(boundaryOf('multipart/form-data; charset=utf-8; Boundary="a b"'), 'a b');
  assert.equal(boundaryOf('multipart/form-data'), undefined);
  assert.equal(boundaryOf('multipart/form-data; boundary='), undefined);
  assert.equal(boundaryOf(`multipart/form-data; boundary=${'x'.repeat(71)}`), undefined);
});

test('what a browser writes is read back', async () => {
  const pair = fc.tuple(
    fc.stringMatching(/^[a-z.[\]"]{1,9}$/),
    fc.oneof(fc.string(), fc.uint8Array({ maxLength: 64 })),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(pair, { minLength: 1, maxLength: 6 }), async (pairs) => {
      const data = new FormData();
      for (const [name, value] of pairs) data.append(name, typeof value === 'string' ? value : new Blob([value]));
      const request = new Response(data);
      const boundary = boundaryOf(request.headers.get('content-type') ?? '') ?? '';
      const body = Buffer.from(await request.arrayBuffer());
      const found = [...parseMultipart(body, boundary)];
      assert.deepEqual(
        found.map(([name]) => name),
        pairs.map(([name]) => name),
      );
      for (const [index, [, sent]] of pairs.entries()) {
        const got = found[index]?.[1] ?? '';
        // The form's own text is UTF-8 with normalised line breaks; bytes are untouched.
        if (typeof sent !== 'string') assert.deepEqual(Buffer.from(got as string), Buffer.from(sent));
        else assert.equal(got, sent.toWellFormed().replaceAll(/\r\n|\r|\n/g, '\r\n'));
      }
    }),
  );
});

test('no bytes make the reader throw anything but its code', () => {
  const bytes = fc.oneof(
    fc.uint8Array({ maxLength: 200 }),
    fc.stringMatching(/^(--b|\r\n|--|a|:){0,20}$/).map((text) => Buffer.from(text)),
  );
  fc.assert(
    fc.property(bytes, (body) => {
      try {
        for (const [name] of parseMultipart(Buffer.from(body), 'b')) assert.equal(typeof name, 'string');
      } catch (error) {
        assert.ok(isPortunusError(error, 'BODY_UNPARSABLE'));
      }
    }),
  );
});
