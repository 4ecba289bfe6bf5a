// The codec on whole messages: what it takes, what it refuses and with which code, and that no split of the bytes matters.
import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { fc } from '../support/fast-check.ts';
import { progress } from '../../src/http1/codes.ts';
import { HeadParser } from '../../src/http1/head-parser.ts';
import { readMessage } from './read-message.ts';
import { type Refused, refusedRequests } from './refused-requests.ts';
import { refusedResponses } from './refused-responses.ts';
import { smuggledRequests, smuggledResponses } from './refused-smuggling.ts';
import { takenRequests } from './taken-requests.ts';
import { takenResponses } from './taken-responses.ts';

suite('a request is refused, however it is split:', () => {
  for (const refused of [...refusedRequests, ...smuggledRequests]) {
    test(refused.name, () => assertRefused('request', refused));
  }
});

suite('a response is refused, however it is split:', () => {
  for (const refused of [...refusedResponses, ...smuggledResponses]) {
    test(refused.name, () => assertRefused('response', refused));
  }
});

/** Whole, octet by octet, and, unless it is long, in two at every place. */
function assertRefused(kind: 'request' | 'response', { message, code }: Refused): void {
  const outcome = (cuts: readonly number[]): string => readMessage(kind, message, { cuts }).outcome;
  assert.equal(outcome([]), code);
  assert.equal(outcome(Array.from(message, () => 1)), code);
  for (let cut = 1; cut < Math.min(message.length, 400); cut += 1) assert.equal(outcome([cut]), code, `cut at ${cut}`);
}

suite('a request is taken, however it is split:', () => {
  for (const { name, message, bodies } of takenRequests) {
    test(name, () => {
      for (const size of [Infinity, 1, 2, 3, 7]) assert.deepEqual(bodiesOf(message, size), bodies, `pieces of ${size}`);
    });
  }
});

suite('a response is taken, however it is split:', () => {
  for (const { name, method = 'GET', message, ends, body } of takenResponses) {
    test(name, () => {
      for (const size of [Infinity, 1, 2, 3, 7]) {
        assert.equal(finalBody(message, method, ends === true, size), body, `pieces of ${size}`);
      }
    });
  }
});

/** Of the response behind interim ones. */
function finalBody(text: string, method: string, closed: boolean, size: number): string | undefined {
  for (let rest = text; ;) {
    const reading = readMessage('response', rest, { method, closed, cuts: Array.from(rest, () => size) });
    assert.equal(reading.outcome, 'ok');
    if (!reading.startLine?.startsWith('11 1')) return reading.body;
    rest = reading.rest ?? '';
  }
}

/** Of every request in `text`, read in pieces of this size. */
function bodiesOf(text: string, size: number): readonly (string | undefined)[] {
  const bodies: (string | undefined)[] = [];
  for (let rest = text; rest !== '';) {
    const reading = readMessage('request', rest, { cuts: Array.from(rest, () => size) });
    assert.equal(reading.outcome, 'ok');
    bodies.push(reading.body);
    rest = reading.rest ?? '';
  }
  return bodies;
}

test('a response is as long as its head and the request’s method say', () => {
  const bodyOf = (message: string, method = 'GET'): string | undefined =>
    readMessage('response', message, { method, closed: true }).body;
  assert.equal(bodyOf('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi, and more'), 'hi');
  assert.equal(bodyOf('HTTP/1.1 200 OK\r\n\r\nuntil the end'), 'until the end');
  assert.equal(bodyOf('HTTP/1.0 200 OK\r\n\r\nuntil the end'), 'until the end');
  assert.equal(bodyOf('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n'), 'hi');
  assert.equal(bodyOf('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n', 'HEAD'), '');
  assert.equal(bodyOf('HTTP/1.1 204 No Content\r\n\r\n'), '');
  assert.equal(bodyOf('HTTP/1.1 304 Not Modified\r\nContent-Length: 2\r\n\r\n'), '');
  assert.equal(bodyOf('HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n'), '');
});

test('a body that ends early is not whole', () => {
  assert.equal(
    readMessage('response', 'HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nhi', { closed: true }).outcome,
    'incomplete',
  );
  assert.equal(
    readMessage('response', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n', { closed: true })
      .outcome,
    'incomplete',
  );
});

const token = fc.stringMatching(/^[!#$%&'*+.^`|~0-9A-Za-z-]{1,12}$/);
const value = fc.stringMatching(/^(?:[\x21-\x7e\xa0-\xff](?:[\x20-\x7e\t\xa0-\xff]{0,20}[\x21-\x7e\xa0-\xff])?)?$/);
const fields = fc.array(
  fc.tuple(
    token.map((name) => `X-${name}`),
    value,
  ),
  { maxLength: 8 },
);
const cuts = fc.array(fc.integer({ min: 1, max: 40 }), { maxLength: 60 });
const chunkedBody = fc.array(fc.string({ unit: 'binary-ascii', minLength: 1, maxLength: 40 }), { maxLength: 5 });

const requestText = fc
  .record({
    method: token,
    path: fc.stringMatching(/^\/[a-z0-9/_~-]{0,30}$/),
    fields,
    chunks: chunkedBody,
    trailers: fields,
  })
  .filter(({ method }) => method !== 'CONNECT' && method !== 'TRACE')
  .map((message) => ({
    message,
    text: `${message.method} ${message.path} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n${linesOf(message.fields)}\r\n${message.chunks
      .map((data) => `${data.length.toString(16)}\r\n${data}\r\n`)
      .join('')}0\r\n${linesOf(message.trailers)}\r\n`,
  }));

test('what is written is read back as it was', () => {
  fc.assert(
    fc.property(requestText, ({ message, text }) => {
      const reading = readMessage('request', text);
      assert.deepEqual(reading, {
        outcome: 'ok',
        startLine: `${message.method} ${message.path} 11`,
        fields: [['Host', 'a'], ['Transfer-Encoding', 'chunked'], ...message.fields],
        body: message.chunks.join(''),
        trailers: message.trailers,
        keepAlive: true,
        rest: '',
      });
    }),
  );
});

test('no split of the bytes changes what is read', () => {
  fc.assert(
    fc.property(requestText, cuts, fc.string({ unit: 'binary-ascii', maxLength: 5 }), ({ text }, lengths, rest) => {
      assert.deepEqual(readMessage('request', text + rest, { cuts: lengths }), readMessage('request', text + rest));
    }),
  );
});

test('no split of a head changes what is read of the next one on the same stream', () => {
  const limits = { maxBytes: 4096, maxFields: 20, maxTargetBytes: 256 };
  for (const [kind, text] of [
    ['request', 'GET /a HTTP/1.1\r\nHost: a\r\n\r\n'],
    ['response', 'HTTP/1.1 200 OK\r\nX: y\r\n\r\n'],
    ['trailers', 'X: y\r\n\r\n'],
  ] as const) {
    const bytes = Buffer.from(text);
    for (let cut = 1; cut < bytes.length; cut += 1) {
      const parser = new HeadParser(kind, limits);
      for (const message of ['first', 'second', 'third']) {
        assert.equal(parser.feed(bytes, 0, cut), progress.more);
        assert.equal(parser.feed(bytes, cut, bytes.length), bytes.length, `${message} ${kind} cut at ${cut}`);
        assert.equal(parser.text, text);
        parser.reset();
      }
    }
  }
});

function linesOf(list: readonly (readonly [string, string])[]): string {
  return list.map(([name, text]) => `${name}: ${text}\r\n`).join('');
}
