// The warning for those who believe X-Forwarded-Proto from anyone.
import type { AdminDeps, Answer } from '../contract.ts';
import { warningHeader } from '../warning-header.ts';

/** @param believes the entity accepts plain HTTP when X-Forwarded-Proto says https */
export function withTerminationWarning(deps: AdminDeps, answer: Answer, believes: boolean): Answer {
  if (!believes || deps.config.trustedIpsConfigured) return answer;
  const given = answer.headers?.['warning'] ?? [];
  const warning = warningHeader(
    'X-Forwarded-Proto is believed from every client, because trusted_ips is not configured: anyone can pass for HTTPS',
  );
  return { ...answer, headers: { ...answer.headers, warning: [...[given].flat(), warning] } };
}
