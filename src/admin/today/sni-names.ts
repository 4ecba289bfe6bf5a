// Names of SNIs as requests send them: to normal form, with today's words for what is wrong.
import { parseHostName, type HostNameProblem } from '../../model/host-name.ts';
import { invalid, type Problem } from '../problems.ts';

export type CheckedName =
  | { readonly kind: 'sound'; readonly name: string }
  | { readonly kind: 'unsound'; readonly problem: Problem };

export function checkSniName(text: string, field: string): CheckedName {
  const parsed = parseHostName(text.trim());
  if (parsed.kind !== 'invalid') return { kind: 'sound', name: parsed.name };
  const message = messages[parsed.problem] ?? `invalid value: ${text.slice(0, 256)}`;
  return { kind: 'unsound', problem: invalid(field, message, hints[parsed.problem]) };
}

/** All names in normal form, or every problem: of each by itself, and one that is there twice. */
export function checkSniNames(texts: readonly string[]): { names: readonly string[]; problems: readonly Problem[] } {
  const seen = new Set<string>();
  const problems: Problem[] = [];
  for (const [index, text] of texts.entries()) {
    const checked = checkSniName(text, `snis.${index + 1}`);
    if (checked.kind === 'unsound') problems.push(checked.problem);
    else if (seen.has(checked.name)) problems.push(invalid('snis', `${checked.name} is duplicated`));
    else seen.add(checked.name);
  }
  return { names: [...seen], problems };
}

const messages: Readonly<Partial<Record<HostNameProblem, string>>> = {
  ip: 'must not be an IP',
  port: 'must not have a port',
  'many-wildcards': 'only one wildcard must be specified',
  'wildcard-placement': 'wildcard must be leftmost or rightmost character',
};

const hints: Readonly<Partial<Record<HostNameProblem, string>>> = {
  ip: 'TLS clients do not send addresses as server names; they get the default certificate.',
  port: 'A certificate serves its name on every port: leave the port out.',
  'too-long': 'A host name has at most 253 characters, each label at most 63.',
  characters: 'Use letters, digits, hyphens and dots.',
};
