// From an accepted socket to a finished TLS handshake: ClientHello, certificate, context, TLSSocket. What the connection
// is used for is proxy's. Why not SNICallback: docs/adr/0002-own-client-hello.md.
import type { Socket } from 'node:net';
import { TLSSocket, type SecureContext } from 'node:tls';
import type { CertificateCatalog, PolicyCatalog } from '../catalog/contract.ts';
import { reasonOf } from '../lib/errors.ts';
import { hostNameMaxLength } from '../model/host-name.ts';
import { verificationWork } from '../x509/verification-work.ts';
import { alertRecord, type Alert } from './alert.ts';
import { chooseAlpn, type AlpnChoice, type AlpnProtocol } from './alpn.ts';
import { createClientFlight } from './client-flight.ts';
import { parseClientHello, type ClientHello } from './client-hello.ts';
import { readClientProof } from './client-proof.ts';
import type { ConnectionSecurity } from './connection.ts';
import { createContexts, unusableMax } from './contexts.ts';
import { createDeadlines, type Deadlines } from './deadlines.ts';
import { readDefaultCertificate } from './default-certificate.ts';
import { plainHttpAnswer } from './plain-http-answer.ts';
import { createTlsPolicies, type TlsPolicy } from './policies.ts';
import { createSelector, selectCertificate } from './select.ts';
import type { HandshakeFailure, TlsCounters, TlsLog, TlsSettings } from './settings.ts';
import {
  HandleTlsSocket,
  ignoreBytes,
  onHandshakeSecret,
  receive,
  resetHandle,
  socketOf,
  tapReads,
  type TcpHandle,
  tcpHandleOf,
} from './tcp-handle.ts';

export interface TlsAcceptorDependencies {
  readonly config: TlsSettings;
  readonly catalog: CertificateCatalog & PolicyCatalog;
  /** Throws when the key cannot be opened; that certificate is then unusable. The buffer is wiped after use. */
  readonly openKey: (sealedKey: string, publicKeySha256: string) => Buffer;
  /** Resolves when a certificate that was absent from the local file has been put there. */
  readonly fetchCertificate: (id: string) => Promise<void>;
  /** 32 bytes, the same on all workers and nodes. */
  readonly ticketSecret: Buffer;
  /** Milliseconds of the wall clock, which ticket keys rotate by. */
  readonly now: () => number;
  readonly counters: TlsCounters;
  /** A client was ended because of `clientChainMaxWorkMs`. */
  readonly chainTooCostly: (address: string | undefined) => void;
  readonly log: TlsLog;
}

/** A finished handshake. */
export interface SecureConnection {
  /** Paused. An `error` listener is set; what goes wrong from here on is told by `close`. */
  readonly socket: TLSSocket;
  /** The name of the ClientHello in normal form, also where the session was resumed. */
  readonly serverName: string | undefined;
  readonly alpnProtocol: AlpnProtocol;
  readonly security: ConnectionSecurity;
}

interface AcceptOptions {
  /** Protocols offered to this client, in the server's order. */
  readonly alpnProtocols: readonly AlpnProtocol[];
  /** What was already read of the connection, a PROXY header excluded. */
  readonly firstBytes?: Uint8Array | undefined;
  /** Asked once when the ClientHello is whole, before anything is looked up for it. False: the connection is reset. */
  readonly mayStart?: (() => boolean) | undefined;
  /** Who the client is, for whoever reads that it met a limit. */
  readonly address?: string | undefined;
  /** When the connection began, as `performance.now()` tells it: the time for the handshake runs from there. */
  readonly startedAt?: number | undefined;
}

export interface TlsAcceptor extends AsyncDisposable {
  /**
   * Takes over a socket that nobody reads. Every way it may fail is counted and ends the socket; only a finished
   * handshake is told of.
   */
  accept(socket: Socket, options: AcceptOptions, onSecure: (connection: SecureConnection) => void): void;
  /**
   * The same for a connection that no socket was made of yet.
   *
   * @param onClosed called once when the connection is closed, also long after its handshake
   * @returns ends the connection, as long as its handshake is under way
   */
  acceptHandle(
    handle: TcpHandle,
    options: AcceptOptions,
    onSecure: (connection: SecureConnection) => void,
    onClosed: () => void,
  ): () => void;
  /** Ends handshakes that began first, up to so many, if they began so long ago. @returns how many */
  endOldest(most: number, ageMs: number): number;
  /** Handshakes under way. */
  readonly pending: number;
  /** TLS contexts kept. */
  readonly contexts: number;
  /** Ids of bound certificates that could not be used when a client last asked for them; for /status. */
  unusableCertificates(): readonly string[];
  /** Drops what was made of a certificate (after it was deleted, say); open connections go on. */
  forget(certificateId: string): void;
  /** Drops everything that was made of certificates; open connections go on. */
  forgetAll(): void;
}

/** Names whose selection is remembered, for each context kept. */
const namesPerContext = 4;
/** How long a refused client may take to read why and close. */
const lingerMs = 2000;
/** Certificates that cannot be read are told of once in so long: every handshake for one of them fails. */
const readFailureIntervalMs = 1000;

/** @throws DEFAULT_CERTIFICATE_UNUSABLE */
export function createTlsAcceptor(dependencies: TlsAcceptorDependencies): TlsAcceptor {
  const { config, catalog, openKey, fetchCertificate, ticketSecret, now, counters, chainTooCostly, log } = dependencies;
  const configured = readDefaultCertificate(config.sslCertificates);
  const policies = createTlsPolicies(catalog, log);
  const selector = createSelector(catalog, configured.record, config.tlsContextsMax * namesPerContext, policies);
  const contexts = createContexts({
    settings: config,
    openKey: (pair) => configured.openKey(pair) ?? openKey(pair.sealedKey, pair.publicKeySha256),
    ticketSecret,
    now,
    counters,
    log,
  });
  /** The name under which an unusable certificate was last asked for, to see later whether it still is. */
  const unusableNames = new Map<string, string | undefined>();
  let readFailureToldAt = Number.NEGATIVE_INFINITY;
  const pending = createDeadlines<Handshake>(config.handshakeTimeoutMs, (handshake) => handshake.fail('timeout'));
  const lingering = createDeadlines<Socket>(lingerMs, (socket) => socket.destroy());
  const shared: Shared = {
    maxBytes: config.clientHelloMaxBytes,
    ciphers: config.sslCiphers,
    chainMaxWorkMs: config.clientChainMaxWorkMs,
    counters,
    chainTooCostly,
    pending,
    lingering,
    choose,
    fetchCertificate,
  };

  return {
    accept(socket, options, onSecure) {
      new Handshake(shared, options, onSecure).startOnSocket(socket);
    },
    acceptHandle(handle, options, onSecure, onClosed) {
      const handshake = new Handshake(shared, options, onSecure, onClosed);
      handshake.startOnHandle(handle);
      return handshake.abandon;
    },
    endOldest: (most, ageMs) => pending.endOldest(most, ageMs, (handshake) => handshake.fail('crowded-out')),
    get pending() {
      return pending.size;
    },
    get contexts() {
      return contexts.size;
    },
    unusableCertificates() {
      for (const [certificateId, serverName] of unusableNames) {
        if (!isStillUnusable(certificateId, serverName)) unusableNames.delete(certificateId);
      }
      return [...unusableNames.keys()];
    },
    forget: (certificateId) => contexts.forget(certificateId),
    forgetAll: () => contexts.forgetAll(),
    [Symbol.asyncDispose]() {
      pending.expireAll();
      lingering.expireAll();
      return Promise.resolve();
    },
  };

  function isStillUnusable(id: string, serverName: string | undefined): boolean {
    try {
      const { certificate, policy } = selector.find(serverName);
      return certificate?.id === id && contexts.isUnusable(id, certificate.revision, policy);
    } catch {
      // What cannot be read can as little be used.
      return true;
    }
  }

  /** What cannot be read from the local file, a damaged page of it say, fails for the names it belongs to. */
  function choose(sentName: string | undefined): Choice {
    try {
      return chosen(sentName);
    } catch (error) {
      const now = performance.now();
      if (now - readFailureToldAt >= readFailureIntervalMs) {
        readFailureToldAt = now;
        log.error(
          {
            serverName: sentName?.slice(0, hostNameMaxLength),
            reason: reasonOf(error),
          },
          'a certificate cannot be read; handshakes for its names fail',
        );
      }
      return { kind: 'unusable' };
    }
  }

  function chosen(sentName: string | undefined): Choice {
    const { serverName, certificate, policy, absent } = selector.find(sentName);
    if (absent !== undefined) return { kind: 'absent', certificateId: absent };
    if (certificate === undefined) return { kind: 'none' };
    let result = contexts.find(certificate.id, certificate.revision, policy);
    if (result === undefined) {
      const selection = selectCertificate(catalog, configured.record, serverName);
      if (selection.kind === 'none' || selection.kind === 'absent') return selection;
      result = contexts.get(selection.record, policy);
    }
    if (result.kind === 'ready') return { kind: 'ready', context: result.context, serverName, policy };
    if (unusableNames.size < unusableMax) unusableNames.set(certificate.id, serverName);
    return result;
  }
}

interface ReadyChoice {
  readonly kind: 'ready';
  readonly context: SecureContext;
  readonly serverName: string | undefined;
  readonly policy: TlsPolicy | undefined;
}

type Choice =
  | ReadyChoice
  | { readonly kind: 'none' }
  | { readonly kind: 'absent'; readonly certificateId: string }
  | { readonly kind: 'unusable' };

interface Shared {
  readonly maxBytes: number;
  /** Where a policy names none. */
  readonly ciphers: string;
  readonly chainMaxWorkMs: number;
  readonly counters: TlsCounters;
  readonly chainTooCostly: (address: string | undefined) => void;
  readonly pending: Deadlines<Handshake>;
  readonly lingering: Deadlines<Socket>;
  readonly choose: (sentName: string | undefined) => Choice;
  readonly fetchCertificate: (id: string) => Promise<void>;
}

function asks({ policy }: ReadyChoice): boolean {
  return policy !== undefined && policy.authorities.length > 0;
}

/** What a paused socket has in store. */
function readOut(socket: Socket): Buffer {
  const pieces: Buffer[] = [];
  for (let piece = readSome(socket); piece !== null; piece = readSome(socket)) pieces.push(piece);
  return Buffer.concat(pieces);
}

function readSome(socket: Socket): Buffer | null {
  return socket.read() as Buffer | null;
}

/** One connection on its way to its first application byte. */
class Handshake {
  readonly #shared: Shared;
  readonly #options: AcceptOptions;
  readonly #onSecure: (connection: SecureConnection) => void;
  readonly #onClosed: (() => void) | undefined;
  /** There is either a handle or a socket, until TLS has taken it. */
  #handle: TcpHandle | undefined;
  #socket: Socket | undefined;
  #tls: TLSSocket | undefined;
  #chunks: Uint8Array[] = [];
  #received = 0;
  #needed = 0;
  #over = false;
  #fetched = false;
  /** Ends the reading of what OpenSSL has not got yet. */
  #untap: (() => void) | undefined;

  constructor(
    shared: Shared,
    options: AcceptOptions,
    onSecure: (connection: SecureConnection) => void,
    onClosed?: () => void,
  ) {
    this.#shared = shared;
    this.#options = options;
    this.#onSecure = onSecure;
    this.#onClosed = onClosed;
  }

  startOnSocket(socket: Socket): void {
    this.#shared.pending.add(this, this.#options.startedAt);
    this.#listen(socket);
    if (this.#options.firstBytes !== undefined && this.#options.firstBytes.length > 0) {
      this.#onData(this.#options.firstBytes);
    }
    if (this.#tls === undefined && !this.#over) socket.resume();
  }

  startOnHandle(handle: TcpHandle): void {
    this.#shared.pending.add(this, this.#options.startedAt);
    this.#handle = handle;
    handle.onread = (bytes) => {
      if (bytes === undefined) this.fail('disconnected');
      else this.#onData(Buffer.from(bytes));
    };
    handle.reading = true;
    if (handle.readStart() !== 0) this.fail('disconnected');
  }

  /** Ends the connection without another word. */
  fail(reason: HandshakeFailure): void {
    if (!this.#finish()) return;
    this.#shared.counters.handshakeFailed(reason);
    if (reason === 'rate-limited') this.#reset();
    else this.#destroy();
  }

  abandon = (): void => {
    if (!this.#over) this.#destroy();
  };

  #destroy(): void {
    const socket = this.#tls ?? this.#socket;
    if (socket !== undefined) return void socket.destroy();
    const handle = this.#handle;
    this.#handle = undefined;
    if (handle === undefined) return;
    handle.onread = ignoreBytes;
    handle.close(this.#onClosed);
  }

  /** The client has nothing to answer, and the system nothing to wait for. */
  #reset(): void {
    if (this.#socket !== undefined) return void this.#socket.resetAndDestroy();
    const handle = this.#handle;
    this.#handle = undefined;
    if (handle === undefined) return;
    handle.onread = ignoreBytes;
    resetHandle(handle, this.#onClosed);
  }

  #listen(socket: Socket): void {
    this.#socket = socket;
    socket.on('error', this.#onError);
    socket.on('close', this.#onClose);
    socket.on('data', this.#onData);
  }

  /** What is not the common way goes on with a socket. */
  #ensureSocket(): Socket {
    const handle = this.#handle;
    if (this.#socket !== undefined || handle === undefined) return this.#socket as Socket;
    this.#handle = undefined;
    const socket = socketOf(handle);
    if (this.#onClosed !== undefined) socket.on('close', this.#onClosed);
    this.#listen(socket);
    return socket;
  }

  #onError = (): void => {
    // `close` follows and says all there is to say.
  };

  #onClose = (): void => {
    if (this.#socket !== undefined) this.#shared.lingering.delete(this.#socket);
    this.fail('disconnected');
  };

  #onData = (chunk: Uint8Array): void => {
    this.#chunks.push(chunk);
    this.#received += chunk.length;
    if (this.#received < this.#needed) return;
    const bytes = this.#chunks.length === 1 ? chunk : Buffer.concat(this.#chunks);
    const hello = parseClientHello(bytes, this.#shared.maxBytes);
    switch (hello.kind) {
      case 'incomplete':
        this.#chunks = [bytes];
        this.#needed = hello.needed;
        return;
      case 'plain-http':
        this.#refuse('plain-http', plainHttpAnswer);
        return;
      case 'malformed':
        this.#refuse(
          hello.reason === 'too-large' ? 'client-hello-too-large' : 'client-hello-malformed',
          alertRecord('decode_error'),
        );
        return;
      case 'hello':
        if (this.#options.mayStart?.() === false) this.fail('rate-limited');
        else this.#startTls(hello, bytes);
    }
  };

  #startTls(hello: ClientHello & { kind: 'hello' }, bytes: Uint8Array): void {
    const alpn = chooseAlpn(hello.alpn, this.#options.alpnProtocols);
    if (alpn.kind === 'none-in-common') return this.#alert('tls-alert', 'no_application_protocol');
    const choice = this.#shared.choose(hello.serverName);
    if (choice.kind === 'absent') return this.#startWhenFetched(choice.certificateId, hello, bytes);
    if (choice.kind === 'none') return this.#alert('no-certificate', 'unrecognized_name');
    if (choice.kind === 'unusable') return this.#alert('certificate-unusable', 'internal_error');

    this.#chunks = [];
    const wire = alpn.kind === 'chosen' ? alpn.wire : undefined;
    const handle = this.#handle;
    if (handle === undefined) {
      const socket = this.#ensureSocket();
      const tls = this.#wrapSocket(socket, choice, wire, bytes);
      this.#watch(tls, choice, alpn);
      if (asks(choice)) this.#readFlight(tls, tcpHandleOf(socket), choice, hello, readOut(socket));
    } else {
      this.#handle = undefined;
      const tls = new HandleTlsSocket(handle, choice.context, wire, asks(choice));
      if (this.#onClosed !== undefined) tls.on('close', this.#onClosed);
      this.#watch(tls, choice, alpn);
      if (asks(choice)) this.#readFlight(tls, handle, choice, hello, bytes);
      else receive(tls, bytes);
    }
  }

  #wrapSocket(socket: Socket, choice: ReadyChoice, alpn: Uint8Array | undefined, bytes: Uint8Array): TLSSocket {
    socket.off('data', this.#onData);
    socket.pause();
    socket.unshift(bytes);
    const tls = new TLSSocket(socket, {
      isServer: true,
      secureContext: choice.context,
      requestCert: asks(choice),
      // What the client answered is judged with each request, and HTTP says what was wrong with it.
      rejectUnauthorized: false,
      ...(alpn === undefined ? undefined : { ALPNProtocols: alpn }),
    });
    socket.off('close', this.#onClose);
    return tls;
  }

  /** Until it is known that its certificates may be verified, OpenSSL gets nothing that was not looked at. */
  #readFlight(
    tls: TLSSocket,
    handle: object | undefined,
    { policy }: ReadyChoice,
    { earlyData }: ClientHello & { kind: 'hello' },
    first: Uint8Array,
  ): void {
    if (handle === undefined) return this.fail('disconnected');
    const { chainMaxWorkMs, chainTooCostly } = this.#shared;
    let secret: Uint8Array | undefined;
    const flight = createClientFlight({
      pass: (bytes) => receive(tls, bytes),
      secret: () => secret && { cipher: tls.getCipher().name, secret },
      earlyData,
      mayVerify: (chain) => verificationWork(chain, policy?.constraintsBytes ?? 0) <= chainMaxWorkMs,
    });
    const read = (bytes: Uint8Array): (() => void) | undefined => {
      const verdict = flight.read(bytes);
      // OpenSSL may have ended it over what it was given.
      if (verdict === 'more' || this.#over) return undefined;
      if (verdict === 'malformed') this.fail('tls-alert');
      if (verdict === 'refused') {
        this.fail('client-chain-too-costly');
        chainTooCostly(this.#options.address);
      }
      this.#endTap();
      return verdict === 'done' ? () => receive(tls, flight.rest) : undefined;
    };
    const untap = tapReads(handle, read);
    if (untap === undefined) return receive(tls, first);
    const forget = onHandshakeSecret(tls, (told) => (secret = told));
    this.#untap = () => {
      untap();
      forget();
    };
    read(first)?.();
  }

  #endTap(): void {
    this.#untap?.();
    this.#untap = undefined;
  }

  #watch(tls: TLSSocket, choice: ReadyChoice, alpn: AlpnChoice & { kind: 'chosen' | 'not-asked' }): void {
    this.#tls = tls;
    // node:tls has a listener for `error` of its own that passes on to this one.
    tls.on('_tlsError', this.#onTlsError);
    tls.on('close', this.#onClose);
    tls.on('secure', () => this.#secured(tls, choice, alpn));
  }

  /** The client waits, within the time for the handshake; nothing more is read of it meanwhile. Fetched once or not at all. */
  #startWhenFetched(certificateId: string, hello: ClientHello & { kind: 'hello' }, bytes: Uint8Array): void {
    if (this.#fetched) return this.#alert('certificate-unusable', 'internal_error');
    this.#fetched = true;
    const socket = this.#ensureSocket();
    socket.off('data', this.#onData);
    socket.pause();
    const again = (): void => {
      if (!this.#over) this.#startTls(hello, bytes);
    };
    this.#shared.fetchCertificate(certificateId).then(again, again);
  }

  /** Also after the handshake: node:tls then only reports an error and leaves the socket open. */
  #onTlsError = (error: Error & { code?: string }): void => {
    // A connection that broke is told apart from a handshake that one side refused.
    this.fail(error.code?.startsWith('ERR_SSL_') === true ? 'tls-alert' : 'disconnected');
    this.#tls?.destroy();
  };

  #secured(tls: TLSSocket, choice: ReadyChoice, alpn: AlpnChoice & { kind: 'chosen' | 'not-asked' }): void {
    if (!this.#finish()) return;
    // As tls.Server does it; node:http2 waits for the handshake otherwise.
    (tls as TLSSocket & { secureConnecting: boolean }).secureConnecting = false;
    const { counters, ciphers } = this.#shared;
    const { serverName, policy } = choice;
    const version = tls.getProtocol() ?? 'unknown';
    counters.handshakeDone(version, tls.isSessionReused());
    const proof = policy !== undefined && asks(choice) ? readClientProof(tls, policy.authorities) : undefined;
    if (proof !== undefined) counters.clientAsked(proof.kind);
    this.#onSecure({
      socket: tls,
      serverName,
      alpnProtocol: alpn.protocol,
      security: { version, ciphers: policy?.ciphers ?? ciphers, proof },
    });
  }

  #alert(reason: HandshakeFailure, alert: Alert): void {
    this.#refuse(reason, alertRecord(alert));
  }

  /** Says why before it ends, and reads on meanwhile: a socket closed with unread bytes resets, and the words are lost. */
  #refuse(reason: HandshakeFailure, words: Uint8Array): void {
    if (!this.#finish()) return;
    this.#shared.counters.handshakeFailed(reason);
    const socket = this.#ensureSocket();
    socket.off('data', this.#onData);
    this.#shared.lingering.add(socket);
    socket.end(words);
    socket.resume();
  }

  /** @returns false when it was finished before */
  #finish(): boolean {
    if (this.#over) return false;
    this.#over = true;
    this.#chunks = [];
    this.#endTap();
    this.#shared.pending.delete(this);
    return true;
  }
}
