// What is sent on a stream between two writes: pieces of bodies, as one buffer.
import { gatheredMaxBytes } from '../http1/message-writer.ts';

export class Pieces {
  #all: Buffer[] | undefined;

  add(bytes: Buffer, from: number, to: number): void {
    if (to === from) return;
    const piece = bytes.subarray(from, to);
    // Small pieces may lie where the next read goes; large ones stay until they have left.
    (this.#all ??= []).push(to - from <= gatheredMaxBytes ? Buffer.from(piece) : piece);
  }

  /** All of them, or undefined when there are none. */
  take(): Buffer | undefined {
    const all = this.#all;
    if (all === undefined) return undefined;
    this.#all = undefined;
    return all.length === 1 ? all[0] : Buffer.concat(all);
  }

  forget(): void {
    this.#all = undefined;
  }
}
