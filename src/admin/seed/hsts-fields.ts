// Strict-Transport-Security of an API (RFC 6797), as the wire has it.
import { Type, type Static } from 'typebox';
import type { StrictTransportSecurity } from '../../model/entities.ts';
import { invalid, type Problem } from '../problems.ts';
import { nullable } from '../schemas.ts';

const maxAgeMax = 2_147_483_647;
/** What browsers ask for before they take a name into their lists (hstspreload.org). */
const preloadMinAge = 31_536_000;

export const hstsFields = {
  hsts_max_age: Type.Optional(
    nullable(
      Type.Integer({
        minimum: 0,
        maximum: maxAgeMax,
        description: 'Seconds for which browsers come back over HTTPS only; 0: no longer. null: not said.',
      }),
    ),
  ),
  hsts_include_subdomains: Type.Optional(nullable(Type.Boolean({ default: false }))),
  hsts_preload: Type.Optional(nullable(Type.Boolean({ default: false }))),
};

type HstsFields = Partial<Static<ReturnType<typeof schema>>>;
const schema = () => Type.Object(hstsFields);

/**
 * @param kept what fields that were not sent keep
 * @param problems takes what is wrong
 */
export function composeHsts(
  values: HstsFields,
  kept: StrictTransportSecurity | null,
  problems: Problem[],
): StrictTransportSecurity | null {
  const sent = <T>(name: keyof HstsFields, stored: T | undefined, initial: T): T =>
    Object.hasOwn(values, name) ? ((values[name] as T | null | undefined) ?? initial) : (stored ?? initial);
  const isReported = problems.some(({ field }) => field === 'hsts_max_age');
  const maxAge = sent<number | null>('hsts_max_age', kept?.maxAge, null);
  if (maxAge === null) {
    const useless = (['hsts_include_subdomains', 'hsts_preload'] as const).filter((name) => values[name] === true);
    if (!isReported) problems.push(...useless.map((name) => invalid(name, 'needs hsts_max_age')));
    return null;
  }
  const includeSubdomains = sent('hsts_include_subdomains', kept?.includeSubdomains, false);
  const preload = sent('hsts_preload', kept?.preload, false);
  if (preload && (!includeSubdomains || maxAge < preloadMinAge)) {
    problems.push(
      invalid('hsts_preload', `needs hsts_include_subdomains, and hsts_max_age of ${preloadMinAge} at least`),
    );
  }
  return { maxAge, includeSubdomains, preload };
}

export function showHsts({ maxAge, includeSubdomains, preload }: StrictTransportSecurity) {
  return { hsts_max_age: maxAge, hsts_include_subdomains: includeSubdomains, hsts_preload: preload };
}
