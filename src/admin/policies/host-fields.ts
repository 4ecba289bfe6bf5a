// The policy of a host as the wire has it, with today's rules: every field is answered, unset ones as null.
import { Type, type Static } from 'typebox';
import { isCipherString } from '../../lib/cipher-string.ts';
import { newId } from '../../lib/new-id.ts';
import type { HostPolicy, TlsVersion } from '../../model/entities.ts';
import { decodeFields } from '../bodies/decode-fields.ts';
import { todayPhrases } from '../bodies/phrases.ts';
import type { Call } from '../contract.ts';
import { inputInvalid, invalid } from '../problems.ts';
import { ignored, nullable, uuid } from '../schemas.ts';
import { checkSniName } from '../today/sni-names.ts';
import { composeRule, modes, ruleFields, showRule } from './rule-fields.ts';

const versions: readonly TlsVersion[] = ['TLSv1.2', 'TLSv1.3'];
const ciphersMaxLength = 2048;

export const hostBody = Type.Object(
  {
    id: Type.Optional(uuid),
    name: Type.Optional(Type.String({ description: 'A host name, `*.example.com`, `example.*` or `*`.' })),
    ...ruleFields,
    ssl_min_version: Type.Optional(
      nullable(
        Type.Unsafe<TlsVersion>({ type: 'string', enum: versions, description: 'null: as ssl_protocols says.' }),
      ),
    ),
    ssl_ciphers: Type.Optional(
      nullable(Type.String({ description: 'Names of OpenSSL with colons. null: as the settings say.' })),
    ),
    created_at: Type.Optional(ignored),
    updated_at: Type.Optional(ignored),
  },
  { additionalProperties: false },
);

const seconds = Type.Integer({ description: 'Seconds since the epoch.' });
export const hostAnswer = Type.Object({
  id: uuid,
  name: Type.String(),
  client_certificate: Type.Unsafe<(typeof modes)[number]>({ type: 'string', enum: modes }),
  ca_certificates: nullable(Type.Array(uuid)),
  client_verify_depth: nullable(Type.Integer()),
  ssl_min_version: nullable(Type.String()),
  ssl_ciphers: nullable(Type.String()),
  created_at: seconds,
  updated_at: seconds,
});

export function showHost(policy: HostPolicy): Static<typeof hostAnswer> {
  const { id, name, clientCertificate, minVersion, ciphers, createdAt, updatedAt } = policy;
  const off = { client_certificate: 'off', ca_certificates: null, client_verify_depth: null } as const;
  return {
    id,
    name,
    ...(clientCertificate === null ? off : showRule(clientCertificate)),
    ssl_min_version: minVersion,
    ssl_ciphers: ciphers,
    created_at: Math.floor(createdAt / 1000),
    updated_at: Math.floor(updatedAt / 1000),
  };
}

export interface HostPlace {
  /** Undefined: the one in the body, or a new one. */
  readonly id?: string | undefined;
  readonly createdAt?: number | undefined;
  /** The name in the path, which wins over the body's. */
  readonly name?: string | undefined;
  /** PATCH: what was not sent stays. */
  readonly kept?: HostPolicy | undefined;
  readonly now: number;
}

/** Whether there are the authorities it names is the store's question. @throws INPUT_INVALID */
export function composeHost(
  call: Pick<Call, 'body'>,
  { id, createdAt, name: ofPath, kept, now }: HostPlace,
): HostPolicy {
  const { values, problems: earlier } = decodeFields(hostBody, call.body, todayPhrases);
  const problems = [...earlier];
  const text = ofPath ?? values.name ?? kept?.name;
  if (text === undefined && !problems.some(({ field }) => field === 'name')) {
    problems.push(invalid('name', 'required field missing'));
  }
  const checked = text === undefined ? undefined : checkSniName(text, 'name');
  if (checked?.kind === 'unsound') problems.push(checked.problem);
  const sent = <T>(name: keyof typeof values, stored: T | null | undefined): T | null =>
    Object.hasOwn(values, name) ? ((values[name] as T | null | undefined) ?? null) : (stored ?? null);
  const clientCertificate = composeRule(values, kept?.clientCertificate ?? null, problems);
  const ciphers = sent<string>('ssl_ciphers', kept?.ciphers);
  if (ciphers !== null && (ciphers.length > ciphersMaxLength || !isCipherString(ciphers))) {
    problems.push(invalid('ssl_ciphers', 'expected names of OpenSSL ciphers with colons between them'));
  }
  if (problems.length > 0 || checked?.kind !== 'sound') throw inputInvalid(problems);
  return {
    id: id ?? values.id ?? newId(),
    name: checked.name,
    clientCertificate,
    minVersion: sent<TlsVersion>('ssl_min_version', kept?.minVersion),
    ciphers,
    createdAt: createdAt ?? now,
    updatedAt: now,
  };
}
