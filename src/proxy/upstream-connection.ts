// One connection to an upstream: responses read off it, requests written to it, one exchange at a time. Which exchange gets
// it is upstream-pool.ts's; what a failure means to the client is exchange.ts's.
import type { OnReadOpts, Socket } from 'node:net';
import { BodyDecoder, piece } from '../http1/body-decoder.ts';
import { progress } from '../http1/codes.ts';
import type { FieldLines } from '../http1/field-lines.ts';
import { type HeadLimits, HeadParser } from '../http1/head-parser.ts';
import { MessageWriter } from '../http1/message-writer.ts';
import { ResponseHead } from '../http1/response-head.ts';
import type { Deadlines, Timed } from './deadlines.ts';
import { DirectWrites } from './direct-writes.ts';
import { readDirectly, ReadRoom } from './read-room.ts';
import { connectFailure, type Failure, failure } from './upstream-failures.ts';
import type { UpstreamSink, UpstreamTimeouts, UpstreamTransport } from './upstream-transport.ts';

export interface UpstreamOwner {
  /** It is open, for the sink that waited for it. */
  connected(sink: UpstreamSink): void;
  /** It can take another request. */
  idle(connection: UpstreamConnection, now: number): void;
  gone(connection: UpstreamConnection): void;
}

type State = 'connecting' | 'idle' | 'busy' | 'closed';

export class UpstreamConnection implements UpstreamTransport, Timed {
  /** HTTP/1.1 has no word for it. */
  readonly unprocessed = false;
  deadline: number;
  /** Requests it has taken. */
  uses = 0;

  readonly #socket: Socket;
  readonly #owner: UpstreamOwner;
  readonly #deadlines: Deadlines;
  readonly #writer: MessageWriter;
  readonly #direct: DirectWrites | undefined;
  readonly #parser: HeadParser;
  readonly #head: ResponseHead;
  readonly #decoder: BodyDecoder;
  #sink: UpstreamSink | undefined;
  #state: State = 'connecting';
  #method = '';
  #timeouts: UpstreamTimeouts;
  #requestSent = false;
  #sendBlocked = false;
  #answered = false;
  #headRead = false;
  #responseRead = false;
  #switched = false;
  #paused = false;
  #reusable = false;
  /** Bytes of this turn may follow those that were told last: TLS tells each record by itself, TCP what a room holds. */
  #mayHaveReadMore: boolean;
  /** What a failure before the first request means. */
  #connectFailure: Failure = failure.connect;

  readonly #room = new ReadRoom();

  /**
   * @param open makes the socket, connecting, which reads as the options it is given say
   * @param sink waits for it
   */
  constructor(
    open: (onread: OnReadOpts) => Socket,
    tls: boolean,
    sink: UpstreamSink,
    timeouts: UpstreamTimeouts,
    owner: UpstreamOwner,
    deadlines: Deadlines,
    limits: HeadLimits,
  ) {
    const onread = {
      buffer: () => this.#room.next,
      callback: (length: number, bytes: Uint8Array) => this.#onData(bytes as Buffer, length),
    };
    const socket = open(onread);
    this.#socket = socket;
    this.#sink = sink;
    this.#timeouts = timeouts;
    this.#owner = owner;
    this.#deadlines = deadlines;
    // A TLS socket ends its side by itself when the other does, and nothing may be under way then.
    this.#direct = tls ? undefined : new DirectWrites(socket, false);
    this.#writer = new MessageWriter(socket, this.#direct);
    this.#mayHaveReadMore = tls;
    this.#parser = new HeadParser('response', limits);
    this.#head = new ResponseHead(this.#parser);
    this.#decoder = new BodyDecoder(limits);
    this.deadline = deadlines.now() + timeouts.connectTimeoutMs;
    deadlines.add(this);
    if (tls) {
      socket.once('connect', () => {
        this.#connectFailure = failure.tls;
      });
    }
    socket.once(tls ? 'secureConnect' : 'connect', () => {
      if (!tls) readDirectly(socket, onread);
      this.#onConnect();
    });
    socket.on('drain', () => this.#onDrain());
    socket.on('end', () => this.#onEnd());
    socket.on('error', (error) => {
      this.#connectFailure = connectFailure(error, this.#connectFailure);
      this.#onClose();
    });
    socket.on('close', () => this.#onClose());
  }

  /** Has it served a request before the present one? Then the upstream may have closed it unnoticed. */
  get reused(): boolean {
    return this.uses > 1;
  }

  /** Has any byte of the response been seen? */
  get answered(): boolean {
    return this.#answered;
  }

  /** Who has it, or waits for its opening. */
  get sink(): UpstreamSink | undefined {
    return this.#sink;
  }

  /** Takes it out of idleness for the next exchange. */
  assign(sink: UpstreamSink, timeouts: UpstreamTimeouts): void {
    this.#sink = sink;
    this.#timeouts = timeouts;
    this.#state = 'busy';
  }

  /** Writes a request's head. @param whole no body follows */
  begin(method: string, head: string, whole: boolean, now: number): void {
    this.uses += 1;
    this.#method = method;
    this.#answered = false;
    this.#headRead = false;
    this.#responseRead = false;
    this.#requestSent = false;
    this.#reusable = false;
    this.#parser.reset();
    this.deadline = Number.POSITIVE_INFINITY;
    this.#writer.text(head);
    if (whole) this.endRequest(now);
  }

  sendData(bytes: Buffer, from: number, to: number): void {
    this.#writer.data(bytes, from, to);
  }

  sendChunk(bytes: Buffer, from: number, to: number): void {
    this.#writer.chunk(bytes, from, to);
  }

  sendLastChunk(trailers: FieldLines | undefined): void {
    this.#writer.lastChunk(trailers);
  }

  /** The request is whole. */
  endRequest(now: number = this.#deadlines.now()): void {
    this.#requestSent = true;
    this.#writer.flush();
    this.#sendBlocked = false;
    this.touch(now);
  }

  /** False: wait for `onUpstreamDrain` before sending more. */
  flush(): boolean {
    if (this.#state === 'closed' || this.#writer.flush()) return true;
    if (!this.#requestSent) {
      this.#sendBlocked = true;
      this.deadline = this.#deadlines.now() + this.#timeouts.sendTimeoutMs;
    }
    return false;
  }

  get holdsBytes(): boolean {
    return this.#socket.writableLength > 0 || this.#direct?.underWay === true;
  }

  get heldBytes(): number {
    return this.#socket.writableLength;
  }

  /** Ends our side; after a change of protocol the other one may go on. */
  halfClose(): void {
    if (this.#state !== 'closed') this.#socket.end();
  }

  /** The client cannot take more. */
  pause(): void {
    if (this.#paused || this.#state === 'closed') return;
    this.#paused = true;
    this.#socket.pause();
    this.deadline = Number.POSITIVE_INFINITY;
  }

  resume(): void {
    if (!this.#paused || this.#state === 'closed') return;
    this.#paused = false;
    this.touch();
    this.#socket.resume();
  }

  /** Begins the wait for the upstream's next bytes anew. */
  touch(now: number = this.#deadlines.now()): void {
    if (this.#paused) return;
    if (this.#requestSent || this.#switched) this.deadline = now + this.#timeouts.readTimeoutMs;
    else this.deadline = Number.POSITIVE_INFINITY;
  }

  /**
   * The exchange is over. Kept when both messages were whole and the upstream goes on, else closed; also when it answered
   * without having taken the whole request, which the next one would have to wait behind.
   */
  release(now: number): void {
    if (this.#state !== 'busy') return;
    this.#sink = undefined;
    if (!this.#reusable || !this.#responseRead || !this.#requestSent || this.#paused || this.holdsBytes) {
      return this.close();
    }
    this.#state = 'idle';
    // What else has been read with the response is told in the same turn: another request must not get it for its answer.
    if (this.#mayHaveReadMore) setImmediate(() => this.#rest(now));
    else this.#owner.idle(this, now);
  }

  #rest(now: number): void {
    if (this.#state === 'idle') this.#owner.idle(this, now);
  }

  close(): void {
    if (this.#state === 'closed') return;
    this.#state = 'closed';
    this.#sink = undefined;
    this.#deadlines.delete(this);
    this.#socket.destroy();
    this.#owner.gone(this);
  }

  onDeadline(): void {
    if (this.#state === 'connecting') this.#fail(failure.connectTimeout);
    else if (this.#state === 'busy') this.#fail(this.#sendBlocked ? failure.sendTimeout : failure.readTimeout);
    else this.close();
  }

  #onConnect(): void {
    if (this.#state !== 'connecting') return;
    this.#state = 'busy';
    this.deadline = Number.POSITIVE_INFINITY;
    const sink = this.#sink;
    if (sink === undefined) return this.close();
    this.#owner.connected(sink);
    sink.onUpstreamReady(this);
  }

  /** False ends reading until `resume`; that is `pause`'s to do. */
  #onData(bytes: Buffer, length: number): boolean {
    if (this.#state === 'idle') this.close();
    if (this.#state !== 'busy') return true;
    const sink = this.#sink;
    if (this.#direct !== undefined) this.#mayHaveReadMore = length === bytes.length;
    if (this.#room.lends && sink?.holdsResponse === false) this.#room.takeBack();
    this.#read(sink?.usesAtOnce === true ? bytes : this.#room.settle(bytes, length), length);
    const more = sink !== undefined && this.#sink === sink && !this.#responseRead;
    if (more && !this.#sendBlocked) this.touch();
    if (this.#sink === sink) sink?.onResponsePause();
    this.#room.after(length, sink?.holdsResponse !== false, more);
    return true;
  }

  #read(bytes: Buffer, to: number): void {
    let from = 0;
    // A response with neither request nor need: nothing may come before the request was begun, or after its response.
    if (this.#responseRead || this.uses === 0) return this.#fail(failure.malformed);
    this.#answered = true;
    while (!this.#headRead) {
      if (from === to) return;
      from = this.#readHead(bytes, from, to);
      if (from === progress.more || this.#sink === undefined) return;
    }
    for (;;) {
      const found = this.#decoder.next(bytes, from, to);
      from = this.#decoder.offset;
      if (found === piece.more) return;
      if (found === piece.refused) return this.#fail(failure.malformed);
      if (found === piece.end) return this.#endResponse(from < to);
      this.#sink?.onResponseData(bytes, this.#decoder.dataStart, this.#decoder.dataEnd);
      if (this.#sink === undefined) return;
    }
  }

  /** One head, interim or final. Returns the offset behind it, or `progress.more` when there is nothing more to do. */
  #readHead(bytes: Buffer, from: number, to: number): number {
    const behind = this.#parser.feed(bytes, from, to);
    if (behind === progress.more) return progress.more;
    if (behind === progress.refused || this.#head.read(this.#method) !== undefined) {
      this.#fail(failure.malformed);
      return progress.more;
    }
    const head = this.#head;
    if (head.status >= 200 || head.status === 101) {
      this.#headRead = true;
      this.#reusable = head.keepAlive && head.status !== 101 && head.bodyKind !== 'until-close';
      if (head.status === 101) this.#switch();
      else this.#decoder.begin(head.bodyKind, head.contentLength);
      this.#sink?.onResponseHead(head);
      return behind;
    }
    this.#sink?.onInterimResponse(head);
    this.#parser.reset();
    return behind;
  }

  #switch(): void {
    this.#switched = true;
    this.#socket.allowHalfOpen = true;
    this.#decoder.begin('until-close', 0);
  }

  #endResponse(moreFollows: boolean): void {
    this.#responseRead = true;
    if (moreFollows) this.#reusable = false;
    this.#sink?.onResponseEnd(this.#decoder.trailers);
  }

  #onDrain(): void {
    if (this.#state !== 'busy') return;
    this.#sendBlocked = false;
    this.touch();
    this.#sink?.onUpstreamDrain();
  }

  #onEnd(): void {
    if (this.#state === 'busy' && this.#headRead && !this.#responseRead && this.#decoder.mayClose) {
      this.#reusable = false;
      this.#endResponse(false);
      this.#sink?.onResponsePause();
      return;
    }
    this.#onClose();
  }

  #onClose(): void {
    if (this.#state === 'closed') return;
    if (this.#state === 'idle') return this.close();
    this.#fail(this.#state === 'connecting' ? this.#connectFailure : failure.reset);
  }

  #fail(reason: Failure): void {
    if (this.#state === 'closed') return;
    const sink = this.#sink;
    this.#sink = undefined;
    this.close();
    sink?.onUpstreamFailed(reason);
  }
}
