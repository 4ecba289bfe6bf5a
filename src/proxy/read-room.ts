// Where sockets read into. Node's own way, new memory for each read, costs a tenth of the time of a small request; so all
// sockets of a process read into one room, one after the other, and what is used later is copied out or gets a room of its
// own.
import type { OnReadOpts, Socket } from 'node:net';
import { gatheredMaxBytes } from '../http1/message-writer.ts';

const roomBytes = 64 * 1024;
const shared = Buffer.allocUnsafeSlow(roomBytes);

/** One for each socket. */
export class ReadRoom {
  #own: Buffer | undefined;

  /** The room for the next read. */
  get next(): Buffer {
    return this.#own ?? shared;
  }

  /**
   * The bytes just read, such that pieces of them may go on from where they lie: the writer copies small ones, and large
   * ones must not lie in the shared room.
   */
  settle(bytes: Buffer, length: number): Buffer {
    return bytes === shared && length > gatheredMaxBytes ? Buffer.from(bytes.subarray(0, length)) : bytes;
  }

  /** Called when the bytes are used, as far as they are. @param more the same body goes on: the next read is like this one */
  after(length: number, more: boolean): void {
    this.#own = more && length > gatheredMaxBytes ? Buffer.allocUnsafeSlow(roomBytes) : undefined;
  }
}

/** Bytes to keep from a buffer that `ReadRoom` may have given. */
export function copyIfShared(bytes: Buffer, from: number, to: number): Buffer {
  return bytes === shared ? Buffer.from(bytes.subarray(from, to)) : bytes.subarray(from, to);
}

type Internals = Record<symbol, unknown> & { readonly _handle?: { readonly useUserBuffer?: unknown } | null };

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
  const handle = internals._handle;
  if (buffer === undefined || callback === undefined || generate === undefined) return false;
  if (internals[buffer] !== null || typeof handle?.useUserBuffer !== 'function') return false;
  const room = onread.buffer();
  internals[buffer] = room;
  internals[callback] = onread.callback;
  internals[generate] = onread.buffer;
  handle.useUserBuffer(room);
  return true;
}
