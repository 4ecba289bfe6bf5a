// The first bytes that a real TLS client sends.
import net from 'node:net';
import tls from 'node:tls';

/** @param host that it names */
export async function capturedHello(host: string, maxVersion: tls.SecureVersion = 'TLSv1.3'): Promise<Buffer> {
  const server = net.createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const received = new Promise<Buffer>((resolve) =>
    server.once('connection', (socket) => socket.once('data', resolve)),
  );
  const port = (server.address() as net.AddressInfo).port;
  const client = tls.connect({ port, host: '127.0.0.1', servername: host, maxVersion });
  client.on('error', () => undefined);
  const hello = await received;
  client.destroy();
  server.close();
  return hello;
}
