// Writes small texts to a socket's handle, past the stream that Node puts before it: its bookkeeping costs as much as
// writing does. This does what the stream would do; where Node is not as expected, nothing, and the stream does it. One write is under way at a time: what comes meanwhile goes to the stream, which holds it back.
import type { Socket } from 'node:net';
import { keepIfShared } from './read-room.ts';
import { handleOf, type StreamBinding, streamBinding, type WriteRequest } from './stream-binding.ts';

/** What `handle.writeLatin1String` takes; longer texts are not written at once by Node either. */
const directMax = 16 * 1024;

interface DirectRequest extends WriteRequest {
  writes: DirectWrites | undefined;
}

const binding = streamBinding;
/** For writes that are done at once, which leave no trace on it. */
let spare = binding === undefined ? undefined : newRequest(binding);

export class DirectWrites {
  readonly #socket: Socket;
  readonly #tls: boolean;
  #underWay = false;
  #held = false;
  #whenDone: (() => void) | undefined;

  /** @param tls what is written is encrypted when the write returns */
  constructor(socket: Socket, tls: boolean) {
    this.#socket = socket;
    this.#tls = tls;
  }

  get usesAtOnce(): boolean {
    const socket = this.#socket;
    return (
      this.#tls && !this.#underWay && socket.writableLength === 0 && socket.writableCorked === 0 && socket.writable
    );
  }

  keep(bytes: Buffer): Buffer {
    return keepIfShared(bytes);
  }

  /** A write is not done yet. With TLS none is before the present turn of the event loop ends. */
  get underWay(): boolean {
    return this.#underWay;
  }

  /** @param text latin1. @returns false: nothing was written, and the stream has to be given it, after `hold` */
  write(text: string): boolean {
    const socket = this.#socket;
    const handle = handleOf(socket);
    const request = spare;
    if (
      binding === undefined ||
      request === undefined ||
      this.#underWay ||
      text.length > directMax ||
      socket.writableLength > 0 ||
      socket.writableCorked > 0 ||
      !socket.writable ||
      socket.connecting ||
      typeof handle?.writeLatin1String !== 'function'
    ) {
      return false;
    }
    request.writes = this;
    const error = handle.writeLatin1String(request, text);
    if (binding.streamBaseState[binding.kLastWriteWasAsync] !== 0) {
      this.#underWay = true;
      spare = newRequest(binding);
    } else {
      request.writes = undefined;
    }
    if (error !== 0) socket.destroy();
    return true;
  }

  /** Before anything is written to the stream: it waits for what is under way. */
  hold(): void {
    if (!this.#underWay || this.#held) return;
    this.#held = true;
    this.#socket.cork();
  }

  /** Ends the stream, say, behind what is under way; only the last such action is done. */
  whenDone(action: () => void): void {
    if (this.#underWay) this.#whenDone = action;
    else action();
  }

  done(status: number): void {
    this.#underWay = false;
    if (status < 0) {
      this.#socket.destroy();
      return;
    }
    if (this.#held) {
      this.#held = false;
      this.#socket.uncork();
    }
    const action = this.#whenDone;
    this.#whenDone = undefined;
    action?.();
  }
}

function newRequest({ WriteWrap }: StreamBinding): DirectRequest {
  const request = new WriteWrap() as DirectRequest;
  request.oncomplete = onComplete;
  request.writes = undefined;
  return request;
}

function onComplete(this: DirectRequest, status: number): void {
  this.writes?.done(status);
}
