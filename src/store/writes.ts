// The rules of writing, over any database's rows: what is unique, what must exist, what cascades, and which rows of
// `changes` arise. That each write happens whole or not at all is transaction.ts's.
import type {
  Api,
  CaCertificate,
  Certificate,
  CertificateOwner,
  ClientCertificateRule,
  EntityKind,
  HostPolicy,
  Plugin,
  Sni,
  Token,
} from '../model/entities.ts';
import { bindingOfSni, bindingsOfPlugin, rebind } from './bindings.ts';
import type { ChangeLog } from './change-log.ts';
import { unanchoredMax, unanchoredOfOneSubjectMax, type StoreTransaction, type Writable } from './contract.ts';
import { insertCertificates, insertSnis } from './insert-certificates.ts';
import { intermediateKey } from './intermediate-key.ts';
import type { Rows } from './rows.ts';
import { missing, referenced, violation } from './violation.ts';

export interface Writes {
  readonly apis: Writable<Api>;
  readonly plugins: Writable<Plugin>;
  readonly certificates: Writable<Certificate>;
  readonly snis: Writable<Sni>;
  readonly tokens: Pick<Writable<Token>, 'insert' | 'delete'>;
  readonly caCertificates: Writable<CaCertificate>;
  readonly hostPolicies: Writable<HostPolicy>;
  readonly intermediates: Pick<StoreTransaction, 'rememberIntermediates'>;
  readonly many: Pick<StoreTransaction, 'insertCertificates' | 'insertSnis'>;
}

/** Codes and TypeErrors as StoreTransaction promises. */
export function createWrites(rows: Rows, log: Pick<ChangeLog, 'record' | 'reserve'>): Writes {
  const { read } = rows;

  return {
    apis: {
      async insert(api) {
        await refuseKnownId('api', api.id, read.apis);
        await refuseKnownName(api);
        await checkRule('api', api.clientCertificate);
        await rows.apis.insert(api, await log.record('api', api.id, 'create', { after: api }));
      },
      async replace(api) {
        const before = await existing('api', api.id, read.apis);
        await refuseKnownName(api);
        await checkRule('api', api.clientCertificate);
        await rows.apis.update(api, await log.record('api', api.id, 'update', { before, after: api }));
        for (const plugin of await rows.pluginsOfApi(api.id)) {
          await rebind(rows, plugin.id, bindingsOfPlugin(plugin, api), async () =>
            rows.plugins.update(
              plugin,
              await log.record('plugin', plugin.id, 'update', { before: plugin, after: plugin }),
            ),
          );
        }
      },
      async delete(id) {
        const before = await existing('api', id, read.apis);
        for (const plugin of await rows.pluginsOfApi(id)) await deletePlugin(plugin);
        await log.record('api', id, 'delete', { before });
        await rows.apis.delete(id);
      },
    },

    plugins: {
      async insert(plugin) {
        await refuseKnownId('plugin', plugin.id, read.plugins);
        const api = await referencesOf(plugin);
        await rows.plugins.insert(plugin, await log.record('plugin', plugin.id, 'create', { after: plugin }));
        await rebind(rows, plugin.id, bindingsOfPlugin(plugin, api));
      },
      async replace(plugin) {
        const before = await existing('plugin', plugin.id, read.plugins);
        const api = await referencesOf(plugin);
        await rows.plugins.update(plugin, await log.record('plugin', plugin.id, 'update', { before, after: plugin }));
        await rebind(rows, plugin.id, bindingsOfPlugin(plugin, api));
      },
      async delete(id) {
        await deletePlugin(await existing('plugin', id, read.plugins));
      },
    },

    certificates: {
      async insert(certificate) {
        await refuseKnownId('certificate', certificate.id, read.certificates);
        await rows.certificates.insert(
          certificate,
          await log.record('certificate', certificate.id, 'create', { after: certificate }),
        );
      },
      async replace(certificate) {
        const before = await existing('certificate', certificate.id, read.certificates);
        if (!isSameOwner(before.owner, certificate.owner)) {
          throw new TypeError(`certificate ${certificate.id} keeps its owner`);
        }
        await rows.certificates.update(
          certificate,
          await log.record('certificate', certificate.id, 'update', { before, after: certificate }),
        );
      },
      async delete(id) {
        const certificate = await existing('certificate', id, read.certificates);
        const plugin = await rows.findPluginOfCertificate(id);
        if (plugin !== undefined) throw new TypeError(`certificate ${id} goes with its plugin ${plugin.id}`);
        await deleteCertificate(certificate);
      },
    },

    snis: {
      async insert(sni) {
        await refuseKnownId('sni', sni.id, read.snis);
        await checkSni(sni);
        await rows.snis.insert(sni, await log.record('sni', sni.id, 'create', { after: sni }));
        await rebind(rows, sni.id, [bindingOfSni(sni)]);
      },
      async replace(sni) {
        const before = await existing('sni', sni.id, read.snis);
        await checkSni(sni);
        await rows.snis.update(sni, await log.record('sni', sni.id, 'update', { before, after: sni }));
        await rebind(rows, sni.id, [bindingOfSni(sni)]);
      },
      async delete(id) {
        await deleteSni(await existing('sni', id, read.snis));
      },
    },

    tokens: {
      async insert(token) {
        await refuseKnownId('token', token.id, read.tokens);
        if ((await read.tokens.findByName(token.name)) !== undefined) throw violation('token', 'name', token.name);
        if ((await read.tokens.findByPrefix(token.prefix)) !== undefined) {
          throw violation('token', 'prefix', token.prefix);
        }
        await rows.tokens.insert(token, await log.record('token', token.id, 'create', { after: token }));
      },
      async delete(id) {
        const before = await existing('token', id, read.tokens);
        await log.record('token', id, 'delete', { before });
        await rows.tokens.delete(id);
      },
    },

    caCertificates: {
      async insert(authority) {
        await refuseKnownId('ca_certificate', authority.id, read.caCertificates);
        await refuseKnownFingerprint(authority);
        await rows.caCertificates.insert(
          authority,
          await log.record('ca_certificate', authority.id, 'create', { after: authority }),
        );
      },
      async replace(authority) {
        const before = await existing('ca_certificate', authority.id, read.caCertificates);
        await refuseKnownFingerprint(authority);
        await rows.caCertificates.update(
          authority,
          await log.record('ca_certificate', authority.id, 'update', { before, after: authority }),
        );
      },
      async delete(id) {
        const before = await existing('ca_certificate', id, read.caCertificates);
        const holder = await rows.holderOfAuthority(id);
        if (holder !== undefined) {
          const isApi = (await read.apis.get(holder)) !== undefined;
          throw referenced('ca_certificate', id, isApi ? 'api' : 'host_policy', holder);
        }
        await log.record('ca_certificate', id, 'delete', { before });
        await rows.caCertificates.delete(id);
      },
    },

    hostPolicies: {
      async insert(policy) {
        await refuseKnownId('host_policy', policy.id, read.hostPolicies);
        await checkPolicy(policy);
        await rows.hostPolicies.insert(policy, await log.record('host_policy', policy.id, 'create', { after: policy }));
      },
      async replace(policy) {
        const before = await existing('host_policy', policy.id, read.hostPolicies);
        await checkPolicy(policy);
        await rows.hostPolicies.update(
          policy,
          await log.record('host_policy', policy.id, 'update', { before, after: policy }),
        );
      },
      async delete(id) {
        const before = await existing('host_policy', id, read.hostPolicies);
        await log.record('host_policy', id, 'delete', { before });
        await rows.hostPolicies.delete(id);
      },
    },

    intermediates: {
      async rememberIntermediates(found) {
        const room = { all: unanchoredMax, ofSubject: unanchoredOfOneSubjectMax };
        await Promise.all(
          found.map((each) =>
            rows.rememberIntermediate(...intermediateKey(each), each.pem, each.isAnchored === true ? undefined : room),
          ),
        );
      },
    },

    many: {
      insertCertificates: (items) => insertCertificates(rows, log, items),
      insertSnis: (snis) => insertSnis(rows, log, snis),
    },
  };

  async function deletePlugin(plugin: Plugin): Promise<void> {
    await log.record('plugin', plugin.id, 'delete', { before: plugin });
    await rebind(rows, plugin.id, []);
    await rows.plugins.delete(plugin.id);
    await deleteCertificate(await existing('certificate', plugin.certificateId, read.certificates));
  }

  async function deleteCertificate(certificate: Certificate): Promise<void> {
    const { id } = certificate;
    for (const sni of await read.snis.ofCertificate(id)) await deleteSni(sni);
    await log.record('certificate', id, 'delete', { before: certificate });
    await rows.certificates.delete(id);
  }

  async function deleteSni(sni: Sni): Promise<void> {
    await log.record('sni', sni.id, 'delete', { before: sni });
    await rebind(rows, sni.id, []);
    await rows.snis.delete(sni.id);
  }

  async function refuseKnownName(api: Api): Promise<void> {
    const other = await read.apis.findByName(api.name);
    if (other !== undefined && other.id !== api.id) throw violation('api', 'name', api.name);
  }

  async function refuseKnownFingerprint({ id, fingerprint }: CaCertificate): Promise<void> {
    const other = await read.caCertificates.findByFingerprint(fingerprint);
    if (other !== undefined && other.id !== id) throw violation('ca_certificate', 'fingerprint', fingerprint);
  }

  async function checkPolicy(policy: HostPolicy): Promise<void> {
    const other = await read.hostPolicies.findByName(policy.name);
    if (other !== undefined && other.id !== policy.id) throw violation('host_policy', 'name', policy.name);
    await checkRule('host_policy', policy.clientCertificate);
  }

  async function checkRule(entity: EntityKind, rule: ClientCertificateRule | null): Promise<void> {
    if (rule === null) return;
    const known = await rows.knownAuthorities(rule.authorities);
    for (const id of rule.authorities) if (!known.has(id)) throw missing(entity, 'clientCertificate', id);
  }

  /** @returns the plugin's API; undefined when it is global */
  async function referencesOf(plugin: Plugin): Promise<Api | undefined> {
    const api = plugin.apiId === null ? undefined : await read.apis.get(plugin.apiId);
    if (plugin.apiId !== null && api === undefined) throw missing('plugin', 'apiId', plugin.apiId);
    const other = await rows.findPlugin(plugin.name, plugin.apiId);
    if (other !== undefined && other.id !== plugin.id) throw violation('plugin', 'name', plugin.name);
    const certificate = await read.certificates.get(plugin.certificateId);
    if (certificate === undefined) throw missing('plugin', 'certificateId', plugin.certificateId);
    if (!isSameOwner(certificate.owner, { kind: 'plugin', pluginId: plugin.id })) {
      throw new TypeError(`certificate ${certificate.id} is not owned by the plugin ${plugin.id}`);
    }
    return api;
  }

  async function checkSni(sni: Sni): Promise<void> {
    const other = await read.snis.findByName(sni.name);
    if (other !== undefined && other.id !== sni.id) throw violation('sni', 'name', sni.name);
    if ((await read.certificates.get(sni.certificateId)) === undefined) {
      throw missing('sni', 'certificateId', sni.certificateId);
    }
  }
}

interface Gettable<E> {
  get(id: string): Promise<E | undefined>;
}

async function refuseKnownId<E>(entity: EntityKind, id: string, collection: Gettable<E>): Promise<void> {
  if ((await collection.get(id)) !== undefined) throw violation(entity, 'id', id);
}

async function existing<E>(entity: EntityKind, id: string, collection: Gettable<E>): Promise<E> {
  const found = await collection.get(id);
  if (found === undefined) throw new TypeError(`there is no ${entity} ${id}`);
  return found;
}

function isSameOwner(a: CertificateOwner, b: CertificateOwner): boolean {
  return a.kind === 'plugin' && b.kind === 'plugin' ? a.pluginId === b.pluginId : a.kind === b.kind;
}
