// From the fields of a request to an SNI: what the path says, what is kept, all problems at once.
import { newId } from '../../lib/new-id.ts';
import type { Sni } from '../../model/entities.ts';
import { decodeFields } from '../bodies/decode-fields.ts';
import { todayPhrases } from '../bodies/phrases.ts';
import type { Call } from '../contract.ts';
import { inputInvalid, invalid } from '../problems.ts';
import { sniBody } from './sni-fields.ts';
import { checkSniName } from './sni-names.ts';
import { checkTags, tagsAfter } from './tags.ts';

export interface SniPlace {
  /** Undefined: the one in the body, or a new one. */
  readonly id?: string | undefined;
  readonly createdAt?: number | undefined;
  /** The certificate of the path, which wins over the body's. */
  readonly certificateId?: string | undefined;
  /** The name in the path, which wins too. */
  readonly name?: string;
  /** PATCH: what was not sent stays. */
  readonly kept?: Sni;
  readonly now: number;
}

/** Whether the certificate exists is the caller's question. @throws INPUT_INVALID */
export function composeSni(call: Call, place: SniPlace): Sni {
  const { kept, now } = place;
  const { values, problems: earlier } = decodeFields(sniBody, call.body, todayPhrases);
  const problems = [...earlier, ...checkTags(values.tags ?? [])];
  const reported = new Set(problems.map(({ field }) => field.split('.', 1)[0]));

  const certificateId =
    place.certificateId ?? values.certificate?.id ?? values.ssl_certificate_id ?? kept?.certificateId;
  if (certificateId === undefined && !reported.has('certificate') && !reported.has('ssl_certificate_id')) {
    problems.push(invalid('certificate', 'required field missing'));
  }
  const text = place.name ?? values.name ?? kept?.name;
  if (text === undefined && !reported.has('name')) problems.push(invalid('name', 'required field missing'));
  const checked = text === undefined ? undefined : checkSniName(text, 'name');
  if (checked?.kind === 'unsound') problems.push(checked.problem);
  if (problems.length > 0 || checked?.kind !== 'sound' || certificateId === undefined) throw inputInvalid(problems);
  return {
    id: place.id ?? values.id ?? newId(),
    name: checked.name,
    certificateId,
    tags: tagsAfter(values.tags, kept?.tags),
    createdAt: place.createdAt ?? now,
    updatedAt: now,
  };
}
