// What Node's sockets use inside, for the few ways past its streams that are worth it. Node has no interface for them, so
// whoever uses this looks first whether things are as expected, and leaves the work to the stream where they are not.

import type { Writable } from 'node:stream';

/** A write on its way through a handle. */
export interface WriteRequest {
  /** Called when a write that could not be done at once is done. */
  oncomplete: (this: never, status: number) => void;
}

export interface Handle {
  /** Called for each read, with its length in `streamBaseState`; returns where the next one goes, if that changes. */
  onread?: (this: Handle, memory: unknown) => Uint8Array | undefined;
  readonly useUserBuffer?: (memory: Uint8Array) => void;
  readonly writeLatin1String?: (request: WriteRequest, text: string) => number;
  /** Given to it, and of that still waiting here. */
  readonly bytesWritten?: number;
  readonly writeQueueSize?: number;
  /** Of TLS: the handle that it writes to. */
  readonly _parent?: Handle;
}

export interface StreamBinding {
  readonly WriteWrap: new () => object;
  /** What the last call of a handle, in either direction, has to tell, at the indexes below. */
  readonly streamBaseState: Int32Array;
  readonly kReadBytesOrError: number;
  readonly kLastWriteWasAsync: number;
}

/** Undefined: this Node has none, or another one. */
export const streamBinding: StreamBinding | undefined = read();

function read(): StreamBinding | undefined {
  try {
    const { binding } = process as unknown as { readonly binding: (name: string) => Partial<StreamBinding> };
    const { WriteWrap, streamBaseState, kReadBytesOrError, kLastWriteWasAsync } = binding('stream_wrap');
    if (WriteWrap === undefined || !(streamBaseState instanceof Int32Array)) return undefined;
    if (kReadBytesOrError === undefined || kLastWriteWasAsync === undefined) return undefined;
    return { WriteWrap, streamBaseState, kReadBytesOrError, kLastWriteWasAsync };
  } catch {
    return undefined;
  }
}

export function handleOf(socket: object): Handle | undefined {
  return (socket as { readonly _handle?: Handle | null })._handle ?? undefined;
}

/** How many bytes the system has taken of a socket, as far as this Node tells; with TLS those that were encrypted. */
export function bytesTaken(socket: object): number {
  const handle = handleOf(socket);
  const lowest = handle?._parent ?? handle;
  return (lowest?.bytesWritten ?? 0) - (lowest?.writeQueueSize ?? 0);
}

/** How many bytes wait in a socket for the system to take them; with TLS, as they came and encrypted. */
export function bytesWaiting(socket: Writable): number {
  const handle = handleOf(socket);
  const lowest = handle?._parent;
  if (lowest !== undefined) return socket.writableLength + (lowest.writeQueueSize ?? 0);
  return Math.max(socket.writableLength, handle?.writeQueueSize ?? 0);
}
