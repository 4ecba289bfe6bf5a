// An HTTP/2 client that says exactly the frames it is told to (RFC 9113 section 4.1), right or wrong, and keeps those it
// gets. Field lines go out as literals, never in Huffman's code (RFC 7541 section 6.2); of those that come, only `:status` is
// read.
import net, { type Socket } from 'node:net';
import { until } from './until.ts';

export const frame = {
  data: 0,
  headers: 1,
  priority: 2,
  rstStream: 3,
  settings: 4,
  pushPromise: 5,
  ping: 6,
  goaway: 7,
  windowUpdate: 8,
  continuation: 9,
} as const;

export const flag = { endStream: 1, ack: 1, endHeaders: 4, padded: 8, priority: 0x20 } as const;

export const errorCode = {
  none: 0,
  protocol: 1,
  internal: 2,
  flowControl: 3,
  streamClosed: 5,
  frameSize: 6,
  refusedStream: 7,
  cancel: 8,
  compression: 9,
  calm: 11,
} as const;

export interface Frame {
  readonly type: number;
  readonly flags: number;
  readonly stream: number;
  readonly payload: Buffer;
}

export type Fields = readonly (readonly [name: string, value: string])[];

export const preface = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');

export function frameBytes(type: number, flags: number, stream: number, payload: Buffer = Buffer.alloc(0)): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head[3] = type;
  head[4] = flags;
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}

/** @param entries of identifier and value */
export function settingsPayload(entries: readonly (readonly [id: number, value: number])[]): Buffer {
  const payload = Buffer.alloc(entries.length * 6);
  for (const [index, [id, value]] of entries.entries()) {
    payload.writeUInt16BE(id, index * 6);
    payload.writeUInt32BE(value, index * 6 + 2);
  }
  return payload;
}

export function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

/** Literals with a name of their own, not indexed. Text is latin1. */
export function fieldBlock(fields: Fields): Buffer {
  return Buffer.concat(
    fields.flatMap(([name, value]) => [Buffer.of(0), lengthOf(name), latin1(name), lengthOf(value), latin1(value)]),
  );
}

/** RFC 7541 section 5.1, in the 7 bits behind Huffman's. */
function lengthOf(text: string): Buffer {
  if (text.length < 127) return Buffer.of(text.length);
  const octets = [127];
  let left = text.length - 127;
  for (; left >= 128; left = Math.floor(left / 128)) octets.push((left % 128) + 128);
  octets.push(left);
  return Buffer.from(octets);
}

function latin1(text: string): Buffer {
  return Buffer.from(text, 'latin1');
}

/** @param more behind the pseudo-header fields */
export function getFields(more: Fields = [], path = '/', authority = 'a.test'): Fields {
  return [[':method', 'GET'], [':scheme', 'http'], [':path', path], [':authority', authority], ...more];
}

export function postFields(more: Fields = []): Fields {
  return [[':method', 'POST'], ...getFields(more).slice(1)];
}

export class FrameClient implements Disposable {
  readonly socket: Socket;
  /** In the order in which they came, without those of the connection's beginning. */
  readonly frames: Frame[] = [];
  /** The server's settings have come and are acknowledged. */
  settled = false;
  ended = false;
  closed = false;
  error: string | undefined;
  #rest = Buffer.alloc(0);
  readonly #onFrame: ((one: Frame) => void) | undefined;

  /** @param onFrame is told of each, besides */
  constructor(socket: Socket, onFrame?: (one: Frame) => void) {
    this.socket = socket;
    this.#onFrame = onFrame;
    socket.on('data', (bytes: Buffer) => this.#read(bytes));
    socket.on('error', (error: NodeJS.ErrnoException) => {
      this.error = error.code;
    });
    socket.on('end', () => {
      this.ended = true;
    });
    socket.on('close', () => {
      this.closed = true;
    });
  }

  write(...parts: readonly Buffer[]): void {
    this.socket.write(Buffer.concat(parts));
  }

  send(type: number, flags: number, stream: number, payload?: Buffer): void {
    this.write(frameBytes(type, flags, stream, payload));
  }

  /** One HEADERS frame. */
  request(stream: number, fields: Fields, endStream = true): void {
    this.send(frame.headers, flag.endHeaders | (endStream ? flag.endStream : 0), stream, fieldBlock(fields));
  }

  data(stream: number, bytes: Buffer | string, endStream = false): void {
    this.send(frame.data, endStream ? flag.endStream : 0, stream, Buffer.from(bytes));
  }

  reset(stream: number, code: number = errorCode.cancel): void {
    this.send(frame.rstStream, 0, stream, uint32(code));
  }

  of(stream: number, type?: number): readonly Frame[] {
    return this.frames.filter((one) => one.stream === stream && (type === undefined || one.type === type));
  }

  /** Of the final response. */
  status(stream: number): Promise<number> {
    return until(`a response on stream ${stream}`, () => {
      const found = this.of(stream, frame.headers)
        .map(statusOf)
        .find((status) => status >= 200);
      if (found === undefined) this.#mustLive(stream);
      return found;
    });
  }

  /** Of the whole response's data, once the stream has ended as it should. */
  async body(stream: number): Promise<Buffer> {
    await until(`the end of stream ${stream}`, () => {
      const whole = this.of(stream).some(
        ({ type, flags }) => (type === frame.data || type === frame.headers) && (flags & flag.endStream) !== 0,
      );
      if (!whole) this.#mustLive(stream);
      return whole;
    });
    return this.dataOf(stream);
  }

  dataOf(stream: number): Buffer {
    return Buffer.concat(this.of(stream, frame.data).map(({ payload }) => payload));
  }

  /** The code of its RST_STREAM. */
  resetOf(stream: number): Promise<number> {
    return until(`a reset of stream ${stream}`, () => {
      const found = this.of(stream, frame.rstStream)[0];
      if (found === undefined && this.closed) throw new Error('the connection has ended');
      return found?.payload.readUInt32BE(0);
    });
  }

  /** The code of its last GOAWAY. */
  goaway(): Promise<number> {
    return until('a GOAWAY', () => {
      const found = this.frames.findLast(({ type }) => type === frame.goaway);
      if (found === undefined && this.closed) throw new Error(`the connection has ended without, ${this.error}`);
      return found?.payload.readUInt32BE(4);
    });
  }

  /** What came of it: `200`, `400 CODE`, `reset 1`, `goaway 1` or `closed`. */
  outcome(stream: number): Promise<string> {
    return until(`an outcome of stream ${stream}`, () => {
      const goaway = this.frames.findLast(({ type }) => type === frame.goaway);
      if (goaway !== undefined) return `goaway ${goaway.payload.readUInt32BE(4)}`;
      const reset = this.of(stream, frame.rstStream)[0];
      const head = this.of(stream, frame.headers)[0];
      if (head === undefined) {
        if (reset !== undefined) return `reset ${reset.payload.readUInt32BE(0)}`;
        return this.closed ? 'closed' : undefined;
      }
      if (!this.of(stream).some(({ flags, type }) => type !== frame.rstStream && (flags & 1) === 1)) return undefined;
      const code = /"code":"([A-Z_0-9]+)"/.exec(this.dataOf(stream).toString())?.[1];
      return code === undefined ? String(statusOf(head)) : `${statusOf(head)} ${code}`;
    });
  }

  /** Gives back what the data of a stream has taken of both windows. */
  widen(stream: number, bytes: number): void {
    this.write(
      frameBytes(frame.windowUpdate, 0, 0, uint32(bytes)),
      frameBytes(frame.windowUpdate, 0, stream, uint32(bytes)),
    );
  }

  [Symbol.dispose](): void {
    this.socket.destroy();
  }

  #mustLive(stream: number): void {
    const reset = this.of(stream, frame.rstStream)[0];
    if (reset !== undefined && reset.payload.readUInt32BE(0) !== 0)
      throw new Error(`stream ${stream} was reset with ${reset.payload.readUInt32BE(0)}`);
    if (this.closed) throw new Error(`the connection has ended, ${this.error}`);
  }

  #read(bytes: Buffer): void {
    const { frames, rest } = readFrames(Buffer.concat([this.#rest, bytes]));
    for (const one of frames) this.#take(one);
    this.#rest = rest;
  }

  #take(one: Frame): void {
    this.#onFrame?.(one);
    if (one.type !== frame.settings) return void this.frames.push(one);
    if ((one.flags & flag.ack) !== 0) return;
    this.send(frame.settings, flag.ack, 0);
    this.settled = true;
  }
}

/** The frames that are whole, and what is behind them. */
export function readFrames(bytes: Buffer): { readonly frames: Frame[]; readonly rest: Buffer<ArrayBuffer> } {
  const frames: Frame[] = [];
  let rest = Buffer.from(bytes);
  while (rest.length >= 9) {
    const length = rest.readUIntBE(0, 3);
    if (rest.length < 9 + length) break;
    const read = { type: rest[3] ?? 0, flags: rest[4] ?? 0, stream: rest.readUInt32BE(5) & 0x7fff_ffff };
    frames.push({ ...read, payload: rest.subarray(9, 9 + length) });
    rest = rest.subarray(9 + length);
  }
  return { frames, rest };
}

/** @param settings the client's own; its table is none, so that responses are literals or of the static table */
export async function connectFrames(
  port: number,
  settings: readonly (readonly [id: number, value: number])[] = [],
): Promise<FrameClient> {
  const socket = net.connect({ port, host: '127.0.0.1', noDelay: true });
  await new Promise<void>((resolve, reject) => {
    socket.once('connect', resolve);
    socket.once('error', reject);
  });
  const client = new FrameClient(socket);
  client.write(preface, frameBytes(frame.settings, 0, 0, settingsPayload([[1, 0], ...settings])));
  await until('the server’s settings', () => client.settled);
  return client;
}

const ofStaticTable: readonly number[] = [200, 204, 206, 304, 400, 404, 500];

/** The first field line of a response's block. */
export function statusOf({ payload, flags }: Frame): number {
  let at = (flags & flag.priority) === 0 ? 0 : 5;
  // Sizes of the dynamic table (RFC 7541 section 6.3).
  while (((payload[at] ?? 0) & 0xe0) === 0x20) at += ((payload[at] ?? 0) & 0x1f) === 0x1f ? 2 : 1;
  const first = payload[at] ?? 0;
  if (first >= 0x80) return ofStaticTable[(first & 0x7f) - 8] ?? -1;
  const coded = payload[at + 1] ?? 0;
  const value = payload.subarray(at + 2, at + 2 + (coded & 0x7f));
  return Number(coded < 0x80 ? value.toString('latin1') : digits(value));
}

/** Digits alone in Huffman's code (RFC 7541 appendix B): 0 to 2 in five bits, 3 to 9 in six. */
function digits(bytes: Buffer): string {
  const bits = [...bytes].map((octet) => octet.toString(2).padStart(8, '0')).join('');
  let text = '';
  for (let at = 0; at + 5 <= bits.length;) {
    const five = Number.parseInt(bits.slice(at, at + 5), 2);
    const six = Number.parseInt(bits.slice(at, at + 6), 2) - 0b011001 + 3;
    if (five > 2 && (six < 3 || six > 9)) break;
    text += String(five <= 2 ? five : six);
    at += five <= 2 ? 5 : 6;
  }
  return text;
}
