// The certificate a server shows, as openssl s_client sees it.
import { X509Certificate } from 'node:crypto';
import { command } from './command.ts';

/** @param name the server name to ask for; undefined sends none */
export async function servedCertificate(
  port: number,
  name: string | undefined,
  options: readonly string[] = [],
): Promise<X509Certificate> {
  const sni = name === undefined ? ['-noservername'] : ['-servername', name];
  const { stdout, stderr } = await command('openssl', [
    's_client',
    '-connect',
    `127.0.0.1:${port}`,
    ...sni,
    ...options,
  ]);
  const pem = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/.exec(stdout)?.[0];
  if (pem === undefined) throw new Error(`no certificate for ${name}: ${stderr}`);
  return new X509Certificate(pem);
}
