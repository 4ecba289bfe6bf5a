// Where sockets read into. Node's own way, new memory for each read, costs a tenth of the time of a small request; so all
// sockets of a process read into one room, one after the other, and what is used later is copied out or gets a room of its
// own.
import type { OnReadOpts, Socket } from 'node:net';
import { gatheredMaxBytes } from '../http1/message-writer.ts';
import { handleOf, streamBinding } from './stream-binding.ts';

const roomBytes = 64 * 1024;
const shared = Buffer.allocUnsafeSlow(roomBytes);
/** Rooms that nobody uses just now. */
const free: Buffer[] = [];
const freeMax = 64;
const lentMax = 8;

/** One for each socket. */
export class ReadRoom {
  #own: Buffer | undefined;
  /** The bytes just read went into memory of their own size. */
  #copied = false;
  /** Rooms of which pieces are on their way. */
  readonly #lent: Buffer[] = [];

  /** The room for the next read. */
  get next(): Buffer {
    return this.#own ?? shared;
  }

  /** Is it worth knowing, before the bytes just read are used, that those of earlier reads have left? */
  get lends(): boolean {
    return this.#lent.length > 0;
  }

  /** They have. */
  takeBack(): void {
    for (const room of this.#lent) give(room);
    this.#lent.length = 0;
  }

  /**
   * The bytes just read, such that pieces of them may go on from where they lie: the writer copies small ones, and large
   * ones must not lie in the shared room.
   */
  settle(bytes: Buffer, length: number): Buffer {
    if (length <= gatheredMaxBytes) return bytes;
    // Whoever takes the pieces is slow, and a room is many times what was read.
    this.#copied = this.#lent.length > 0 && length < roomBytes / 2;
    if (this.#copied) return Buffer.from(bytes.subarray(0, length));
    if (bytes !== shared) return bytes;
    this.#own = take();
    bytes.copy(this.#own, 0, 0, length);
    return this.#own;
  }

  /**
   * Called when the bytes are used, as far as they are.
   *
   * @param length of what was read
   * @param held pieces of this or an earlier read of the same body may not have left yet
   * @param more the same body goes on
   */
  after(length: number, held: boolean, more: boolean): void {
    const own = this.#own;
    if (this.#copied) {
      this.#copied = false;
      if (more) return;
      this.#lent.length = 0;
      if (own !== undefined) give(own);
      this.#own = undefined;
      return;
    }
    if (own === undefined) {
      // What comes next is another body, whose bytes having left says nothing of these.
      if (!more) this.#lent.length = 0;
      return;
    }
    if (!held) {
      this.takeBack();
      if (more && length > gatheredMaxBytes) return;
      give(own);
      this.#own = undefined;
      return;
    }
    // Those of a body that is over are left to the garbage collector: nobody here learns when they have left.
    if (!more || this.#lent.length === lentMax) this.#lent.length = 0;
    if (more) this.#lent.push(own);
    this.#own = more && length > gatheredMaxBytes ? take() : undefined;
  }
}

function take(): Buffer {
  return free.pop() ?? Buffer.allocUnsafeSlow(roomBytes);
}

function give(room: Buffer): void {
  if (free.length < freeMax) free.push(room);
}

/** The bytes, or a copy when they lie where the next read will. */
export function keepIfShared(bytes: Buffer): Buffer {
  return bytes.buffer === shared.buffer ? Buffer.from(bytes) : bytes;
}

/** Bytes to keep from a buffer that `ReadRoom` may have given. */
export function copyIfShared(bytes: Buffer, from: number, to: number): Buffer {
  return bytes === shared ? Buffer.from(bytes.subarray(from, to)) : bytes.subarray(from, to);
}

type Internals = Record<symbol, unknown>;

/**
 * Makes an accepted socket read as the option `onread` of `net.connect` makes a connecting one read. Node has no option
 * for it there, so this does what the constructor of its sockets does; where those are not as expected, nothing.
 *
 * @param socket paused. Bytes that it has read already still come as 'data'
 * @returns false: all bytes come as 'data'
 */
export function readInto(
  socket: Socket,
  onread: { readonly buffer: () => Buffer; readonly callback: OnReadOpts['callback'] },
): boolean {
  const internals = socket as unknown as Internals;
  const symbols = Object.getOwnPropertySymbols(socket);
  const [buffer, callback, generate] = ['kBuffer', 'kBufferCb', 'kBufferGen'].map((name) =>
    symbols.find(({ description }) => description === name),
  );
  const handle = handleOf(socket);
  if (buffer === undefined || callback === undefined || generate === undefined) return false;
  if (internals[buffer] !== null || typeof handle?.useUserBuffer !== 'function') return false;
  const room = onread.buffer();
  internals[buffer] = room;
  internals[callback] = onread.callback;
  internals[generate] = onread.buffer;
  handle.useUserBuffer(room);
  readDirectly(socket, onread);
  return true;
}

/**
 * Takes what is read from the handle itself, without what the socket does for each read. All but bytes is left to it: the
 * end, and errors.
 *
 * @param socket reads as `onread` says, by `readInto` or the option of `net.connect`; connected
 */
export function readDirectly(
  socket: Socket,
  onread: { readonly buffer: () => Buffer; readonly callback: OnReadOpts['callback'] },
): void {
  const handle = handleOf(socket);
  const usual = handle?.onread;
  if (streamBinding === undefined || handle === undefined || typeof usual !== 'function') return;
  const { streamBaseState, kReadBytesOrError } = streamBinding;
  const { buffer, callback } = onread;
  let room = buffer();
  handle.useUserBuffer?.(room);
  handle.onread = function onRead(memory) {
    const length = streamBaseState[kReadBytesOrError] ?? 0;
    if (length <= 0 || socket.destroyed) return usual.call(this, memory);
    callback(length, room);
    const next = buffer();
    if (next === room) return undefined;
    room = next;
    return next;
  };
}
