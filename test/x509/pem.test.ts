// PEM and DER, there and back.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fc } from '../support/fast-check.ts';
import { encodePem, pemBlocksMax, scanPem } from '../../src/x509/pem.ts';
import { childrenOf, integerOf, objectIdentifierOf, readElement } from '../../src/x509/read-der.ts';
import { integer, objectIdentifier, octetString, sequence } from '../../src/x509/write-der.ts';

test('what was encoded as PEM is scanned back, among any text', () => {
  const content = fc.uint8Array({ minLength: 1, maxLength: 300 }).map((bytes) => octetString(bytes));
  const between = fc.string().filter((text) => !text.includes('-----'));
  fc.assert(
    fc.property(fc.array(fc.tuple(between, content), { maxLength: 5 }), (parts) => {
      const text = parts.map(([before, bytes]) => `${before}\n${encodePem('CERTIFICATE', bytes)}`).join('');
      const found = scanPem(text).blocks.map((block) =>
        block.kind === 'content' ? block.bytes.toString('hex') : block,
      );
      assert.deepEqual(
        found,
        parts.map(([, bytes]) => bytes.toString('hex')),
      );
    }),
  );
});

test('a block tells the line it begins in', () => {
  const block = encodePem('CERTIFICATE', octetString(Buffer.from('x')));
  const lines = scanPem(`one\n${block}two\r\n\r\n${block}`).blocks.map((found) => found.line);
  assert.deepEqual(lines, [2, 7]);
});

test('blocks over the limit are not looked at', () => {
  const block = encodePem('CERTIFICATE', octetString(Buffer.from('x')));
  assert.deepEqual(
    [pemBlocksMax, pemBlocksMax + 1].map((count) => scanPem(block.repeat(count)).truncated),
    [false, true],
  );
});

test('DER that was written is read back', () => {
  const arcs = fc.array(fc.nat(0x7fffffff), { minLength: 1, maxLength: 6 });
  fc.assert(
    fc.property(
      fc.nat(2),
      fc.nat(39),
      arcs,
      fc.uint8Array({ maxLength: 70_000 }),
      fc.nat(255),
      (a, b, rest, bytes, n) => {
        const oid = [a, b, ...rest].join('.');
        const [first, second, third] = childrenOf(
          readElement(sequence(objectIdentifier(oid), octetString(bytes), integer(n))),
        );
        assert.equal(objectIdentifierOf(first), oid);
        assert.ok(Buffer.from(bytes).equals(second?.content ?? Buffer.alloc(1)));
        assert.equal(integerOf(third), n);
      },
    ),
  );
});
