// What an HTTP/2 client or server says, as frames for fast-check: well-formed conversations of several streams at once, and the
// same bent: frames lost, repeated, moved, of another type, stream or length, and such as no peer should send.
import { fc } from '../support/fast-check.ts';
import {
  type Fields,
  fieldBlock,
  flag,
  type Frame,
  frame,
  frameBytes,
  postFields,
  preface,
  settingsPayload,
  uint32,
} from '../support/http2-frames.ts';

/** For the mark of who says it. Field lines are literals, so it is to be found in the bytes. */
export const anyMark = 'mark-00000000';

/** One stream's frames, in order. */
type Stream = (stream: number) => readonly Frame[];

const token = fc.stringMatching(/^[a-z0-9-]{1,12}$/).map((name) => `x-${name}`);
const value = fc.stringMatching(/^[!-~]{1,20}$/);
const fields: fc.Arbitrary<Fields> = fc.array(fc.tuple(token, value), { maxLength: 3 });
const pieces = fc.array(fc.nat({ max: 300 }), { maxLength: 4 });

const request: fc.Arbitrary<Stream> = fc
  .record({
    method: fc.constantFrom('GET', 'HEAD', 'POST', 'PUT'),
    path: fc.stringMatching(/^[a-z0-9/_~-]{0,20}$/),
    more: fields,
    body: fc.option(pieces, { nil: undefined }),
    length: fc.boolean(),
    trailers: fc.option(fields, { nil: undefined }),
    padding: fc.nat({ max: 20 }),
    form: fc.constantFrom(0, 0x10, 0x40),
    continued: fc.boolean(),
  })
  .map(({ method, path, more, body, length, trailers, padding, form, continued }) => {
    const data = body?.map((size) => `${anyMark}${'d'.repeat(size)}`) ?? [];
    const head: Fields = [
      [':method', method],
      [':scheme', 'http'],
      [':path', `/${anyMark}/${path}`],
      [':authority', 'a.test'],
      ['x-marker', anyMark],
      ...more,
      ...(length && body !== undefined ? [['content-length', String(data.join('').length)] as const] : []),
    ];
    return (stream) => said(stream, block(head, form), data, body !== undefined, trailers, padding, continued);
  });

/** HEADERS, with what `form` says of the table (RFC 7541 section 6.2). */
function block(list: Fields, form: number): Buffer {
  return Buffer.concat(
    list.map((line) => {
      const bytes = fieldBlock([line]);
      bytes[0] = form;
      return bytes;
    }),
  );
}

function said(
  stream: number,
  head: Buffer,
  data: readonly string[],
  hasBody: boolean,
  trailers: Fields | undefined,
  padding: number,
  continued: boolean,
): Frame[] {
  const ends = hasBody ? 0 : flag.endStream;
  const cut = continued ? Math.floor(head.length / 2) : head.length;
  const frames: Frame[] = [
    { type: frame.headers, flags: ends | (continued ? 0 : flag.endHeaders), stream, payload: head.subarray(0, cut) },
  ];
  if (continued) frames.push({ type: frame.continuation, flags: flag.endHeaders, stream, payload: head.subarray(cut) });
  for (const text of data) {
    const payload = Buffer.concat([Buffer.of(padding), Buffer.from(text), Buffer.alloc(padding)]);
    if (padding > 0) frames.push({ type: frame.data, flags: flag.padded, stream, payload });
    else frames.push({ type: frame.data, flags: 0, stream, payload: payload.subarray(1) });
  }
  if (!hasBody) return frames;
  if (trailers === undefined)
    frames.push({ type: frame.data, flags: flag.endStream, stream, payload: Buffer.alloc(0) });
  else
    frames.push({
      type: frame.headers,
      flags: flag.endHeaders | flag.endStream,
      stream,
      payload: block([...trailers, ['x-sum', anyMark]], 0),
    });
  return frames;
}

/** Between the frames of streams, by a peer that keeps to the rules. */
const control: fc.Arbitrary<Frame> = fc.oneof(
  fc.constant({ type: frame.ping, flags: 0, stream: 0, payload: Buffer.alloc(8) }),
  fc.constant({ type: frame.windowUpdate, flags: 0, stream: 0, payload: uint32(70_000) }),
  fc.constant({ type: 0xbe, flags: 0xff, stream: 0, payload: Buffer.from('of no known type') }),
  fc
    .constantFrom([4, 65_535] as const, [5, 20_000] as const, [1, 100] as const, [0x7a7a, 1] as const)
    .map((entry) => ({ type: frame.settings, flags: 0, stream: 0, payload: settingsPayload([entry]) })),
);

/** Frames of streams 1, 3, 5…: each stream's and each field block's in order, the streams among each other in any. */
function interleaved(streams: readonly Stream[], order: readonly number[], between: readonly Frame[]): Frame[] {
  const left = streams.map((stream, index) => [...stream(index * 2 + 1)]);
  const frames: Frame[] = [];
  const controls = [...between];
  // A stream of a lower number may not begin behind one of a higher.
  let begun = 0;
  for (let turn = 0; left.some((list) => list.length > 0); turn += 1) {
    const open = left
      .map((list, index) => ({ list, index }))
      .filter(({ list, index }) => list.length > 0 && index <= begun);
    const chosen = open[(order[turn % order.length] ?? 0) % open.length] ?? open[0];
    if (chosen === undefined) break;
    do frames.push(chosen.list.shift() as Frame);
    while (chosen.list[0]?.type === frame.continuation);
    begun = Math.max(begun, chosen.index + 1);
    if (turn % 3 === 2) frames.push(...controls.splice(0, 1));
  }
  return frames;
}

const order = fc.array(fc.nat({ max: 7 }), { minLength: 1, maxLength: 12 });

export const requests: fc.Arbitrary<readonly Frame[]> = fc
  .tuple(fc.array(request, { minLength: 1, maxLength: 6 }), order, fc.array(control, { maxLength: 3 }))
  .map(([streams, turns, between]) => interleaved(streams, turns, between));

/** What a server answers on several streams. */
export const responses = fc.record({
  heads: fc.array(
    fc.record({
      status: fc.constantFrom('200', '200', '200', '404', '204', '304'),
      interim: fc.constantFrom('', '', '103', '100', '101'),
      more: fields,
      body: fc.option(pieces, { nil: undefined }),
      length: fc.boolean(),
      trailers: fc.option(fields, { nil: undefined }),
      padding: fc.nat({ max: 20 }),
      continued: fc.boolean(),
    }),
    { minLength: 1, maxLength: 3 },
  ),
  turns: order,
  between: fc.array(control, { maxLength: 2 }),
});
export type Responses = typeof responses extends fc.Arbitrary<infer T> ? T : never;

/** Each piece of a body has the mark and the number of its stream. */
export function writeResponses({ heads, turns, between }: Responses, streams: readonly number[]): readonly Frame[] {
  const all = streams.map((number, index): Stream => {
    const { status, interim, more, body, length, trailers, padding, continued } = heads[
      index % heads.length
    ] as (typeof heads)[0];
    const data = body?.map((size) => `${anyMark}-${number}.${'d'.repeat(size)}`) ?? [];
    const head: Fields = [
      [':status', status],
      ...more,
      ...(length && body !== undefined ? [['content-length', String(data.join('').length)] as const] : []),
    ];
    const early = {
      type: frame.headers,
      flags: flag.endHeaders,
      stream: number,
      payload: fieldBlock([[':status', interim]]),
    };
    return () => [
      ...(interim === '' ? [] : [early]),
      ...said(number, block(head, 0), data, body !== undefined, trailers, padding, continued),
    ];
  });
  return interleaved(all, turns, between);
}

const words: readonly Frame[] = [
  ...(
    [
      [2, 1],
      [2, 5],
      [3, 0],
      [4, 0],
      [4, 2 ** 31 - 1],
      [4, 2 ** 32 - 1],
      [5, 1],
      [5, 2 ** 24 - 1],
      [1, 0],
      [1, 2 ** 32 - 1],
      [6, 0],
      [8, 0],
      [8, 2],
    ] as const
  ).map((entry) => ({ type: frame.settings, flags: 0, stream: 0, payload: settingsPayload([entry]) })),
  { type: frame.settings, flags: flag.ack, stream: 0, payload: Buffer.alloc(0) },
  { type: frame.settings, flags: 0, stream: 0, payload: Buffer.alloc(5) },
  { type: frame.windowUpdate, flags: 0, stream: 0, payload: uint32(0) },
  { type: frame.windowUpdate, flags: 0, stream: 0, payload: uint32(2 ** 31 - 1) },
  { type: frame.windowUpdate, flags: 0, stream: 1, payload: uint32(2 ** 31 - 1) },
  { type: frame.windowUpdate, flags: 0, stream: 3, payload: uint32(0) },
  { type: frame.ping, flags: 0, stream: 0, payload: Buffer.alloc(7) },
  { type: frame.ping, flags: flag.ack, stream: 0, payload: Buffer.alloc(8) },
  { type: frame.goaway, flags: 0, stream: 0, payload: Buffer.alloc(8) },
  { type: frame.goaway, flags: 0, stream: 0, payload: Buffer.concat([uint32(1), uint32(0)]) },
  {
    type: frame.goaway,
    flags: 0,
    stream: 0,
    payload: Buffer.concat([uint32(2 ** 31 - 1), uint32(11), Buffer.alloc(500)]),
  },
  ...[1, 3, 5, 9, 2].flatMap((stream) => [
    { type: frame.rstStream, flags: 0, stream, payload: uint32(8) },
    { type: frame.rstStream, flags: 0, stream, payload: uint32(0) },
    { type: frame.rstStream, flags: 0, stream, payload: uint32(7) },
    { type: frame.data, flags: 0, stream, payload: Buffer.alloc(0) },
    { type: frame.data, flags: flag.endStream, stream, payload: Buffer.from('word') },
    { type: frame.data, flags: flag.padded, stream, payload: Buffer.of(200) },
    { type: frame.priority, flags: 0, stream, payload: Buffer.concat([uint32(stream), Buffer.of(1)]) },
    {
      type: frame.pushPromise,
      flags: flag.endHeaders,
      stream,
      payload: Buffer.concat([uint32(2), fieldBlock(postFields())]),
    },
    { type: frame.continuation, flags: flag.endHeaders, stream, payload: fieldBlock([['x-late', 'y']]) },
    { type: frame.headers, flags: flag.endHeaders, stream, payload: fieldBlock([[':status', '103']]) },
    { type: frame.headers, flags: flag.endHeaders | flag.endStream, stream, payload: fieldBlock([[':status', '200']]) },
    { type: frame.headers, flags: flag.endHeaders | flag.endStream, stream, payload: fieldBlock([['x-end', 'y']]) },
    { type: frame.headers, flags: flag.endHeaders, stream, payload: fieldBlock(postFields([['content-length', '3']])) },
  ]),
  { type: frame.data, flags: 0, stream: 0, payload: Buffer.from('of no stream') },
  { type: 10, flags: 0, stream: 1, payload: Buffer.from('\0\0h2=":1"') },
  { type: 12, flags: 0, stream: 0, payload: Buffer.from('\0\x05a.test') },
  { type: 16, flags: 0, stream: 0, payload: Buffer.from('\0\0\0\x01u=9') },
];

/** Pieces of field blocks: sizes of the table, indexes that are not there, numbers without end, and lines that none may hold. */
const pieceWords: readonly Buffer[] = [
  Buffer.from('3fe11f', 'hex'),
  Buffer.from('3fffffff7f', 'hex'),
  Buffer.of(0x20),
  Buffer.of(0xbe),
  Buffer.of(0x80),
  Buffer.from('ffffffffff7f', 'hex'),
  Buffer.from('007fffffffff0f', 'hex'),
  Buffer.from('0085ffffffffff0161', 'hex'),
  fieldBlock([['x', 'a\r\nx-in: y']]),
  fieldBlock([['content-length', '0']]),
  fieldBlock([['content-length', '7']]),
  fieldBlock([['transfer-encoding', 'chunked']]),
  fieldBlock([['connection', 'x-marker']]),
  fieldBlock([['host', 'b.test']]),
  fieldBlock([[':path', '/second']]),
  fieldBlock([[':status', '200']]),
  fieldBlock([[':protocol', 'websocket']]),
  fieldBlock([['te', 'trailers']]),
  fieldBlock([['expect', '100-continue']]),
  fieldBlock([['X-Upper', 'y']]),
  fieldBlock([['', '']]),
];

type Change = (all: readonly Frame[], at: number, number: number, word: Frame, piece: Buffer) => readonly Frame[];

/** At one frame of the conversation. */
const changes = {
  drop: (all, at) => all.toSpliced(at, 1),
  repeat: (all, at) => all.toSpliced(at, 0, pick(all, at)),
  many: (all, at, number) => all.toSpliced(at, 0, ...Array.from({ length: number % 120 }, () => pick(all, at))),
  move: (all, at, number) => all.toSpliced(at, 1).toSpliced(number % all.length, 0, pick(all, at)),
  retype: (all, at, number) => all.with(at, { ...pick(all, at), type: number % 12 }),
  reflag: (all, at, number) => all.with(at, { ...pick(all, at), flags: pick(all, at).flags ^ (1 << (number % 8)) }),
  restream: (all, at, number) =>
    all.with(at, { ...pick(all, at), stream: [0, 1, 2, 3, 5, 7, 99, 2 ** 31 - 1, 2 ** 32 - 1][number % 9] ?? 0 }),
  word: (all, at, _number, word) => all.toSpliced(at, 0, word),
  cut: (all, at, number) => edit(all, at, number, (before) => before),
  set: (all, at, number) =>
    edit(all, at, number, (before, behind) => Buffer.concat([before, Buffer.of(number >>> 16), behind.subarray(1)])),
  piece: (all, at, number, _word, piece) =>
    edit(all, at, number, (before, behind) => Buffer.concat([before, piece, behind])),
  pieceBehind: (all, at, _number, _word, piece) =>
    edit(all, at, 0, (before, behind) => Buffer.concat([before, behind, piece])),
} as const satisfies Record<string, Change>;

function pick(all: readonly Frame[], at: number): Frame {
  return all[at] as Frame;
}

function edit(
  all: readonly Frame[],
  at: number,
  number: number,
  change: (before: Buffer, behind: Buffer) => Buffer,
): readonly Frame[] {
  const { payload } = pick(all, at);
  const place = number % (payload.length + 1);
  return all.with(at, { ...pick(all, at), payload: change(payload.subarray(0, place), payload.subarray(place)) });
}

type Mutation = readonly [kind: keyof typeof changes, at: number, number: number, word: Frame, piece: Buffer];

export const frameMutations: fc.Arbitrary<Mutation[]> = fc.array(
  fc.tuple(
    fc.constantFrom(...(Object.keys(changes) as (keyof typeof changes)[])),
    fc.nat(),
    fc.nat(),
    fc.constantFrom(...words),
    fc.constantFrom(...pieceWords),
  ),
  { minLength: 1, maxLength: 4 },
);

export function bendFrames(all: readonly Frame[], mutations: readonly Mutation[]): readonly Frame[] {
  return mutations.reduce(
    (frames, [kind, at, number, word, piece]) =>
      frames.length === 0 ? frames : changes[kind](frames, at % frames.length, number, word, piece),
    all,
  );
}

export function bytesOf(frames: readonly Frame[], mark: string): Buffer {
  const bytes = Buffer.concat(
    frames.map(({ type, flags, stream, payload }) => frameBytes(type, flags, stream, payload)),
  );
  return Buffer.from(bytes.toString('latin1').replaceAll(anyMark, mark), 'latin1');
}

/** Preface and settings without a table, so that what the gateway sends are literals. */
export const clientStart = Buffer.concat([preface, frameBytes(frame.settings, 0, 0, settingsPayload([[1, 0]]))]);

/** Octets changed behind the framing: what they hit may be a length. */
export const octets = fc.array(fc.tuple(fc.nat(), fc.nat({ max: 255 })), { maxLength: 2 });

export function setOctets(bytes: Buffer, list: readonly (readonly [at: number, octet: number])[]): Buffer {
  const changed = Buffer.from(bytes);
  for (const [at, octet] of list) if (changed.length > 0) changed[at % changed.length] = octet;
  return changed;
}
