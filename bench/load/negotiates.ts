// Whether a listener answers with a protocol by ALPN.
import tls from 'node:tls';

export function negotiates(port: number, host: string, protocol: string): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const options = { host: '127.0.0.1', port, servername: host, rejectUnauthorized: false };
    const socket = tls.connect({ ...options, ALPNProtocols: [protocol, 'http/1.1'] }, () => {
      resolve(socket.alpnProtocol === protocol);
      socket.destroy();
    });
    socket.on('error', reject);
  });
}
