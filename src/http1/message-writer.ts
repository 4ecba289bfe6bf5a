// Messages → the socket, in as few writes as the pieces of one turn allow: what is small is gathered in one latin1 string,
// what is large goes out from where it lies. Nothing is held beyond `flush`.
import type { Writable } from 'node:stream';
import type { FieldLines } from './field-lines.ts';

/** Pieces up to this size are copied, which costs less than a write of their own; larger ones go out from where they lie. */
export const gatheredMaxBytes = 4096;
const nothingDropped = new Uint8Array(256);

/** A way to the socket that is shorter than its stream. */
export interface ShortWay {
  /** False: nothing was written. */
  write(text: string): boolean;
  /** Before anything is written to the stream. */
  hold(): void;
  /** What is written to the stream now is used when the write returns: the memory it lies in is free again. */
  readonly usesAtOnce: boolean;
  /** The bytes, or a copy of them where what they lie in will be used again. */
  keep(bytes: Buffer): Buffer;
}

/** Where a read's worth of pieces becomes one, for a socket that uses it at once and would put them together itself. */
const scratch = Buffer.allocUnsafeSlow(128 * 1024);
/** Whose pieces are in it. */
let gatherer: Writable | undefined;

export class MessageWriter {
  readonly #socket: Writable;
  readonly #shortWay: ShortWay | undefined;
  #text = '';
  #corked = false;
  /** The only large piece, while nothing was put before or behind it. */
  #lone: Buffer | undefined;
  #used = 0;

  constructor(socket: Writable, shortWay: ShortWay | undefined) {
    this.#socket = socket;
    this.#shortWay = shortWay;
  }

  /** @param text latin1 */
  text(text: string): void {
    this.#text += text;
  }

  data(bytes: Buffer, from: number, to: number): void {
    if (to - from <= gatheredMaxBytes) this.#text += bytes.toString('latin1', from, to);
    else this.#large(bytes.subarray(from, to));
  }

  /** One chunk (RFC 9112 section 7.1); none when there is no data, for that would end the body. */
  chunk(bytes: Buffer, from: number, to: number): void {
    if (to === from) return;
    this.#text += `${(to - from).toString(16)}\r\n`;
    this.data(bytes, from, to);
    this.#text += '\r\n';
  }

  lastChunk(trailers: FieldLines | undefined): void {
    this.#text += trailers === undefined ? '0\r\n\r\n' : `0\r\n${trailers.serialize(nothingDropped, undefined)}\r\n`;
  }

  /** May large pieces that are given now lie in memory that is used again after the next `flush`? */
  get usesAtOnce(): boolean {
    return !this.#corked && this.#shortWay?.usesAtOnce === true;
  }

  /** Hands everything over. False: wait for 'drain' before giving more. */
  flush(): boolean {
    if (gatherer === this.#socket) this.#flushGathered();
    if (this.#text !== '') {
      const text = this.#text;
      this.#text = '';
      if (this.#corked || this.#shortWay?.write(text) !== true) {
        this.#shortWay?.hold();
        this.#socket.write(text, 'latin1');
      }
    }
    if (this.#corked) {
      this.#corked = false;
      this.#socket.uncork();
    }
    return !this.#socket.writableNeedDrain;
  }

  #large(bytes: Buffer): void {
    if (gatherer === this.#socket) return this.#gather(bytes);
    if (!this.usesAtOnce || (gatherer !== undefined && !gatherer.destroyed)) return this.#write(bytes);
    gatherer = this.#socket;
    if (this.#text === '') this.#lone = bytes;
    else this.#gather(bytes);
  }

  /** Puts the text that waits and another piece behind what was gathered. What does not fit goes the long way. */
  #gather(bytes: Buffer | undefined): void {
    if (this.#lone !== undefined) this.#used = this.#lone.copy(scratch);
    this.#lone = undefined;
    if (this.#used + this.#text.length + (bytes?.length ?? 0) > scratch.length) {
      gatherer = undefined;
      this.#corked = true;
      this.#socket.cork();
      this.#socket.write(Buffer.from(scratch.subarray(0, this.#used)));
      this.#used = 0;
      if (bytes !== undefined) this.#write(bytes);
      return;
    }
    this.#used += scratch.write(this.#text, this.#used, 'latin1');
    this.#text = '';
    if (bytes !== undefined) this.#used += bytes.copy(scratch, this.#used);
  }

  #flushGathered(): void {
    if (this.#text !== '') this.#gather(undefined);
    if (gatherer !== this.#socket) return;
    gatherer = undefined;
    this.#socket.write(this.#lone ?? scratch.subarray(0, this.#used));
    this.#lone = undefined;
    this.#used = 0;
  }

  #write(bytes: Buffer): void {
    this.#shortWay?.hold();
    if (!this.#corked) {
      this.#corked = true;
      this.#socket.cork();
    }
    if (this.#text !== '') {
      const text = this.#text;
      this.#text = '';
      this.#socket.write(text, 'latin1');
    }
    this.#socket.write(this.#shortWay?.keep(bytes) ?? bytes);
  }
}
