// From the fields of a request to a CA certificate: intake, what is kept, all problems at once.
import type { CaCertificate } from '../../model/entities.ts';
import { intakeAuthority } from '../../x509/authority.ts';
import type { Decoded } from '../bodies/decode-fields.ts';
import type { AdminConfig } from '../contract.ts';
import { inputInvalid, type Problem } from '../problems.ts';
import type { Notices } from '../write.ts';
import type { CaCertificateFields } from './ca-certificate-fields.ts';
import { checkTags, tagsAfter } from './tags.ts';

export interface CaCertificatePlace {
  readonly id: string;
  readonly stored?: CaCertificate | undefined;
  /** What is not sent: is kept (PATCH), or gets its default (POST, PUT). */
  readonly unsent: 'kept' | 'default';
  readonly now: number;
  readonly force: boolean;
}

export interface ComposedCaCertificate {
  readonly authority: CaCertificate;
  readonly notices: Notices;
}

/** @throws INPUT_INVALID with every problem at once */
export function composeCaCertificate(
  { sslMinRsaBits }: Pick<AdminConfig, 'sslMinRsaBits'>,
  { values, problems: earlier }: Decoded<CaCertificateFields>,
  { id, stored, unsent, now, force }: CaCertificatePlace,
): ComposedCaCertificate {
  const kept = unsent === 'kept' ? stored : undefined;
  const problems: Problem[] = [...earlier, ...checkTags(values.tags ?? [])];
  const certificate = values.cert ?? kept?.certificate;
  if (certificate === undefined) throw inputInvalid(problems);
  const changed = values.cert !== undefined || values.crl !== undefined;
  const result = intakeAuthority({
    certificate,
    // Kong's clients know no such field: what it has revoked stays so until somebody says otherwise, also with PUT.
    crl: (Object.hasOwn(values, 'crl') ? values.crl : stored?.crl) ?? undefined,
    crlBefore: stored?.crl ?? undefined,
    now,
    minRsaBits: sslMinRsaBits,
    // What is stored has been taken: tags may change when it is out of date.
    force: force || !changed,
  });
  if (result.kind === 'refused') {
    problems.push(
      ...result.problems.map(({ field, message, code, hint }) =>
        phrase({ field, message, code: code as Problem['code'], hint }),
      ),
    );
  }
  if (result.kind === 'refused' || problems.length > 0) throw inputInvalid(problems);
  const { crl, crlNextUpdate, ...facts } = result.authority;
  return {
    authority: {
      id,
      ...facts,
      crl: crl ?? null,
      crlNextUpdate: crlNextUpdate ?? null,
      tags: tagsAfter(values.tags, kept?.tags),
      createdAt: stored?.createdAt ?? now,
      updatedAt: now,
    },
    notices: { warnings: changed ? result.warnings : [], repairs: [] },
  };
}

/** Today's own words where it has some. */
function phrase(problem: Problem): Problem {
  return problem.code === 'CERTIFICATE_UNREADABLE'
    ? { ...problem, message: `invalid certificate: ${problem.message}` }
    : problem;
}
