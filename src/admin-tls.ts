// What the Admin API proves itself with: the certificate of the configuration, or the one that Portunus made for itself.
import type { AdminTls } from './admin/admin-server.ts';
import type { Config } from './config/config.ts';
import type { StoreReader } from './store/contract.ts';
import type { Sealer } from './store/sealer.ts';
import { groups } from './tls/contexts.ts';

type AdminTlsConfig = Pick<
  Config,
  'adminCertificates' | 'adminClients' | 'sslMinVersion' | 'sslMaxVersion' | 'sslCiphers'
>;

/** @throws KEYRING_MISMATCH */
export async function adminTls(config: AdminTlsConfig, local: StoreReader, sealer: Sealer): Promise<AdminTls> {
  const { adminCertificates, adminClients, sslMinVersion, sslMaxVersion, sslCiphers } = config;
  return {
    certificates: adminCertificates.length > 0 ? adminCertificates : await ownCertificates(local, sealer),
    clients: adminClients,
    minVersion: sslMinVersion,
    maxVersion: sslMaxVersion,
    ciphers: sslCiphers,
    groups,
  };
}

async function ownCertificates(local: StoreReader, sealer: Sealer): Promise<AdminTls['certificates']> {
  const [made] = (await local.certificates.list({ size: 1 }, { owner: 'default' })).items;
  if (made === undefined) throw new Error('the store holds no default certificate');
  return [made.primary, made.alternative]
    .filter((pair) => pair !== null)
    .map(({ chain, sealedKey, publicKeySha256 }) => ({
      chain,
      key: sealer.open(sealedKey, publicKeySha256).toString('utf8'),
    }));
}
