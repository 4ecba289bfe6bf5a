// A TLS handshake as a client sees it.
import { once } from 'node:events';
import tls from 'node:tls';

export interface Handshake {
  readonly fingerprint256: string;
  readonly subject: string;
  readonly resumed: boolean;
  /** The ticket that came with it, to resume by. */
  readonly session: Buffer | undefined;
}

export interface HandshakeOptions {
  readonly version?: 'TLSv1.2' | 'TLSv1.3';
  readonly session?: Buffer | undefined;
  /** Wait for the ticket, which TLS 1.3 sends after the handshake. */
  readonly ticket?: boolean;
}

/** @throws what ends the handshake, or after a minute */
export async function handshake(port: number, name: string, options: HandshakeOptions = {}): Promise<Handshake> {
  const socket = tls.connect({
    host: '127.0.0.1',
    port,
    servername: name,
    rejectUnauthorized: false,
    ...(options.version !== undefined && { minVersion: options.version, maxVersion: options.version }),
    ...(options.session !== undefined && { session: options.session }),
  });
  let session: Buffer | undefined;
  const ticket = new Promise<void>((resolve) =>
    socket.on('session', (received) => {
      session = received;
      resolve();
    }),
  );
  socket.setTimeout(60_000, () => socket.destroy(new Error(`no handshake for ${name} in a minute`)));
  try {
    await once(socket, 'secureConnect');
    const certificate = socket.getPeerCertificate();
    if (options.ticket === true) await Promise.race([ticket, once(socket, 'close')]);
    return {
      fingerprint256: certificate.fingerprint256,
      subject: [certificate.subject?.CN ?? ''].flat().join(),
      resumed: socket.isSessionReused(),
      session,
    };
  } finally {
    socket.destroy();
  }
}
