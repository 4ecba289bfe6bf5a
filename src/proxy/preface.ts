// What a client without TLS speaks, by its first bytes: the preface of HTTP/2 (RFC 9113 section 3.4), whose method no
// HTTP/1.1 client uses, or anything else.
import type { Socket } from 'node:net';

/** Of `PRI * HTTP/2.0`: enough to tell it from any request line. */
const beginning = Buffer.from('PRI ');

export type PrefaceProtocol = 'http/1.1' | 'h2';

/** Looks at one connection's first bytes and puts them back. */
export class PrefaceReading {
  readonly #socket: Socket;
  readonly #done: (protocol: PrefaceProtocol | undefined) => void;
  #bytes: Buffer | undefined;

  /** @param done once, with undefined when the connection is gone; the socket is paused then */
  constructor(socket: Socket, done: (protocol: PrefaceProtocol | undefined) => void) {
    this.#socket = socket;
    this.#done = done;
  }

  start(): void {
    this.#socket.on('data', this.#onData);
    this.#socket.on('close', this.#onClose);
    this.#socket.resume();
  }

  /** It has said nothing for so long: the HTTP/1.1 codec knows what to do with that. */
  expire(): void {
    this.#finish('http/1.1');
  }

  end(): void {
    this.#socket.destroy();
  }

  #onClose = (): void => {
    this.#finish(undefined);
  };

  #onData = (chunk: Buffer): void => {
    const bytes = this.#bytes === undefined ? chunk : Buffer.concat([this.#bytes, chunk]);
    this.#bytes = bytes;
    const length = Math.min(bytes.length, beginning.length);
    if (!bytes.subarray(0, length).equals(beginning.subarray(0, length))) this.#finish('http/1.1');
    else if (length === beginning.length) this.#finish('h2');
  };

  #finish(protocol: PrefaceProtocol | undefined): void {
    const socket = this.#socket;
    socket.off('data', this.#onData);
    socket.off('close', this.#onClose);
    socket.pause();
    if (this.#bytes !== undefined && protocol !== undefined) socket.unshift(this.#bytes);
    this.#done(protocol);
  }
}
