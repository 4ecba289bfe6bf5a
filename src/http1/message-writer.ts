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
}

export class MessageWriter {
  readonly #socket: Writable;
  readonly #shortWay: ShortWay | undefined;
  #text = '';
  #corked = false;

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

  /** Hands everything over. False: wait for 'drain' before giving more. */
  flush(): boolean {
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
    this.#shortWay?.hold();
    if (this.#text !== '') {
      if (!this.#corked) {
        this.#corked = true;
        this.#socket.cork();
      }
      const text = this.#text;
      this.#text = '';
      this.#socket.write(text, 'latin1');
    }
    this.#socket.write(bytes);
  }
}
