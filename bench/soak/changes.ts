// Changes while it serves: certificates renewed, added with their names, removed; APIs changed. Each is followed to a handshake.
import { X509Certificate } from 'node:crypto';
import { expectOk } from '../../test/support/admin.ts';
import { makeSelfSigned } from '../../test/support/certificates.ts';
import type { Gateway } from '../../test/support/gateway.ts';
import { handshake } from '../../test/support/handshake.ts';
import type { SoakUpstream } from './upstream.ts';

export const soakName = (number: number): string => `s${number}.soak.test`;

export async function publish(gateway: Gateway, upstream: SoakUpstream, names: number): Promise<void> {
  const api = (name: string, hosts: readonly string[], url: string, more: object = {}) =>
    expectOk(gateway.admin, 'POST', '/apis', { name, hosts, upstream_url: url, ...more });
  await api('all', ['*.soak.test'], upstream.url);
  await api('refused', ['refused.soak.test'], upstream.refusingUrl);
  await api('hanging', ['hanging.soak.test'], upstream.url, { upstream_read_timeout: 300 });
  for (let number = 0; number < names; number += 1) {
    const pair = makeSelfSigned({ names: [soakName(number)] });
    await expectOk(gateway.admin, 'POST', '/certificates', { ...pair, snis: [soakName(number)] });
  }
}

/** One change of each kind. @throws when one is not seen by the next handshake */
export async function change(gateway: Gateway, names: number, turn: number): Promise<void> {
  const renewed = soakName(Math.floor(Math.random() * names));
  const pair = makeSelfSigned({ names: [renewed] });
  await expectOk(gateway.admin, 'PATCH', `/certificates/${renewed}`, pair);
  await seen(gateway, renewed, pair.cert);

  const added = `added-${turn}.soak.test`;
  const other = makeSelfSigned({ names: [added] });
  await expectOk(gateway.admin, 'POST', '/certificates', { ...other, snis: [added] });
  await seen(gateway, added, other.cert);
  await expectOk(gateway.admin, 'DELETE', `/certificates/${added}`);
  await expectOk(gateway.admin, 'PATCH', '/apis/all', { retries: turn % 6 });
}

async function seen(gateway: Gateway, name: string, cert: string): Promise<void> {
  const { fingerprint256 } = await handshake(gateway.tlsPort, name);
  if (fingerprint256 !== new X509Certificate(cert).fingerprint256) throw new Error(`${name}: an old certificate`);
}
