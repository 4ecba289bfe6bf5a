// Messages bent for fast-check: octets changed, pieces repeated, moved, taken out, words put in that mean something to HTTP,
// and two messages made one.
import { fc } from '../support/fast-check.ts';
import { refusedRequests } from './refused-requests.ts';
import { refusedResponses } from './refused-responses.ts';
import { smuggledRequests, smuggledResponses } from './refused-smuggling.ts';
import { takenRequests } from './taken-requests.ts';
import { takenResponses } from './taken-responses.ts';

export const takenSeeds: readonly string[] = takenRequests.map(({ message }) => message);
export const refusedSeeds: readonly string[] = [...refusedRequests, ...smuggledRequests].map(({ message }) => message);
export const refusedResponseSeeds: readonly string[] = [...refusedResponses, ...smuggledResponses].map(
  ({ message }) => message,
);
export const takenResponseSeeds: readonly string[] = [
  ...takenResponses.map(({ message }) => message),
  'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nframe',
];

const words: readonly string[] = [
  '\r\n',
  '\n',
  '\r',
  '\r\n\r\n',
  '\0',
  ' ',
  '\t',
  '\x0b',
  '\xa0',
  ':',
  ',',
  ';',
  '"',
  '_',
  '-',
  '+',
  '0',
  '5',
  '0x',
  'f',
  '0\r\n\r\n',
  '5\r\nhello\r\n',
  'chunked',
  'identity',
  'Content-Length: 5\r\n',
  'Content-Length: 0\r\n',
  'Transfer-Encoding: chunked\r\n',
  'Connection: close\r\n',
  'Connection: Content-Length, X-Marker\r\n',
  'Expect: 100-continue\r\n',
  'Host: b\r\n',
  'Upgrade: websocket\r\nConnection: Upgrade\r\n',
  'HTTP/1.0',
  'HTTP/1.1',
  'GET /inside HTTP/1.1\r\nHost: a\r\n\r\n',
];

/** The text before a place and behind it, and what each change makes of them. */
const changes = {
  set: (before, behind, _length, octet) => before + octet + behind.slice(1),
  insert: (before, behind, _length, octet) => before + octet + behind,
  delete: (before, behind, length) => before + behind.slice(length),
  repeat: (before, behind, length) => before + behind.slice(0, length) + behind,
  move: (before, behind, length) =>
    before + behind.slice(length, length * 3) + behind.slice(0, length) + behind.slice(length * 3),
  word: (before, behind, _length, _octet, word) => before + word + behind,
  replace: (before, behind, _length, _octet, word) => before + word + behind.slice(word.length),
  case: (before, behind, length) =>
    before + behind.slice(0, length).replace(/[a-z]/g, (letter) => letter.toUpperCase()) + behind.slice(length),
} as const satisfies Record<
  string,
  (before: string, behind: string, length: number, octet: string, word: string) => string
>;

type Mutation = readonly [kind: keyof typeof changes, at: number, length: number, octet: number, word: string];

const mutations: fc.Arbitrary<Mutation[]> = fc.array(
  fc.tuple(
    fc.constantFrom(...(Object.keys(changes) as (keyof typeof changes)[])),
    fc.nat(),
    fc.nat({ max: 64 }),
    fc.integer({ min: 0, max: 255 }),
    fc.constantFrom(...words),
  ),
  { maxLength: 4 },
);

/** Messages like `base`, or two of them cut and put together, bent in up to four places. */
export function bent(base: fc.Arbitrary<string>): fc.Arbitrary<string> {
  const spliced = fc
    .tuple(base, fc.nat(), base, fc.nat())
    .map(([a, inA, b, inB]) => a.slice(0, inA % (a.length + 1)) + b.slice(inB % (b.length + 1)));
  return fc
    .tuple(fc.oneof({ weight: 3, arbitrary: base }, { weight: 1, arbitrary: spliced }), mutations)
    .map(([message, list]) => list.reduce(mutate, message));
}

function mutate(text: string, [kind, seed, length, octet, word]: Mutation): string {
  const at = seed % (text.length + 1);
  return changes[kind](text.slice(0, at), text.slice(at), length, String.fromCharCode(octet), word);
}
