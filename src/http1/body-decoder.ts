// The bytes of a body out of the bytes of a stream: by length, chunked (RFC 9112 section 7.1), or until close. Across any
// split, nothing kept: a piece of data is a range of the bytes given. Chunk extensions are checked and dropped.
import type { BodyKind } from './body-framing.ts';
import { type HttpCode, progress } from './codes.ts';
import { field } from './field-names.ts';
import type { FieldLines } from './field-lines.ts';
import { type HeadLimits, HeadParser } from './head-parser.ts';
import { fieldValue, hexValue } from './octets.ts';

/** What `next` found. */
export const piece = {
  /** The bytes are used up. */
  more: 0,
  /** Body data: `dataStart` to `dataEnd`. */
  data: 1,
  end: 2,
  /** See `code`. */
  refused: 3,
} as const;

/** Of all extensions of one body together. */
const chunkExtensionsMaxBytes = 4096;
/** Hexadecimal digits of a chunk size: below 2^52, so that counting stays exact. */
const chunkSizeMaxDigits = 13;

const CR = 0x0d;
const LF = 0x0a;

const state = {
  size: 0,
  extension: 1,
  sizeLf: 2,
  data: 3,
  dataCr: 4,
  dataLf: 5,
  trailers: 6,
  length: 7,
  untilClose: 8,
  ended: 9,
} as const;

export class BodyDecoder {
  /** Where the last `next` stopped: the first byte it did not use. */
  offset = 0;
  dataStart = 0;
  dataEnd = 0;
  code: HttpCode = 'HTTP_CHUNK_INVALID';

  readonly #limits: HeadLimits;
  #state: number = state.ended;
  #left = 0;
  #digits = 0;
  #extensionBytes = 0;
  #trailers: HeadParser | undefined;

  /** @param limits of the trailer section */
  constructor(limits: HeadLimits) {
    this.#limits = limits;
  }

  begin(kind: BodyKind, contentLength: number): void {
    this.#trailers?.reset();
    this.#left = kind === 'length' ? contentLength : 0;
    this.#digits = 0;
    this.#extensionBytes = 0;
    if (kind === 'chunked') this.#state = state.size;
    else if (kind === 'until-close') this.#state = state.untilClose;
    else this.#state = this.#left > 0 ? state.length : state.ended;
  }

  /** Nothing more belongs to this body. */
  get ended(): boolean {
    return this.#state === state.ended;
  }

  /** May the stream end here without cutting the body short? */
  get mayClose(): boolean {
    return this.#state === state.untilClose || this.#state === state.ended;
  }

  /** The trailer fields, once a chunked body has ended with some. */
  get trailers(): FieldLines | undefined {
    return this.#trailers !== undefined && this.#trailers.fields.count > 0 ? this.#trailers.fields : undefined;
  }

  /** The next piece in `bytes` from `from` to `to`; call again from `offset` until it says `more` or `end`. */
  next(bytes: Buffer, from: number, to: number): number {
    let position = from;
    for (;;) {
      switch (this.#state) {
        case state.ended:
          this.offset = position;
          return piece.end;
        case state.length:
        case state.data:
          if (position === to) return this.#more(position);
          return this.#take(position, Math.min(to, position + this.#left));
        case state.untilClose:
          if (position === to) return this.#more(position);
          this.dataStart = position;
          this.dataEnd = to;
          this.offset = to;
          return piece.data;
        case state.trailers:
          return this.#readTrailers(bytes, position, to);
        default: {
          if (position === to) return this.#more(position);
          const code = this.#frame(bytes[position] ?? 0);
          if (code !== undefined) {
            this.code = code;
            this.offset = position;
            return piece.refused;
          }
          position += 1;
        }
      }
    }
  }

  #more(position: number): number {
    this.offset = position;
    return piece.more;
  }

  #take(from: number, to: number): number {
    this.dataStart = from;
    this.dataEnd = to;
    this.offset = to;
    this.#left -= to - from;
    if (this.#left === 0) this.#state = this.#state === state.length ? state.ended : state.dataCr;
    return piece.data;
  }

  /** One octet of chunked framing. */
  #frame(octet: number): HttpCode | undefined {
    switch (this.#state) {
      case state.size: {
        const digit = hexValue[octet] ?? 255;
        if (digit !== 255) {
          this.#digits += 1;
          if (this.#digits > chunkSizeMaxDigits) return 'HTTP_CHUNK_INVALID';
          this.#left = this.#left * 16 + digit;
          return undefined;
        }
        if (this.#digits === 0) return 'HTTP_CHUNK_INVALID';
        if (octet === 0x3b) this.#state = state.extension;
        else if (octet === CR) this.#state = state.sizeLf;
        else return octet === LF ? 'HTTP_LINE_ENDING_INVALID' : 'HTTP_CHUNK_INVALID';
        return undefined;
      }
      case state.extension:
        if (octet === CR) {
          this.#state = state.sizeLf;
          return undefined;
        }
        if (octet === LF) return 'HTTP_LINE_ENDING_INVALID';
        if (fieldValue[octet] === 0) return 'HTTP_CHUNK_INVALID';
        this.#extensionBytes += 1;
        return this.#extensionBytes > chunkExtensionsMaxBytes ? 'HTTP_CHUNK_EXTENSIONS_TOO_LARGE' : undefined;
      case state.sizeLf:
        if (octet !== LF) return 'HTTP_LINE_ENDING_INVALID';
        this.#digits = 0;
        if (this.#left > 0) {
          this.#state = state.data;
        } else {
          this.#trailers ??= new HeadParser('trailers', this.#limits);
          this.#state = state.trailers;
        }
        return undefined;
      case state.dataCr:
        this.#state = state.dataLf;
        return octet === CR ? undefined : 'HTTP_CHUNK_INVALID';
      default:
        this.#state = state.size;
        return octet === LF ? undefined : 'HTTP_CHUNK_INVALID';
    }
  }

  #readTrailers(bytes: Buffer, from: number, to: number): number {
    const parser = this.#trailers;
    if (parser === undefined) return this.#more(from);
    const behind = parser.feed(bytes, from, to);
    if (behind === progress.more) return this.#more(to);
    if (behind !== progress.refused && !hasForbiddenTrailer(parser.fields)) {
      this.#state = state.ended;
      this.offset = behind;
      return piece.end;
    }
    this.code = behind === progress.refused ? parser.code : 'HTTP_TRAILER_FORBIDDEN';
    this.offset = from;
    return piece.refused;
  }
}

/** Names that frame, route, authenticate or describe a message have no place behind its body (RFC 9110 section 6.5.1). */
const forbiddenInTrailers: Uint8Array = (() => {
  const table = new Uint8Array(256).fill(1);
  for (const id of [field.other, field.date, field.server, field.userAgent, field.via]) table[id] = 0;
  return table;
})();

export function hasForbiddenTrailer(fields: FieldLines): boolean {
  for (let index = 0; index < fields.count; index += 1) {
    if (forbiddenInTrailers[fields.id(index)] === 1) return true;
  }
  return false;
}
