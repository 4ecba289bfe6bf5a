// Accepted TCP connections as libuv's handles, before node:net makes sockets of them, and TLS on top of such a handle. A
// handshake over two sockets, one for TCP and one for TLS, costs a tenth more than over one. All of this is Node's inside:
// where it is not as expected, connections take the road of sockets, and nothing else changes.
import { type Server, Socket } from 'node:net';
import process from 'node:process';
import { TLSSocket, type SecureContext } from 'node:tls';

/** What is used of Node's TCPWrap. Nobody has made a socket of it. */
export interface TcpHandle {
  reading: boolean;
  /** What is to live as long as the handle is open. */
  owner?: object;
  /** Called with the bytes of one read; with undefined when the peer has ended or the connection is broken. */
  onread: ((bytes: ArrayBuffer | undefined) => void) | undefined;
  readStart(): number;
  close(done?: () => void): void;
  /** @returns 0, or an error when it stays open */
  reset(done?: () => void): number;
  /** @returns 0, or an error when it has gone again */
  getpeername(out: { address?: string; port?: number }): number;
  setNoDelay(on: boolean): number;
}

type OnConnection = (status: number, handle: TcpHandle | undefined) => void;

/**
 * Has the connections of a listening server told as handles instead of by its event 'connection'.
 *
 * @param server has just begun to listen
 * @returns false: this Node's servers are made otherwise, and the event goes on
 */
export function acceptHandles(server: Server, accept: (handle: TcpHandle) => void): boolean {
  const listening = (server as unknown as { _handle?: { onconnection?: OnConnection } })._handle;
  const asSocket = listening?.onconnection;
  if (listening === undefined || typeof asSocket !== 'function') return false;
  listening.onconnection = (status, handle) => {
    if (status === 0 && handle !== undefined && isTcpHandle(handle)) accept(handle);
    else asSocket.call(listening, status, handle);
  };
  return true;
}

/** From now on at most one connection waits in the queue of a listening server; those that wait already stay. */
export function narrowQueue(server: Server): void {
  const { _handle: listening } = server as unknown as { _handle?: { listen?: (backlog: number) => number } };
  listening?.listen?.(0);
}

const methods = ['readStart', 'close', 'reset', 'getpeername', 'setNoDelay'] as const;

function isTcpHandle(handle: TcpHandle): boolean {
  return methods.every((method) => typeof handle[method] === 'function');
}

/** Closes it such that the peer has nothing to answer, and the system nothing to wait for. */
export function resetHandle(handle: TcpHandle, done?: () => void): void {
  if (handle.reset(done) !== 0) handle.close(done);
}

/** @returns paused */
export function socketOf(handle: TcpHandle): Socket {
  // As the server makes them, of which node:net's documentation tells only what has a descriptor.
  const options = { handle, pauseOnCreate: true, noDelay: true, readable: true, writable: true };
  return new Socket(options as object);
}

/** Gives a server's side of TLS bytes that were read elsewhere. Call it when all listeners are there. */
export function receive(socket: TLSSocket, bytes: Uint8Array): void {
  (socket as unknown as TlsInside)._handle?.receive(bytes);
}

const handshakeSecret = 'CLIENT_HANDSHAKE_TRAFFIC_SECRET ';

/**
 * Tells the secret that keys for what the client sends in a handshake of TLS 1.3 are made of, before anything of that is read.
 * What Node tells beside, it wipes.
 *
 * @returns tells nothing any more
 */
export function onHandshakeSecret(socket: TLSSocket, tell: (secret: Uint8Array) => void): () => void {
  let told: typeof tell | undefined = tell;
  // As adding the listener does, where that is still waited for.
  (socket as unknown as TlsInside)._handle?.enableKeylogCallback();
  socket.on('keylog', (line: Buffer) => {
    if (line.toString('latin1', 0, handshakeSecret.length) === handshakeSecret)
      told?.(Buffer.from(line.toString('latin1', line.lastIndexOf(' ') + 1).trim(), 'hex'));
    line.fill(0);
  });
  return () => (told = undefined);
}

/** What there is below a socket of node:net; undefined when it is closed. */
export function tcpHandleOf(socket: Socket): object | undefined {
  return (socket as unknown as { readonly _handle: object | null })._handle ?? undefined;
}

interface TlsInside {
  readonly _handle: {
    receive(bytes: Uint8Array): void;
    setALPNProtocols(wire: Uint8Array): void;
    enableKeylogCallback(): void;
  } | null;
  connecting: boolean;
}

type WrapHandle = (wrap: null, handle: TcpHandle, busy: boolean) => object;
type WrapTls = (handle: TcpHandle, context: object, server: boolean, busy: boolean) => Record<string, unknown>;

/** Makes OpenSSL's side of a connection. Undefined: this Node has it elsewhere. */
const wrapTls = readWrap();

function readWrap(): WrapTls | undefined {
  try {
    const { binding } = process as unknown as { readonly binding: (name: string) => { readonly wrap?: WrapTls } };
    const { wrap } = binding('tls_wrap');
    return typeof wrap === 'function' ? wrap : undefined;
  } catch {
    return undefined;
  }
}

/**
 * The server's side of TLS on a handle that nobody else uses: the way of `tls.connect`, whose sockets also have no other
 * socket below them.
 */
export class HandleTlsSocket extends TLSSocket {
  /**
   * @param alpn the protocol to choose, as OpenSSL takes it
   * @param requestCert ask the client for a certificate, and go on whatever it answers
   */
  constructor(handle: TcpHandle, secureContext: SecureContext, alpn: Uint8Array | undefined, requestCert: boolean) {
    // With `noDelay` it only takes note: the handle has it already.
    super(
      undefined as unknown as Socket,
      { isServer: true, secureContext, noDelay: true, tcpHandle: handle, requestCert } as object,
    );
    const inside = this as unknown as TlsInside;
    inside.connecting = false;
    if (alpn !== undefined) inside._handle?.setALPNProtocols(alpn);
    // It waits for listeners of 'keylog', which there are none of, and slows every other listener that is added.
    this.removeAllListeners('newListener');
  }

  /**
   * Called by the constructor of TLSSocket, which makes a handle of its own otherwise. Node's way also looks after sockets
   * below this one, which costs each connection a property with a getter, a listener and an immediate.
   */
  _wrapHandle(_wrap: null, _handle: undefined, busy: boolean): object {
    const { tcpHandle, secureContext } = (this as unknown as { _tlsOptions: Options })._tlsOptions;
    if (wrapTls === undefined) return wrapHandle.call(this, null, tcpHandle, busy);
    const wrapped = wrapTls(tcpHandle, secureContext.context, true, busy);
    wrapped['_parent'] = tcpHandle;
    wrapped['_parentWrap'] = null;
    wrapped['_secureContext'] = secureContext;
    wrapped['reading'] = tcpHandle.reading;
    tcpHandle.onread = ignoreBytes;
    // Of the two only the handle is held by libuv.
    tcpHandle.owner = this;
    return wrapped;
  }
}

/** What is used of Node's parser for HTTP: it can stand between a handle and what reads of it, and go again. */
interface Parser {
  [event: number]: (bytes: Buffer) => void;
  initialize(type: number, resource: object): void;
  execute(bytes: Uint8Array): unknown;
  consume(handle: object): void;
  unconsume(): void;
  close(): void;
}

interface ParserConstructor {
  readonly REQUEST: number;
  readonly kOnBody: number;
  readonly kOnExecute: number;
  new (): Parser;
}

const { HTTPParser } = (process.getBuiltinModule('_http_common') ?? {}) as { readonly HTTPParser?: ParserConstructor };

/** Of a body that does not end. */
const endlessHead = Buffer.from(`POST / HTTP/1.1\r\nContent-Length: ${Number.MAX_SAFE_INTEGER}\r\n\r\n`);

/**
 * Has what comes in on a handle told, instead of given to TLS, which has begun on it. Ends and errors still go there.
 *
 * @param onRead what it returns is called as if the system had called it, and not Node: what Node does after each of its calls,
 * it does not do within another one, and node:http2 loses responses of HTTP/2 without that
 * @returns gives what comes from now on to TLS. Undefined: this Node's parser is another one, and TLS gets everything
 */
export function tapReads(
  handle: object,
  onRead: (bytes: Buffer) => (() => void) | undefined,
): (() => void) | undefined {
  if (typeof HTTPParser?.prototype.unconsume !== 'function') return undefined;
  const parser = new HTTPParser();
  parser.initialize(HTTPParser.REQUEST, {});
  parser.execute(endlessHead);
  let next: (() => void) | undefined;
  parser[HTTPParser.kOnBody] = (bytes) => (next = onRead(bytes));
  // Looked for after each read, and not called.
  Object.defineProperty(parser, HTTPParser.kOnExecute, {
    get() {
      next?.();
      next = undefined;
    },
  });
  parser.consume(handle);
  return () => {
    parser.unconsume();
    // Not while it reads.
    setImmediate(() => parser.close());
  };
}

interface Options {
  readonly tcpHandle: TcpHandle;
  readonly secureContext: SecureContext & { readonly context: object };
}

const { _wrapHandle: wrapHandle } = TLSSocket.prototype as unknown as { _wrapHandle: WrapHandle };

/** For a handle that is closed, or whose bytes go elsewhere. */
export function ignoreBytes(): void {}
