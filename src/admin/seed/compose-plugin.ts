// From the fields of a request to an ssl plugin and its certificate: defaults, merging, the check of the certificate.
import { newId } from '../../lib/new-id.ts';
import type { Api, Certificate, KeyPair, Plugin } from '../../model/entities.ts';
import type { StoreTransaction } from '../../store/contract.ts';
import type { Decoded } from '../bodies/decode-fields.ts';
import { acceptPair, holdsKey, type AcceptedPair, type PairDeps } from '../certificate-input.ts';
import { serverNames } from '../coverage.ts';
import type { Call } from '../contract.ts';
import { inputInvalid, invalid, type Problem } from '../problems.ts';
import type { Notices } from '../write.ts';
import type { PluginFields } from './plugin-fields.ts';

export interface ComposedPlugin {
  readonly plugin: Plugin;
  readonly certificate: Certificate;
  readonly notices: Notices;
  readonly uploaded: boolean;
  readonly pairs: readonly KeyPair[];
}

export interface PluginPlace {
  readonly identity: { readonly id: string; readonly createdAt: number };
  /** The API of the path; undefined under /plugins. */
  readonly scope: Api | undefined;
  readonly stored?: { readonly plugin: Plugin; readonly certificate: Certificate };
  /** What a stored plugin keeps of itself: nothing, or what was not sent. */
  readonly replaces?: 'all fields' | 'sent fields';
}

/** @throws INPUT_INVALID with every problem at once */
export async function composePlugin(
  deps: PairDeps,
  tx: StoreTransaction,
  call: Pick<Call, 'force'>,
  { values, problems: earlier }: Decoded<PluginFields>,
  place: PluginPlace,
): Promise<ComposedPlugin> {
  const { identity, scope, stored } = place;
  const kept = place.replaces === 'sent fields' ? stored?.plugin : undefined;
  const config = values.config ?? {};
  const apiId = scope?.id ?? (Object.hasOwn(values, 'api_id') ? (values.api_id ?? null) : (kept?.apiId ?? null));
  const problems = [...earlier];

  const accepted = await pairOf(deps, tx, call, values, place, apiId, problems);
  if (accepted === undefined || problems.length > 0) throw inputInvalid(problems);
  const certificateId = stored?.certificate.id ?? newId();
  const certificate: Certificate = {
    id: certificateId,
    owner: { kind: 'plugin', pluginId: identity.id },
    primary: accepted.pair,
    alternative: null,
    tags: [],
    createdAt: stored?.certificate.createdAt ?? identity.createdAt,
    updatedAt: deps.now(),
  };
  const plugin: Plugin = {
    id: identity.id,
    name: 'ssl',
    apiId,
    enabled: values.enabled ?? (Object.hasOwn(values, 'enabled') ? true : (kept?.enabled ?? true)),
    config: {
      onlyHttps: flagOf(config, 'only_https', kept?.config.onlyHttps),
      acceptHttpIfAlreadyTerminated: flagOf(
        config,
        'accept_http_if_already_terminated',
        kept?.config.acceptHttpIfAlreadyTerminated,
      ),
    },
    certificateId,
    createdAt: identity.createdAt,
  };
  return { plugin, certificate, notices: accepted.notices, uploaded: accepted.fresh, pairs: [accepted.pair] };
}

async function pairOf(
  deps: PairDeps,
  tx: StoreTransaction,
  call: Pick<Call, 'force'>,
  values: PluginFields,
  place: PluginPlace,
  apiId: string | null,
  problems: Problem[],
): Promise<(AcceptedPair & { readonly kind: 'accepted' }) | undefined> {
  const { cert, key, passphrase } = values.config ?? {};
  const reported = new Set(problems.map(({ field }) => field));
  if (place.replaces !== 'sent fields') {
    for (const name of ['cert', 'key'] as const) {
      const field = `config.${name}`;
      const inside = name === 'key' && holdsKey(cert);
      if (values.config?.[name] === undefined && !inside && !reported.has(field))
        problems.push(invalid(field, `${name} is required`));
    }
  }
  if (['config', 'config.cert', 'config.key'].some((field) => problems.some((problem) => problem.field === field))) {
    return undefined;
  }
  const api = place.scope ?? (apiId === null ? undefined : await tx.apis.get(apiId));
  const accepted = await acceptPair(deps, tx, {
    cert,
    key,
    passphrase,
    stored: place.stored?.certificate.primary,
    expectedNames: serverNames(api?.hosts ?? []),
    force: call.force,
  });
  if (accepted.kind === 'accepted') return accepted;
  problems.push(
    ...accepted.problems.map((problem) => ({ ...problem, ...seedPhrase(problem), field: `config.${problem.field}` })),
  );
  return undefined;
}

/** The seed's own words for what it knew: unreadable input. What is wrong with it then stands in the hint. */
function seedPhrase({ field, code, message, hint }: Problem): Partial<Problem> {
  if (code !== 'CERTIFICATE_UNREADABLE' && code !== 'KEY_UNREADABLE') return {};
  const known = field === 'key' ? 'Invalid SSL certificate key' : 'Invalid SSL certificate';
  return { message: known, hint: hint === undefined ? message : `${message} ${hint}` };
}

function flagOf(
  config: NonNullable<PluginFields['config']>,
  name: 'only_https' | 'accept_http_if_already_terminated',
  kept = false,
): boolean {
  return Object.hasOwn(config, name) ? (config[name] ?? false) : kept;
}
