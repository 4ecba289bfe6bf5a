import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { fc } from '../support/fast-check.ts';
import { parseHostName, parseServerName, policyOrder, selectionOrder } from '../../src/model/host-name.ts';

const label = (length: number): string => 'a'.repeat(length);
const longestName = [label(63), label(63), label(63), label(61)].join('.');

describe('a host name is read in its normal form', () => {
  for (const [text, name] of [
    ['example.com', 'example.com'],
    ['Example.COM', 'example.com'],
    ['example.com.', 'example.com'],
    ['bücher.example', 'xn--bcher-kva.example'],
    ['BÜCHER.example', 'xn--bcher-kva.example'],
    ['localhost', 'localhost'],
    ['my_service.internal', 'my_service.internal'],
    ['3com.example', '3com.example'],
    [longestName, longestName],
  ] as const) {
    test(text.slice(0, 40), () => assert.deepEqual(parseHostName(text), { kind: 'exact', name }));
  }
});

describe('a wildcard is one whole label at either end', () => {
  for (const [text, name] of [
    ['*.Example.com', '*.example.com'],
    ['example.*', 'example.*'],
    ['a.b.*', 'a.b.*'],
    ['*.bücher.example', '*.xn--bcher-kva.example'],
    ['*', '*'],
  ] as const) {
    test(text, () => assert.deepEqual(parseHostName(text), { kind: 'wildcard', name }));
  }
});

describe('what is not a host name is refused with the reason', () => {
  for (const [text, problem] of [
    ['', 'empty'],
    ['.', 'empty'],
    ['example.com:8443', 'port'],
    ['127.0.0.1', 'ip'],
    ['127.0.0.1:80', 'ip'],
    ['::1', 'ip'],
    ['[::1]:443', 'ip'],
    ['a b.example', 'characters'],
    [' example.com', 'characters'],
    ['exa..mple', 'characters'],
    ['-a.example', 'characters'],
    ['a-.example', 'characters'],
    ['http://example.com', 'characters'],
    ['example.com/path', 'characters'],
    ['a.\u0000.example', 'characters'],
    [`${label(64)}.example`, 'characters'],
    [`${longestName}a`, 'too-long'],
    [label(100_000), 'too-long'],
    ['a.*.example', 'wildcard-placement'],
    ['a*.example', 'wildcard-placement'],
    ['*a.example', 'wildcard-placement'],
    ['*.*.example', 'many-wildcards'],
    ['*.*', 'many-wildcards'],
    ['*.', 'wildcard'],
  ] as const) {
    test(JSON.stringify(text.slice(0, 40)), () => {
      const read = parseHostName(text);
      if (problem === 'wildcard') assert.deepEqual(read, { kind: 'wildcard', name: '*' });
      else assert.deepEqual(read, { kind: 'invalid', problem });
    });
  }
});

test('reading any text never throws, and a normal form reads as itself', () => {
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string({ unit: 'binary' }),
        fc.domain(),
        fc.domain().map((name) => `*.${name}`),
      ),
      (text) => {
        const read = parseHostName(text);
        if (read.kind !== 'invalid') assert.deepEqual(parseHostName(read.name), read);
      },
    ),
  );
});

describe('the server name of a ClientHello', () => {
  for (const [text, name] of [
    ['Example.COM.', 'example.com'],
    ['127.0.0.1', undefined],
    ['*.example.com', undefined],
    ['exa mple', undefined],
    ['a'.repeat(10_000), undefined],
    ['', undefined],
  ] as const) {
    test(JSON.stringify(text.slice(0, 40)), () => assert.equal(parseServerName(text), name));
  }
});

describe('the policy of a host is looked up', () => {
  for (const [host, order] of [
    ['a.b.t', ['a.b.t', '*.b.t', '*.t', 'a.b.*', 'a.*', '*']],
    ['localhost', ['localhost', '*']],
    ['', ['*']],
    [undefined, ['*']],
  ] as const) {
    test(`${host ?? 'none sent'}: ${order.join(' ')}`, () => assert.deepEqual(policyOrder(host), order));
  }
});

describe('a server name is looked up', () => {
  for (const [name, order] of [
    ['foo.www.d.t', ['foo.www.d.t', '*.www.d.t', 'foo.www.d.*', '*', '']],
    ['d.t', ['d.t', 'd.*', '*', '']],
    ['localhost', ['localhost', '*', '']],
    [undefined, ['']],
  ] as const) {
    test(`${name ?? 'none sent'}: ${order.join(' ')}`, () => assert.deepEqual(selectionOrder(name), order));
  }
});
