// What is demanded of clients, as the wire has it: the same three fields of an API and of a host.
import { Type, type Static } from 'typebox';
import type { ClientCertificateRule } from '../../model/entities.ts';
import { invalid, type Problem } from '../problems.ts';
import { nullable, uuid } from '../schemas.ts';

/** Their names are sent to every client that is asked. */
export const authoritiesMax = 16;
export const depthMax = 10;
const depthDefault = 1;

export const modes = ['off', 'optional', 'required'] as const;

export const ruleFields = {
  client_certificate: Type.Optional(
    nullable(
      Type.Unsafe<(typeof modes)[number]>({
        type: 'string',
        enum: modes,
        default: 'off',
        description: 'Whether clients are asked for a certificate. `optional`: they may show none, but not a bad one.',
      }),
    ),
  ),
  ca_certificates: Type.Optional(
    nullable(
      Type.Array(uuid, { description: `What it must stand on: ids of /ca_certificates, 1 to ${authoritiesMax}.` }),
    ),
  ),
  client_verify_depth: Type.Optional(
    nullable(
      Type.Integer({
        minimum: 0,
        maximum: depthMax,
        default: depthDefault,
        description: 'Intermediates between the certificate and the authority.',
      }),
    ),
  ),
};

type RuleFields = Partial<Static<ReturnType<typeof schema>>>;
const schema = () => Type.Object(ruleFields);

/**
 * @param kept what fields that were not sent keep
 * @param problems takes what is wrong
 */
export function composeRule(
  values: RuleFields,
  kept: ClientCertificateRule | null,
  problems: Problem[],
): ClientCertificateRule | null {
  const sent = <T>(name: keyof RuleFields, stored: T | undefined, initial: T): T =>
    Object.hasOwn(values, name) ? ((values[name] as T | null | undefined) ?? initial) : (stored ?? initial);
  const mode = sent('client_certificate', kept?.mode ?? 'off', 'off');
  const authorities = [...new Set(sent('ca_certificates', kept?.authorities, []))].sort();
  const isReported = problems.some(({ field }) => Object.hasOwn(ruleFields, field.split('.', 1)[0] ?? ''));
  if (mode === 'off') {
    const useless = (['ca_certificates', 'client_verify_depth'] as const).filter((name) => isSet(values[name]));
    if (!isReported)
      problems.push(...useless.map((name) => invalid(name, 'needs client_certificate to be optional or required')));
    return null;
  }
  if (authorities.length === 0 && !isReported) {
    problems.push(
      invalid(
        'ca_certificates',
        `is needed where client_certificate is ${mode}`,
        'Add the CA to /ca_certificates, and name its id.',
      ),
    );
  }
  if (authorities.length > authoritiesMax)
    problems.push(invalid('ca_certificates', `names more than ${authoritiesMax}`));
  return { mode, authorities, depth: sent('client_verify_depth', kept?.depth, depthDefault) };
}

export function showRule(rule: ClientCertificateRule) {
  return {
    client_certificate: rule.mode,
    ca_certificates: [...rule.authorities],
    client_verify_depth: rule.depth,
  };
}

function isSet(value: unknown): boolean {
  return value !== undefined && value !== null && !(Array.isArray(value) && value.length === 0);
}
