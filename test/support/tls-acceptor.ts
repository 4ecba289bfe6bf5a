// A TLS acceptor on a real port, over a catalog that lives in a Map; it greets each client with the facts of its
// connection and closes. And clients for it.
import assert from 'node:assert/strict';
import { createHash, X509Certificate } from 'node:crypto';
import { createServer, type AddressInfo } from 'node:net';
import { connect as connectTls, type ConnectionOptions, type TLSSocket } from 'node:tls';
import { once } from 'node:events';
import type { CertificateCatalog, CertificateRecord, PolicyCatalog } from '../../src/catalog/contract.ts';
import { createTlsAcceptor, type SecureConnection, type TlsAcceptor } from '../../src/tls/accept.ts';
import type { AlpnProtocol } from '../../src/tls/alpn.ts';
import type { HandshakeFailure, TlsSettings } from '../../src/tls/settings.ts';
import { acceptHandles } from '../../src/tls/tcp-handle.ts';
import { command } from './command.ts';
import { noPolicies } from './no-policies.ts';

export const tlsSettings: TlsSettings = {
  sslCertificates: [],
  sslMinVersion: 'TLSv1.2',
  sslMaxVersion: 'TLSv1.3',
  sslCiphers: [
    'TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256',
    'ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256',
    'ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384',
  ].join(':'),
  sslMinRsaBits: 2048,
  sslSessionTickets: true,
  sslSessionTimeoutSeconds: 300,
  sslSessionTicketRotationMs: 12 * 3_600_000,
  tlsContextsMax: 100,
  clientHelloMaxBytes: 32_768,
  clientChainMaxWorkMs: 15,
  handshakeTimeoutMs: 10_000,
};

export interface FakeCatalog extends CertificateCatalog, PolicyCatalog {
  certificateEpoch: number;
  /** The names asked for, each time the catalog was asked. */
  readonly lookups: string[];
  standard: CertificateRecord | undefined;
  /** Bound, and not in the file yet: name to id. */
  readonly absent: Map<string, string>;
  /** As an applied change does it: the answer and the epoch move together. */
  bind(name: string, record: CertificateRecord | undefined): void;
}

export function fakeCatalog(): FakeCatalog {
  const bindings = new Map<string, CertificateRecord>();
  const catalog: FakeCatalog = {
    ...noPolicies,
    certificateEpoch: 0,
    lookups: [],
    standard: undefined,
    absent: new Map(),
    absentCertificate: (names) => names.map((name) => catalog.absent.get(name)).find((id) => id !== undefined),
    findCertificate(names) {
      catalog.lookups.push(names[0] ?? '');
      return names.map((name) => bindings.get(name)).find((record) => record !== undefined);
    },
    storedDefault: () => catalog.standard,
    bind(name, record) {
      if (record === undefined) bindings.delete(name);
      else bindings.set(name, record);
      catalog.certificateEpoch += 1;
    },
  };
  return catalog;
}

/** The "sealed" key of such a record is the key itself. */
export function makeRecord(
  id: string,
  pairs: readonly { readonly chain: string; readonly key: string }[],
  revision = 1,
): CertificateRecord {
  return {
    id,
    revision,
    pairs: pairs.map(({ chain, key }) => ({
      chain,
      sealedKey: key,
      publicKeySha256: '',
      fingerprint: createHash('sha256').update(new X509Certificate(chain).raw).digest('hex'),
    })),
  };
}

interface RecordingCounters {
  readonly versions: string[];
  readonly resumed: boolean[];
  readonly failures: HandshakeFailure[];
  readonly contexts: Record<'hit' | 'made' | 'unusable' | 'evicted', number>;
}

export interface RunningAcceptor extends AsyncDisposable {
  readonly port: number;
  readonly acceptor: TlsAcceptor;
  readonly counted: RecordingCounters;
  /** Fields of what was logged as an error. */
  readonly errors: object[];
  readonly connections: SecureConnection[];
  /** Connections that are open. */
  readonly open: ReadonlySet<object>;
}

export interface AcceptorOptions {
  readonly catalog: CertificateCatalog & PolicyCatalog;
  readonly settings?: Partial<TlsSettings>;
  readonly ticketSecret?: Buffer;
  /** The wall clock. */
  readonly now?: () => number;
  readonly alpnProtocols?: readonly AlpnProtocol[];
  readonly openKey?: (sealedKey: string) => Buffer;
  readonly fetchCertificate?: (id: string) => Promise<void>;
  /** Keep connections open and echo instead of greeting and closing. */
  readonly echo?: boolean;
}

/** How connections come to the acceptors of this process. */
export const road: { kind: 'handle' | 'socket' } = { kind: 'handle' };

export async function startAcceptor(options: AcceptorOptions): Promise<RunningAcceptor> {
  const counted: RecordingCounters = {
    versions: [],
    resumed: [],
    failures: [],
    contexts: { hit: 0, made: 0, unusable: 0, evicted: 0 },
  };
  const errors: object[] = [];
  const acceptor = createTlsAcceptor({
    config: { ...tlsSettings, ...options.settings },
    catalog: options.catalog,
    openKey: options.openKey ?? ((sealedKey) => Buffer.from(sealedKey)),
    fetchCertificate: options.fetchCertificate ?? (() => Promise.reject(new Error('nothing is absent'))),
    ticketSecret: options.ticketSecret ?? Buffer.alloc(32, 7),
    now: options.now ?? (() => 0),
    counters: {
      handshakeDone(version, resumed) {
        counted.versions.push(version);
        counted.resumed.push(resumed);
      },
      handshakeFailed: (reason) => void counted.failures.push(reason),
      clientAsked: () => {},
      contextHit: () => void (counted.contexts.hit += 1),
      contextMade: (ok) => void (counted.contexts[ok ? 'made' : 'unusable'] += 1),
      contextEvicted: () => void (counted.contexts.evicted += 1),
    },
    chainTooCostly: () => {},
    log: { debug: () => {}, error: (fields) => void errors.push(fields) },
  });
  const connections: SecureConnection[] = [];
  const open = new Set<object>();
  const alpnProtocols = options.alpnProtocols ?? ['http/1.1'];
  const onSecure = (connection: SecureConnection): void => {
    connections.push(connection);
    if (options.echo === true) connection.socket.pipe(connection.socket);
    else connection.socket.end(JSON.stringify(greetingOf(connection)));
  };
  const server = createServer({ pauseOnConnect: true, noDelay: true }, (socket) => {
    assert.equal(road.kind, 'socket');
    open.add(socket);
    socket.on('close', () => open.delete(socket));
    acceptor.accept(socket, { alpnProtocols }, onSecure);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  if (road.kind === 'handle') {
    acceptHandles(server, (handle) => {
      open.add(handle);
      acceptor.acceptHandle(handle, { alpnProtocols }, onSecure, () => open.delete(handle));
    });
  }
  return {
    port: (server.address() as AddressInfo).port,
    acceptor,
    counted,
    errors,
    connections,
    open,
    async [Symbol.asyncDispose]() {
      await acceptor[Symbol.asyncDispose]();
      for (const { socket } of connections) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}

interface Greeting {
  readonly serverName: string | null;
  readonly alpnProtocol: string;
  readonly resumed: boolean;
}

function greetingOf({ socket, serverName, alpnProtocol }: SecureConnection): Greeting {
  return { serverName: serverName ?? null, alpnProtocol, resumed: socket.isSessionReused() };
}

export interface Answer extends Greeting {
  /** SHA-256 of the leaf that was shown, hex. Empty on a resumed TLS 1.2 connection. */
  readonly fingerprint: string;
  readonly keyType: string | undefined;
  readonly protocol: string | null;
  readonly session: Buffer | undefined;
}

/** Connects with node:tls, trusting whatever is shown, and reads the greeting to its end. */
export async function ask(port: number, options: ConnectionOptions): Promise<Answer> {
  const socket = connectTls({ port, host: '127.0.0.1', rejectUnauthorized: false, ...options });
  let session: Buffer | undefined;
  socket.on('session', (latest: Buffer) => (session = latest));
  await once(socket, 'secureConnect');
  const shown = socket.getPeerX509Certificate();
  const protocol = socket.getProtocol();
  const greeting = JSON.parse(await readAll(socket)) as Greeting;
  return {
    ...greeting,
    fingerprint: shown === undefined ? '' : fingerprintOf(shown),
    keyType: shown?.publicKey.asymmetricKeyType,
    protocol,
    session,
  };
}

/** The code of the error that ends a node:tls handshake. */
export async function askInVain(port: number, options: ConnectionOptions): Promise<string> {
  try {
    await ask(port, options);
  } catch (error) {
    return (error as Error & { code: string }).code;
  }
  throw new Error('the handshake was expected to fail');
}

/** SHA-256 of a PEM text's first certificate, or of a certificate, hex. */
export function fingerprintOf(certificate: string | X509Certificate): string {
  const { raw } = typeof certificate === 'string' ? new X509Certificate(certificate) : certificate;
  return createHash('sha256').update(raw).digest('hex');
}

/** Runs `openssl s_client` until the server closes. @param input what it sends */
export async function sClient(port: number, options: readonly string[], input = ''): Promise<string> {
  const { stdout, stderr } = await command(
    'openssl',
    ['s_client', '-connect', `127.0.0.1:${port}`, '-ign_eof', ...options],
    { input },
  );
  return stdout + stderr;
}

async function readAll(socket: TLSSocket): Promise<string> {
  let text = '';
  for await (const chunk of socket) text += String(chunk);
  return text;
}
