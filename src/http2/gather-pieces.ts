// What comes on a stream while nobody reads it. A piece that waits costs a hundred bytes and more, whatever it holds, and
// DATA frames may hold one byte each: gathered, what waits costs what the window lets in.
import type { Readable } from 'node:stream';

const blockBytes = 4096;

export class GatheredPieces {
  readonly #push: Readable['push'];
  #block: Buffer | undefined;
  #filled = 0;
  #passes = false;

  constructor(stream: Readable) {
    this.#push = stream.push.bind(stream);
    stream.push = (piece: Buffer | null) => this.#take(piece);
  }

  /** Of the block that is being filled. */
  get heldBytes(): number {
    return this.#block?.length ?? 0;
  }

  /** In it. */
  get gatheredBytes(): number {
    return this.#filled;
  }

  /** Somebody reads. */
  pass(): void {
    if (this.#passes) return;
    this.#passes = true;
    this.#giveBlock();
  }

  /** Nobody reads. */
  gather(): void {
    this.#passes = false;
  }

  #take(piece: Buffer | null): boolean {
    if (this.#passes) return this.#push(piece);
    if (piece === null || piece.length >= blockBytes) {
      this.#giveBlock();
      return this.#push(piece);
    }
    if (this.#filled + piece.length > blockBytes) this.#giveBlock();
    this.#block ??= Buffer.allocUnsafeSlow(blockBytes);
    this.#filled += piece.copy(this.#block, this.#filled);
    return false;
  }

  #giveBlock(): void {
    const block = this.#block;
    const filled = this.#filled;
    this.#block = undefined;
    this.#filled = 0;
    if (block !== undefined) this.#push(block.subarray(0, filled));
  }
}
