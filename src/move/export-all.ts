// Everything of a store as one text in decK's format, which import-all.ts reads back: certificates with their SNIs and CA
// certificates, then what decK has no word for, APIs with their plugins, the global plugins and policies of hosts, in the
// fields of the Admin API.
// Left out: the default certificate, which each store makes for itself, and the times of creation and change.
import { stringify } from 'yaml';
import { shownKey, type PairDeps } from '../admin/certificate-input.ts';
import { showApi } from '../admin/seed/api-fields.ts';
import { showHost } from '../admin/policies/host-fields.ts';
import { showPlugin } from '../admin/seed/plugin-fields.ts';
import { showCaCertificate } from '../admin/today/ca-certificate-fields.ts';
import type { Api, CaCertificate, Certificate, HostPolicy, Plugin, Sni } from '../model/entities.ts';
import { pageSizeMax, type StoreReader } from '../store/contract.ts';
import type { Sealer } from '../store/sealer.ts';
import { pagesOf } from './pages-of.ts';

export interface ExportCounts {
  readonly certificates: number;
  readonly snis: number;
  readonly ca_certificates: number;
  readonly apis: number;
  readonly plugins: number;
  readonly hosts: number;
}

/** Each may have a list of some megabytes. */
const authoritiesAtOnce = 10;

export interface ExportOptions {
  /** Of one revision. */
  readonly reader: StoreReader;
  /** Opens the private keys, which are written as they are; undefined: placeholders stand for them. */
  readonly sealer: Sealer | undefined;
  /** Called one after the other. */
  readonly write: (text: string) => Promise<void>;
  readonly progress: (counts: ExportCounts) => void;
}

/** The same content gives the same bytes. @throws KEYRING_MISMATCH; what the store and `write` throw */
export async function exportAll({ reader, sealer, write, progress }: ExportOptions): Promise<ExportCounts> {
  const counts = { certificates: 0, snis: 0, ca_certificates: 0, apis: 0, plugins: 0, hosts: 0 };
  const deps: PairDeps = {
    sealer: sealer ?? noSealer,
    now: () => 0,
    config: { sslMinRsaBits: 0, adminPrivateKeys: sealer === undefined ? 'sealed' : 'visible' },
  };

  await write('_format_version: "3.0"\n');
  await section('certificates', pagesOf(reader.certificates, {}), async (certificate) => {
    const snis = await reader.snis.ofCertificate(certificate.id);
    counts.certificates += 1;
    counts.snis += snis.length;
    return certificateItem(deps, certificate, snis);
  });
  if ((await reader.caCertificates.count()) > 0) {
    await section('ca_certificates', pagesOf(reader.caCertificates, {}, authoritiesAtOnce), caCertificateItem);
  }
  if ((await reader.apis.count()) > 0) await section('apis', pagesOf(reader.apis, {}), apiItem);
  if ((await reader.plugins.count({ apiId: null })) > 0) {
    await section('plugins', pagesOf(reader.plugins, { apiId: null }), pluginItem);
  }
  if ((await reader.hostPolicies.count()) > 0) {
    await section('hosts', pagesOf(reader.hostPolicies, undefined), hostItem);
  }
  progress(counts);
  return counts;

  async function section<E>(
    name: string,
    pages: AsyncIterable<readonly E[]>,
    itemOf: (entity: E) => Promise<object>,
  ): Promise<void> {
    let isEmpty = true;
    for await (const page of pages) {
      // Questions about all of a page are under way at once.
      const items = await Promise.all(page.map(itemOf));
      await write(`${isEmpty ? `${name}:\n` : ''}${items.map(toYaml).join('')}`);
      isEmpty = false;
      progress(counts);
    }
    if (isEmpty) await write(`${name}: []\n`);
  }

  async function apiItem(api: Api): Promise<object> {
    const { items } = await reader.plugins.list({ size: pageSizeMax }, { apiId: api.id });
    const plugins = await Promise.all(items.map(pluginItem));
    counts.apis += 1;
    return { ...withoutTimes(showApi(api)), ...(plugins.length > 0 && { plugins }) };
  }

  async function caCertificateItem(authority: CaCertificate): Promise<object> {
    counts.ca_certificates += 1;
    return set(withoutTimes(showCaCertificate(authority)));
  }

  async function hostItem(policy: HostPolicy): Promise<object> {
    counts.hosts += 1;
    return set(withoutTimes(showHost(policy)));
  }

  async function pluginItem(plugin: Plugin): Promise<object> {
    const certificate = await reader.certificates.get(plugin.certificateId);
    if (certificate === undefined) throw new TypeError(`plugin ${plugin.id} has no certificate`);
    counts.plugins += 1;
    const { api_id: _api, ...shown } = withoutTimes(showPlugin(deps, plugin, certificate));
    return shown;
  }
}

function certificateItem(deps: PairDeps, certificate: Certificate, snis: readonly Sni[]): object {
  const { id, primary, alternative, tags } = certificate;
  return {
    id,
    cert: primary.chain,
    key: shownKey(deps, primary),
    ...(alternative !== null && { cert_alt: alternative.chain, key_alt: shownKey(deps, alternative) }),
    ...(tags.length > 0 && { tags }),
    // Named even when there are none: without them an import elsewhere could not tell.
    snis: snis.map((sni) => ({ id: sni.id, name: sni.name, ...(sni.tags.length > 0 && { tags: sni.tags }) })),
  };
}

function withoutTimes(shown: object): Readonly<Record<string, unknown>> {
  const { created_at: _made, updated_at: _changed, ...rest } = shown as Readonly<Record<string, unknown>>;
  return rest;
}

function set(fields: Readonly<Record<string, unknown>>): object {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== null));
}

function toYaml(item: object): string {
  return stringify([item], { lineWidth: 0 });
}

const noSealer: Sealer = {
  keyIds: ['none'],
  keyIdOf: () => undefined,
  seal: () => {
    throw new TypeError('an export seals nothing');
  },
  open: () => {
    throw new TypeError('an export without keys opens nothing');
  },
};
