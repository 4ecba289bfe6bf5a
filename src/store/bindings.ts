// Which names a holder binds, and who else holds one of them. The rows are the database's.
import { parseHostName } from '../model/host-name.ts';
import type { Api, Binding, Plugin, Sni } from '../model/entities.ts';
import { PortunusError } from '../lib/errors.ts';
import type { Rows } from './rows.ts';

/** The binding that stands in for the default certificate. */
const globalName = '';

export function bindingOfSni(sni: Sni): Binding {
  return { name: sni.name, certificateId: sni.certificateId, holder: { kind: 'sni', id: sni.id } };
}

/**
 * None while the plugin is disabled; the empty name when it is global; otherwise the hosts of its API, without those that
 * no TLS client sends (RFC 6066 section 3: no addresses).
 * @param api the plugin's; undefined when it is global
 */
export function bindingsOfPlugin(plugin: Plugin, api: Api | undefined): readonly Binding[] {
  if (!plugin.enabled) return [];
  const names =
    api === undefined ? [globalName] : new Set(api.hosts.filter((host) => parseHostName(host).kind !== 'invalid'));
  return Array.from(names, (name) => ({
    name,
    certificateId: plugin.certificateId,
    holder: { kind: 'plugin', id: plugin.id },
  }));
}

/**
 * Makes `wanted` the whole of what a holder binds.
 * @param beforeWrite called once when anything changes at all
 * @throws NAME_ALREADY_BOUND
 */
export async function rebind(
  rows: Rows,
  holderId: string,
  wanted: readonly Binding[],
  beforeWrite?: () => Promise<void>,
): Promise<void> {
  const present = new Map((await rows.bindingsOf(holderId)).map((binding) => [binding.name, binding]));
  const names = new Set(wanted.map((binding) => binding.name));
  const gone = [...present.keys()].filter((name) => !names.has(name));
  const fresh = wanted.filter((binding) => present.get(binding.name)?.certificateId !== binding.certificateId);
  if (gone.length === 0 && fresh.length === 0) return;

  await beforeWrite?.();
  for (const name of gone) await rows.unbind(name);
  for (const binding of fresh) {
    if (!present.has(binding.name)) await refuseHeld(rows, binding.name);
    await rows.bind(binding);
  }
}

/** @throws NAME_ALREADY_BOUND when the name is bound, by whomever */
export async function refuseHeld(rows: Rows, name: string): Promise<void> {
  const held = await rows.read.binding(name);
  if (held === undefined) return;
  const subject = name === globalName ? 'The place of the default certificate' : name;
  throw new PortunusError('NAME_ALREADY_BOUND', `${subject} is bound by ${await describeHolder(rows, held)}.`, {
    hint: 'A name has one certificate at a time: change that one, or delete it first.',
    facts: { name, holder: held.holder, certificateId: held.certificateId },
  });
}

async function describeHolder(rows: Rows, { holder, certificateId }: Binding): Promise<string> {
  if (holder.kind === 'sni') return `the SNI ${holder.id} of certificate ${certificateId}`;
  const plugin = await rows.read.plugins.get(holder.id);
  const apiId = plugin?.apiId ?? null;
  if (apiId === null) return `the global ssl plugin ${holder.id}`;
  const api = await rows.read.apis.get(apiId);
  return `the ssl plugin ${holder.id} of API ${api?.name ?? apiId}`;
}
